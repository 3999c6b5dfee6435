import { expect, it, test } from "vitest";
import { cloudsOf, placed, thinned } from "./clouds";
import { field } from "./frames";
import type { Field, Frame, Json } from "./types";

const a = field("a", "number", [1, 2, null]);
const b = field("b", "number", [10, 20, 30]);
const c = field("c", "number", [5, 9, 7]);
const frame = (...fields: Field[]): Frame => ({
  refId: "A",
  name: "A",
  form: "table",
  fields: [field("Time", "time", [0, 15, 30]), field("host", "text", ["x", "y", "z"]), ...fields],
});
const named = (options: string) => ({ matcher: { id: "byName", options } });
const of = (options: Json, ...frames: Frame[]) =>
  cloudsOf(frames, options).map(({ name, points }) => [name, points.map(({ x, y }) => [x, y])]);

test.each<[string, Json, unknown]>([
  [
    "each number over the first",
    {},
    [
      [
        "b",
        [
          [1, 10],
          [2, 20],
        ],
      ],
      [
        "c",
        [
          [1, 5],
          [2, 9],
        ],
      ],
    ],
  ],
  [
    "over one that is named",
    { mapping: "auto", series: [{ x: named("c") }] },
    [
      [
        "a",
        [
          [5, 1],
          [9, 2],
        ],
      ],
      [
        "b",
        [
          [5, 10],
          [9, 20],
          [7, 30],
        ],
      ],
    ],
  ],
  [
    "over one that is named in the way of before",
    { seriesMapping: "auto", dims: { x: "c", exclude: ["a"] } },
    [
      [
        "b",
        [
          [5, 10],
          [9, 20],
          [7, 30],
        ],
      ],
    ],
  ],
  [
    "those that are named",
    { mapping: "manual", series: [{ x: named("b"), y: named("c"), name: { fixed: "mine" } }] },
    [
      [
        "mine",
        [
          [10, 5],
          [20, 9],
          [30, 7],
        ],
      ],
    ],
  ],
  [
    "in the way of before",
    { seriesMapping: "manual", series: [{ x: "b", y: "c", name: "mine" }] },
    [
      [
        "mine",
        [
          [10, 5],
          [20, 9],
          [30, 7],
        ],
      ],
    ],
  ],
  ["not what is the colour or the size", { series: [{ size: named("b"), color: named("c") }] }, []],
  ["one that is not there", { mapping: "manual", series: [{ x: named("none") }] }, []],
  ["of another frame", { mapping: "manual", series: [{ frame: { matcher: { id: "byIndex", options: 1 } } }] }, []],
])("are %s", (_, options, expected) => expect(of(options, frame(a, b, c))).toEqual(expected));

it("are of each frame", () => {
  expect(of({}, frame(a, b), frame(b, c)).map(([name]) => name)).toEqual(["b", "c"]);
  expect(of({ dims: { frame: 1 } }, frame(a, b), frame(b, c)).map(([name]) => name)).toEqual(["c"]);
  expect(of({}, frame(a))).toEqual([]);
});

it("have the size and the colour that fields say", () => {
  const sized = { ...b, config: { ...b.config, custom: { pointSize: { min: 2, max: 12 }, show: "points+lines" } } };
  const steps = [
    { value: Number.NEGATIVE_INFINITY, colour: "#00ff00" },
    { value: 8, colour: "#ff0000" },
  ];
  const hot = { ...c, config: { ...c.config, thresholds: { percent: false, steps } } };
  const options = {
    mapping: "manual",
    series: [{ x: named("b"), y: named("b2"), size: named("c"), color: named("c2") }],
  };
  const [cloud] = cloudsOf([frame(b, { ...sized, name: "b2" }, c, { ...hot, name: "c2" })], options);
  expect(cloud!.points.map(({ width, colour, row }) => [width, colour, row])).toEqual([
    [2, "#00ff00", 0],
    [12, "#ff0000", 1],
    [7, "#00ff00", 2],
  ]);
  expect(cloud!.shows).toEqual({ points: true, line: true, fill: 0.5 });
});

test.each([
  ["all, where there is room", [3, 0, 2], 5, [3, 0, 2]],
  ["as many of each", [9, 9], 6, [3, 3]],
  ["what small ones leave", [9000, 10], 5000, [4990, 10]],
  ["also where it does not come out even", [4, 9, 1, 9], 12, [4, 4, 1, 3]],
  ["one of each of the first, of more clouds than points", [1, 1, 2, 1], 3, [1, 1, 0, 1]],
])("points are taken: %s", (_, sizes, most, expected) => {
  const [cloud] = cloudsOf([frame(b, c)], {});
  const clouds = sizes.map((size) => ({ ...cloud!, points: Array.from({ length: size }, () => cloud!.points[0]!) }));
  expect(thinned(clouds, most).map(({ points }) => points.length)).toEqual(expected);
});

it("have no place at zero or below where an axis is of logarithms", () => {
  const log = { custom: { scaleDistribution: { type: "log", log: 10 } } };
  const points = [field("x", "number", [0, 1, 10, 100]), field("y", "number", [5, -5, 5, 0])] as const;
  const left = (x: object, y: object) => {
    const [one, other] = [
      { ...points[0], config: { ...points[0].config, ...x } },
      { ...points[1], config: { ...points[1].config, ...y } },
    ];
    const { clouds, without } = placed(cloudsOf([frame(one, other)], {}));
    return [clouds[0]!.points.map((point) => point.x), without];
  };
  expect(left({}, {})).toEqual([[0, 1, 10, 100], 0]);
  expect(left(log, {})).toEqual([[1, 10, 100], 1]);
  expect(left({}, log)).toEqual([[0, 10], 2]);
  expect(placed([])).toEqual({ clouds: [], without: 0 });
});

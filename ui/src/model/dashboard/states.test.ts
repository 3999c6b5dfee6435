import { describe, expect, it } from "vitest";
import { axisMarks, barsOf, extents } from "./bars";
import { fieldConfig } from "./fieldconfig";
import { field } from "./frames";
import { histogramOf } from "./histogram";
import { graphOf } from "./nodegraph";
import { readPanel } from "./read";
import { stateRows, states } from "./states";
import type { Cell, Frame, Json } from "./types";

const frame = (name: string, times: number[], values: Cell[], config: Json = {}): Frame => ({
  refId: "A",
  name,
  form: "series",
  fields: [
    field("Time", "time", times),
    {
      ...field("Value", typeof values[0] === "string" ? "text" : "number", values),
      legend: name,
      config: fieldConfig(config),
    },
  ],
});
const table = (columns: Record<string, Cell[]>): Frame => ({
  refId: "A",
  name: "A",
  form: "table",
  fields: Object.entries(columns).map(([name, values]) =>
    field(name, typeof values[0] === "string" ? "text" : "number", values),
  ),
});
const UP = {
  mappings: [{ type: "value", options: { "1": { text: "UP", color: "green" }, "0": { text: "DOWN", color: "red" } } }],
};
const told = (frames: Frame[], merged: boolean, end = 100) =>
  stateRows(frames, end, merged).map(({ title, stretches }) => [
    title,
    stretches.map(({ from, to, text }) => `${from}-${to} ${text}`),
  ]);

describe("states over time", () => {
  const times = [0, 20, 40, 60, 80];
  it.each([
    ["follow each other as one", [1, 1, 0, 0, 1], {}, true, ["0-40 UP", "40-80 DOWN", "80-100 UP"]],
    ["stand alone in a history", [1, 1, 0], {}, false, ["0-20 UP", "20-40 UP", "40-60 DOWN"]],
    ["leave gaps", [1, null, null, 1, 1], {}, true, ["0-20 UP", "60-100 UP"]],
    ["go on over gaps where that is asked", [1, null, null, 1, 1], { custom: { spanNulls: true } }, true, ["0-100 UP"]],
    ["go on over short gaps", [1, null, 1, null, null], { custom: { spanNulls: 40_000 } }, true, ["0-80 UP"]],
  ])("%s", (_, values, more, merged, expected) => {
    expect(told([frame("a", times.slice(0, values.length), values, { ...UP, ...more })], merged)).toEqual([
      ["a", expected],
    ]);
  });
  it("are known by name and colour, once", () => {
    const rows = stateRows([frame("a", times, [1, 0, 1], UP), frame("b", [0, 20], ["x", "x"])], 100, true);
    expect(states(rows).map(({ text }) => text)).toEqual(["UP", "DOWN", "x"]);
  });
});

describe("bars", () => {
  it.each([
    [
      "a row of a table",
      [table({ name: ["a", "b"], x: [1, 2], y: [3, null] })],
      {},
      ["a", "b"],
      [
        [1, 2],
        [3, null],
      ],
    ],
    ["a series of one number", [frame("a", [5], [1]), frame("b", [5], [2])], {}, ["a", "b"], [[1, 2]]],
    ["a series made one number", [frame("a", [5, 6], [1, 3])], { reduce: "sum" }, ["a"], [[4]]],
    ["a time", [frame("a", [0, 60], [1, 3])], {}, ["1970-01-01 00:00:00", "1970-01-01 00:01:00"], [[1, 3]]],
    ["the field that is named", [table({ code: [200, 500], n: [7, 1] })], { xField: "code" }, ["200", "500"], [[7, 1]]],
  ])("have a category for %s", (_, frames, options, categories, values) => {
    const bars = barsOf(frames, options, true);
    expect([bars.categories, bars.series.map((each) => each.values)]).toEqual([categories, values]);
  });
  it.each([
    [
      "none",
      [
        [0, 1],
        [0, 3],
        [0, -2],
      ],
    ],
    [
      "normal",
      [
        [0, 1],
        [1, 4],
        [0, -2],
      ],
    ],
    [
      "percent",
      [
        [0, 100 / 6],
        [100 / 6, 400 / 6],
        [0, -200 / 6],
      ],
    ],
  ] as const)("stacked %s", (stacking, expected) => {
    const of = barsOf([table({ name: ["x"], a: [1], b: [3], c: [-2] })], {}, true);
    const got = extents(of, stacking)[0]!.map((bar) => bar!.map((each) => Number(each.toFixed(6))));
    expect(got).toEqual(expected.map((bar) => bar.map((each) => Number(each.toFixed(6)))));
  });
  it.each([
    [0, 10, 5, [0, 2, 4, 6, 8, 10]],
    [0, 0.37, 4, [0, 0.1, 0.2, 0.3, 0.4]],
    [-3, 7, 4, [-5, -2.5, 0, 2.5, 5, 7.5]],
    [0, 0, 3, [0, 0.5]],
  ])("axis from %s to %s", (low, high, most, marks) => expect(axisMarks(low, high, most)).toEqual(marks));
  it.each([
    [0, 3 * 1024 ** 2, "bytes", [0, 1, 2, 3].map((mark) => mark * 1024 ** 2)],
    [0, 3_000_000, "decbytes", [0, 1_000_000, 2_000_000, 3_000_000]],
    [0, 0.5, "bytes", [0, 0.2, 0.4, 0.6]],
  ])("axis from %d to %d %s", (low, high, unit, marks) => expect(axisMarks(low, high, 3, unit)).toEqual(marks));
});

describe("histograms", () => {
  it.each([
    [{ bucketSize: 10 }, ["0", "10", "20"], [[2, 0, 1]]],
    [{ bucketSize: 10, bucketOffset: 5 }, ["-5", "5", "15"], [[1, 1, 1]]],
    [{ bucketCount: 1 }, ["0", "20"], [[2, 1]]],
  ])("count in bins: %o", (options, categories, counts) => {
    const { categories: names, series } = histogramOf([frame("a", [0, 1, 2, 3], [1, 9, null, 21])], options);
    expect([names, series.map(({ values }) => values)]).toEqual([categories, counts]);
  });
  it("take all fields together where that is asked", () => {
    const frames = [frame("a", [0], [1]), frame("b", [0], [2])];
    expect(histogramOf(frames, { bucketSize: 5, combine: true }).series.map(({ values }) => values)).toEqual([[2]]);
  });
});

describe("graphs", () => {
  it("have nodes for what edges name", () => {
    const graph = graphOf([table({ source: ["a", "a"], target: ["b", "c"], mainstat: [4, 1] })])!;
    expect(graph.nodes.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(graph.edges.map(({ weight }) => weight)).toEqual([1, 0.25]);
  });
  it("have titles and numbers of their nodes", () => {
    const graph = graphOf([
      table({ id: ["1"], title: ["shop"], mainstat: [12] }),
      table({ source: ["1"], target: ["2"] }),
    ])!;
    expect(graph.nodes.map(({ title, text }) => [title, text])).toEqual([
      ["shop", "12"],
      ["2", ""],
    ]);
  });
  it("are none without ids", () => expect(graphOf([frame("a", [0], [1])])).toBeNull());
});

it.each([
  [
    {
      type: "natel-discrete-panel",
      valueMaps: [{ value: "1", text: "up" }],
      colorMaps: [{ text: "up", color: "#0f0" }],
    },
    "state-timeline",
  ],
  [{ type: "flant-statusmap-panel" }, "status-history"],
  [{ type: "vonage-status-panel", targets: [{ expr: "up", warn: 1, crit: 2 }] }, "stat"],
  [
    {
      type: "grafana-polystat-panel",
      polystat: {
        globalThresholds: [
          { value: 0, color: "red" },
          { value: 1, color: "green" },
        ],
      },
    },
    "stat",
  ],
  [{ type: "graph", xaxis: { mode: "series", values: ["avg"] } }, "barchart"],
  [{ type: "graph", xaxis: { mode: "histogram", buckets: 5 } }, "histogram"],
])("old panels: %o", (raw, type) => expect(readPanel(raw, 1).type).toBe(type));

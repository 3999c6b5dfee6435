/** What dashboards of other projects were found to rely on when they were tried (`bench/ui/community.py`). */

import { describe, expect, it } from "vitest";
import { configured } from "./fieldconfig";
import { apart, field, ofInstant, ofRange, titleOf, withValueNames } from "./frames";
import { compact } from "./layout";
import { readPanel } from "./read";
import type { Frame, Json, Panel, Target } from "./types";
import { customOptions } from "./variables";

const target = (more: Partial<Target> = {}): Target => ({
  refId: "A",
  kind: "prometheus",
  expr: "",
  legend: "",
  form: "series",
  instant: false,
  range: true,
  hidden: false,
  interval: "",
  exemplars: false,
  raw: {},
  ...more,
});

describe("places of panels", () => {
  const at = (...places: [number, number, number, number][]) =>
    places.map(([x, y, w, h], id) => ({ ...readPanel({}, id), id, place: { x, y, w, h } }) as Panel);
  it.each<[string, [number, number, number, number][], [number, number][]]>([
    [
      "what hangs in the air rises",
      [
        [0, 0, 6, 3],
        [0, 6, 6, 6],
      ],
      [
        [0, 0],
        [0, 3],
      ],
    ],
    [
      "what lies on another gives way",
      [
        [0, 0, 12, 6],
        [0, 3, 12, 6],
      ],
      [
        [0, 0],
        [0, 6],
      ],
    ],
    [
      "only as far as there is something above it",
      [
        [0, 0, 6, 3],
        [6, 0, 6, 9],
        [0, 9, 6, 3],
      ],
      [
        [0, 0],
        [6, 0],
        [0, 3],
      ],
    ],
    [
      "what stands beside it stays",
      [
        [0, 0, 6, 3],
        [6, 0, 6, 3],
      ],
      [
        [0, 0],
        [6, 0],
      ],
    ],
  ])("%s", (_, places, expected) => {
    expect(compact(at(...places)).map(({ place: { x, y } }) => [x, y])).toEqual(expected);
  });
});

describe("tables of old", () => {
  const styles: Json[] = [
    { pattern: "Time", type: "hidden" },
    { pattern: "osd", type: "string", alias: "OSD" },
    { pattern: "Value", type: "number", unit: "s", decimals: 2 },
    { pattern: "/.*/", type: "hidden", alias: "nobody" },
  ];
  const panel = readPanel({ type: "table", styles, targets: [{ expr: "x", format: "table" }] }, 1);
  const [frame] = withValueNames(
    ofInstant([{ labels: { osd: "0", pool: "a" }, time: 1, value: 2 }], target({ form: "table" }), ""),
  );
  const shown = frame!.fields.map((each) => configured(each, titleOf(each, frame!), "A", panel.field, panel.overrides));
  it("have the first style that fits a column, and show none that only the last one hides", () => {
    expect(shown.map(({ custom, displayName }) => [custom.hidden, displayName])).toEqual([
      [true, "nobody"],
      [false, "OSD"],
      [true, "nobody"],
      [false, "nobody"],
    ]);
    expect(shown.at(-1)).toMatchObject({ unit: "s", decimals: 2 });
  });
});

describe("names", () => {
  const answer = { times: [1], series: [{ labels: {}, values: [1] }], warnings: [] };
  it.each([
    ["", "sum(up)"],
    ["all", "all"],
  ])("of a series without labels: legend “%s” gives %s", (legend, expected) => {
    const [frame] = ofRange(answer, target(), legend, "sum(up)");
    expect(titleOf(frame!.fields[1]!, frame!)).toBe(expected);
  });
  it("of values tell their query only where several have some", () => {
    const table = (refId: string): Frame[] =>
      ofInstant([{ labels: {}, time: 1, value: 2 }], target({ refId, form: "table" }), "");
    const names = (frames: readonly Frame[]) => frames.map(({ fields }) => fields.at(-1)!.name);
    expect(names(withValueNames(table("A")))).toEqual(["Value"]);
    expect(names(withValueNames([...table("A"), ...table("B")]))).toEqual(["Value #A", "Value #B"]);
  });
});

it.each([
  [
    "avg : Average\n0.5 : P50",
    [
      ["avg", "Average"],
      ["0.5", "P50"],
    ],
  ],
  [
    "a,b",
    [
      ["a", "a"],
      ["b", "b"],
    ],
  ],
  [
    "x\\,y : both, z",
    [
      ["x,y", "both"],
      ["z", "z"],
    ],
  ],
])("custom variables have a choice in each part: %j", (query, expected) => {
  expect(customOptions(query).map(({ text, value }) => [text, value])).toEqual(expected);
});

it("draws a table's rows as a line for each of its texts", () => {
  const frame: Frame = {
    refId: "A",
    name: "A",
    form: "table",
    fields: [
      field("Time", "time", [1, 2, 1, 2]),
      field("job", "text", ["a", "a", "b", "b"]),
      field("Value", "number", [1, 2, 3, 4]),
    ],
  };
  expect(apart(frame).map(({ name, fields }) => [name, fields[1]!.values])).toEqual([
    ["a", [1, 2]],
    ["b", [3, 4]],
  ]);
});

it.each([
  [{ format: "table" }, "version"],
  [{}, ""],
])("a singlestat shows the column that is named, of a table: %j", (more, expected) => {
  const panel = readPanel({ type: "singlestat", tableColumn: "version", targets: [{ expr: "x", ...more }] }, 1);
  expect((panel.options.reduceOptions as Json).fields).toBe(expected);
});

import { describe, expect, it } from "vitest";
import { display } from "./display";
import { fieldConfig } from "./fieldconfig";
import { field } from "./frames";
import { ofBuckets, ofValues } from "./heat";
import { repeated, sections } from "./layout";
import { NoDashboard, readDashboard } from "./read";
import type { Chosen, Frame } from "./types";

const old = {
  schemaVersion: 14,
  title: "old",
  rows: [
    {
      title: "first",
      showTitle: true,
      height: "250px",
      panels: [
        {
          type: "graph",
          title: "g",
          span: 6,
          stack: true,
          yaxes: [{ format: "bytes" }, { format: "short" }],
          seriesOverrides: [{ alias: "/b/", yaxis: 2 }],
          targets: [{ expr: "up" }],
        },
        {
          type: "singlestat",
          title: "s",
          span: 6,
          format: "percent",
          valueName: "avg",
          thresholds: "50,80",
          colors: ["green", "orange", "red"],
          colorValue: true,
          targets: [{ expr: "up" }],
        },
        { type: "text", title: "t", span: 6, mode: "markdown", content: "# x" },
      ],
    },
  ],
};

describe("dashboards of old", () => {
  const read = readDashboard(old);
  it("have their rows, and their panels beside each other", () => {
    expect(read.panels.map(({ type, place: { x, y, w } }) => [type, x, y, w])).toEqual([
      ["row", 0, 0, 24],
      ["timeseries", 0, 1, 12],
      ["stat", 12, 1, 12],
      ["text", 0, 8, 12],
    ]);
  });
  it("keep the options of their panels under today's names", () => {
    const [, graph, stat] = read.panels;
    expect([graph!.field.unit, graph!.field.custom.stacking]).toEqual(["bytes", { mode: "normal", group: "A" }]);
    expect(graph!.overrides[0]!.properties[0]).toEqual({ id: "custom.axisPlacement", value: "right" });
    expect(stat!.field.thresholds.steps.map(({ value }) => value)).toEqual([Number.NEGATIVE_INFINITY, 50, 80]);
    expect(stat!.options.reduceOptions).toEqual({ calcs: ["mean"], values: false, fields: "" });
  });
});

it("reads the plan's form, which names no places", () => {
  const read = readDashboard({ dashboard: { title: "plan", panels: [{ title: "a", type: "stat" }, { title: "b" }] } });
  expect(read.panels.map(({ place: { x, w } }) => [x, w])).toEqual([
    [0, 8],
    [8, 8],
  ]);
});

it.each([[{}], [null], [{ kind: "Dashboard", spec: { elements: {} } }]])("refuses %o in words", (json) => {
  expect(() => readDashboard(json)).toThrow(NoDashboard);
});

describe("values as they are shown", () => {
  const config = fieldConfig({
    unit: "percentunit",
    noValue: "none",
    mappings: [
      { type: "value", options: { "0": { text: "DOWN", color: "red" } } },
      { type: "range", options: { from: 5, to: 9, result: { text: "many" } } },
      { type: "special", options: { match: "nan", result: { text: "not a number" } } },
    ],
  });
  it.each([
    [0, "DOWN"],
    [7, "many"],
    [null, "none"],
    [Number.NaN, "not a number"],
    [0.5, "50%"],
  ])("%s", (value, expected) => {
    expect(display(value, config).text.replace(" ", "")).toBe(
      expected.includes("%") ? expected : expected.replace(" ", ""),
    );
  });
});

describe("repeats and rows", () => {
  const chosen: Record<string, Chosen> = { host: { values: ["a", "b", "c"], texts: ["a", "b", "c"], all: true } };
  const board = readDashboard({
    panels: [
      { id: 1, type: "stat", repeat: "host", maxPerRow: 2, gridPos: { x: 0, y: 0, w: 24, h: 4 } },
      { id: 2, type: "stat", gridPos: { x: 0, y: 4, w: 24, h: 4 } },
      {
        id: 3,
        type: "row",
        collapsed: true,
        gridPos: { x: 0, y: 8, w: 24, h: 1 },
        panels: [{ id: 4, type: "stat", gridPos: { x: 0, y: 9, w: 6, h: 4 } }],
      },
    ],
  });
  it("repeats a panel in lines and pushes down what is below", () => {
    expect(repeated(board.panels[0]!, chosen).map(({ place: { x, y, w } }) => [x, y, w])).toEqual([
      [0, 0, 12],
      [12, 0, 12],
      [0, 4, 12],
    ]);
    expect(sections(board.panels, chosen)[0]!.panels.map(({ place }) => place.y)).toEqual([0, 0, 4, 8]);
  });
  it("shows what is in a row once it is opened", () => {
    expect(sections(board.panels, chosen).at(-1)!.panels).toEqual([]);
    expect(sections(board.panels, chosen, { 3: true }).at(-1)!.panels).toHaveLength(1);
  });
});

describe("heatmaps", () => {
  const of = (le: string, values: number[]): Frame => ({
    refId: "A",
    name: le,
    form: "heatmap",
    fields: [field("Time", "time", [1, 2]), field("Value", "number", values, { le })],
  });
  it("take each bucket alone", () => {
    const heat = ofBuckets([of("+Inf", [5, 5]), of("1", [2, 4]), of("0.5", [1, 4])]);
    expect(heat.cells).toEqual([
      [1, 4],
      [1, 0],
      [3, 1],
    ]);
  });
  it("count raw values in rows", () => {
    const heat = ofValues([of("", [0, 10]), of("", [0, 20])]);
    expect([heat.cells[0]![0], heat.cells.at(-1)![1], heat.most]).toEqual([2, 1, 2]);
  });
  it("count them within lengths of time that have some, whatever else there is of time", () => {
    const times = Array.from({ length: 32 }, (_, at) => at);
    const values = times.map((at) => (at < 16 ? null : at % 4));
    const fields = [field("Time", "time", times), field("Value", "number", values)];
    const heat = ofValues([{ refId: "A", name: "", form: "series", fields }]);
    expect(heat.times).toEqual([0, 4, 8, 12, 16, 20, 24, 28]);
    expect(heat.cells.map((row) => row.reduce((sum, count) => sum + count, 0)).filter((sum) => sum > 0)).toEqual([
      4, 4, 4, 4,
    ]);
    expect(heat.most).toBe(1);
  });
});

import { expect, test } from "vitest";
import { FIELDS, type PanelField } from "./panelfields";
import {
  type FieldValue,
  formOf,
  mappingsOf,
  retyped,
  stepsOf,
  valueAt,
  withSteps,
  withValue,
  writtenMappings,
} from "./panelform";
import type { Json } from "./types";

const field = (path: string, type: string): PanelField =>
  FIELDS.find((each) => each.path === path && (each.types === null || each.types.includes(type)))!;
const asked = (panel: Json) => formOf(panel).flatMap(({ fields }) => fields.map(({ path }) => path));
const CUSTOM = "fieldConfig.defaults.custom";

test.each<[type: string, path: string, value: FieldValue, written: Json]>([
  ["stat", "title", "Errors", { title: "Errors" }],
  ["stat", "description", "", {}],
  ["stat", "options.reduceOptions.calcs", "mean", { options: { reduceOptions: { calcs: ["mean"] } } }],
  ["stat", "options.showPercentChange", true, { options: { showPercentChange: true } }],
  ["stat", "fieldConfig.defaults.unit", "bytes", { fieldConfig: { defaults: { unit: "bytes" }, overrides: [] } }],
  ["gauge", "fieldConfig.defaults.max", 0, { fieldConfig: { defaults: { max: 0 }, overrides: [] } }],
  ["gauge", "fieldConfig.defaults.max", null, { fieldConfig: { overrides: [] } }],
  [
    "timeseries",
    `${CUSTOM}.lineStyle.fill`,
    "dash",
    { fieldConfig: { defaults: { custom: { lineStyle: { fill: "dash" } } }, overrides: [] } },
  ],
  [
    "timeseries",
    `${CUSTOM}.scaleDistribution.log`,
    "2",
    { fieldConfig: { defaults: { custom: { scaleDistribution: { log: 2 } } }, overrides: [] } },
  ],
  ["timeseries", "options.legend.calcs", ["mean", "max"], { options: { legend: { calcs: ["mean", "max"] } } }],
  ["dashlist", "options.tags", ["a", "b"], { options: { tags: ["a", "b"] } }],
])("%s: %s as %j", (type, path, value, written) => {
  const panel = { type, ours: { of: "others" } };
  const made = withValue(panel, field(path, type), value);
  expect(made).toEqual({ ...panel, ...written });
  const read = valueAt(made, field(path, type));
  expect(read).toEqual(value === "" ? null : value);
});

test("what is not asked for stays as it was written", () => {
  const panel = {
    type: "stat",
    fieldConfig: { defaults: { unit: "s", custom: { theirs: 1 } }, overrides: [{ matcher: { id: "byName" } }] },
    options: { reduceOptions: { calcs: ["max"], theirs: 2 } },
  };
  const made = withValue(panel, field("fieldConfig.defaults.unit", "stat"), null);
  expect(made).toEqual({ ...panel, fieldConfig: { ...panel.fieldConfig, defaults: { custom: { theirs: 1 } } } });
  const other = withValue(panel, field("options.reduceOptions.calcs", "stat"), "min");
  expect(other.options).toEqual({ reduceOptions: { calcs: ["min"], theirs: 2 } });
});

test.each<[Json, string, boolean]>([
  [{ type: "stat" }, "options.reduceOptions.limit", false],
  [{ type: "stat", options: { reduceOptions: { values: true } } }, "options.reduceOptions.limit", true],
  [{ type: "stat", options: { reduceOptions: { values: true } } }, "options.reduceOptions.calcs", false],
  [{ type: "stat" }, "options.reduceOptions.calcs", true],
  [{ type: "text" }, "fieldConfig.defaults.unit", false],
  [{ type: "timeseries" }, "options.legend.displayMode", true],
  [{ type: "timeseries", options: { legend: { showLegend: false } } }, "options.legend.displayMode", false],
  [{ type: "timeseries" }, "maxPerRow", false],
  [{ type: "timeseries", repeat: "job" }, "maxPerRow", true],
  [{ type: "row" }, "repeat", true],
  [{ type: "row" }, "description", false],
  [{ type: "geomap" }, "title", true],
  [{ type: "geomap" }, "options.orientation", false],
])("of %j is asked: %s, %s", (panel, path, expected) => expect(asked(panel).includes(path)).toBe(expected));

test("another type keeps what both draw and what nobody here knows", () => {
  const line = {
    type: "timeseries",
    targets: [{ expr: "up" }],
    fieldConfig: { defaults: { unit: "s", custom: { lineWidth: 3, theirs: 1 } }, overrides: [] },
    options: { legend: { showLegend: false }, tooltip: { mode: "none" }, theirs: 2 },
  };
  expect(retyped(line, "stat")).toEqual({
    type: "stat",
    targets: [{ expr: "up" }],
    fieldConfig: { defaults: { unit: "s", custom: { theirs: 1 } }, overrides: [] },
    options: { legend: {}, tooltip: {}, theirs: 2 },
  });
  expect(retyped(line, "trend")).toEqual({ ...line, type: "trend" });
});

test("mappings are written as Grafana writes them and read as they were", () => {
  const none = { match: "", from: null, to: null, text: null, colour: null };
  const all = [
    { ...none, type: "value", match: "0", text: "down", colour: "red" },
    { ...none, type: "value", match: "1", text: "up" },
    { ...none, type: "range", from: 2, to: null, text: "many" },
    { ...none, type: "regex", match: "a.*", colour: "blue" },
    { ...none, type: "special", match: "null", text: "none" },
    { ...none, type: "value", match: "9", text: "nine" },
  ] as const;
  const written = writtenMappings(all);
  expect(written.map(({ type }) => type)).toEqual(["value", "range", "regex", "special", "value"]);
  expect(written[0]).toEqual({
    type: "value",
    options: { 0: { text: "down", color: "red", index: 0 }, 1: { text: "up", index: 1 } },
  });
  expect(mappingsOf(written)).toEqual(all);
});

test.each<[string, readonly string[]]>([
  ["in the order they were written", ["30", "2", "1"]],
  ["as many as there were, while one of them is typed as another is", ["1", "1", "2"]],
])("values stay %s", (_, matches) => {
  const none = { from: null, to: null, colour: null };
  const all = matches.map((match, at) => ({ ...none, type: "value" as const, match, text: `text ${at}` }));
  expect(mappingsOf(writtenMappings(all))).toEqual(all);
});

test("what nobody here draws of a mapping stays", () => {
  const written = [
    { type: "value", options: { 1: { text: "up", icon: "check", index: 0 } } },
    { type: "range", options: { from: 2, to: null, result: { color: "red", icon: "x", index: 1 } } },
  ];
  expect(writtenMappings(mappingsOf(written))).toEqual(written);
});

test("steps of thresholds are in order, the first without a value", () => {
  expect(stepsOf({})).toEqual([{ value: null, colour: "green" }]);
  const steps = [
    { value: null, colour: "blue" },
    { value: 9, colour: "red" },
    { value: 5, colour: "orange" },
  ];
  const written = withSteps({ mode: "percentage", theirs: 1 }, steps);
  expect(written).toEqual({
    mode: "percentage",
    theirs: 1,
    steps: [
      { color: "blue", value: null },
      { color: "orange", value: 5 },
      { color: "red", value: 9 },
    ],
  });
  expect(stepsOf(written).map(({ value }) => value)).toEqual([null, 5, 9]);
});

const SOURCES = Object.values({
  ...import.meta.glob("../../pages/dashboards/panels/*.tsx", { query: "?raw", import: "default", eager: true }),
  ...import.meta.glob("../../pages/dashboards/*.{ts,tsx}", { query: "?raw", import: "default", eager: true }),
  ...import.meta.glob(["./*.ts", "!./*.test.ts", "!./panelf*.ts", "!./legacy.ts"], {
    query: "?raw",
    import: "default",
    eager: true,
  }),
}).join("\n");

test.each([...new Set(FIELDS.map(({ path }) => path))])("%s is read by what draws panels", (path) => {
  const last = path.split(".").at(-1)!;
  expect(SOURCES).toMatch(new RegExp(`\\b${last}\\b`));
});
test("and what Grafana has beyond it is not", () => {
  for (const other of ["showPoints", "axisWidth", "displayLabels", "lineInterpolationSmooth"])
    expect(SOURCES).not.toContain(other);
});

import { describe, expect, it } from "vitest";
import { field } from "./frames";
import { reduced } from "./reduce";
import { transformed } from "./transform";
import type { Frame } from "./types";

const series = (job: string, values: (number | null)[], refId = "A"): Frame => ({
  refId,
  name: job,
  form: "series",
  fields: [field("Time", "time", [10, 20]), { ...field("Value", "number", values, { job }), legend: job }],
});
const table = (refId: string, name: string, jobs: string[], values: number[]): Frame => ({
  refId,
  name: refId,
  form: "table",
  fields: [field("job", "text", jobs), field(name, "number", values)],
});
const rows = (frames: readonly Frame[]) =>
  frames.map(({ fields }) => Object.fromEntries(fields.map(({ name, values }) => [name, values])));

describe("transformations", () => {
  it.each([
    [
      "merge",
      {},
      [table("A", "x", ["a", "b"], [1, 2]), table("B", "y", ["a", "b"], [3, 4])],
      [{ job: ["a", "b"], x: [1, 2], y: [3, 4] }],
    ],
    [
      "organize",
      { excludeByName: { job: true }, renameByName: { x: "X" } },
      [table("A", "x", ["a"], [1])],
      [{ X: [1] }],
    ],
    [
      "sortBy",
      { sort: [{ field: "x", desc: true }] },
      [table("A", "x", ["a", "b"], [1, 2])],
      [{ job: ["b", "a"], x: [2, 1] }],
    ],
    [
      "groupBy",
      { fields: { job: { operation: "groupby" }, x: { operation: "aggregate", aggregations: ["sum"] } } },
      [table("A", "x", ["a", "a", "b"], [1, 2, 5])],
      [{ job: ["a", "b"], "x (sum)": [3, 5] }],
    ],
    ["reduce", { reducers: ["max", "mean"] }, [series("api", [1, 3])], [{ Field: ["api"], Max: [3], Mean: [2] }]],
    [
      "calculateField",
      { mode: "binary", binary: { left: "x", operator: "*", right: "2" }, alias: "d" },
      [table("A", "x", ["a"], [4])],
      [{ job: ["a"], x: [4], d: [8] }],
    ],
    [
      "renameByRegex",
      { regex: "x(.*)", renamePattern: "y$1" },
      [table("A", "x1", ["a"], [4])],
      [{ job: ["a"], y1: [4] }],
    ],
    ["filterFieldsByName", { include: { names: ["x"] } }, [table("A", "x", ["a"], [4])], [{ x: [4] }]],
    [
      "joinByField",
      { byField: "job", mode: "outer" },
      [table("A", "x", ["a"], [1]), table("B", "y", ["a", "b"], [2, 3])],
      [{ job: ["a", "b"], x: [1, null], y: [2, 3] }],
    ],
    ["timeSeriesTable", {}, [series("api", [1, 3])], [{ job: ["api"], "Trend #A": [[1, 3]] }]],
    ["seriesToRows", {}, [series("api", [1, null])], [{ Time: [10], Metric: ["api"], Value: [1] }]],
    ["limit", { limitField: 1 }, [table("A", "x", ["a", "b"], [1, 2])], [{ job: ["a"], x: [1] }]],
  ] as const)("%s", (id, options, frames, expected) => {
    const made = transformed(frames as readonly Frame[], [{ id, options, disabled: false }]);
    expect(rows(made.frames)).toEqual(expected);
    expect(made.missing).toEqual([]);
  });
  it("tells the ones it does not know", () => {
    const made = transformed([series("a", [1, 2])], [{ id: "regression", options: {}, disabled: false }]);
    expect(made.missing).toEqual(["the transformation regression"]);
  });
});

it.each([
  ["lastNotNull", 4],
  ["mean", 3],
  ["sum", 9],
  ["range", 2],
  ["delta", 2],
  ["diff", 2],
  ["count", 4],
  ["p50", 3],
])("%s of values", (calc, expected) => {
  expect(reduced([2, 3, null, 4], calc)).toBe(expected);
});

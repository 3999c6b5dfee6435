import { describe, expect, it } from "vitest";
import { field, titleOf } from "./frames";
import { calcName, reduced } from "./reduce";
import { transformed } from "./transform";
import type { Frame, Json } from "./types";

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
  ["count", 3],
  ["countAll", 4],
  ["p50", 3],
])("%s of values", (calc, expected) => {
  expect(reduced([2, 3, null, 4], calc)).toBe(expected);
});

// What @grafana/data 13.2.3 answers to the same frames and options.
const instant = (refId: string, values: number[]): Frame => ({
  refId,
  name: refId,
  form: "table",
  fields: [
    field(
      "Time",
      "time",
      values.map(() => 100),
    ),
    field("instance", "text", ["a", "b", "c"].slice(0, values.length)),
    field("job", "text", ["x", "y", "x"].slice(0, values.length)),
    field(`Value #${refId}`, "number", values),
  ],
});
const titled = (frames: readonly Frame[]) =>
  frames.map((frame) => frame.fields.map((each) => [titleOf(each, frame), each.values]));
const two = () => [instant("A", [1, 2, 3]), instant("B", [10, 20, 30])];

it.each([
  [
    "one series below the other",
    [series("a", [1, 2]), series("b", [3, 4])],
    [["merge", {}]],
    [
      [
        ["Time", [10, 20, 10, 20]],
        ["a", [1, 2, 3, 4]],
      ],
    ],
  ],
  [
    "labels as columns, then in one",
    [series("a", [1, 2]), series("b", [3, 4])],
    [
      ["labelsToFields", {}],
      ["merge", {}],
    ],
    [
      [
        ["Time", [10, 20, 10, 20]],
        ["Value", [1, 2, 3, 4]],
        ["job", ["a", "a", "b", "b"]],
      ],
    ],
  ],
  [
    "columns that both sides have are numbered",
    two(),
    [["joinByField", { byField: "instance", mode: "outer" }]],
    [
      [
        ["instance", ["a", "b", "c"]],
        ["Time 1", [100, 100, 100]],
        ["job 1", ["x", "y", "x"]],
        ["Value #A", [1, 2, 3]],
        ["Time 2", [100, 100, 100]],
        ["job 2", ["x", "y", "x"]],
        ["Value #B", [10, 20, 30]],
      ],
    ],
  ],
  [
    "all columns",
    two().map((frame) => ({ ...frame, fields: frame.fields.slice(1, 2) })),
    [["concatenate", {}]],
    [
      [
        ["instance 1", ["a", "b", "c"]],
        ["instance 2", ["a", "b", "c"]],
      ],
    ],
  ],
  [
    "a sum so far",
    [table("A", "x", ["a", "b", "c"], [1, 2, 3])],
    [["calculateField", { mode: "cumulativeFunctions", cumulative: { field: "x", reducer: "sum" } }]],
    [
      [
        ["job", ["a", "b", "c"]],
        ["x", [1, 2, 3]],
        ["cumulative sum(x)", [1, 3, 6]],
      ],
    ],
  ],
  [
    "a moving mean",
    [table("A", "x", ["a", "b", "c"], [1, 2, 6])],
    [
      [
        "calculateField",
        { mode: "windowFunctions", window: { field: "x", reducer: "mean", windowSizeMode: "fixed", windowSize: 2 } },
      ],
    ],
    [
      [
        ["job", ["a", "b", "c"]],
        ["x", [1, 2, 6]],
        ["trailing moving mean(x)", [1, 1.5, 4]],
      ],
    ],
  ],
  [
    "labels beside what is reduced",
    [series("a", [1, 2]), series("b", [3, null])],
    [["reduce", { reducers: ["last", "count"], labelsToFields: true }]],
    [
      [
        ["Field", ["Value", "Value"]],
        ["job", ["a", "b"]],
        ["Last", [2, null]],
        ["Count", [2, 1]],
      ],
    ],
  ],
  [
    "a matrix",
    [instant("A", [1, 2, 3])],
    [["groupingToMatrix", { columnField: "job", rowField: "instance", valueField: "Value #A" }]],
    [
      [
        ["instance\\job", ["a", "b", "c"]],
        ["x", [1, "", 3]],
        ["y", ["", 2, ""]],
      ],
    ],
  ],
  [
    "rows as columns",
    [table("A", "x", ["a", "b"], [1, 2])],
    [["transpose", {}]],
    [
      [
        ["Field", ["x"]],
        ["a", [1]],
        ["b", [2]],
      ],
    ],
  ],
  [
    "times as text",
    [instant("A", [1])],
    [
      ["formatTime", { timeField: "Time", outputFormat: "HH:mm:ss" }],
      ["filterFieldsByName", { include: { names: ["Time"] } }],
    ],
    [[["Time", ["00:01:40"]]]],
  ],
  [
    "texts in capitals",
    [table("A", "x", ["a", "b"], [1, 2])],
    [["formatString", { stringField: "job", outputFormat: "Upper Case" }]],
    [
      [
        ["job", ["A", "B"]],
        ["x", [1, 2]],
      ],
    ],
  ],
] as const)("as Grafana: %s", (_, frames, chain, expected) => {
  const steps = chain.map(([id, options]) => ({ id, options, disabled: false }));
  expect(titled(transformed(frames as readonly Frame[], steps).frames)).toEqual(expected);
});

it("takes fields out of JSON and of pairs", () => {
  const of = (text: string) => [
    { refId: "A", name: "", form: "table", fields: [field("line", "text", [text])] } as const,
  ];
  const take = (text: string, options: object) =>
    titled(
      transformed(of(text), [
        { id: "extractFields", options: { source: "line", replace: true, ...options }, disabled: false },
      ]).frames,
    );
  expect(take('{"a": 1, "b": {"c": "x"}}', {})).toEqual([
    [
      ["a", [1]],
      ["b", ['{"c":"x"}']],
    ],
  ]);
  expect(take('{"b": {"c": "x"}}', { jsonPaths: [{ path: "b.c", alias: "C" }] })).toEqual([[["C", ["x"]]]]);
  expect(take('{"http.status": 200, "b": {"c": "x"}}', {})).toEqual([
    [
      ["http.status", [200]],
      ["b", ['{"c":"x"}']],
    ],
  ]);
  expect(take('{"a": 1}', { jsonPaths: [{ path: "constructor" }] })).toEqual([[["constructor", [null]]]]);
  expect(take("a=1,b:c=2; d = e", { format: "kvp" })[0]).toEqual([
    ["a", ["1"]],
    ["b", ["c=2"]],
    ["d", ["e"]],
  ]);
  expect(take('level=info took="2 s"', { format: "kvp" })).toEqual([
    [
      ["level", ["info"]],
      ["took", ["2 s"]],
    ],
  ]);
});

it.each([
  [[3, 1, 2, 10, 7], "delta", 8],
  [[-1, -5, 2], "delta", 0],
  [[3, 1, 2, 10, 7], "p88", 10],
  [[3, 1, 2, 10, 7], "p87", 7],
  [[3, 1, 2, 10, 7], "diffperc", 133.33333333333334],
  [[], "sum", 0],
  [[1, 2], "avg", 1.5],
] as const)("of %s the %s is %s", (values, calc, expected) => expect(reduced(values, calc)).toBe(expected));

it.each([
  ["lastNotNull", "Last *"],
  ["p22", "22nd %"],
  ["p11", "11th %"],
  ["avg", "Mean"],
] as const)("%s is called %s", (calc, name) => expect(calcName(calc)).toBe(name));

it("knows no transformation, operation or calculation by what every object has", () => {
  const x = [table("A", "x", ["a"], [4])];
  const after = (id: string, options: object) => transformed(x, [{ id, options: options as Json, disabled: false }]);
  for (const id of ["valueOf", "__proto__", "constructor"])
    expect(after(id, {})).toEqual({ frames: x, missing: [`the transformation ${id}`] });
  for (const operator of ["toString", "constructor"]) {
    expect(after("calculateField", { mode: "binary", binary: { left: "x", operator, right: "2" } }).frames).toEqual(x);
    expect(after("calculateField", { mode: "unary", unary: { operator, fieldName: "x" } }).frames).toEqual(x);
    expect(after("formatString", { stringField: "job", outputFormat: operator }).frames).toEqual(x);
    expect(reduced([1, 2], operator)).toBe(2);
    expect(calcName(operator)).toBe(operator);
  }
});

it("filters by each name alike, whatever the flags of its pattern", () => {
  const options = { include: { pattern: "/x/g" } };
  const fields = ["x1", "x2", "x3", "y"].map((legend) => ({ ...field("Value", "number", [1]), legend }));
  const all = [{ ...table("A", "x", [], []), fields }];
  const { frames } = transformed(all, [{ id: "filterFieldsByName", options, disabled: false }]);
  expect(frames[0]!.fields.map(({ legend }) => legend)).toEqual(["x1", "x2", "x3"]);
});

it("has no sum so far of what is neither a sum nor a mean", () => {
  const x = [table("A", "x", ["a", "b"], [1, 2])];
  const options = { mode: "cumulativeFunctions", cumulative: { field: "x", reducer: "max" } };
  expect(transformed(x, [{ id: "calculateField", options, disabled: false }]).frames).toEqual(x);
});

describe("many rows", () => {
  // As many as take a minute where each looks at all others.
  const many = Array.from({ length: 100_000 }, (_, row) => row);
  const column = (name: string, values: readonly number[] = many): Frame => ({
    refId: name,
    name,
    form: "table",
    fields: [field(name, "number", values)],
  });
  const after = (frames: readonly Frame[], id: string, options: Json) =>
    transformed(frames, [{ id, options, disabled: false }]).frames;

  it("of one group", () => {
    const same = [table("A", "x", Array(many.length).fill("a"), many)];
    const fields = { job: { operation: "groupby" }, x: { operation: "aggregate", aggregations: ["count"] } };
    expect(rows(after(same, "groupBy", { fields }))).toEqual([{ job: ["a"], "x (count)": [many.length] }]);
    expect(after(same, "partitionByValues", { fields: ["job"] })[0]!.fields[0]!.values).toEqual(many);
    const timed = same.map((each) => ({ ...each, fields: [field("Time", "time", many), ...each.fields] }));
    expect(after(timed, "prepareTimeSeries", { format: "multi" })[0]!.fields[1]!.values).toEqual(many);
  });

  it("in one of tables that share no column, in which what is there twice is there once", () => {
    const [x, y] = after([column("x", [...many, 0, 1]), column("y")], "merge", {})[0]!.fields;
    expect([x!.values, y!.values]).toEqual([many, many]);
  });

  it("in all tables", () => {
    const [left, right] = ["a", "b"].map((name) => ({
      ...column("x"),
      fields: [field("x", "number", many), field(name, "number", many)],
    }));
    const inner = after([left!, right!], "joinByField", { byField: "x", mode: "inner" });
    expect(inner[0]!.fields.map(({ values }) => values)).toEqual([many, many, many]);
  });

  it("and letters", () => {
    const long = `${"a".repeat(300_000)} b=1`;
    const lines = [{ ...column("x"), fields: [field("line", "text", [long])] }];
    const options = { source: "line", format: "kvp", replace: true };
    expect(rows(after(lines, "extractFields", options))).toEqual([{ b: ["1"] }]);
  });
});

import { describe, expect, it } from "vitest";
import { parsed } from "./arithmetic";
import { neededBy, withExpressions } from "./expressions";
import { field } from "./frames";
import { readPanel } from "./read";
import type { Frame, Json } from "./types";

const SPAN = { start: 0, end: 60 };
const series = (refId: string, values: (number | null)[], labels: Record<string, string> = {}): Frame => ({
  refId,
  name: refId,
  form: "series",
  fields: [
    field(
      "Time",
      "time",
      values.map((_, at) => at * 15),
    ),
    field("Value", "number", values, labels),
  ],
});
const EXPR = { type: "__expr__", uid: "__expr__" };
const panelOf = (...targets: Json[]) => readPanel({ type: "timeseries", targets }, 1);
/** What expressions give on these frames: the name of each, and its values. */
const given = (frames: readonly Frame[], ...targets: Json[]) => {
  const queries = [...new Set(frames.map(({ refId }) => refId))].map((refId) => ({ refId, expr: "x", hide: true }));
  const panel = panelOf(...queries, ...targets.map((each) => ({ datasource: EXPR, ...each })));
  const { frames: shown, missing } = withExpressions(frames, panel.targets, SPAN);
  return [shown.map(({ name, fields }) => [name, fields[1]!.values] as const), missing] as const;
};
const A = series("A", [1, 2, 3]);
const B = series("B", [10, null, 30]);

describe("arithmetic", () => {
  it.each<[string, (number | null)[]]>([
    ["$A * 2 + 1", [3, 5, 7]],
    ["1 + $A * 2 ** 2", [5, 9, 13]],
    ["($A + 1) * -2", [-4, -6, -8]],
    ["$A - $A / 2 - 0.5", [0, 0.5, 1]],
    ["$A % 2", [1, 0, 1]],
    ["$A > 1 && $A < 3", [0, 1, 0]],
    ["$A == 1 || !($A != 3)", [1, 0, 1]],
    ["${A} >= 2", [0, 1, 1]],
    ["$B / $A", [10, null, 10]],
    ["is_null($B)", [0, 1, 0]],
    ["is_number($B) + abs(-1)", [2, 1, 2]],
    ["round($A / 2.1)", [0, 1, 1]],
    ["1e2 * .5 + 0x10", [66]],
  ])("%s", (expression, values) => {
    expect(given([A, B], { refId: "C", type: "math", expression })).toEqual([[["C", values]], []]);
  });
  it.each([
    ["$A +", "“$A +” ends where a value should be"],
    ["($A", "“($A” has no “)” before “its end”"],
    ["$A $B", "“$A $B”: “$B” is one too many"],
    ["sin($A)", "“sin($A)”: there is no sin in expressions"],
    ["1 toString 2", "“1 toString 2”: “toString” is one too many"],
    ["constructor($A)", "“constructor($A)”: there is no constructor in expressions"],
    ["$A # 1", "“$A # 1” cannot be read from “# 1” on"],
  ])("%s cannot be read", (expression, told) => {
    expect(() => parsed(expression)).toThrow(told);
    expect(given([A], { refId: "C", type: "math", expression })).toEqual([[], [`expression C: ${told}`]]);
  });
  it("joins series of the same labels, and those with more of them", () => {
    const per = (refId: string, job: string, values: number[], more = {}) => series(refId, values, { job, ...more });
    const frames = [
      per("A", "a", [4, 6]),
      per("A", "b", [8, 9]),
      per("B", "a", [2, 3]),
      per("B", "b", [4, 3], { x: "1" }),
    ];
    expect(given(frames, { refId: "C", type: "math", expression: "$A / $B" })).toEqual([
      [
        ['{job="a"}', [2, 2]],
        ['{job="b", x="1"}', [2, 3]],
      ],
      [],
    ]);
  });
});

describe("reduce", () => {
  const broken = series("A", [1, null, Number.NaN, 4]);
  it.each<[Json, number]>([
    [{ reducer: "sum" }, Number.NaN],
    [{ reducer: "sum", settings: { mode: "dropNN" } }, 5],
    [{ reducer: "max", settings: { mode: "replaceNN", replaceWithValue: 9 } }, 9],
    [{ reducer: "mean", settings: { mode: "dropNN" } }, 2.5],
    [{ reducer: "last", settings: { mode: "dropNN" } }, 4],
    [{ reducer: "count" }, 3],
  ])("%j", (how, expected) => {
    expect(given([broken], { refId: "B", type: "reduce", expression: "A", ...how })).toEqual([[["B", [expected]]], []]);
  });
});

describe("resample", () => {
  const sparse = series("A", [1, 2, null, null]);
  it.each<[Json, (number | null)[]]>([
    [{ window: "30s", downsampler: "sum", upsampler: "fillna" }, [1, 2, null]],
    [{ window: "30s", downsampler: "mean", upsampler: "pad" }, [1, 2, 2]],
    [{ window: "10s", downsampler: "max", upsampler: "backfilling" }, [1, 2, 2, null, null, null, null]],
  ])("%j", (how, expected) => {
    expect(given([sparse], { refId: "B", type: "resample", expression: "$A", ...how })).toEqual([
      [["B", expected]],
      [],
    ]);
  });
  it("says what is no window", () => {
    const told = "expression B: “soon” is no length of time to sample anew in";
    expect(given([sparse], { refId: "B", type: "resample", expression: "A", window: "soon" })).toEqual([[], [told]]);
  });
});

it("says where there would be more points than anybody draws", () => {
  const told = "expression B: a point each “5ms” gives 12001, more than 11000: make the window longer";
  expect(given([A], { refId: "B", type: "resample", expression: "A", window: "5ms" })).toEqual([[], [told]]);
});

it("takes the texts of a table for labels", () => {
  const table: Frame = {
    refId: "A",
    name: "A",
    form: "table",
    fields: [
      field("Time", "time", [60, 60, 60]),
      field("node", "text", ["", "x", ""]),
      field("pod", "text", ["a", "b", "c"]),
      field("Value #A", "number", [1, 100, 7]),
    ],
  };
  expect(given([table], { refId: "B", type: "reduce", expression: "A", reducer: "mean" })).toEqual([
    [
      ['{pod="a"}', [1]],
      ['{node="x", pod="b"}', [100]],
      ['{pod="c"}', [7]],
    ],
    [],
  ]);
});

it("says where series multiply that no label tells apart", () => {
  const alike = Array.from({ length: 10 }, () => series("A", [1]));
  const told =
    "expression B: 1000 series with 10 others give more than 1000: let labels tell them apart, or reduce them first";
  expect(given(alike, { refId: "B", type: "math", expression: "$A * $A * $A * $A * $A" })).toEqual([[], [told]]);
  expect(given(alike, { refId: "B", type: "math", expression: "$A * $A * $A" })[0]).toHaveLength(1000);
});

it("pairs series of the same labels, and those of some with those of more, in their order", () => {
  const left: Record<string, string>[] = [{ pod: "a", node: "x" }, { pod: "b" }, { zone: "1" }, {}];
  const right: Record<string, string>[] = [
    { pod: "b" },
    { node: "x" },
    { pod: "a", node: "y" },
    { pod: "b", zone: "1" },
  ];
  const frames = [
    ...left.map((labels, at) => series("A", [at], labels)),
    ...right.map((labels, at) => series("B", [10 * at], labels)),
  ];
  const [found] = given(frames, { refId: "C", type: "math", expression: "$A + $B" });
  expect(found.map(([, [value]]) => value)).toEqual([10, 1, 31, 32, 3, 13, 23, 33]);
});

it("pairs thousands of series with as many, of which each belongs to one", () => {
  const pods = (refId: string) => Array.from({ length: 20_000 }, (_, at) => series(refId, [at], { pod: `pod-${at}` }));
  const [found] = given([...pods("A"), ...pods("B").toReversed()], { refId: "C", type: "math", expression: "$A - $B" });
  expect(found).toHaveLength(20_000);
  expect(new Set(found.map(([, [value]]) => value))).toEqual(new Set([0]));
});

describe("threshold", () => {
  it.each<[string, number[], number[]]>([
    ["gt", [2], [0, 0, 1]],
    ["lt", [2], [1, 0, 0]],
    ["gte", [2], [0, 1, 1]],
    ["ne", [2], [1, 0, 1]],
    ["within_range", [3, 1], [0, 1, 0]],
    ["within_range_included", [1, 2], [1, 1, 0]],
    ["outside_range", [1, 2], [0, 0, 1]],
  ])("%s %j", (type, params, expected) => {
    const conditions = [{ evaluator: { type, params } }];
    expect(given([A], { refId: "B", type: "threshold", expression: "A", conditions })).toEqual([[["B", expected]], []]);
  });
});

describe("classic conditions", () => {
  const condition = (refId: string, reducer: string, type: string, limit: number, operator = "and") => ({
    evaluator: { type, params: [limit] },
    operator: { type: operator },
    query: { params: [refId] },
    reducer: { type: reducer },
  });
  it.each([
    [[condition("A", "avg", "gt", 1)], [1]],
    [[condition("A", "avg", "gt", 1), condition("B", "max", "lt", 30)], [0]],
    [[condition("A", "avg", "gt", 1), condition("B", "max", "lt", 30, "or")], [1]],
  ])("%#", (conditions, expected) => {
    expect(given([A, B], { refId: "C", type: "classic_conditions", conditions })).toEqual([[["C", expected]], []]);
  });
});

it("works out one expression on another, and shows what is not hidden", () => {
  const chain = [
    { refId: "D", type: "math", expression: "$C * 100" },
    { refId: "C", type: "reduce", expression: "A", reducer: "max", hide: true },
  ];
  expect(given([A], ...chain)).toEqual([[["D", [300]]], []]);
  const panel = panelOf(
    { refId: "A", expr: "x", hide: true },
    { refId: "Z", expr: "y", hide: true },
    ...chain.map((each) => ({ datasource: EXPR, ...each })),
  );
  expect([...neededBy(panel.targets)]).toEqual(["C", "A"]);
});

it("says what is of itself, of nothing, or not worked out", () => {
  const told = given(
    [A],
    { refId: "B", type: "math", expression: "$B + 1" },
    { refId: "C", type: "sql", expression: "" },
  );
  expect(told[1]).toEqual([
    "expression C: expressions of type “sql” are not worked out here",
    "expression B is of a query that is not there, or of itself",
  ]);
});

import { expect, test } from "vitest";
import { cellText, distinctNames, isNumber, isTime, overTime, plainType, type SqlAnswer } from "./sqlanswer";

const answer = (types: readonly (readonly [string, string])[], rows: readonly (readonly unknown[])[]): SqlAnswer => ({
  columns: types.map(([name, type]) => ({ name, type })),
  rows,
  truncated: false,
  limit: 100,
  seconds: 0,
  sql: "",
});

test.each([
  ["LowCardinality(Nullable(String))", "String"],
  ["Nullable(DateTime64(3, 'UTC'))", "DateTime64(3, 'UTC')"],
  ["UInt64", "UInt64"],
  ["Map(String, String)", "Map(String, String)"],
])("%s is a %s", (type, plain) => expect(plainType(type)).toBe(plain));

test.each([
  ["DateTime('UTC')", true, false],
  ["Date", true, false],
  ["Nullable(Float64)", false, true],
  ["Decimal(9, 2)", false, true],
  ["String", false, false],
  ["Array(UInt8)", false, false],
])("%s: a time %s, a number %s", (type, time, number) =>
  expect([isTime(type), isNumber(type)]).toEqual([time, number]),
);

test.each([
  [null, ""],
  [0, "0"],
  [{ a: 1 }, '{"a":1}'],
  [[1, "x"], '[1,"x"]'],
])("%j is told as %j", (value, text) => expect(cellText(value)).toBe(text));

test("names that are there twice are told apart", () =>
  expect(distinctNames(["a", "b", "a"])).toEqual(["a", "b", "a (2)"]));

const AT = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"] as const;
const SECONDS = AT.map((text) => Date.parse(text) / 1000);

test("texts name the lines, and what has no value at a time has none", () =>
  expect(
    overTime(
      answer(
        [
          ["time", "DateTime"],
          ["service", "LowCardinality(String)"],
          ["n", "UInt64"],
        ],
        [
          [AT[1], "api", "9007199254740992"],
          [AT[0], "api", 1],
          [AT[0], "web", "nan"],
          [AT[1], "web", 3],
        ],
      ),
    ),
  ).toEqual({
    times: SECONDS,
    series: [
      { labels: { service: "api" }, values: [1, 9007199254740992] },
      { labels: { service: "web" }, values: [null, 3] },
    ],
  }));

test("several columns of numbers are lines of their names", () =>
  expect(
    overTime(
      answer(
        [
          ["n", "UInt64"],
          ["time", "DateTime64(3)"],
          ["m", "Float64"],
        ],
        [
          [1, AT[0], 0.5],
          [2, AT[1], 0.7],
        ],
      ),
    )?.series,
  ).toEqual([
    { labels: { __name__: "n" }, values: [1, 2] },
    { labels: { __name__: "m" }, values: [0.5, 0.7] },
  ]));

test.each([
  ["without a time", [["n", "UInt64"]], [[1], [2]]],
  ["without numbers", [["t", "Date"]], [["2026-01-01"], ["2026-01-02"]]],
  [
    "of one time",
    [
      ["t", "Date"],
      ["n", "UInt8"],
    ],
    [["2026-01-01", 1]],
  ],
  [
    "of rows of their own",
    [
      ["t", "Date"],
      ["id", "String"],
      ["n", "UInt8"],
    ],
    [
      ["2026-01-01", "a", 1],
      ["2026-01-02", "b", 2],
    ],
  ],
  [
    "of nothing",
    [
      ["t", "Date"],
      ["n", "UInt8"],
    ],
    [],
  ],
] as const)("an answer %s makes no chart", (_, types, rows) => expect(overTime(answer(types, rows))).toBeNull());

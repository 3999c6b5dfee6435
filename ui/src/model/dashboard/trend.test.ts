import { expect, it, test } from "vitest";
import { field } from "./frames";
import { trendOf } from "./trend";
import type { Field, Frame } from "./types";

const frame = (...fields: Field[]): Frame => ({ refId: "A", name: "A", form: "table", fields });
const size = field("size", "number", [30, 10, null, 20]);
const took = field("took", "number", [3, 1, 9, null]);
const host = field("host", "text", ["a", "b", "c", "d"]);

it("has numbers over another one, in its order, and the rest of the row with them", () => {
  const bytes = { ...size, config: { ...size.config, unit: "bytes", max: 40 } };
  const trend = trendOf([frame(host, took, bytes)], "size");
  if (typeof trend === "string") throw new Error(trend);
  expect(trend.frames[0]!.fields.map(({ name, kind, values, legend }) => [name, kind, values, legend])).toEqual([
    ["size", "time", [10, 20, 30], undefined],
    ["took", "number", [1, null, 3], "took"],
  ]);
  expect(trend.along).toEqual({ name: "size", unit: "bytes", decimals: undefined });
  expect(trend.span).toEqual({ start: 10, end: 40 });
});

test.each<[string, Frame[], string, string]>([
  ["nothing", [frame(host)], "", "There are no numbers."],
  [
    "several answers",
    [frame(size), frame(took)],
    "",
    "There are 2 answers: join them, with a transformation, into one.",
  ],
  ["no such field", [frame(size, took)], "host", "There is no field of numbers “host”."],
  ["only one", [frame(host, size)], "", "There are no numbers over “size”."],
  ["no value to draw along", [frame(field("x", "number", [null]), took)], "", "There are no numbers over “x”."],
])("says why there is none: %s", (_, frames, by, told) => expect(trendOf(frames, by)).toBe(told));

test("one place has some room around it", () =>
  expect(trendOf([frame(field("x", "number", [5]), took)], "")).toMatchObject({ span: { start: 4, end: 6 } }));

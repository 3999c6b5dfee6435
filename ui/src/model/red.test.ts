import { expect, test } from "vitest";
import { courses, kindOfShare } from "./red";

const row = { spans: 4, errors: 1, rate: 4 / 60, p50_ms: 1, p95_ms: 2, p99_ms: 3 };

test("steps stand on one grid, without the one that is not over", () => {
  const found = courses(
    [
      { ...row, at: 120 },
      { ...row, at: 240 },
    ],
    { start: 65, end: 250 },
    60,
  );
  expect(found.times).toEqual([60, 120, 180]);
  expect(found.rate).toEqual([0, 4 / 60, 0]);
  expect(found.errors).toEqual([null, 0.25, null]);
  expect(found.p95).toEqual([null, 2, null]);
});

test("a range shorter than a step has one", () => expect(courses([], { start: 61, end: 62 }, 60).times).toEqual([60]));

test.each([
  [0, ""],
  [0.0099, ""],
  [0.01, "warn"],
  [0.05, "bad"],
])("that %s fail is %j", (share, kind) => expect(kindOfShare(share)).toBe(kind));

import { expect, test } from "vitest";
import { altogether, courses, coursesOf, kindOfShare, wouldBeHeard } from "./red";

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

test("the courses of a service are of all its names", () => {
  const rows = [
    { ...row, service: "api", at: 0 },
    { ...row, service: "api-v2", at: 60 },
    { ...row, service: "web", at: 60, rate: 9 },
  ];
  const of = coursesOf(rows, { start: 0, end: 120 }, 60);
  expect(of(["api", "api-v2"]).rate).toEqual([4 / 60, 4 / 60]);
  expect(of(["web"]).rate).toEqual([0, 9]);
});

test("what a service does is that of all its names together, and null where it answered nothing", () => {
  const rates = [
    { service: "api", rate: 3, error_share: 0, p50_ms: 5, p95_ms: 20 },
    { service: "api-v2", rate: 1, error_share: 0.4, p50_ms: null, p95_ms: 90 },
  ];
  expect(altogether(rates, ["api", "api-v2"])).toEqual({ rate: 4, error_share: 0.1, p50_ms: 5, p95_ms: 90 });
  expect(altogether(rates, ["web"])).toBeNull();
});

test.each([
  [0, ""],
  [0.0099, ""],
  [0.01, "warn"],
  [0.05, "bad"],
])("that %s fail is %j", (share, kind) => expect(kindOfShare(share)).toBe(kind));

test.each([
  [0, false],
  [1 / 60, false],
  [5 / 60, true],
  [100, true],
])("that one of %s requests a second is silent for a minute is to be noticed: %s", (rate, noticed) =>
  expect(wouldBeHeard(rate)).toBe(noticed),
);

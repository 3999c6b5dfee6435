import { expect, it } from "vitest";
import { ownTime, spanOf } from "./owntime";

const week = { range: { from: "now-7d", to: "now" }, refresh: "1m" };

it.each([
  ["", week, { from: "now-7d", to: "now", refresh: "1m" }],
  ["from=now-2h&to=now", week, { refresh: "1m" }],
  ["from=now-2h&to=now&refresh=5s", week, {}],
  ["", { range: { from: "now-1h", to: "now" }, refresh: "" }, {}],
  ["", { range: null, refresh: "false" }, {}],
])("an address of “%s” takes the dashboard's own %o", (said, own, expected) =>
  expect(ownTime(own, new URLSearchParams(said))).toEqual(expected),
);

const day = 86_400;
it.each([
  ["", "", { start: 20 * day - 3600, end: 20 * day }],
  ["2h", "", { start: 20 * day - 7200, end: 20 * day }],
  ["", "1d", { start: 19 * day - 3600, end: 19 * day }],
  ["2h", "1d", { start: 19 * day - 7200, end: 19 * day }],
  ["nonsense", "", { start: 20 * day - 3600, end: 20 * day }],
])("a panel's own time %s, %s earlier", (timeFrom, timeShift, expected) =>
  expect(spanOf({ timeFrom, timeShift }, { start: 20 * day - 3600, end: 20 * day })).toEqual(expected),
);

it("a whole day before", () => {
  const { start, end } = spanOf({ timeFrom: "1d/d", timeShift: "" }, { start: 0, end: 20.5 * day });
  expect(Math.round(end - start)).toBe(day);
});

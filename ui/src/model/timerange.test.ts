import { expect, describe as group, test } from "vitest";
import {
  absolute,
  ago,
  aligned,
  along,
  around,
  describe,
  durationSeconds,
  formatDuration,
  moment,
  resolve,
  shifted,
  stepFor,
  untilNow,
  usualRefresh,
  zoomedOut,
} from "./timerange";

const NOW = Date.UTC(2026, 10, 28, 14, 2, 31) / 1000;

group("a moment", () => {
  test.each([
    ["now", NOW],
    ["now-1h", NOW - 3600],
    ["now-1h+5m", NOW - 3300],
    ["now-7d", NOW - 604_800],
    ["1795874551", 1_795_874_551],
    ["1795874551000", 1_795_874_551],
    ["2026-11-28T14:00:00Z", Date.UTC(2026, 10, 28, 14) / 1000],
  ])("%s", (text, seconds) => expect(moment(text, NOW)).toBe(seconds));

  test.each(["", "yesterdayish", "now-", "now-1", "now-1q", "now/x"])("%j is none", (text) =>
    expect(moment(text, NOW)).toBeNull(),
  );

  test("is rounded to the first of a unit, or as an end to its last millisecond", () => {
    expect(moment("now/h", NOW)).toBe(NOW - 151);
    expect(moment("now/h", NOW, true)).toBeCloseTo(NOW - 151 + 3600 - 0.001, 3);
  });

  test("a month back of the 31st is the last day of a shorter month", () => {
    const march = new Date(2026, 2, 31, 12).getTime() / 1000;
    expect(new Date(moment("now-1M", march)! * 1000).getDate()).toBe(28);
  });
});

test.each([
  ["5m", 300],
  ["1h30m", 5400],
  ["1.5h", 5400],
  ["250ms", 0.25],
  ["5", null],
  ["", null],
])("%j lasts %s s", (text, seconds) => expect(durationSeconds(text)).toBe(seconds));

test.each([
  [0, "0s"],
  [0.25, "250ms"],
  [90, "1m30s"],
  [5400, "1h30m"],
  [93_600, "1d2h"],
  [-60, "-1m"],
  [86_401, "1d"],
])("%s s is written %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

test.each([
  ["now", true],
  ["now/d", true],
  ["now-2m", false],
])("a range to %s reaches until now: %s", (to, reaches) =>
  expect(untilNow(resolve({ from: "now-1h", to }, NOW), NOW)).toBe(reaches),
);

test("a range that means nothing is the last hour", () => {
  expect(resolve({ from: "x", to: "now" }, NOW)).toEqual({ start: NOW - 3600, end: NOW });
  expect(resolve({ from: "now", to: "now-1h" }, NOW)).toEqual({ start: NOW - 3600, end: NOW });
});

test.each([
  [{ from: "now-1h", to: "now" }, "last 1 hour"],
  [{ from: "now-6h", to: "now" }, "last 6 hours"],
  [{ from: "now-2h", to: "now-1h" }, "now-2h – now-1h"],
  [{ from: String(NOW), to: "now" }, "2026-11-28 14:02:31 – now"],
])("%j is called %s", (range, name) => expect(describe(range, true)).toBe(name));

test.each([
  [0, 0.5, { start: 100, end: 150 }],
  [1, 0.5, { start: 150, end: 200 }],
  [0.5, 2, { start: 50, end: 250 }],
  [0.5, 1e-9, { start: 149.5, end: 150.5 }],
  [7, 0.5, { start: 150, end: 200 }],
])("zooming around %d by %d keeps what stands there", (place, factor, expected) =>
  expect(around({ start: 100, end: 200 }, place, factor)).toEqual(expected),
);

test("a range goes along by a share of its length", () => {
  expect(along({ start: 100, end: 200 }, 0.25)).toEqual({ start: 125, end: 225 });
  expect(along({ start: 100, end: 200 }, -1)).toEqual({ start: 0, end: 100 });
});

test("zooming out doubles, and does not look into the future", () => {
  expect(zoomedOut({ start: NOW - 100, end: NOW }, NOW)).toEqual(absolute({ start: NOW - 200, end: NOW }));
  expect(zoomedOut({ start: NOW - 1100, end: NOW - 1000 }, NOW)).toEqual(
    absolute({ start: NOW - 1150, end: NOW - 950 }),
  );
});

test("shifting moves by half", () => expect(shifted({ start: 100, end: 200 }, -1)).toEqual({ from: "50", to: "150" }));

test.each([
  [3600, 240, 1, 15],
  [3600, 1000, 1, 5],
  [3600, 1000, 15, 15],
  [60, 1000, 1, 1],
  [86_400 * 365, 100, 1, 604_800],
])("%s s in %s points, at least %s s apart: %s s", (length, points, least, step) =>
  expect(stepFor({ start: 0, end: length }, points, least)).toBe(step),
);

test.each([
  ["/", "30s"],
  ["/incidents/INC_20261129_031500_ab12", "30s"],
  ["/incidents/INC_20261129_031500_ab12/postmortem", ""],
  ["/incidents", ""],
  ["/explore/metrics", ""],
])("%s is asked again every %j by itself", (path, every) => expect(usualRefresh(path)).toBe(every));

test("ranges are laid on the grid of their step", () =>
  expect(aligned({ start: 17, end: 63 }, 15)).toEqual({ start: 15, end: 60 }));

test.each([
  [NOW - 0.4, "now"],
  [NOW - 5, "5s ago"],
  [NOW - 119, "1m59s ago"],
  [NOW - 179, "2m ago"],
  [NOW - 3725, "1h2m ago"],
  [NOW - 100_000, "1d3h ago"],
  [NOW + 299, "in 4m"],
  [NOW + 120, "in 2m"],
])("%s is %s", (at, text) => expect(ago(at, NOW)).toBe(text));

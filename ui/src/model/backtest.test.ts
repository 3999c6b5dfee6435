import { expect, test } from "vitest";
import { type Firing, firingAt, measured, ruleFile, stretches, timesTold } from "./backtest";

test.each([
  ["x > 5", "x", 5],
  ["sum(rate(e[5m])) / sum(rate(a[5m])) >= 0.05", "sum(rate(e[5m])) / sum(rate(a[5m]))", 0.05],
  ["up{job=~'a>1'} == 0", "up{job=~'a>1'}", 0],
  ["x < -1e3", "x", -1000],
  ["a > 1 and b > 2", "a > 1 and b > 2", null],
  ["a > b", "a > b", null],
  ["absent(up)", "absent(up)", null],
  ["(x > 5)", "(x > 5)", null],
  ["sum(x > 2) > 3", "sum(x > 2)", 3],
])("of %s is drawn %s", (expr, query, level) => {
  expect(measured(expr)).toEqual({ query, level });
});

test("a rule is written as its file would have it", () => {
  const rule = { name: "Down", query: "up == 0\nunless on () x", duration: 120, labels: { severity: 'very "high"' } };
  expect(ruleFile(rule, 30)).toBe(
    [
      "groups:",
      "- name: backtest",
      "  interval: 30s",
      "  rules:",
      '  - alert: "Down"',
      "    expr: |",
      "      up == 0",
      "      unless on () x",
      "    for: 120s",
      "    labels:",
      '      severity: "very \\"high\\""',
      "",
    ].join("\n"),
  );
});

const firing = (fired_at: number, ended_at: number | null, job = "a"): Firing => ({
  labels: { job },
  active_at: fired_at,
  fired_at,
  ended_at,
});

test("firings that overlap are one stretch, and one that lasts ends with the period", () => {
  expect(stretches([firing(50, null), firing(10, 20), firing(15, 30, "b"), firing(30, 35)], 60)).toEqual([
    { at: 10, until: 35, count: 3 },
    { at: 50, until: 60, count: 1 },
  ]);
});

test("a rule on logs is written with what it counts, in the place of an expression", () => {
  const asks = { logs: 'level:ERROR "timed out"', value: "count", by: ["service"], over: "5m", when: "> 10" };
  const rule = { name: "Failing", query: "count by (service) (logs{…}[5m]) > 10", asks, duration: 60 };
  expect(ruleFile(rule, 30).split("\n").slice(4)).toEqual([
    '  - alert: "Failing"',
    '    logs: "level:ERROR \\"timed out\\""',
    '    value: "count"',
    '    by: ["service"]',
    '    over: "5m"',
    '    when: "> 10"',
    "    for: 60s",
    "",
  ]);
});

test("how many fire is a line in steps within the period", () => {
  expect(firingAt([firing(-5, 20), firing(10, null, "b")], { start: 0, end: 60 })).toEqual({
    times: [0, 0, 0, 10, 10, 20, 20, 60],
    counts: [0, 0, 1, 1, 2, 2, 1, 1],
  });
});

test.each([
  [{ notifications: 0 }, "never: it was over before its group was told"],
  [{ notifications: 0, is_whole: false }, "not counted: there was too much to count"],
  [{ notifications: 1, first: 1 }, "once: 1 that it fires"],
  [{ notifications: 7, repeat: 7, is_whole: false }, "at least 7 times: 7 again while it fires"],
  [
    { notifications: 5, first: 1, repeat: 3, resolved: 1 },
    "5 times: 1 that it fires, 3 again while it fires, 1 that it is over",
  ],
])("%o is told", (told, words) => {
  const none = { notifications: 0, first: 0, firing: 0, repeat: 0, resolved: 0 };
  expect(timesTold({ receiver: "a", channels: [], is_whole: true, ...none, ...told })).toBe(words);
});

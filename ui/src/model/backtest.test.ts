import { expect, test } from "vitest";
import { byLabels, type Firing, measured, ruleFile, stretches } from "./backtest";

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

test("label sets are counted, the most frequent first", () => {
  expect(byLabels([firing(1, 2), firing(3, 4, "b"), firing(5, 6, "b")])).toEqual([
    { labels: { job: "b" }, count: 2 },
    { labels: { job: "a" }, count: 1 },
  ]);
});

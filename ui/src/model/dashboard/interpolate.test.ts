import { describe, expect, it } from "vitest";
import { formatted, interpolate, legendOf, type Scope } from "./interpolate";
import type { Chosen } from "./types";

const one: Chosen = { values: ["a.b"], texts: ["A"], all: false };
const two: Chosen = { values: ["a", "b'c"], texts: ["A", "B"], all: false };
const scope: Scope = { chosen: { one, two }, span: { start: 1000, end: 4600 }, step: 15, scrape: 15 };

describe("values in Grafana's formats", () => {
  it.each([
    [two, "regex", "(a|b'c)"],
    [one, "regex", "a\\.b"],
    [one, "promql", "a\\\\.b"],
    [two, "pipe", "a|b'c"],
    [two, "csv", "a,b'c"],
    [two, "json", '["a","b\'c"]'],
    [one, "json", '"a.b"'],
    [two, "distributed", "a,x=b'c"],
    [two, "queryparam", "var-x=a&var-x=b'c"],
    [two, "doublequote", '"a","b\'c"'],
    [two, "singlequote", "'a','b\\'c'"],
    [two, "sqlstring", "'a','b''c'"],
    [two, "percentencode", "%7Ba%2Cb'c%7D"],
    [two, "glob", "{a,b'c}"],
    [two, "text", "A + B"],
    [two, "raw", "a,b'c"],
  ])("%o as %s", (chosen, format, expected) => {
    expect(formatted(chosen, format, "x")).toBe(expected);
  });
});

describe("variables in texts", () => {
  it.each([
    ['up{job=~"$two"}', "promql", `up{job=~"(a|b'c)"}`],
    ["${one} [[one]] ${one:raw}", "glob", "a.b a.b a.b"],
    ["rate(x[$__rate_interval]) [$__interval] $__interval_ms", "promql", "rate(x[1m]) [15s] 15000"],
    ["$__range $__range_s $__from ${__to:date:seconds}", "promql", "3600s 3600 1000000 4600"],
    ["$unknown stays", "promql", "$unknown stays"],
  ])("%s", (text, usual, expected) => {
    expect(interpolate(text, scope, usual)).toBe(expected);
  });
  it("names series by their labels", () => {
    expect(legendOf("{{ job }} {{instance}}!", { job: "api" })).toBe("api !");
  });
});

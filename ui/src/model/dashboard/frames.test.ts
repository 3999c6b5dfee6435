import { expect, test } from "vitest";
import { ofRange, titleOf } from "./frames";
import { readDashboard } from "./read";

const answer = (...series: Record<string, string>[]) => ({
  times: [10],
  warnings: [],
  series: series.map((labels) => ({ labels, values: [1] })),
});
const target = (legendFormat: string) =>
  readDashboard({ panels: [{ type: "timeseries", targets: [{ refId: "A", expr: "x", legendFormat }] }] }).panels[0]!
    .targets[0]!;

// As @grafana/data 13.2.3 calls the same series.
test.each([
  ["__auto", [{ job: "a" }, { job: "b" }], ["a", "b"]],
  ["__auto", [{ instance: "1", job: "a" }], ['{instance="1", job="a"}']],
  ["__auto", [{ job: "a" }, { job: "b", zone: "x" }], ['{job="a"}', '{job="b", zone="x"}']],
  ["__auto", [{}], ["sum(x)"]],
  ["", [{ job: "a" }], ['{job="a"}']],
  ["{{job}} up", [{ job: "a" }], ["a up"]],
] as const)("with the legend %j, %j are %j", (legend, series, names) => {
  const of = target(legend);
  const frames = ofRange(answer(...series), of, of.legend, "sum(x)");
  expect(frames.map((frame) => titleOf(frame.fields[1]!, frame))).toEqual(names);
});

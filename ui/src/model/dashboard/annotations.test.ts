import { expect, it } from "vitest";
import { switched, switches, withSwitch } from "./annotations";
import { readDashboard } from "./read";

const { annotations } = readDashboard({
  panels: [],
  annotations: {
    list: [
      { builtIn: 1, datasource: "-- Grafana --", enable: true, hide: true, name: "Annotations & Alerts" },
      { name: "restarts", expr: "resets(up[5m])", enable: true },
      { name: "deploys", expr: "changes(v[5m])", enable: false },
      { name: "secret", expr: "up", enable: true, hide: true },
      { name: "elsewhere", datasource: { type: "mysql" }, enable: true },
    ],
  },
});
const enabled = (query: string) =>
  switched(annotations, new URLSearchParams(query)).map((each) => [each.name, each.enabled]);

it.each([
  ["", [true, true, false, true, true]],
  ["annotation-restarts=off", [true, false, false, true, true]],
  ["annotation-deploys=on&annotation-restarts=on", [true, true, true, true, true]],
  ["annotation-nobody=on", [true, true, false, true, true]],
])("annotations are on as the dashboard says, or the address: %s", (query, expected) => {
  expect(enabled(query).map(([, on]) => on)).toEqual(expected);
});

it("can be switched where the author does not hide them and something can be asked", () => {
  expect(switches(annotations).map(({ name }) => name)).toEqual(["restarts", "deploys"]);
});

it.each([
  ["var-a=1", "restarts", false, "var-a=1&annotation-restarts=off"],
  ["var-a=1&annotation-restarts=off", "restarts", true, "var-a=1"],
  ["", "deploys", true, "annotation-deploys=on"],
  ["annotation-deploys=on", "deploys", false, ""],
] as const)("the address %s with %s %s is %s", (before, name, on, after) => {
  expect(withSwitch(new URLSearchParams(before), annotations, name, on).toString()).toBe(after);
});

import { expect, test } from "vitest";
import { countRoutes, grouping, hours, litWay, type RouteNode, routeOf, timing, typedLabels } from "./routing";

const route = (id: string, routes: readonly RouteNode[] = []): RouteNode => ({
  id,
  receiver: id,
  matchers: [],
  continue: false,
  group_by: [],
  group_wait: 30,
  group_interval: 300,
  repeat_interval: 14_400,
  mute_time_intervals: [],
  active_time_intervals: [],
  muted_by: [],
  routes,
});
const TREE = route("root", [route("a", [route("a1"), route("a2")]), route("b", [route("b1")]), route("c")]);

test.each([
  [["a2"], ["root", "a", "a2"]],
  [
    ["a1", "b"],
    ["root", "a", "a1", "b"],
  ],
  [["root"], ["root"]],
  [[], []],
])("on the way to %o are lit %o", (taking, expected) => {
  expect([...litWay(TREE, new Set(taking))]).toEqual(expected);
});

test("a route is found by its id, and all are counted", () => {
  expect([routeOf(TREE, "b1")?.receiver, routeOf(TREE, "z"), countRoutes(TREE)]).toEqual(["b1", undefined, 7]);
});

test.each([
  ['severity="critical", service=api', ["severity", "service"]],
  ["{a=b}", ["a"]],
  ["", []],
  ["severity!=critical", null],
  ['service=~"a|b"', null],
  ["severity", null],
])("the labels of %s", (text, expected) => {
  expect(typedLabels(text)?.map(({ name }) => name) ?? null).toEqual(expected);
});

test("when and with what a route tells is said in words", () => {
  expect(timing(TREE)).toBe("after 30s, of what is new every 5m, again every 4h");
  expect(timing({ ...TREE, group_wait: 0 })).toMatch(/^at once/);
  expect([[], ["..."], ["alertname", "service"]].map(grouping)).toEqual([
    "all in one group",
    "each by itself",
    "grouped by alertname, service",
  ]);
  expect(hours({ active_time_intervals: ["office"], mute_time_intervals: ["holidays"] })).toBe(
    "only in office, not in holidays",
  );
});

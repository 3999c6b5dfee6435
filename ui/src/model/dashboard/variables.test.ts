import { describe, expect, it } from "vitest";
import { withMatchers } from "./adhoc";
import type { Variable } from "./types";
import { chosenOf, customOptions, inOrder, optionsOf, question, readVariables } from "./variables";

const variable = (more: Record<string, unknown>): Variable =>
  readVariables({ templating: { list: [{ name: "v", type: "query", ...more }] } })[0]!;
const options = ["a", "b"].map((value) => ({ text: value, value }));

it.each([
  ["label_values(job)", { kind: "values", label: "job", match: "" }],
  ['label_values(up{a="1",b="2"}, job)', { kind: "values", label: "job", match: 'up{a="1",b="2"}' }],
  ["metrics(node_.*)", { kind: "metrics", pattern: "node_.*" }],
  ["query_result(topk(2, up))", { kind: "result", query: "topk(2, up)" }],
  ["label_names()", { kind: "names", match: "" }],
])("%s asks", (query, expected) => {
  expect(question(query)).toEqual(expected);
});

it.each([
  [{ regex: "/(.*):\\d+/" }, ["h1:90", "h1:91", "x"], ["h1"]],
  [{ regex: "/(?<value>\\d+)-(?<text>\\w+)/" }, ["1-one"], ["1"]],
  [{ regex: "^(?=(a+)+$)" }, ["aaa"], []],
  [{ sort: 2 }, ["a", "c", "b"], ["c", "b", "a"]],
  [{ sort: 3 }, ["n10", "n9"], ["n9", "n10"]],
])("options by %o", (more, found, values) => {
  expect(optionsOf(variable(more), found).map(({ value }) => value)).toEqual(values);
});

describe("what is chosen", () => {
  it.each([
    [{ includeAll: true }, [], ["a", "b"], true],
    [{ includeAll: true, allValue: ".+" }, ["$__all"], [".+"], true],
    [{ current: { value: "b" } }, [], ["b"], false],
    [{ current: { value: "gone" } }, [], ["a"], false],
    [{}, ["typed"], ["typed"], false],
  ])("%o, the address saying %o", (more, said, values, all) => {
    const chosen = chosenOf(variable(more), options, said);
    expect([chosen.values, chosen.all]).toEqual([values, all]);
  });
});

it("reads custom options with texts of their own", () => {
  expect(customOptions("one : 1, x\\,y")).toEqual([
    { text: "one", value: "1" },
    { text: "x,y", value: "x,y" },
  ]);
});

it("asks a variable after those its query names", () => {
  const [a, b] = [variable({ name: "a", query: "label_values(up{b=~'$b'}, a)" }), variable({ name: "b" })];
  expect(inOrder([a, b]).map(({ name }) => name)).toEqual(["b", "a"]);
});

it.each([
  ["sum(rate(up[5m])) / x{a='1'}", 'sum(rate(up{j="1"}[5m])) / x{j="1",a=\'1\'}'],
  ["up{}", 'up{j="1"}'],
])("puts filters into every selector of %s", (query, expected) => {
  expect(withMatchers(query, 'j="1"')).toBe(expected);
});

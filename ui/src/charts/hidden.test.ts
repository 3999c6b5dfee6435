import { expect, test } from "vitest";
import { hiddenAfter } from "./hidden";

test.each<[string[], string, boolean, string[]]>([
  [[], "a", false, ["b", "c"]],
  [["b", "c"], "a", false, []],
  [["b", "c"], "b", false, ["a", "c"]],
  [["a", "b", "c"], "a", false, []],
  [[], "b", true, ["b"]],
  [["b"], "b", true, []],
  [["a", "gone"], "c", true, ["a", "c"]],
])("with %j hidden, after %s is picked (toggled: %s) %j are", (hidden, picked, toggled, expected) =>
  expect([...hiddenAfter(["a", "b", "c"], new Set(hidden), picked, toggled)]).toEqual(expected),
);

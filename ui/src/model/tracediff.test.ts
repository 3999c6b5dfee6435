import { expect, test } from "vitest";
import { type Change, type Compared, changed, largest } from "./tracediff";

const NONE = { spans: 1, duration_ns: 0, self_ns: 0, critical_ns: 0, errors: 0 };

function row(path: string, change: Change, slower_ns = 0): Compared {
  return { path: [...path].map((name) => ["web", name] as const), first: NONE, second: NONE, change, slower_ns };
}

test("a change is told with the calls that lead to it", () => {
  const rows = [row("a", "same"), row("ab", "same"), row("abc", "slower"), row("abd", "same"), row("ae", "same")];
  expect(changed(rows).map(({ path }) => path.map((each) => each[1]).join(""))).toEqual(["a", "ab", "abc"]);
  expect(changed([row("a", "same")])).toEqual([]);
});

test("bars are measured by the largest difference of either sign", () => {
  expect(largest([row("a", "faster", -500), row("b", "slower", 300)])).toBe(500);
  expect(largest([])).toBe(1);
});

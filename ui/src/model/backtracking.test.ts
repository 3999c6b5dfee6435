import { expect, test } from "vitest";
import { steps } from "./backtracking";

test.each([
  ["abc", 30],
  ["^abc", 4],
  ["^a|bc", 40],
  ["^(?:a|bc|d)$", 9],
  ["^a?b?c?", 15],
  ["^a{3}", 5],
  ["^a{2,4}", 6],
  ["^a{2,}", 12],
  ["^.*", 12],
  [".*", 110],
  ["^.*x", 23],
  ["^.*x.+?", 144],
  ["^.*.{5}", 78],
  ["^(?:[+*|)]|\\(|\\+)$", 8],
  ["^(?!.*prod).*$", 79],
  ["^(?<name>a?)(?=b|c)(?<!d?)", 16],
  ["^(.*)\\1", 123],
  ["^(?=a){1000}", 2002],
  ["^(?:a|b){3}", 23],
  ["^(?:a|aa)+", 4094],
  ["^(?:(?:a?)+)+", Number.POSITIVE_INFINITY],
  ["a)b", Number.POSITIVE_INFINITY],
])("%s is tried on ten letters in so many steps: %d", (source, expected) => {
  const found = steps(source, 10);
  if (Number.isFinite(expected)) expect(found).toBe(expected);
  else expect(found).toBeGreaterThan(1e15);
});

import { expect, test } from "vitest";
import { ways } from "./backtracking";

test.each([
  ["abc", 10],
  ["^abc", 1],
  ["^a|bc", 20],
  ["^(?:a|bc|d)$", 3],
  ["^a?b?c?", 8],
  ["^a{3}", 1],
  ["^a{2,4}", 3],
  ["^a{2,}", 9],
  ["^.*", 11],
  [".*", 110],
  ["^.*x.+?", 110],
  ["^(?:[+*|)]|\\(|\\+)$", 3],
  ["^(?!.*prod).*$", 121],
  ["^(?<name>a?)(?=b|c)(?<!d?)", 8],
  ["^(?:a|b){3}", 8],
  ["^(?:a|aa)+", 2 ** 11 - 2],
  ["^(?:(?:a?)+)+", Number.POSITIVE_INFINITY],
  ["a)b", Number.POSITIVE_INFINITY],
])("%s may lie on ten letters in so many ways: %d", (source, expected) => {
  const found = ways(source, 10);
  if (Number.isFinite(expected)) expect(found).toBe(expected);
  else expect(found).toBeGreaterThan(1e15);
});

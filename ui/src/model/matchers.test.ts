import { expect, test } from "vitest";
import { exactly, matchesAll, parseMatchers, printMatchers } from "./matchers";

test.each([
  ['job="api"', 'job="api"'],
  ["job=api", 'job="api"'],
  ['{job="api", env!="dev"}', 'job="api", env!="dev"'],
  ['path=~"/v1/.*",x!~"a|b"', 'path=~"/v1/.*", x!~"a|b"'],
  ['text="a, \\"b\\" = c"', 'text="a, \\"b\\" = c"'],
  ['empty=""', 'empty=""'],
  ["", ""],
])("%j is %j", (text, printed) => expect(printMatchers(parseMatchers(text)!)).toBe(printed));

test.each(["job", "job==", '="x"', 'job="api" env="dev"', 'job="api'])("%j is none", (text) =>
  expect(parseMatchers(text)).toBeNull(),
);

test.each([
  ['job="api"', true],
  ['job=~"a.*"', true],
  ['job=~"p"', false],
  ['job!="api"', false],
  ['missing=""', true],
  ['missing!=""', false],
  ['job!~"web|db"', true],
  ['job=~"("', false],
])("%s holds of an api: %s", (text, holds) =>
  expect(matchesAll(parseMatchers(text)!, { job: "api", alertname: "Down" })).toBe(holds),
);

test("the matchers of an alert fit it and print what parses again", () => {
  const labels = { alertname: "Down", path: 'a"b\\c' };
  const matchers = exactly(labels);
  expect(matchesAll(matchers, labels)).toBe(true);
  expect(parseMatchers(printMatchers(matchers))).toEqual(matchers);
});

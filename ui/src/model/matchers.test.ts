import { expect, test } from "vitest";
import { parseMatchers, printMatchers } from "./matchers";

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

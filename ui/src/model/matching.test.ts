import { expect, test } from "vitest";
import { exactly, parseMatchers, printMatchers } from "./matchers";
import { matchesAll, sorted } from "./matching";

test.each([
  ['job="api"', true],
  ['job=~"a.*"', true],
  ['job=~"p"', false],
  ['job!="api"', false],
  ['missing=""', true],
  ['missing!=""', false],
  ['job!~"web|db"', true],
  ['job=~"("', null],
  ['job!~"("', null],
  ['job=~"(", job="web"', false],
])("%s holds of an api: %s", (text, holds) =>
  expect(matchesAll(parseMatchers(text)!, { job: "api", alertname: "Down" })).toBe(holds),
);

test.each([
  ["fits", 150, true],
  ["is not run on, since it is too large", 2000, null],
])("a silence of so many instances %s: %d", (_, count, held) => {
  const instances = Array.from({ length: count }, (_, at) => `10\\.0\\.${at}\\.7:9100`);
  const matchers = [{ name: "instance", value: instances.join("|"), isEqual: true, isRegex: true }];
  expect(matchesAll(matchers, { instance: "10.0.149.7:9100" })).toBe(held);
});

test("of alerts those that fit are told, and how many only the server can tell", () => {
  const many = Array.from({ length: 2000 }, (_, at) => `10\\.0\\.${at}\\.7:9100`).join("|");
  const alerts = [{ job: "api", at: "10.0.1.7:9100" }, { job: "web", at: "10.0.2.7:9100" }, { job: "api" }].map(
    (labels) => ({
      labels: labels as Record<string, string>,
    }),
  );
  const told = (text: string) => {
    const { fit, untold } = sorted(alerts, parseMatchers(text)!);
    return [fit.map((each) => alerts.indexOf(each)), untold];
  };
  expect(told('job="api"')).toEqual([[0, 2], 0]);
  expect(told(`job="api", at=~${JSON.stringify(many)}`)).toEqual([[], 2]);
});

test("the matchers of an alert fit it and print what parses again", () => {
  const labels = { alertname: "Down", path: 'a"b\\c' };
  const matchers = exactly(labels);
  expect(matchesAll(matchers, labels)).toBe(true);
  expect(parseMatchers(printMatchers(matchers))).toEqual(matchers);
});

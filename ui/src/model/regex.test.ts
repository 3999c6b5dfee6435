import { describe, expect, it, test } from "vitest";
import { regex } from "./regex";

const LONG = `${"a".repeat(50_000)}!`;

test.each([["^(a+)+$"], ["(a|aa)+$"], [".*.*.*x"], ["^(?:a?){60}a{60}$"], ["(\\w+\\s?)*$b"], ["(?:(a+)|b)+$"]])(
  "%s is held against fifty thousand letters that it does not fit",
  (source) => expect(regex(source)?.test(LONG)).toBe(false),
);

test.each([
  ["the browser's engine could try too much of", "^(?=(a+)+$)"],
  ["it, too, though nothing in it repeats", `^(?=${"(?:a|a)".repeat(30)}b)`],
  ["RE2 would go through too much for each letter", "(?:a?){1000}".repeat(20)],
  ["RE2 would be too large for", "a".repeat(20_000)],
  ["is too long for the browser's engine", `(?=a)${"a".repeat(3000)}`],
  ["has few ways, each of them long", "(?=a).*.*.{100}x"],
  ["goes back to a long group from everywhere", "(.*).*\\1x"],
  ["is none", "("],
  ["is none, either", "*"],
])("one that %s is not taken", (_, source) => expect(regex(source)).toBeNull());

describe("what looks ahead or back to a group", () => {
  it.each([
    ["^(?!.*prod).*$", "dev-1", "prod-1"],
    ["^(?!.*(dev|test)).*$", "prod", "my test"],
    ["^node-(?!exporter).+", "node-1", "node-exporter"],
    ["(\\d)\\1", "11", "12"],
    ["(.*)(?=-prod)", "web-prod", "web-dev"],
  ])("%s fits %s, not %s", (source, one, other) => {
    expect([one, other].map((text) => regex(source)?.test(text))).toEqual([true, false]);
  });

  it("is held against no text that is long", () => {
    const by = regex("^(?!b)");
    expect([by?.test("a".repeat(200)), by?.test("a".repeat(201)), by?.exec(LONG)]).toEqual([true, false, null]);
    expect(by?.replace(LONG, "x")).toBe(LONG);
  });
});

test.each([
  ["^(?!.*b).*.*$", "", 200],
  ["^(?!.*b).*.*$", "m", 50], // it may begin at each line
  ["(?=.)([a-z]+)(-\\d+)?", "", 50],
])("%s with %j is held against texts of %d letters at most", (source, flags, longest) => {
  const by = regex(source, flags);
  expect([longest, longest + 1].map((length) => by?.test("a".repeat(length)))).toEqual([true, false]);
});

test("one that is long fits where RE2 can run it", () => {
  const by = regex(`^(?:${Array.from({ length: 300 }, (_, at) => `node-${at}`).join("|")})$`);
  expect(["node-299", "node-300"].map((text) => by?.test(text))).toEqual([true, false]);
});

test.each([
  ["i", "ERR", true],
  ["", "ERR", false],
])("flags are JavaScript's: %j", (flags, text, fits) => expect(regex("^err$", flags)?.test(text)).toBe(fits));

test.each([
  ["b", "", "<$&>", "a<b>b"],
  ["b", "g", "<$&>", "a<b><b>"],
  ["(?<x>b)(b)", "", "$2-$<x>", "ab-b"],
  ["b(?=b)", "", "<$&>", "a<b>b"],
  ["b(?!c)", "g", "$$", "a$$"],
])("%s with %j puts %s into its place", (source, flags, by, expected) =>
  expect(regex(source, flags)?.replace("abb", by)).toBe(expected),
);

test.each(["", "(?=.)"])("its groups are told, with %j before", (ahead) => {
  const found = regex(`${ahead}(?<name>[a-z]+)(-\\d+)?`)?.exec("api");
  expect([found?.[0], found?.[1], found?.[2], found?.groups?.name]).toEqual(["api", "api", undefined, "api"]);
});

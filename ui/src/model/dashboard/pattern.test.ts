import { describe, expect, it } from "vitest";
import { pattern } from "./pattern";

describe("patterns of dashboards", () => {
  it.each([
    ["/(.*)-(.*)/", "a-b"],
    ["(?<text>[^:]+)(:.*)?", "host:9100"],
    [".*(foo|bar)+.*", "xfoobar"],
    ["/^(?:(?<pod>[\\w-]+)-)?[a-f0-9]{8,10}$/i", "api-0123ABCD"],
    ["(\\d{1,3}\\.){3}\\d{1,3}", "10.0.0.1"],
    ["/([a-f0-9]{32},?)+/", "0123456789abcdef0123456789abcdef"],
    ["[(*+]+\\(a+\\)+", "(((a))"],
    ['/.*{job="(.+?)".*/', '{job="api"}'],
    ["(a+)?b", "aab"],
  ])("%s is taken", (text, found) => expect(pattern(text)?.test(found)).toBe(true));

  it.each([
    "^(a+)+$",
    "/(a*)*b/",
    "(?:(a+)|b)+$",
    "((x+))*y",
    "([a-z]+\\d?){2,}",
    "(a{1,}){1,50}b",
    "(a+){30}b",
    "/(?<n>\\w+\\s?)*$/i",
    "(",
    "/[/",
    "*",
  ])("%s is not", (text) => {
    expect(pattern(text)).toBeNull();
    expect(pattern(text, { whole: true })).toBeNull();
  });

  it("is of the whole text where that is wanted and it has no slashes", () => {
    expect(pattern("a|b", { whole: true })?.test("ab")).toBe(false);
    expect(pattern("/a|b/", { whole: true })?.test("ab")).toBe(true);
    expect(pattern("a|b")?.test("ab")).toBe(true);
  });

  it("keeps in mind where it stopped only where all is to be replaced", () => {
    expect([pattern("/a/gi")?.flags, pattern("/a/gy", { all: true })?.flags]).toEqual(["i", "g"]);
  });
});

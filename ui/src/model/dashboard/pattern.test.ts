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
    ["/\\/api\\/[^]+/", "/api/v1"],
    ["/^(?!.*prod).*$/", "dev"],
    ["/\\u0041|\\x42/", "B"],
    ["(a+)+$", "aa"],
  ])("%s is taken", (text, found) => expect(pattern(text)?.test(found)).toBe(true));

  it.each(["(", "/[/", "*", "/(?=(a+)+$)/"])("%s is not", (text) => {
    expect(pattern(text)).toBeNull();
    expect(pattern(text, { whole: true })).toBeNull();
  });

  it("is of the whole text where that is wanted and it has no slashes", () => {
    expect(pattern("a|b", { whole: true })?.test("ab")).toBe(false);
    expect(pattern("/a|b/", { whole: true })?.test("ab")).toBe(true);
    expect(pattern("a|b")?.test("ab")).toBe(true);
  });

  it("is of each text alike, with the flag `g` too, which replaces all there is", () => {
    const by = pattern("/a/gi");
    expect([by?.test("a"), by?.test("a"), by?.replace("aA", "b")]).toEqual([true, true, "bb"]);
    expect(pattern("/a/i")?.replace("aA", "b")).toBe("bA");
  });
});

import { describe, expect, it } from "vitest";
import { quoted, split, standing, term, typing, withoutTerm, withTerm } from "./lucene";

describe("values", () => {
  it.each([
    ["api-gateway", "api-gateway"],
    ["two words", '"two words"'],
    ['say "no"', '"say \\"no\\""'],
    ["OR", '"OR"'],
    ["-1", '"-1"'],
    ["http://shop/cart", '"http://shop/cart"'],
    ["c:\\temp", '"c:\\\\temp"'],
    ["", '""'],
  ])("%s is written as %s", (value, written) => expect(quoted(value)).toBe(written));

  it("names keep what the syntax would take for its own", () => {
    expect(term("http.status_code", "500")).toBe("http.status_code:500");
    expect(term("a b", "c")).toBe("a\\ b:c");
    expect(term("k8s-app", "x")).toBe("k8s-app:x");
  });
});

describe("a click", () => {
  it.each([
    ["", "level:ERROR"],
    ["timeout", "timeout level:ERROR"],
    ["level:ERROR", "level:ERROR"],
    ["-level:ERROR x", "x level:ERROR"],
    ["a OR b", "(a OR b) level:ERROR"],
    ["(a OR b) c", "(a OR b) c level:ERROR"],
  ])("%s becomes %s", (query, after) => expect(withTerm(query, "level", "ERROR")).toBe(after));

  it("excludes, and takes back what was asked", () => {
    expect(withTerm("level:ERROR x", "level", "ERROR", true)).toBe("x -level:ERROR");
    expect(withoutTerm('x -user:"a b"', "user", "a b")).toBe("x");
    expect(standing("x -level:ERROR", "level", "ERROR")).toBe("out");
    expect(standing("x level:ERROR", "level", "ERROR")).toBe("in");
    expect(standing("x level:ERRORS", "level", "ERROR")).toBeNull();
  });
});

it("words stay together in quotes and parentheses", () => {
  expect(split('a "b c" d:(e OR f) g:[1 TO 2] "h \\" i"')).toEqual([
    "a",
    '"b c"',
    "d:(e OR f)",
    "g:[1 TO 2]",
    '"h \\" i"',
  ]);
});

describe("what is being typed", () => {
  it.each([
    ["", { field: null, typed: "", from: 0 }],
    ["lev", { field: null, typed: "lev", from: 0 }],
    ["x -lev", { field: null, typed: "lev", from: 3 }],
    ["level:", { field: "level", typed: "", from: 6 }],
    ["x http.route:/do", { field: "http.route", typed: "/do", from: 13 }],
    ["service:(api", { field: "service", typed: "api", from: 9 }],
    ["level:>=W", { field: "level", typed: "W", from: 8 }],
    ['"timed o', null],
    ['"timed out" ', { field: null, typed: "", from: 12 }],
  ])("%s", (text, expected) => expect(typing(text)).toEqual(expected));
});

import { expect, test } from "vitest";
import { askedOf, durationText, narrowed, reasonTerm, term, usualLimit, valuesOf } from "./tracesearch";

test("a search stands in the address and is read from there", () => {
  const asked = { q: "a:b", service: "web", op: "GET /", min: "2s", max: "", errors: true };
  expect(askedOf(new URLSearchParams(valuesOf(asked)))).toEqual(asked);
  expect(askedOf(new URLSearchParams())).toEqual({ q: "", service: "", op: "", min: "", max: "", errors: false });
});

test.each([
  ["tenant", "ada", 'tenant:"ada"'],
  ["http.route", "/a b", 'http.route:"/a b"'],
  ["a b:c", 'say "x\\y"', 'a\\ b\\:c:"say \\"x\\\\y\\""'],
])("%s = %s is %s in Lucene", (field, value, text) => {
  expect(term(field, value)).toBe(text);
});

test.each([
  ["", "a:1", "a:1"],
  ["*", "a:1", "a:1"],
  ["b:2", "a:1", "b:2 AND a:1"],
  ["b:2 OR c:3", "a:1", "(b:2 OR c:3) AND a:1"],
  ["(b:2 OR c:3)", "a:1", "(b:2 OR c:3) AND a:1"],
  ["(b:2) OR (c:3)", "a:1", "((b:2) OR (c:3)) AND a:1"],
  ["b:2 AND a:1", "a:1", "b:2 AND a:1"],
])("%s narrowed by %s is %s", (query, more, after) => {
  expect(narrowed(query, more)).toBe(after);
});

test.each([
  ["region", "eu", 'region:"eu"'],
  ["size", "1024 … 2048", "size:[1024 TO 2048}"],
  ["text", "so … on", 'text:"so … on"'],
])("the reason %s = %s is asked as %s", (key, value, text) => {
  expect(reasonTerm(key, value)).toBe(text);
});

test.each([
  [400, false, "0ms"],
  [400, true, "1ms"],
  [250e6, false, "250ms"],
  [1.5e9, false, "1s500ms"],
  [2e9, true, "2s"],
  [90.4e9, false, "1m30s"],
  [90.4e9, true, "1m31s"],
])("%d ns (up: %s) is %s", (ns, up, text) => {
  expect(durationText(ns, up)).toBe(text);
});

test("slow is what takes longer than nearly all that is asked from outside", () => {
  const row = (kind: string, p95_ms: number) => ({ kind, p50_ms: 1, p95_ms });
  expect(usualLimit([row("client", 900), row("server", 300), row("server", 200)])).toBe(300);
  expect(usualLimit([row("internal", 900)])).toBe(900);
  expect(usualLimit([])).toBe(1);
});

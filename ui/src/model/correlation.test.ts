import { expect, test } from "vitest";
import type { Edge } from "@/api/incidentwork";
import { edgeOfEach, shares, wayInWords } from "./correlation";

const edge = (rest: Partial<Edge> = {}): Edge => ({
  from: "a",
  to: "b",
  at: 1,
  took_in: null,
  score: 0.75,
  threshold: 0.7,
  parts: { time: 1, service: 0.5, kind: 0 },
  weights: { time: 0.5, service: 0.5, kind: 0.2 },
  way: null,
  ...rest,
});

test("each part gives its likeness times its weight, and all of them the score", () => {
  expect(shares(edge())).toEqual([
    { part: "time", like: 1, gives: 0.5 },
    { part: "service", like: 0.5, gives: 0.25 },
    { part: "kind", like: 0, gives: 0 },
  ]);
});

test("an alert is brought by the edge it came with last, not by what took in another incident", () => {
  const edges = [edge({ at: 1 }), edge({ at: 2 }), edge({ from: "c", took_in: "INC_2" })];
  expect([...edgeOfEach(edges)].map(([from, { at }]) => [from, at])).toEqual([["a", 2]]);
});

test.each([
  [null, ""],
  [{ text: "api → model", known: "declared and seen" }, "api → model (declared and seen)"],
  [{ text: "both call db", known: "" }, "both call db"],
])("the way %o is told", (way, expected) => {
  expect(wayInWords(way)).toBe(expected);
});

import { expect, test } from "vitest";
import { drawn, type Stacked, under } from "./stack";
import type { Line } from "./TimeSeries";

const line = (values: (number | null)[], more: Partial<Line> = {}): Line => ({
  name: "",
  values,
  colour: "red",
  ...more,
});

test.each<[string, Line[], Stacked, (number | null)[][]]>([
  [
    "not at all",
    [line([1, 2]), line([3, 4])],
    false,
    [
      [1, 2],
      [3, 4],
    ],
  ],
  [
    "one on the other",
    [line([1, 2]), line([3, 4])],
    true,
    [
      [1, 2],
      [4, 6],
    ],
  ],
  [
    "with a gap in one",
    [line([1, null]), line([3, 4])],
    true,
    [
      [1, null],
      [4, 4],
    ],
  ],
  [
    "without the hidden one",
    [line([1, 2], { hidden: true }), line([3, 4])],
    true,
    [
      [1, 2],
      [3, 4],
    ],
  ],
  [
    "shares of a hundred",
    [line([1, 0]), line([3, 0])],
    "percent",
    [
      [25, 0],
      [100, 0],
    ],
  ],
  [
    "what is below zero hangs",
    [line([-1, -2]), line([3, 4]), line([-5, -6])],
    true,
    [
      [-1, -2],
      [3, 4],
      [-6, -8],
    ],
  ],
  [
    "but for one that stands alone",
    [line([1, 2]), line([9, 9], { stack: "none" }), line([3, 4])],
    true,
    [
      [1, 2],
      [9, 9],
      [4, 6],
    ],
  ],
  [
    "in groups",
    [line([1, 2], { stack: "a" }), line([3, 4], { stack: "b" })],
    true,
    [
      [1, 2],
      [3, 4],
    ],
  ],
])("lines lie on each other: %s", (_, lines, stacked, expected) => {
  expect(drawn([0, 15], lines, stacked)).toEqual([[0, 15], ...expected]);
});

test("between a line and the one below it is filled, over those of other groups", () => {
  const lines = [line([1]), line([-1]), line([2]), line([9], { stack: "none" }), line([-2])];
  expect(under(lines, true)).toEqual([
    { at: 2, below: 0, hanging: false },
    { at: 4, below: 1, hanging: true },
  ]);
});

test.each([
  [
    [],
    [
      [1, 0],
      [2, 1],
    ],
  ],
  [[0], [[2, 1]]],
  [[1], [[2, 0]]],
  [[2], [[1, 0]]],
  [[0, 2], []],
])("with %j hidden, those that are seen lie on each other", (hidden, expected) => {
  const lines = [1, 2, 3].map((value, at) => line([value], { hidden: hidden.includes(at as never) }));
  expect(under(lines, true).map(({ at, below }) => [at, below])).toEqual(expected);
});

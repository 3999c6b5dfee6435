import { expect, test } from "vitest";
import { days, midnightAfter, pieces, type Shift, whoIs } from "./oncall";

const shift = (start: number, end: number): Shift => ({ start, end, people: [], why: "layer", override: null });

test("shifts lie where they are, and what is outside is cut off", () =>
  expect(pieces([shift(-50, 25), shift(25, 75), shift(75, 500), shift(200, 300)], 0, 100)).toEqual([
    { left: 0, width: 0.25, shift: shift(-50, 25) },
    { left: 0.25, width: 0.5, shift: shift(25, 75) },
    { left: 0.75, width: 0.25, shift: shift(75, 500) },
  ]));

const DAY = 86_400;

test.each([
  [0, 0],
  [1, DAY],
  [DAY - 1, DAY],
  [DAY, DAY],
])("the midnight of UTC after %d is %d", (after, at) => expect(midnightAfter(after, true)).toBe(at));

test("days begin at midnights", () =>
  expect(days(10, 2 * DAY + 1, (after) => midnightAfter(after, true))).toEqual([DAY, 2 * DAY]));

test.each([
  [[], "nobody"],
  [
    [
      { id: "a", name: "Ann" },
      { id: "b", name: "Bob" },
    ],
    "Ann, Bob",
  ],
])("%j are %s", (people, words) => expect(whoIs(people)).toBe(words));

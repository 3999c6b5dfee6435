import { expect, test } from "vitest";
import { added, arranged, duplicated, nudged, removed } from "./arrange";
import { everyPanel } from "./edit";
import { object } from "./options";
import type { Json } from "./types";

type Grid = readonly [x: number, y: number, w: number, h: number];

const panel = (id: number, [x, y, w, h]: Grid, more: Json = {}): Json => ({
  id,
  type: "stat",
  gridPos: { x, y, w, h },
  ...more,
});
const board = (...panels: readonly Json[]): Json => ({ title: "board", panels });
const places = (dashboard: Json) =>
  Object.fromEntries(
    everyPanel(dashboard).map(({ id, gridPos }) => {
      const { x, y, w, h } = object(gridPos);
      return [id, [x, y, w, h]];
    }),
  );

const two = board(panel(1, [0, 0, 12, 4]), panel(2, [0, 4, 12, 8]));
const beside = board(panel(1, [0, 0, 12, 4]), panel(2, [12, 0, 12, 4]));
const row = { type: "row", collapsed: false, panels: [] };
const rows = board(panel(1, [0, 0, 12, 4]), panel(2, [0, 4, 24, 1], row), panel(3, [0, 5, 12, 4]));
const shut = board(
  panel(1, [0, 0, 12, 4]),
  panel(2, [0, 4, 24, 1], { ...row, collapsed: true, panels: [panel(3, [0, 5, 6, 4]), panel(4, [6, 5, 6, 4])] }),
);

test.each<[string, Json, Record<number, Grid>]>([
  ["a step down passes the next one", nudged(two, 1, "down"), { 1: [0, 8, 12, 4], 2: [0, 0, 12, 8] }],
  ["a step up goes before the one above", nudged(two, 2, "up"), { 1: [0, 8, 12, 4], 2: [0, 0, 12, 8] }],
  ["there is nothing below the last one", nudged(two, 2, "down"), { 1: [0, 0, 12, 4], 2: [0, 4, 12, 8] }],
  ["a step aside pushes down who stands there", nudged(beside, 1, "right"), { 1: [1, 0, 12, 4], 2: [12, 4, 12, 4] }],
  ["the edge of the grid is the end", nudged(beside, 2, "right"), { 1: [0, 0, 12, 4], 2: [12, 0, 12, 4] }],
  ["wider, and the other gives way", nudged(beside, 1, "wider"), { 1: [0, 0, 13, 4], 2: [12, 4, 12, 4] }],
  ["wider ends at the edge", nudged(beside, 2, "wider"), { 1: [0, 0, 12, 4], 2: [12, 0, 12, 4] }],
  ["taller pushes what is below", nudged(two, 1, "taller"), { 1: [0, 0, 12, 5], 2: [0, 5, 12, 8] }],
  ["lower lets it rise", nudged(two, 1, "lower"), { 1: [0, 0, 12, 3], 2: [0, 3, 12, 8] }],
  [
    "dragged down before the middle of the next it falls back",
    arranged(two, 1, { x: 0, y: 3, w: 12, h: 4 }),
    { 1: [0, 0, 12, 4], 2: [0, 4, 12, 8] },
  ],
  [
    "dragged past the middle of the next they change places",
    arranged(two, 1, { x: 0, y: 5, w: 12, h: 4 }),
    { 1: [0, 8, 12, 4], 2: [0, 0, 12, 8] },
  ],
  [
    "dragged to the free side it stands beside",
    arranged(two, 2, { x: 12, y: 2, w: 12, h: 8 }),
    { 1: [0, 0, 12, 4], 2: [12, 0, 12, 8] },
  ],
  ["rows below give way", nudged(rows, 1, "taller"), { 1: [0, 0, 12, 5], 2: [0, 5, 24, 1], 3: [0, 6, 12, 4] }],
  [
    "within a shut row they change among themselves",
    nudged(shut, 3, "right"),
    { 1: [0, 0, 12, 4], 2: [0, 4, 24, 1], 3: [1, 5, 6, 4], 4: [6, 9, 6, 4] },
  ],
  [
    "from the top of a row it goes to the end of the one above",
    nudged(rows, 3, "up"),
    { 1: [0, 0, 12, 4], 2: [0, 8, 24, 1], 3: [0, 4, 12, 4] },
  ],
  [
    "from the end of a row it goes to the top of the one below",
    nudged(rows, 1, "down"),
    { 1: [0, 1, 12, 4], 2: [0, 0, 24, 1], 3: [0, 5, 12, 4] },
  ],
  [
    "into a shut row it does not go, nor out of it",
    nudged(nudged(shut, 1, "down"), 3, "up"),
    { 1: [0, 0, 12, 4], 2: [0, 4, 24, 1], 3: [0, 5, 6, 4], 4: [6, 5, 6, 4] },
  ],
  [
    "a row is taken away and leaves its panels",
    removed(shut, 2),
    { 1: [0, 0, 12, 4], 3: [0, 4, 6, 4], 4: [6, 4, 6, 4] },
  ],
  ["one is taken away and the others rise", removed(rows, 1), { 2: [0, 0, 24, 1], 3: [0, 1, 12, 4] }],
  ["one is taken out of a shut row", removed(shut, 3), { 1: [0, 0, 12, 4], 2: [0, 4, 24, 1], 4: [6, 5, 6, 4] }],
  [
    "a copy stands beside where there is room",
    duplicated(board(panel(1, [0, 0, 12, 4])), 1)[0],
    { 1: [0, 0, 12, 4], 2: [12, 0, 12, 4] },
  ],
  [
    "otherwise below",
    duplicated(board(panel(1, [0, 0, 16, 4]), panel(2, [0, 4, 24, 3])), 1)[0],
    { 1: [0, 0, 16, 4], 2: [0, 8, 24, 3], 3: [0, 4, 16, 4] },
  ],
  [
    "a copy of one within a shut row stands in it",
    duplicated(shut, 4)[0],
    { 1: [0, 0, 12, 4], 2: [0, 4, 24, 1], 3: [0, 5, 6, 4], 4: [6, 5, 6, 4], 5: [12, 5, 6, 4] },
  ],
  [
    "a new one stands above",
    added(two, { type: "stat" })[0],
    { 1: [0, 8, 12, 4], 2: [0, 12, 12, 8], 3: [0, 0, 12, 8] },
  ],
  [
    "a new row stands above, as high as rows are",
    added(board(panel(1, [0, 0, 12, 4])), { type: "row" })[0],
    { 1: [0, 1, 12, 4], 2: [0, 0, 24, 1] },
  ],
  ["a new one stands in an empty dashboard", added({ title: "none" }, { type: "stat" })[0], { 1: [0, 0, 12, 8] }],
])("%s", (_, dashboard, expected) => expect(places(dashboard)).toEqual(expected));

test("what is not moved stays the very same", () => {
  const untouched = board(panel(1, [0, 0, 12, 4], { ours: { of: "others" } }), panel(2, [12, 0, 12, 4]));
  expect(nudged(untouched, 2, "taller").panels).toEqual([
    (untouched.panels as Json[])[0],
    { id: 2, type: "stat", gridPos: { x: 12, y: 0, w: 12, h: 5 } },
  ]);
});

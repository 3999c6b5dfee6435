import { expect, test } from "vitest";
import { sections } from "./layout";
import { readDashboard } from "./read";

const places = (...grids: object[]) =>
  sections(readDashboard({ panels: grids.map((gridPos, at) => ({ id: at + 1, type: "stat", gridPos })) }).panels, {})
    .flatMap(({ panels }) => panels)
    .map(({ place: { x, y, w, h } }) => [x, y, w, h]);

test.each([
  [
    "what hangs rises",
    [
      { x: 0, y: 5, w: 12, h: 4 },
      { x: 0, y: 20, w: 12, h: 4 },
    ],
    [
      [0, 0, 12, 4],
      [0, 4, 12, 4],
    ],
  ],
  [
    "what lies on another gives way",
    [
      { x: 0, y: 0, w: 12, h: 4 },
      { x: 6, y: 2, w: 12, h: 4 },
    ],
    [
      [0, 0, 12, 4],
      [6, 4, 12, 4],
    ],
  ],
  [
    "beside each other stays",
    [
      { x: 0, y: 0, w: 12, h: 4 },
      { x: 12, y: 0, w: 12, h: 8 },
    ],
    [
      [0, 0, 12, 4],
      [12, 0, 12, 8],
    ],
  ],
  [
    "far away is near",
    [
      { x: 0, y: 1e16, w: 12, h: 1e9 },
      { x: -3, y: -1, w: 99, h: 0 },
    ],
    [
      [0, 0, 24, 1],
      [0, 1, 12, 1000],
    ],
  ],
] as const)("%s", (_, grids, expected) => expect(places(...grids)).toEqual(expected));

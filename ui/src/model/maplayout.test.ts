import { expect, test } from "vitest";
import { curve, laidOut, near } from "./maplayout";

const CALLS = [
  { caller: "gateway", callee: "orders" },
  { caller: "orders", callee: "database" },
  { caller: "orders", callee: "orders" },
  { caller: "orders", callee: "nobody knows" },
];

test("callers stand left of those they call, and no box lies on another", () => {
  const { boxes, wires, width } = laidOut(["database", "gateway", "orders", "alone"], CALLS);
  const x = Object.fromEntries(boxes.map((box) => [box.name, box.x]));
  expect(x.gateway!).toBeLessThan(x.orders!);
  expect(x.orders!).toBeLessThan(x.database!);
  expect(wires).toHaveLength(2);
  for (const one of boxes) {
    expect(one.x + one.width / 2).toBeLessThanOrEqual(width);
    for (const other of boxes) {
      if (one.name >= other.name) continue;
      const apart =
        Math.abs(one.x - other.x) >= (one.width + other.width) / 2 ||
        Math.abs(one.y - other.y) >= (one.height + other.height) / 2;
      expect(apart).toBe(true);
    }
  }
});

test("it is the same whatever the order", () =>
  expect(laidOut(["a", "b", "gateway", "orders"], CALLS)).toEqual(
    laidOut(["orders", "gateway", "b", "a"], CALLS.toReversed()),
  ));

test.each([
  [[], ""],
  [[{ x: 1, y: 2 }], "M1,2 "],
  [
    [
      { x: 0, y: 0 },
      { x: 4, y: 4 },
    ],
    "M0,0 L4,4",
  ],
  [
    [
      { x: 0, y: 0 },
      { x: 4, y: 0 },
      { x: 8, y: 4 },
    ],
    "M0,0 Q4,0 8,4",
  ],
])("%j is drawn %j", (points, path) => expect(curve(points)).toBe(path));

test("around some services stand those they call and that call them, and no others", () => {
  const map = { nodes: ["gateway", "orders", "database", "alone"].map((name) => ({ name })), edges: CALLS };
  const around = near(map, ["gateway"]);
  expect(around.nodes.map(({ name }) => name)).toEqual(["gateway", "orders"]);
  expect(around.edges.map(({ callee }) => callee)).toEqual(["orders", "orders"]);
  expect(near(map, ["database", "alone"]).nodes.map(({ name }) => name)).toEqual(["orders", "database", "alone"]);
});

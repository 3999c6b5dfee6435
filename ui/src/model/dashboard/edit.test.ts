import { expect, test } from "vitest";
import { asksOther, editable, everyPanel, faultOfList, panelOf, withPanel } from "./edit";
import { readDashboard } from "./read";
import type { Json } from "./types";

const place = { x: 0, y: 0, w: 12, h: 4 };
const whole: Json = {
  title: "whole",
  theirs: [1, 2],
  panels: [
    { id: 1, type: "stat", gridPos: place, ours: true },
    {
      id: 2,
      type: "row",
      gridPos: { ...place, y: 4 },
      collapsed: true,
      panels: [{ id: 3, type: "graph", gridPos: { ...place, y: 5 }, yaxes: [{ format: "s" }] }],
    },
  ],
};

test("a dashboard of today is edited as it stands", () => expect(editable(whole)).toBe(whole));

test.each<[string, Json, readonly number[]]>([
  [
    "rows of old",
    { rows: [{ title: "r", showTitle: true, panels: [{ type: "graph" }, { id: 7, type: "text" }] }] },
    [1001, 1002, 7],
  ],
  ["the plan's YAML", { panels: [{ type: "stat" }, { type: "stat" }] }, [1001, 1002]],
  [
    "one number twice",
    {
      panels: [
        { id: 5, type: "stat", gridPos: place },
        { id: 5, type: "stat", gridPos: place },
      ],
    },
    [5, 1001],
  ],
  [
    "none within a shut row",
    { panels: [{ id: 1, type: "row", gridPos: place, collapsed: true, panels: [{ type: "stat" }] }] },
    [1, 1100],
  ],
])("%s: every panel gets a number and a place", (_, json, ids) => {
  const made = editable(json);
  expect(everyPanel(made).map(({ id }) => id)).toEqual(ids);
  expect(made.rows).toBeUndefined();
  expect(everyPanel(made).every(({ gridPos }) => (gridPos as { w: number }).w > 0)).toBe(true);
  expect(editable(made)).toBe(made);
  const same = (of: Json) => readDashboard(of).panels.map(({ type, title, place: at }) => ({ type, title, at }));
  expect(same(made)).toEqual(same(json));
});

test("a panel within a shut row is found in its present form and written back in its place", () => {
  const found = panelOf(whole, 3)!;
  expect(found).toMatchObject({ type: "timeseries", fieldConfig: { defaults: { unit: "s" } } });
  const after = withPanel(whole, { ...found, title: "anew" });
  expect(panelOf(after, 3)).toMatchObject({ title: "anew", type: "timeseries" });
  expect(everyPanel(after)[0]).toBe(everyPanel(whole)[0]);
  expect(after.theirs).toBe(whole.theirs);
  expect(panelOf(whole, 99)).toBeUndefined();
});

test.each<[Json, boolean]>([
  [{ title: "other" }, false],
  [{ fieldConfig: {} }, false],
  [{ targets: [{ expr: "down" }] }, true],
  [{ timeShift: "1h" }, true],
])("%j is another question: %s", (change, other) => {
  const panel = { type: "stat", targets: [{ expr: "up" }] };
  expect(asksOther(panel, { ...panel, ...change })).toBe(other);
});

test.each([
  ["[]", ""],
  ['[{"id": "organize"}]', ""],
  ["{}", "a list is wanted: [ … ], of transformations"],
  ['[{}, "merge"]', "number 2 is no object ({ … }): merge"],
])("%s as a list: %s", (written, fault) => expect(faultOfList(written, "transformations")).toBe(fault));
test("what is no JSON is said", () => expect(faultOfList("[{]", "transformations")).toMatch(/^no JSON: /));

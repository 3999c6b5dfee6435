import { expect, test } from "vitest";
import { fieldConfig, NO_FIELD } from "./fieldconfig";
import { field } from "./frames";
import { cellKind, firstOrder, footOf, rangeOf, shareOf, toldApart } from "./table";
import type { Frame } from "./types";

test.each([
  [{}, "auto"],
  [{ cellOptions: { type: "color-background", mode: "gradient" } }, "background"],
  [{ cellOptions: { type: "color-text" } }, "text-colour"],
  [{ cellOptions: { type: "gauge", mode: "lcd" } }, "gauge"],
  [{ displayMode: "gradient-gauge" }, "gauge"],
  [{ displayMode: "basic" }, "gauge"],
  [{ cellOptions: { type: "json-view" } }, "json"],
])("cells of %j are %s", (custom, kind) => expect(cellKind(fieldConfig({ custom }))).toBe(kind));

test.each([
  [{}, 5, 0.5],
  [{}, -1, 0],
  [{ min: 0, max: 20 }, 5, 0.25],
  [{ max: 4 }, 5, 1],
  [{}, "x", null],
] as const)("with %j, %s is at %s", (config, value, share) =>
  expect(shareOf(rangeOf({ ...field("x", "number", [0, 5, 10]), config: { ...NO_FIELD, ...config } }), value)).toBe(
    share,
  ),
);

test("is sorted as it says", () => {
  expect(firstOrder({ sortBy: [{ displayName: "p95", desc: true }] })).toEqual({ title: "p95", up: false });
  expect(firstOrder({})).toBeNull();
});

const FRAME: Frame = {
  refId: "A",
  name: "A",
  form: "table",
  fields: [field("job", "text", ["a", "b"]), field("x", "number", [1, 2]), field("y", "number", [10, null])],
};
test.each([
  [{}, null],
  [{ footer: { show: true, reducer: ["sum"] } }, ["Total", "3", "10"]],
  [{ footer: { show: true, reducer: ["sum"], fields: ["x"] } }, ["Total", "3", ""]],
  [{ footer: { show: true, reducer: ["min", "max"] } }, ["Min · Max", "Min 1 · Max 2", "Min 10 · Max 10"]],
  [{ footer: { show: true, reducer: ["count"], countRows: true } }, ["Count: 2", "", ""]],
])("the foot of %j is %j", (options, foot) => expect(footOf(FRAME, options)).toEqual(foot));

test("a column has a foot of its own", () => {
  const [job, x, y] = FRAME.fields;
  const own = { ...x!, config: fieldConfig({ custom: { footer: { reducers: ["max"] } } }) };
  expect(footOf({ ...FRAME, fields: [job!, own, y!] }, {})).toEqual(["", "2", ""]);
});

test("has each head once, also where four thousand columns are called alike", () => {
  expect(toldApart(["a", "b", "a", "a ", "a"])).toEqual(["a", "b", "a ", "a  ", "a   "]);
  expect(new Set(toldApart(Array(4000).fill("x"))).size).toBe(4000);
});

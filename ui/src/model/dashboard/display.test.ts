import { expect, test } from "vitest";
import { display, seriesColour, stateColour } from "./display";
import { configured, fieldConfig, NO_FIELD, overrides } from "./fieldconfig";
import { field } from "./frames";

// As @grafana/data 13.2.3 shows the same values.
const VALUES = { "0": { text: "DOWN", color: "red" }, "1": { text: "UP" } };
test.each([
  ["a value", { mappings: [{ type: "value", options: VALUES }] }, 0, "DOWN"],
  ["a value as text", { mappings: [{ type: "value", options: VALUES }] }, "1", "UP"],
  ["another value", { mappings: [{ type: "value", options: VALUES }] }, 2, "2"],
  ["a range", { mappings: [{ type: "range", options: { from: 1, to: 5, result: { text: "mid" } } }] }, 5, "mid"],
  ["behind it", { mappings: [{ type: "range", options: { from: 1, to: 5, result: { text: "mid" } } }] }, 5.1, "5.10"],
  ["an open range", { mappings: [{ type: "range", options: { to: 5, result: { text: "low" } } }] }, -3, "low"],
  ["nothing", { mappings: [{ type: "special", options: { match: "null", result: { text: "N/A" } } }] }, null, "N/A"],
  [
    "no number",
    { mappings: [{ type: "special", options: { match: "nan", result: { text: "no" } } }] },
    Number.NaN,
    "no",
  ],
  [
    "parts of a pattern",
    { mappings: [{ type: "regex", options: { pattern: "/(.*)-(.*)/", result: { text: "$2-$1" } } }] },
    "a-b",
    "b-a",
  ],
  ["nothing, said otherwise", { unit: "percent", noValue: "nothing" }, null, "nothing"],
  ["no unit", {}, 1_234_567.891, "1234568"],
  ["decimals", { unit: "short", decimals: 2 }, 12, "12.00"],
] as const)("shows %s", (_, config, value, text) => expect(display(value, fieldConfig(config)).text).toBe(text));

const UNIT = [{ id: "unit", value: "bytes" }];
test.each([
  [{ id: "byName", options: "up" }, true],
  [{ id: "byRegexp", options: "/^u/" }, true],
  [{ id: "byRegexpOrNames", options: { names: ["other"], pattern: "u." } }, true],
  [{ id: "byRegexpOrNames", options: { names: ["other"] } }, false],
  [{ id: "byType", options: "number" }, true],
  [{ id: "byFrameRefID", options: "B" }, false],
  [{ id: "firstTimeField" }, false],
  [{ id: "byValue", options: { reducer: "max", op: "gte", value: 5 } }, true],
  [{ id: "byValue", options: { reducer: "last", op: "lt", value: 3 } }, false],
  [{ id: "byValue", options: { reducer: "last", op: "constructor", value: 3 } }, false],
  [{ id: "byRegexp", options: "/(?=(u+)+p)/" }, false],
] as const)("%j is about the field: %s", (matcher, isAbout) => {
  const of = field("up", "number", [1, 5, 3]);
  const found = configured(of, "up", "A", NO_FIELD, overrides([{ matcher, properties: UNIT }]));
  expect(found.unit).toBe(isAbout ? "bytes" : undefined);
});

test("has no shades and no colours by what every object has", () => {
  const [none, odd] = ["", "constructor"].map((mode) => fieldConfig({ color: { mode } }));
  expect(seriesColour(odd!, 1, 5)).toBe(seriesColour(none!, 1, 5));
  expect(stateColour(5, "up", odd!)).toBe(stateColour(5, "up", none!));
  expect(seriesColour(fieldConfig({ color: { mode: "fixed", fixedColor: "constructor" } }), 1, 5)).toBe("constructor");
});

import { expect, test } from "vitest";
import { field } from "./frames";
import { endsOf, logOf, scaleOf } from "./scale";

const { config } = field("b", "number", []);
const log = (base?: number) => ({ ...config, custom: { scaleDistribution: { type: "log", log: base } } });

test.each<[string, number[], { min?: number; max?: number }, [number, number]]>([
  ["around what there is", [0, 100], {}, [-5, 105]],
  ["around a single one", [100], {}, [95, 105]],
  ["around nothing but zero", [0], {}, [-1, 1]],
  ["as configured", [0, 100], { min: 20, max: 50 }, [20, 50]],
  ["from above all that there is", [-30, -10], { min: 0 }, [0, 1]],
  ["to below all that there is", [200, 300], { max: 100 }, [95, 100]],
  ["of ends that are one", [3], { min: 20, max: 20 }, [20, 21]],
  ["of ends the wrong way round", [3], { min: 20, max: 10 }, [20, 21]],
])("an axis goes %s", (_, values, ends, expected) => expect(endsOf(values, { ...config, ...ends })).toEqual(expected));

test.each([
  [undefined, 10],
  [2, 2],
  [10, 10],
])("an axis says that it is one of logarithms: %s", (base, expected) => expect(logOf(log(base))).toBe(expected));

test("an axis that says nothing, or another distribution, is even", () => {
  expect(logOf(config)).toBeUndefined();
  expect(logOf({ ...config, custom: { scaleDistribution: { type: "linear" } } })).toBeUndefined();
});

test.each<[string, number[], number, { min?: number; max?: number }, number[]]>([
  ["at powers of ten", [1, 5000], 10, {}, [1, 10, 100, 1000]],
  ["at powers of two", [1, 10], 2, {}, [1, 2, 4, 8]],
  ["below one", [0.002, 3], 10, {}, [0.01, 0.1, 1]],
  ["at each fourth power where there are many", [1e-6, 1e9], 10, {}, [1e-4, 1, 1e4, 1e8]],
  ["at round numbers where there are hardly any powers", [20, 60], 10, {}, [20, 30, 40, 50, 60]],
  ["without what has no place", [-5, 0, 10, 1000], 10, {}, [10, 100, 1000]],
  ["to the ends that are configured", [5, 50], 10, { min: 1, max: 1000 }, [1, 10, 100, 1000]],
  ["whatever end is configured that it cannot have", [1, 1000], 10, { min: 0 }, [1, 10, 100, 1000]],
])("an axis of logarithms has its marks %s", (_, values, base, ends, expected) =>
  expect(scaleOf(values, { ...log(base), ...ends }, 5).marks).toEqual(expected),
);

test("on an axis of logarithms as far is as many times", () => {
  const { share } = scaleOf([], { ...log(), min: 1, max: 10_000 }, 5);
  expect([1, 10, 100, 10_000].map(share)).toEqual([0, 0.25, 0.5, 1]);
  expect(scaleOf([0, 100], { ...config, min: 0, max: 100 }, 5).share(25)).toBe(0.25);
});

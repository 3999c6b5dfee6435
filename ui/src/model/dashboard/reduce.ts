/** One number out of many: Grafana's calculations, by its names. */

import type { Cell } from "./types";

type Numbers = readonly (number | null)[];
type Calc = (all: Numbers, known: readonly number[]) => number | null;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => (values.length ? sum(values) / values.length : null);
const least = (values: readonly number[]) =>
  values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY);
const most = (values: readonly number[]) =>
  values.reduce((high, value) => Math.max(high, value), Number.NEGATIVE_INFINITY);
const some = (values: readonly number[], of: (values: readonly number[]) => number) =>
  values.length ? of(values) : null;

function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [Math.floor(at), Math.ceil(at)];
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low);
}

function variance(values: readonly number[]): number | null {
  const middle = mean(values);
  return middle === null ? null : mean(values.map((value) => (value - middle) ** 2));
}

/** What was added, a counter's restarts (falls) not counted as loss. */
function growth(values: readonly number[]): number | null {
  return some(values, () => values.slice(1).reduce((total, value, at) => total + Math.max(0, value - values[at]!), 0));
}

const CALCS: Readonly<Record<string, Calc>> = {
  last: (all) => all.at(-1) ?? null,
  lastNotNull: (_, known) => known.at(-1) ?? null,
  first: (all) => all[0] ?? null,
  firstNotNull: (_, known) => known[0] ?? null,
  min: (_, known) => some(known, least),
  max: (_, known) => some(known, most),
  mean: (_, known) => mean(known),
  median: (_, known) => quantile(known, 0.5),
  sum: (_, known) => some(known, sum),
  count: (all) => all.length,
  range: (_, known) => some(known, (values) => most(values) - least(values)),
  delta: (_, known) => growth(known),
  step: (_, known) =>
    some(
      known.slice(1).map((value, at) => value - known[at]!),
      least,
    ),
  diff: (_, known) => (known.length ? known.at(-1)! - known[0]! : null),
  diffperc: (_, known) => (known.length && known[0] ? (known.at(-1)! - known[0]!) / known[0]! : null),
  logmin: (_, known) =>
    some(
      known.filter((value) => value > 0),
      least,
    ),
  allIsZero: (_, known) => (known.length > 0 && known.every((value) => value === 0) ? 1 : 0),
  allIsNull: (_, known) => (known.length === 0 ? 1 : 0),
  changeCount: (_, known) => known.slice(1).filter((value, at) => value !== known[at]).length,
  distinctCount: (_, known) => new Set(known).size,
  stdDev: (_, known) => {
    const of = variance(known);
    return of === null ? null : Math.sqrt(of);
  },
  variance: (_, known) => variance(known),
};

/** `values` as the one number `calc` names; the last one where nobody knows the name. */
export function reduced(values: readonly Cell[], calc = "lastNotNull"): number | null {
  const all = values.map((value) => (typeof value === "number" ? value : null));
  const known = all.filter((value): value is number => value !== null && !Number.isNaN(value));
  const share = /^p(\d{1,2})$/.exec(calc);
  if (share) return quantile(known, Number(share[1]) / 100);
  return (CALCS[calc] ?? CALCS.lastNotNull)!(all, known);
}

const NAMES: Readonly<Record<string, string>> = {
  lastNotNull: "last",
  firstNotNull: "first",
  sum: "total",
  stdDev: "std dev",
  distinctCount: "distinct",
  changeCount: "changes",
  diffperc: "difference %",
  diff: "difference",
};

/** How a calculation is called at the head of a column. */
export function calcName(calc: string): string {
  return NAMES[calc] ?? calc;
}

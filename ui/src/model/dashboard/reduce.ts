/** One number out of many: Grafana's calculations, by its names. */

import { own } from "./options";
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

/** The nearest of the values, in order of size: Grafana's percentiles are values that there were. */
function percentile(values: readonly number[], percent: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round(((sorted.length - 1) * percent) / 100)] ?? null;
}

function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[half]! : some(sorted, () => (sorted[half - 1]! + sorted[half]!) / 2);
}

function variance(values: readonly number[]): number | null {
  const middle = mean(values);
  return middle === null ? null : mean(values.map((value) => (value - middle) ** 2));
}

/** What was added; a fall is a counter's restart, and what it has gained by the next value is not known. */
function growth(values: readonly number[]): number {
  let [total, fell] = [0, false];
  values.slice(1).forEach((value, at) => {
    const step = value - values[at]!;
    if (step >= 0 && !fell) total += step;
    fell = step < 0;
  });
  return total;
}

const CALCS: Readonly<Record<string, Calc>> = {
  last: (all) => all.at(-1) ?? null,
  lastNotNull: (_, known) => known.at(-1) ?? null,
  first: (all) => all[0] ?? null,
  firstNotNull: (_, known) => known[0] ?? null,
  min: (_, known) => some(known, least),
  max: (_, known) => some(known, most),
  mean: (_, known) => mean(known),
  median: (_, known) => median(known),
  sum: (_, known) => sum(known),
  count: (_, known) => known.length,
  countAll: (all) => all.length,
  range: (_, known) => some(known, (values) => most(values) - least(values)),
  delta: (_, known) => growth(known),
  step: (_, known) =>
    some(
      known.slice(1).map((value, at) => value - known[at]!),
      least,
    ),
  diff: (_, known) => (known.length ? known.at(-1)! - known[0]! : null),
  diffperc: (_, known) => (known.length && known[0] ? (100 * (known.at(-1)! - known[0]!)) / known[0]! : null),
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

const ALIASES: Readonly<Record<string, string>> = { current: "lastNotNull", avg: "mean", total: "sum" };

/** `values` as the one number `calc` names; the last one where nobody knows the name. */
export function reduced(values: readonly Cell[], calc = "lastNotNull"): number | null {
  const all = values.map((value) => (typeof value === "number" ? value : null));
  const known = all.filter((value): value is number => value !== null && !Number.isNaN(value));
  const percent = /^p(\d{1,2})$/.exec(calc);
  if (percent) return percentile(known, Number(percent[1]));
  return (own(CALCS, own(ALIASES, calc) ?? calc) ?? CALCS.lastNotNull)!(all, known);
}

const NAMES: Readonly<Record<string, string>> = {
  lastNotNull: "Last *",
  last: "Last",
  firstNotNull: "First *",
  first: "First",
  min: "Min",
  max: "Max",
  mean: "Mean",
  median: "Median",
  variance: "Variance",
  stdDev: "StdDev",
  sum: "Total",
  count: "Count",
  countAll: "Count all",
  range: "Range",
  delta: "Delta",
  step: "Step",
  diff: "Difference",
  diffperc: "Difference percent",
  logmin: "Min (above zero)",
  allIsZero: "All Zeros",
  allIsNull: "All Nulls",
  changeCount: "Change Count",
  distinctCount: "Distinct Count",
  allValues: "All values",
  uniqueValues: "All unique values",
};

/** How Grafana calls a calculation at the head of a column, by which overrides name it. */
export function calcName(calc: string): string {
  const percent = /^p(\d{1,2})$/.exec(calc);
  return percent ? `${ordinal(Number(percent[1]))} %` : (own(NAMES, own(ALIASES, calc) ?? calc) ?? calc);
}

/** `ordinal(22)` is `22nd`. */
function ordinal(count: number): string {
  const ends = Math.floor(count / 10) % 10 === 1 ? "" : ["", "st", "nd", "rd"][count % 10];
  return `${count}${ends || "th"}`;
}

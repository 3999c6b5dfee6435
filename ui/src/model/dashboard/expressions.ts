/**
 * Grafana's server-side expressions (`__expr__`), worked out on the answers of the other targets: math, reduce, resample,
 * threshold and classic conditions. Frames in, frames out; what cannot be worked out is told.
 *
 * Source: Grafana documentation, "Write expression queries".
 */

import type { Labels } from "@/api/prometheus";
import { durationSeconds, type Span } from "@/model/timerange";
import { parsed, queriesOf, refIdOf, type Tree } from "./arithmetic";
import { apart, field } from "./frames";
import { list, num, object, objects, own, text } from "./options";
import { reduced } from "./reduce";
import type { Frame, Json, Target } from "./types";

/** One row of numbers; a single one that is of no time (`times` null) holds at each. */
interface Row {
  readonly labels: Labels;
  readonly times: readonly number[] | null;
  readonly values: readonly (number | null)[];
}

type Known = ReadonlyMap<string, readonly Row[]>;

/** Targets that expressions are of, though they are hidden. */
export function neededBy(targets: readonly Target[]): ReadonlySet<string> {
  const needed = new Set<string>();
  const visit = (target: Target) => {
    for (const refId of inputsOf(target)) {
      if (needed.has(refId)) continue;
      needed.add(refId);
      for (const each of targets) if (each.refId === refId) visit(each);
    }
  };
  for (const each of targets) if (each.kind === "expression" && !each.hidden) visit(each);
  return needed;
}

function inputsOf({ kind, raw }: Target): readonly string[] {
  if (kind !== "expression") return [];
  if (raw.type === "classic_conditions")
    return objects(raw.conditions).map(({ query }) => text(list(object(query).params)[0]));
  if (["reduce", "resample", "threshold"].includes(text(raw.type))) return [refIdOf(text(raw.expression))];
  if (raw.type !== "math") return [];
  try {
    return queriesOf(parsed(text(raw.expression)));
  } catch {
    return []; // it is told when it is worked out
  }
}

/** The frames of what is shown: those of queries that are not hidden, and those of the expressions. */
export function withExpressions(
  frames: readonly Frame[],
  targets: readonly Target[],
  span: Span,
): { readonly frames: readonly Frame[]; readonly missing: readonly string[] } {
  if (!targets.some(({ kind }) => kind === "expression")) return { frames, missing: [] };
  const hidden = new Set(targets.filter((each) => each.hidden).map(({ refId }) => refId));
  const known = new Map<string, readonly Row[]>();
  for (const { refId, kind } of targets)
    if (kind !== "expression") known.set(refId, rowsOf(frames.filter((frame) => frame.refId === refId)));
  const missing: string[] = [];
  let left = targets.filter(({ kind }) => kind === "expression");
  while (left.length > 0) {
    const ready = left.filter((target) => inputsOf(target).every((refId) => known.has(refId)));
    for (const target of ready) {
      try {
        known.set(target.refId, worked(target.raw, known, span));
      } catch (error) {
        known.set(target.refId, []);
        if (!target.hidden) missing.push(`expression ${target.refId}: ${(error as Error).message}`);
      }
    }
    if (ready.length === 0) {
      missing.push(...left.map(({ refId }) => `expression ${refId} is of a query that is not there, or of itself`));
      break;
    }
    left = left.filter((target) => !ready.includes(target));
  }
  const made = targets
    .filter(({ kind, refId }) => kind === "expression" && !hidden.has(refId))
    .flatMap(({ refId }) => (known.get(refId) ?? []).map((row) => frameOf(row, refId, span)));
  return { frames: [...frames.filter(({ refId }) => !hidden.has(refId)), ...made], missing };
}

/** The rows of series; of tables, where what stands in the columns of texts are labels. */
function rowsOf(frames: readonly Frame[]): readonly Row[] {
  const series = frames.flatMap((frame) => (frame.form === "table" ? apart(frame) : [frame]));
  return series.flatMap(({ fields }) => {
    const times = (fields.find(({ kind }) => kind === "time")?.values ?? []) as readonly number[];
    return fields
      .filter(({ kind }) => kind === "number")
      .map(({ labels, values }): Row => ({ labels: there(labels), times, values: values as (number | null)[] }));
  });
}

/** Labels without those that are empty, as a table has them where others have some. */
function there(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

function frameOf({ labels, times, values }: Row, refId: string, span: Span): Frame {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  const name = pairs.length > 0 ? `{${pairs.join(", ")}}` : refId;
  return {
    refId,
    name,
    form: "series",
    fields: [field("Time", "time", times ?? [span.end]), { ...field("Value", "number", values, labels), legend: name }],
  };
}

function worked(raw: Json, known: Known, span: Span): readonly Row[] {
  const of = known.get(refIdOf(text(raw.expression))) ?? [];
  switch (raw.type) {
    case "math":
      return worth(parsed(text(raw.expression)), known);
    case "reduce":
      return of.map(({ labels, values }) => ({ labels, times: null, values: [lessened(values, raw)] }));
    case "resample":
      return of.map((row) => resampled(row, raw, span));
    case "threshold": {
      const over = object(objects(raw.conditions)[0]?.evaluator);
      return of.map((row) => each(row, (value) => (value === null ? null : Number(beyond(value, over)))));
    }
    case "classic_conditions":
      return [{ labels: {}, times: null, values: [classic(objects(raw.conditions), known)] }];
    default:
      throw new Error(`expressions of type “${text(raw.type)}” are not worked out here`);
  }
}

const each = (row: Row, of: (value: number | null) => number | null): Row => ({ ...row, values: row.values.map(of) });

function worth(tree: Tree, known: Known): readonly Row[] {
  switch (tree.kind) {
    case "number":
      return [{ labels: {}, times: null, values: [tree.value] }];
    case "query":
      return known.get(tree.refId) ?? [];
    case "one":
      return worth(tree.inside, known).map((row) => each(row, tree.of));
    case "two":
      return pairs(worth(tree.left, known), worth(tree.right, known)).map(([a, b]) => joined(a, b, tree.of));
  }
}

const MOST_ROWS = 1000;

/**
 * Rows that belong together: of the same labels, or one with some of the other's; one alone belongs to all. Rows that no
 * label tells apart multiply: an Error says so where they become more than anybody reads.
 */
function pairs(left: readonly Row[], right: readonly Row[]): readonly (readonly [Row, Row])[] {
  if (left.length === 1 && right.length === 1) return [[left[0]!, right[0]!]];
  const most = Math.max(MOST_ROWS, left.length, right.length);
  const fitting = fitted(right);
  const found: (readonly [Row, Row])[] = [];
  for (const a of left) {
    for (const b of fitting(a.labels)) found.push([a, b]);
    if (found.length > most)
      throw new Error(
        `${left.length} series with ${right.length} others give more than ${most}: let labels tell them apart, or reduce them first`,
      );
  }
  return found;
}

/** Says which of `rows` belong to labels, in their order: found by the values of the names that both have. */
function fitted(rows: readonly Row[]): (labels: Labels) => readonly Row[] {
  const names = rows.map(({ labels }) => Object.keys(labels).toSorted());
  const kinds = by([...rows.keys()], (at) => JSON.stringify(names[at]));
  const indices = new Map<string, ReadonlyMap<string, readonly number[]>>();
  return (labels) => {
    const mine = Object.keys(labels);
    const places = [...kinds].flatMap(([kind, alike]) => {
      const theirs = names[alike[0]!]!;
      const shared = theirs.filter((name) => Object.hasOwn(labels, name));
      if (shared.length < Math.min(mine.length, theirs.length)) return []; // each has a name that the other has not
      const place = JSON.stringify([kind, shared]);
      const index = indices.get(place) ?? by(alike, (at) => valuesOf(rows[at]!.labels, shared));
      indices.set(place, index);
      return index.get(valuesOf(labels, shared)) ?? [];
    });
    return places.toSorted((one, other) => one - other).map((at) => rows[at]!);
  };
}

const valuesOf = (labels: Labels, names: readonly string[]) => JSON.stringify(names.map((name) => labels[name]));

/** The items of which `key` says the same. */
function by<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const alike = found.get(key(item));
    if (alike) alike.push(item);
    else found.set(key(item), [item]);
  }
  return found;
}

function joined(a: Row, b: Row, of: (a: number, b: number) => number): Row {
  const labels = Object.keys(a.labels).length >= Object.keys(b.labels).length ? a.labels : b.labels;
  const both = (x: number | null | undefined, y: number | null | undefined) =>
    x === null || x === undefined || y === null || y === undefined ? null : of(x, y);
  if (!a.times) return { labels, times: b.times, values: b.values.map((value) => both(a.values[0], value)) };
  if (!b.times) return { labels, times: a.times, values: a.values.map((value) => both(value, b.values[0])) };
  const at = new Map(b.times.map((time, place) => [time, b.values[place]]));
  const shared = a.times.flatMap((time, place) => (at.has(time) ? [[time, a.values[place]] as const] : []));
  return {
    labels,
    times: shared.map(([time]) => time),
    values: shared.map(([time, value]) => both(value, at.get(time))),
  };
}

const REDUCERS: Readonly<Record<string, string>> = { last: "last", avg: "mean" };

/** One number of many. What is no number makes it none, unless it is dropped or replaced. */
function lessened(values: readonly (number | null)[], raw: Json): number | null {
  const { mode, replaceWithValue } = object(raw.settings);
  const there = values.filter((value): value is number => value !== null);
  const meant =
    mode === "dropNN"
      ? there.filter(Number.isFinite)
      : mode === "replaceNN"
        ? there.map((value) => (Number.isFinite(value) ? value : num(replaceWithValue, 0)))
        : there;
  const reducer = text(raw.reducer, "mean");
  if (reducer === "count") return meant.length;
  if (meant.some(Number.isNaN)) return Number.NaN;
  if (reducer === "sum" && meant.length === 0) return 0;
  return meant.length === 0 ? Number.NaN : reduced(meant, own(REDUCERS, reducer) ?? reducer);
}

const MOST_POINTS = 11_000; // as Prometheus answers

/** The values at even times: of several within a window one, where there is none what stood before, comes after, or nothing. */
function resampled({ labels, times, values }: Row, raw: Json, span: Span): Row {
  const window = durationSeconds(text(raw.window)) ?? 0;
  if (window <= 0) throw new Error(`“${text(raw.window)}” is no length of time to sample anew in`);
  const points = (times ?? [])
    .map((time, at) => ({ time, value: values[at] ?? null }))
    .filter(({ value }) => value !== null);
  const count = Math.floor((span.end - span.start) / window) + 1;
  if (count > MOST_POINTS)
    throw new Error(
      `a point each “${text(raw.window)}” gives ${count}, more than ${MOST_POINTS}: make the window longer`,
    );
  const even = Array.from({ length: count }, (_, at) => span.start + at * window);
  const down = text(raw.downsampler, "mean");
  let next = 0;
  return {
    labels,
    times: even,
    values: even.map((time) => {
      const inside: number[] = [];
      for (; next < points.length && points[next]!.time <= time; next++)
        if (points[next]!.time > time - window) inside.push(points[next]!.value!);
      if (inside.length > 0) return reduced(inside, own(REDUCERS, down) ?? down);
      if (raw.upsampler === "pad") return points[next - 1]?.value ?? null;
      return raw.upsampler === "backfilling" ? (points[next]?.value ?? null) : null;
    }),
  };
}

/** Whether a value is where an evaluator of Grafana's looks for it. */
function beyond(value: number, { type, params }: Json): boolean {
  const [a = 0, b = 0] = list(params).map((limit) => num(limit, 0));
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  switch (type) {
    case "gt":
      return value > a;
    case "gte":
      return value >= a;
    case "lt":
      return value < a;
    case "lte":
      return value <= a;
    case "eq":
      return value === a;
    case "ne":
      return value !== a;
    case "within_range":
      return value > low && value < high;
    case "within_range_included":
      return value >= low && value <= high;
    case "outside_range":
      return value < low || value > high;
    case "outside_range_included":
      return value <= low || value >= high;
    default:
      throw new Error(`a threshold of type “${text(type)}” is not known`);
  }
}

/** 1 where the conditions hold, one after the other; nothing where none of them found a value. */
function classic(conditions: readonly Json[], known: Known): number | null {
  let now: boolean | null = null;
  for (const { evaluator, operator, query, reducer } of conditions) {
    const rows = known.get(text(list(object(query).params)[0])) ?? [];
    const calc = text(object(reducer).type, "avg");
    const found = rows
      .map(({ values }) => reduced(values, own(REDUCERS, calc) ?? calc))
      .filter((value): value is number => value !== null);
    const over = object(evaluator);
    if (found.length === 0 && over.type !== "no_value") continue;
    const holds = over.type === "no_value" ? found.length === 0 : found.some((value) => beyond(value, over));
    now = now === null ? holds : object(operator).type === "or" ? now || holds : now && holds;
  }
  return now === null ? null : Number(now);
}

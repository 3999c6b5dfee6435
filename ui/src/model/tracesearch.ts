/**
 * What is asked of traces, and how a click changes it.
 *
 * In: the form, a term, a box dragged over a chart. Out: what is asked then. Pure.
 */

import { formatDuration, type Span } from "./timerange";

/** A search as the URL holds it: Lucene, and what has a field of its own. Durations are texts as `250ms`. */
export interface Asked {
  readonly q: string;
  readonly service: string;
  readonly op: string;
  readonly min: string;
  readonly max: string;
  readonly errors: boolean;
}

export function askedOf(params: URLSearchParams): Asked {
  const of = (name: string) => params.get(name) ?? "";
  return {
    q: of("q"),
    service: of("service"),
    op: of("op"),
    min: of("min"),
    max: of("max"),
    errors: of("errors") === "1",
  };
}

/** The same as values of the URL; what is not asked is empty. */
export function valuesOf({ errors, ...texts }: Asked): Readonly<Record<string, string>> {
  return { ...texts, errors: errors ? "1" : "" };
}

/** `field:"value"` as Lucene reads it. */
export function term(field: string, value: string): string {
  return `${fieldText(field)}:"${value.replace(/(["\\])/g, "\\$1")}"`;
}

function fieldText(name: string): string {
  return name.replace(/([\s:"\\()[\]{}^~*?/+!&|<>=-])/g, "\\$1");
}

/** The query that also asks for `more`; once, however often it is added. */
export function narrowed(query: string, more: string): string {
  const before = query.trim();
  if (!before || before === "*") return more;
  if (before.split(" AND ").includes(more)) return before;
  return `${/\sOR\s/.test(before) && !/^\([^()]*\)$/.test(before) ? `(${before})` : before} AND ${more}`;
}

/** What a reason asks for: its value, or where numbers were told apart by powers of two, the interval. */
export function reasonTerm(key: string, value: string): string {
  const bounds = /^(\d+(?:\.\d+)?(?:e\+?\d+)?) … (\d+(?:\.\d+)?(?:e\+?\d+)?)$/.exec(value);
  return bounds ? `${fieldText(key)}:[${bounds[1]} TO ${bounds[2]}}` : term(key, value);
}

/** Part of a chart of durations over time: Unix seconds and nanoseconds. */
export interface Box {
  readonly time: Span;
  readonly from_ns: number;
  readonly to_ns: number;
}

/** Nanoseconds as the text of a duration that the server reads: whole milliseconds, outwards. */
export function durationText(ns: number, up = false): string {
  const ms = up ? Math.ceil(ns / 1e6) : Math.floor(ns / 1e6);
  if (ms < 1000) return `${ms}ms`;
  const seconds = Math.floor(ms / 1000);
  return ms < 60_000 ? `${seconds}s${ms % 1000 ? `${ms % 1000}ms` : ""}` : formatDuration(up ? seconds + 1 : seconds);
}

/** From how many milliseconds on traces are called slow when nobody said: the 95th percentile of what takes longest. */
export function usualLimit(
  rows: readonly { readonly kind: string; readonly p50_ms: number; readonly p95_ms: number }[],
): number {
  const entries = rows.filter(({ kind }) => kind === "server" || kind === "consumer");
  return Math.max(1, ...(entries.length ? entries : rows).map(({ p95_ms }) => p95_ms));
}

/** Log records as the pages show them: their levels, their fields, and how many there are in time. */

import { aligned, type Span } from "./timerange";

export interface LogRecord {
  /** Nanoseconds; JavaScript keeps them to a quarter of a microsecond, `links.context` exactly. */
  readonly ts_ns: number;
  readonly service: string;
  readonly level: string;
  readonly body: string;
  readonly trace_id: string;
  readonly span_id: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly resource: Readonly<Record<string, string>>;
  readonly links: Readonly<Record<string, string>>;
}

export interface Bucket {
  readonly at: number;
  readonly level: string;
  readonly records: number;
}

/** Worst last, as they are stacked. */
export const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] as const;

const COLOURS: Readonly<Record<string, string>> = {
  TRACE: "#a8adb3",
  DEBUG: "#8d96a1",
  INFO: "#6f9fd0",
  WARN: "#d9a03a",
  ERROR: "#cf4f4a",
  FATAL: "#8e2f6b",
};

export function levelColour(level: string): string {
  return COLOURS[level] ?? "#b7b2a6";
}

export function levelKind(level: string): "bad" | "warn" | "info" | "" {
  if (level === "ERROR" || level === "FATAL") return "bad";
  return level === "WARN" ? "warn" : "";
}

/** Records of each level in each step of `span`, worst level last: a row of numbers a level, nulls nowhere. */
export function courses(
  buckets: readonly Bucket[],
  span: Span,
  step: number,
): { readonly times: readonly number[]; readonly rows: ReadonlyMap<string, readonly number[]> } {
  const { start, end } = aligned(span, step);
  const times = Array.from({ length: Math.round((end - start) / step) + 1 }, (_, at) => start + at * step);
  const rows = new Map<string, number[]>();
  for (const { at, level, records } of buckets) {
    const place = Math.round((at - start) / step);
    if (place < 0 || place >= times.length) continue;
    if (!rows.has(level)) rows.set(level, Array<number>(times.length).fill(0));
    rows.get(level)![place]! += records;
  }
  const order = (level: string) => LEVELS.indexOf(level as (typeof LEVELS)[number]);
  return { times, rows: new Map([...rows].toSorted(([one], [other]) => order(one) - order(other))) };
}

/** The value of a field of a record, as a column shows it. */
export function fieldOf(record: LogRecord, name: string): string {
  if (name === "service" || name === "level" || name === "trace_id" || name === "span_id") return record[name];
  return record.attributes[name] ?? record.resource[name] ?? "";
}

/** Names of attributes among `records`, most frequent first. */
export function attributeNames(records: readonly LogRecord[], most = 40): readonly string[] {
  const counts = new Map<string, number>();
  for (const { attributes, resource } of records)
    for (const name of [...Object.keys(attributes), ...Object.keys(resource)])
      counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .toSorted(([a, x], [b, y]) => y - x || a.localeCompare(b))
    .slice(0, most)
    .map(([name]) => name);
}

/** What comes in while one looks on: the newest `most`, newest first. */
export function withNewest(before: readonly LogRecord[], fresh: readonly LogRecord[], most: number): LogRecord[] {
  return [...fresh.toReversed(), ...before].slice(0, most);
}

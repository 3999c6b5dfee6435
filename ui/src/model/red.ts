/** Rate, errors and durations over time: rows of steps as columns on one grid. */

import type { Span } from "./timerange";

export interface Step {
  readonly at: number;
  readonly spans: number;
  readonly errors: number;
  readonly rate: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly p99_ms: number;
}

type Values = readonly (number | null)[];

export interface Courses {
  readonly times: readonly number[];
  readonly rate: Values;
  readonly errors: Values; // share of the requests that failed
  readonly p50: Values;
  readonly p95: Values;
  readonly p99: Values;
}

/** A value for each whole step of `span`; the last one, which is not over, is left out. No requests are a rate of 0 and no duration. */
export function courses(rows: readonly Step[], span: Span, step: number): Courses {
  const first = Math.floor(span.start / step);
  const count = Math.max(1, Math.floor(span.end / step) - first);
  const at = new Map(rows.map((row) => [Math.floor(row.at / step) - first, row]));
  const column = (of: (row: Step) => number | null, none: number | null): Values =>
    Array.from({ length: count }, (_, place) => {
      const row = at.get(place);
      return row ? of(row) : none;
    });
  return {
    times: Array.from({ length: count }, (_, place) => (first + place) * step),
    rate: column(({ rate }) => rate, 0),
    errors: column(({ spans, errors }) => (spans ? errors / spans : null), null),
    p50: column(({ p50_ms }) => p50_ms, null),
    p95: column(({ p95_ms }) => p95_ms, null),
    p99: column(({ p99_ms }) => p99_ms, null),
  };
}

/** How bad it is that this share of requests fails: from one in a hundred on it is told, from one in twenty on it is bad. */
export function kindOfShare(share: number): "" | "warn" | "bad" {
  return share >= 0.05 ? "bad" : share >= 0.01 ? "warn" : "";
}

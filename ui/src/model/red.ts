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

/** The courses of services by their names, each worked out when it is asked for. */
export function coursesOf(
  rows: readonly (Step & { readonly service: string })[],
  span: Span,
  step: number,
): (names: readonly string[]) => Courses {
  const known = new Map<string, Courses>();
  return (names) => {
    const key = names.join("\n");
    const found =
      known.get(key) ??
      courses(
        rows.filter(({ service }) => names.includes(service)),
        span,
        step,
      );
    known.set(key, found);
    return found;
  };
}

interface Rate {
  readonly service: string;
  readonly rate: number;
  readonly error_share: number;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
}

/** What a service does under all its names together; durations are the longest of them. Null where it answered nothing. */
export function altogether(rates: readonly Rate[], names: readonly string[]): Omit<Rate, "service"> | null {
  const own = rates.filter(({ service }) => names.includes(service));
  const rate = own.reduce((sum, each) => sum + each.rate, 0);
  if (rate === 0) return null;
  const longest = (of: (each: Rate) => number | null) =>
    own.map(of).reduce((one, other) => (one === null ? other : Math.max(one, other ?? 0)), null);
  return {
    rate,
    error_share: own.reduce((sum, each) => sum + each.rate * each.error_share, 0) / rate,
    p50_ms: longest(({ p50_ms }) => p50_ms),
    p95_ms: longest(({ p95_ms }) => p95_ms),
  };
}

/** How bad it is that this share of requests fails: from one in a hundred on it is told, from one in twenty on it is bad. */
export function kindOfShare(share: number): "" | "warn" | "bad" {
  return share >= 0.05 ? "bad" : share >= 0.01 ? "warn" : "";
}

const FEWEST = 5; // requests one may count on in a minute, below which one without any is nothing to notice

/** Whether a minute without requests is to be noticed of a service that had so many a second before. */
export function wouldBeHeard(rate: number): boolean {
  return rate * 60 >= FEWEST;
}

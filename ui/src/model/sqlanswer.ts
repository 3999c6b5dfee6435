/**
 * What an answer in SQL is for the eye: cells as text, and a chart where there is a column of time.
 *
 * In: columns with ClickHouse's types, and rows. Out: texts, and series on one row of times. Pure.
 */

export interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly truncated: boolean;
  readonly limit: number;
  readonly seconds: number;
  readonly sql: string;
}

/** Series by name; `values[i]` is of `times[i]` (Unix seconds), null where there is none. */
export interface Course {
  readonly times: readonly number[];
  readonly series: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly values: readonly (number | null)[];
  }[];
}

const MOST_SERIES = 250;

/** A type without what only says how it is stored: `LowCardinality(Nullable(String))` is a String. */
export function plainType(type: string): string {
  const inner = /^(?:LowCardinality|Nullable)\((.*)\)$/.exec(type)?.[1];
  return inner === undefined ? type : plainType(inner);
}

export const isTime = (type: string) => /^Date/.test(plainType(type));
export const isNumber = (type: string) => /^(U?Int|Float|Decimal|BFloat)/.test(plainType(type));

/** Unix seconds of a cell of a column of time; null when it holds none. */
export function momentOf(value: unknown): number | null {
  const at = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isFinite(at) ? at / 1000 : null;
}

/** A cell as people read it; lists and maps as JSON. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Names of columns that are there once each: a second `x` is `x (2)`. */
export function distinctNames(names: readonly string[]): readonly string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name} (${times})`;
  });
}

/** The answer over time, a line for each column of numbers and each value of the others; null when that makes no chart. */
export function overTime({ columns, rows }: SqlAnswer): Course | null {
  const time = columns.findIndex(({ type }) => isTime(type));
  const numbers = columns.flatMap(({ type }, at) => (isNumber(type) ? [at] : []));
  const names = columns.flatMap(({ type }, at) => (at !== time && !isNumber(type) && !isTime(type) ? [at] : []));
  if (time < 0 || numbers.length === 0) return null;
  const moments = rows.map((row) => Date.parse(String(row[time])) / 1000);
  const times = [...new Set(moments.filter(Number.isFinite))].sort((one, other) => one - other);
  if (times.length < 2) return null;
  const places = new Map(times.map((at, place) => [at, place]));
  const found = new Map<string, { labels: Record<string, string>; values: (number | null)[] }>();
  rows.forEach((row, at) => {
    const place = places.get(moments[at]!);
    if (place === undefined) return;
    for (const number of numbers) {
      const labels = labelsOf(columns, row, names, numbers.length > 1 || names.length === 0 ? number : null);
      const key = JSON.stringify(labels);
      const series = found.get(key) ?? { labels, values: times.map(() => null) };
      series.values[place] = asNumber(row[number]);
      found.set(key, series);
    }
  });
  // Rows that are all of their own (spans, log records) are no course of anything.
  const single = rows.length * numbers.length < 2 * found.size;
  return single || found.size > MOST_SERIES ? null : { times, series: [...found.values()] };
}

function labelsOf(
  columns: SqlAnswer["columns"],
  row: readonly unknown[],
  names: readonly number[],
  number: number | null,
): Record<string, string> {
  const labels = Object.fromEntries(names.map((at) => [columns[at]!.name, cellText(row[at])]));
  return number === null ? labels : { ...labels, __name__: columns[number]!.name };
}

function asNumber(value: unknown): number | null {
  if (value === null || value === "nan") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

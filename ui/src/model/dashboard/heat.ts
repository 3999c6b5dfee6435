/** Values over time as cells of a heatmap: out of the buckets of a histogram, or counted here out of raw values. */

import { together } from "./frames";
import type { Frame } from "./types";

export interface Heat {
  readonly times: readonly number[];
  /** The upper bound of each row, from below; `bottom` is the lower bound of the first. */
  readonly bounds: readonly number[];
  readonly bottom: number;
  /** `cells[row][column]`. */
  readonly cells: readonly (readonly number[])[];
  readonly most: number;
}

const ROWS = 20;

/** Counts of each bucket alone where the series are a cumulative histogram's, by their label `le` or their name. */
export function ofBuckets(frames: readonly Frame[]): Heat {
  const { times, columns, of } = together(frames);
  const rows = of
    .map(({ field, title }, at) => ({ bound: bound(field.labels.le ?? title), values: columns[at]! }))
    .filter(({ bound: each }) => !Number.isNaN(each))
    .toSorted((a, b) => a.bound - b.bound);
  const cumulative = of.some(({ field }) => field.labels.le !== undefined);
  const cells = rows.map(({ values }, at) =>
    values.map((value, column) =>
      Math.max(0, (value ?? 0) - (cumulative && at > 0 ? (rows[at - 1]!.values[column] ?? 0) : 0)),
    ),
  );
  return finished(
    times,
    rows.map((row) => row.bound),
    0,
    cells,
  );
}

function bound(text: string): number {
  return /^\+?inf/i.test(text) ? Number.POSITIVE_INFINITY : text.trim() === "" ? Number.NaN : Number(text);
}

/**
 * How many of the values are in each of twenty equal rows, within equal lengths of time: as many as the root of how many values
 * there are, so that neither cells without any nor cells with all of them hide how they lie.
 */
export function ofValues(frames: readonly Frame[], min?: number, max?: number): Heat {
  const all = together(frames);
  const { columns } = all;
  const known = columns.flat().filter((value): value is number => value !== null && Number.isFinite(value));
  const lasting = all.times.filter((_, at) => columns.some((column) => column[at] !== null)).length;
  const each = Math.max(1, Math.ceil(lasting / Math.max(1, Math.ceil(Math.sqrt(known.length)))));
  const times = all.times.filter((_, at) => at % each === 0);
  if (known.length === 0) return finished(times, [], 0, []);
  const low = min ?? known.reduce((least, value) => Math.min(least, value), known[0]!);
  const high = known.reduce((most, value) => Math.max(most, value), max === undefined ? known[0]! : Math.min(max, low));
  const size = (high - low || Math.abs(high) || 1) / ROWS;
  const cells = Array.from({ length: ROWS }, () => Array<number>(times.length).fill(0));
  for (const column of columns)
    column.forEach((value, at) => {
      if (value === null || !Number.isFinite(value)) return;
      const row = Math.min(ROWS - 1, Math.max(0, Math.floor((value - low) / size)));
      cells[row]![Math.floor(at / each)]! += 1;
    });
  return finished(
    times,
    cells.map((_, row) => low + size * (row + 1)),
    low,
    cells,
  );
}

function finished(
  times: readonly number[],
  bounds: readonly number[],
  bottom: number,
  cells: readonly (readonly number[])[],
): Heat {
  return { times, bounds, bottom, cells, most: cells.flat().reduce((most, value) => Math.max(most, value), 0) };
}

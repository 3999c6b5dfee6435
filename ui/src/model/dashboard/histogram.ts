/** How often values lie between which bounds: Grafana's histogram over all values of its fields. */

import { axisMarks, type Bars } from "./bars";
import { display, seriesColour } from "./display";
import { numbers } from "./frames";
import { bool, maybe } from "./options";
import type { FieldConfig, Frame, Json } from "./types";

const USUAL_BINS = 30;
const MOST_BINS = 500;

/** Counts of each bin, of every field or of all together; bins named by their lower bound, empty ones between kept. */
export function histogramOf(frames: readonly Frame[], options: Json): Bars & { readonly size: number } {
  const all = numbers(frames).map(({ field, title }) => ({ title, config: field.config, values: known(field.values) }));
  const sets =
    bool(options.combine) && all.length > 0
      ? [{ ...all[0]!, title: "count", values: all.flatMap(({ values }) => values) }]
      : all;
  const everything = sets.flatMap(({ values }) => values);
  if (everything.length === 0) return { categories: [], series: [], size: 0 };
  const [low, high] = everything.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ] as [number, number]);
  const offset = maybe(options.bucketOffset) ?? 0;
  const size = sizeOf(maybe(options.bucketSize), maybe(options.bucketCount), high - low, high);
  const first = Math.floor((low - offset) / size + 1e-9);
  const bins = Math.min(MOST_BINS, Math.floor((high - offset) / size + 1e-9) - first + 1);
  const shown = all[0]!.config;
  return {
    size,
    categories: Array.from({ length: bins }, (_, bin) => bound((first + bin) * size + offset, shown)),
    series: sets.map(({ title, config, values }, place) => {
      const counts = Array<number>(bins).fill(0);
      for (const value of values) {
        const bin = Math.floor((value - offset) / size + 1e-9) - first;
        if (bin < bins) counts[bin]! += 1;
      }
      return {
        name: title,
        colour: seriesColour(config, place, null),
        values: counts,
        config: { ...config, unit: "short", min: undefined, max: undefined, mappings: [] },
      };
    }),
  };
}

function known(values: readonly unknown[]): readonly number[] {
  return values.filter((value): value is number => typeof value === "number" && Number.isFinite(value));
}

function bound(value: number, config: FieldConfig): string {
  return display(Number(value.toPrecision(10)), { ...config, mappings: [] }).text;
}

/** A round size so that about so many bins hold all. */
function sizeOf(size: number | undefined, count: number | undefined, range: number, high: number): number {
  if (size && size > 0) return Math.max(size, range / MOST_BINS);
  const span = range || Math.abs(high) || 1;
  const [first, second] = axisMarks(0, span, count && count > 0 ? count : USUAL_BINS);
  return second! - first!;
}

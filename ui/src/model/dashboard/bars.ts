/**
 * Numbers by category, as bar charts and histograms draw them: what each category has of each series, how high the axis
 * goes, and where its marks are.
 */

import { isBinary } from "@/model/units";
import { display, displayTime, seriesColour } from "./display";
import { numbers, titleOf, together } from "./frames";
import { at, bool, maybe, text } from "./options";
import { reduced } from "./reduce";
import type { FieldConfig, Frame, Json } from "./types";

export interface BarSeries {
  readonly name: string;
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly config: FieldConfig;
}

export interface Bars {
  readonly categories: readonly string[];
  readonly series: readonly BarSeries[];
}

const MOST = 200;

/**
 * A category for each row of a table; for each series where each is one number (or is made one by `reduce`); else for
 * each time.
 */
export function barsOf(frames: readonly Frame[], options: Json, utc: boolean): Bars {
  const wanted = text(options.xField);
  const table = frames.find((frame) =>
    frame.fields.some((each) => each.kind === "text" || titleOf(each, frame) === wanted),
  );
  if (table) return ofTable(table, wanted, utc);
  const calc = text(options.reduce);
  if (calc || numbers(frames).every(({ field }) => field.values.length <= 1)) return ofSeries(frames, calc);
  const { times, columns, of } = together(frames);
  return {
    categories: times.slice(-MOST).map((time) => displayTime(time, utc)),
    series: of.map(({ field, title }, place) => series(title, columns[place]!.slice(-MOST), field.config, place)),
  };
}

function ofTable(frame: Frame, wanted: string, utc: boolean): Bars {
  const x =
    frame.fields.find((each) => wanted && titleOf(each, frame) === wanted) ??
    frame.fields.find(({ kind }) => kind === "text") ??
    frame.fields[0]!;
  const name = (value: unknown) =>
    x.kind === "time" ? displayTime(value as number, utc) : display((value ?? "") as string, x.config).text;
  const shown = frame.fields.filter(
    (each) => each.kind === "number" && each !== x && !bool(at(each.config.custom, "hideFrom.viz")),
  );
  return {
    categories: x.values.slice(0, MOST).map(name),
    series: shown.map((each, place) =>
      series(titleOf(each, frame), each.values.slice(0, MOST) as (number | null)[], each.config, place),
    ),
  };
}

function ofSeries(frames: readonly Frame[], calc: string): Bars {
  const all = numbers(frames).slice(0, MOST);
  const config = all[0]?.field.config;
  if (!config) return { categories: [], series: [] };
  const values = all.map(({ field }) => reduced(field.values, calc || "lastNotNull"));
  return { categories: all.map(({ title }) => title), series: [series("value", values, config, 0)] };
}

function series(name: string, values: readonly (number | null)[], config: FieldConfig, place: number): BarSeries {
  return { name, values, config, colour: seriesColour(config, place, reduced(values)) };
}

export type Stacking = "none" | "normal" | "percent";

/** From where to where each bar goes, `[category][series]`; null where there is nothing. */
export function extents(
  { categories, series: all }: Bars,
  stacking: Stacking,
): readonly (readonly (readonly [number, number] | null)[])[] {
  return categories.map((_, category) => {
    const values = all.map(({ values: each }) => each[category] ?? null);
    if (stacking === "none") return values.map((value) => (value === null ? null : [0, value]));
    const total = values.reduce<number>((sum, value) => sum + Math.abs(value ?? 0), 0);
    let [above, below] = [0, 0];
    return values.map((value) => {
      if (value === null) return null;
      const part = stacking === "percent" ? (total ? (100 * value) / total : 0) : value;
      const from = part < 0 ? below : above;
      if (part < 0) below += part;
      else above += part;
      return [from, from + part];
    });
  });
}

/** Marks of an axis that are round in `unit`: in one that counts in powers of 1024, of the largest that there is. */
export function axisMarks(low: number, high: number, most: number, unit = "none"): readonly number[] {
  if (!isBinary(unit)) return roundMarks(low, high, most);
  const power = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(Math.abs(low), Math.abs(high), 1)) / 10));
  return roundMarks(low / power, high / power, most).map((mark) => mark * power);
}

/** Round numbers from `low` to `high`, about `most` of them; the first and the last hold what is between. */
function roundMarks(low: number, high: number, most: number): readonly number[] {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= raw - 1e-12) ?? 10 * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, mark) => Number(((first + mark) * step).toPrecision(12)));
}

/** The axis of bars: all of them, zero, and what is configured. */
export function axisOf(
  of: readonly (readonly (readonly [number, number] | null)[])[],
  config: FieldConfig,
  most: number,
): readonly number[] {
  const ends = of.flat().flatMap((bar) => bar ?? []);
  const low = config.min ?? Math.min(0, ...ends);
  const high = config.max ?? Math.max(...ends, low + 1e-9, 0);
  const marks = axisMarks(low, high, most, config.unit);
  const [least, greatest] = [maybe(config.min), maybe(config.max)];
  return marks.filter((mark) => (least === undefined || mark >= least) && (greatest === undefined || mark <= greatest));
}

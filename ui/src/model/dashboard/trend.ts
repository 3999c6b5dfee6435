/** A trend: numbers over another number, such as over a size or a place on a track, not over time. */

import type { Span } from "@/model/timerange";
import { called, titleOf } from "./frames";
import type { Field, Frame } from "./types";

/** What is drawn along, where it is no time. */
export interface Along {
  readonly name: string;
  readonly unit?: string;
  readonly decimals?: number;
}

export interface Trend {
  /** One frame; what is drawn along stands where times do. */
  readonly frames: readonly Frame[];
  readonly along: Along;
  readonly span: Span;
}

/** The numbers of the one frame over those of the field `by`, or of its first number; a text says why there is no trend. */
export function trendOf(frames: readonly Frame[], by: string): Trend | string {
  const [frame, ...more] = frames.filter(({ fields }) => fields.some(isNumber));
  if (!frame) return "There are no numbers.";
  if (more.length > 0) return `There are ${more.length + 1} answers: join them, with a transformation, into one.`;
  const x = by ? called(frame, by) : frame.fields.find(isNumber);
  if (!x || !isNumber(x)) return `There is no field of numbers “${by}”.`;
  const places = x.values as readonly (number | null)[];
  const rows = [...places.keys()]
    .filter((row) => Number.isFinite(places[row]))
    .toSorted((one, other) => places[one]! - places[other]!);
  const inOrder = (each: Field): Field => ({ ...each, values: rows.map((row) => each.values[row] ?? null) });
  const others = frame.fields
    .filter((each) => isNumber(each) && each !== x)
    .map((each) => ({ ...inOrder(each), legend: titleOf(each, frame) }));
  if (rows.length === 0 || others.length === 0) return `There are no numbers over “${titleOf(x, frame)}”.`;
  const { unit, decimals, min = places[rows[0]!]!, max = places[rows.at(-1)!]! } = x.config;
  return {
    frames: [{ ...frame, form: "series", fields: [{ ...inOrder(x), kind: "time" }, ...others] }],
    along: { name: titleOf(x, frame), unit, decimals },
    span: min < max ? { start: min, end: max } : { start: min - 1, end: min + 1 },
  };
}

function isNumber({ kind }: Field): boolean {
  return kind === "number";
}

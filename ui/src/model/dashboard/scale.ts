/**
 * An axis of numbers for a cloud of points: from where to where it goes, its marks, and where on it a number is. Pure.
 */

import { axisMarks } from "./bars";
import { at, num, object } from "./options";
import type { FieldConfig } from "./types";

export interface Scale {
  readonly marks: readonly number[];
  /** From 0 at the lower end to 1 at the upper one. */
  readonly share: (value: number) => number;
}

/** An axis for `values` with about `most` marks; of one that is logarithmic nothing at zero or below has a place. */
export function scaleOf(values: readonly number[], config: FieldConfig, most: number): Scale {
  const base = logOf(config);
  return base === undefined ? linear(values, config, most) : logarithmic(values, config, most, base);
}

/** The base of the logarithm by which a field is drawn; undefined where it is drawn evenly. */
export function logOf(config: FieldConfig): 2 | 10 | undefined {
  const { type, log } = object(at(config.custom, "scaleDistribution"));
  if (type !== "log") return undefined;
  return num(log, 10) === 2 ? 2 : 10;
}

function linear(values: readonly number[], config: FieldConfig, most: number): Scale {
  const [low, high] = endsOf(values, config);
  return {
    marks: axisMarks(low, high, most, config.unit).filter((mark) => mark >= low && mark <= high),
    share: (value) => (value - low) / (high - low),
  };
}

interface Ends {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

const AIR = 0.05; // of what is drawn, around it

/** The ends of an axis for `values`, the first below the second: what is configured, also beside all of them, or around them. */
export function endsOf(values: readonly number[], { min, max }: Ends): readonly [number, number] {
  const [least, greatest] = extremes(values);
  const air = (greatest - least) * AIR || beside(greatest);
  const [low, high] = [min ?? least - air, max ?? greatest + air];
  if (low < high) return [low, high];
  return min === undefined ? [high - beside(high), high] : [low, low + beside(low)];
}

const beside = (value: number) => Math.abs(value) * AIR || 1;

function logarithmic(values: readonly number[], { min, max }: Ends, most: number, base: 2 | 10): Scale {
  const of = base === 2 ? Math.log2 : Math.log10;
  const above = (end: number | undefined) => (end !== undefined && end > 0 ? of(end) : undefined);
  // Powers have their ends as numbers have theirs; an end at zero or below is none.
  const [low, high] = endsOf(values.filter((value) => value > 0).map(of), { min: above(min), max: above(max) });
  return {
    marks: powers(low, high, Math.max(2, most), base),
    share: (value) => (of(value) - low) / (high - low),
  };
}

/** Powers of `base` between two powers, not all of them where they are many; where they are few what lies between, too. */
function powers(low: number, high: number, most: number, base: 2 | 10): readonly number[] {
  const every = Math.max(1, Math.ceil((high - low) / most));
  const first = Math.ceil(low / every - 1e-9) * every;
  const whole = Array.from({ length: Math.max(0, Math.floor((high - first) / every + 1e-9) + 1) }, (_, place) =>
    power(base, first + place * every),
  );
  if (whole.length > 1) return whole;
  const [from, to] = [base ** low, base ** high];
  return axisMarks(from, to, most).filter((mark) => mark >= from && mark <= to);
}

/** 10 ** -2 as 0.01. */
const power = (base: number, exponent: number) => Number((base ** exponent).toPrecision(12));

function extremes(values: readonly number[]): readonly [number, number] {
  return [
    values.reduce((one, other) => Math.min(one, other), Number.POSITIVE_INFINITY),
    values.reduce((one, other) => Math.max(one, other), Number.NEGATIVE_INFINITY),
  ];
}

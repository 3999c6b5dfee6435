/** Single numbers out of frames, as stat, gauge, bar gauge and pie panels show them. */

import { type Displayed, display, statColour } from "./display";
import { numbers, titleOf } from "./frames";
import type { Spot } from "./links";
import { at, bool, num, text, texts } from "./options";
import { pattern } from "./pattern";
import { reduced } from "./reduce";
import type { Cell, Field, FieldConfig, Frame, Json } from "./types";

export interface Figure {
  readonly title: string;
  readonly value: number | null;
  readonly shown: Displayed;
  readonly colour: string;
  readonly config: FieldConfig;
  /** The course behind the number. */
  readonly course: readonly (number | null)[];
  /** What its links are about. */
  readonly spot: Spot;
}

/** A figure for each field of numbers; for each row where the panel shows all values; texts where fields are named. */
export function figures(frames: readonly Frame[], options: Json): readonly Figure[] {
  const calc = texts(at(options, "reduceOptions.calcs"))[0] ?? "lastNotNull";
  const wanted = text(at(options, "reduceOptions.fields"));
  if (bool(at(options, "reduceOptions.values"))) {
    return frames.flatMap((frame) => rows(frame, num(at(options, "reduceOptions.limit"), 25), wanted));
  }
  const by = wanted && wanted !== "/.*/" ? pattern(wanted, { whole: true }) : null;
  const words = wanted
    ? frames.flatMap((frame) =>
        frame.fields.flatMap((each) => {
          const title = titleOf(each, frame);
          return each.kind === "text" && (!by || by.test(title)) ? [word(each, title, frame)] : [];
        }),
      )
    : [];
  const counted = numbers(frames).filter(({ title, field }) => !by || by.test(title) || by.test(field.name));
  return [
    ...words,
    ...counted.map(({ title, field, frame }, place) => {
      const value = reduced(field.values, calc);
      return figure(title, value, place, { field, frame, value }, field.values as (number | null)[]);
    }),
  ];
}

function figure(
  title: string,
  value: number | null,
  place: number,
  spot: Spot & { readonly field: Field },
  course: readonly (number | null)[] = [],
): Figure {
  const { config } = spot.field;
  return {
    title,
    value,
    shown: display(value, config),
    colour: statColour(value, config, place),
    config,
    course,
    spot,
  };
}

function word(field: Field, title: string, frame: Frame): Figure {
  const { values, config } = field;
  const last: Cell = values.at(-1) ?? null;
  const shown = display(last, config);
  return { title, value: null, shown, colour: shown.colour, config, course: [], spot: { field, frame } };
}

function rows(frame: Frame, most: number, wanted: string): Figure[] {
  const name = frame.fields.find(({ kind }) => kind === "text");
  const by = wanted ? pattern(wanted, { whole: true }) : null;
  return frame.fields
    .filter((each) => each.kind === "number" && (!by || by.test(titleOf(each, frame))))
    .flatMap((each) =>
      each.values.slice(0, most).map((value, row) => {
        const title = name ? String(name.values[row] ?? "") : titleOf(each, frame);
        return figure(title, typeof value === "number" ? value : null, row, { field: each, frame, row });
      }),
    );
}

/** The least and the most a figure's scale goes to: configured, or that of all figures. */
export function scale(of: readonly Figure[], config: FieldConfig): readonly [number, number] {
  const known = of.flatMap(({ value }) => (value === null || Number.isNaN(value) ? [] : [value]));
  const percent = config.unit === "percent" ? 100 : config.unit === "percentunit" ? 1 : undefined;
  const low = config.min ?? Math.min(0, ...known);
  const high = config.max ?? percent ?? Math.max(...known, low + 1e-9);
  return [low, high > low ? high : low + 1];
}

/**
 * Values over time as states: what each series was from when to when (state timelines), or at each time it was looked at
 * (status histories). A state is what a value is shown as: its mapping, its text, its level.
 */

import { display, stateColour } from "./display";
import { titleOf } from "./frames";
import { bool, maybe } from "./options";
import type { Cell, Field, FieldConfig, Frame } from "./types";

/** A state that held from one moment to another, in Unix seconds. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly text: string;
  readonly colour: string;
}

export interface StateRow {
  readonly title: string;
  readonly stretches: readonly Stretch[];
}

/** The states of every field that has values over time; with `merged` equal ones that follow each other are one. */
export function stateRows(frames: readonly Frame[], end: number, merged: boolean): readonly StateRow[] {
  return frames.flatMap((frame) => {
    const times = (frame.fields.find(({ kind }) => kind === "time")?.values ?? []) as readonly number[];
    return frame.fields
      .filter(({ kind, config }) => kind !== "time" && !hidden(config))
      .map((field) => ({ title: titleOf(field, frame), stretches: stretches(field, times, end, merged) }));
  });
}

function hidden({ custom }: FieldConfig): boolean {
  return custom.hideFrom instanceof Object && bool((custom.hideFrom as Record<string, unknown>).viz);
}

function stretches(field: Field, times: readonly number[], end: number, merged: boolean): readonly Stretch[] {
  const { config, values } = field;
  const step = least(times) || end - (times[0] ?? end);
  const bridged = config.custom.spanNulls === true ? Number.POSITIVE_INFINITY : (maybe(config.custom.spanNulls) ?? 0);
  const made: Stretch[] = [];
  times.forEach((from, at) => {
    const value = values[at] ?? null;
    const last = made.at(-1);
    if (!shownAsState(value, config)) {
      // Grafana's threshold is in milliseconds: a shorter gap is none.
      if (last && last.to === from && from + step - lastKnown(times, values, at) <= bridged / 1000)
        made[made.length - 1] = { ...last, to: Math.min(from + step, end) };
      return;
    }
    const to = Math.min(times[at + 1] ?? from + step, end);
    const state = { from, to: Math.max(to, from), ...shown(value, config) };
    const same = last && last.to === from && last.text === state.text && last.colour === state.colour;
    if (merged && same) made[made.length - 1] = { ...last, to: state.to };
    else made.push(state);
  });
  return made;
}

/** Nothing is a state where a mapping gives it a name. */
function shownAsState(value: Cell, config: FieldConfig): boolean {
  return value !== null || config.mappings.some(({ type, match }) => type === "special" && match.startsWith("null"));
}

function shown(value: Cell, config: FieldConfig): { text: string; colour: string } {
  const { text } = display(value, config);
  return { text, colour: stateColour(value, text, config) };
}

function lastKnown(times: readonly number[], values: readonly Cell[], before: number): number {
  const at = values.slice(0, before).findLastIndex((value) => value !== null);
  return at < 0 ? Number.NEGATIVE_INFINITY : times[at]!;
}

function least(times: readonly number[]): number {
  let step = 0;
  for (let at = 1; at < times.length; at++) {
    const gap = times[at]! - times[at - 1]!;
    if (gap > 0 && (step === 0 || gap < step)) step = gap;
  }
  return step;
}

/** Every state that occurs, once, in the order they come. */
export function states(rows: readonly StateRow[]): readonly { text: string; colour: string }[] {
  const all = rows.flatMap(({ stretches: each }) => each.map(({ text, colour }) => ({ text, colour })));
  return [...new Map(all.map((state) => [`${state.text} ${state.colour}`, state])).values()];
}

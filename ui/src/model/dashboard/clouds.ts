/**
 * Points of two numbers each, as panels of type `xychart` have them: which fields are x and y, and which say how large a point is
 * and of what colour. The options are those of Grafana 11.1 and later, or of before.
 */

import { seriesColour, statColour } from "./display";
import { matches } from "./fieldconfig";
import { titleOf } from "./frames";
import { bool, list, maybe, num, object, objects, text } from "./options";
import { logOf } from "./scale";
import type { Field, Frame, Json } from "./types";

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly width: number; // pixels
  readonly colour: string;
  /** The row of its frame. */
  readonly row: number;
}

export interface Cloud {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly Point[];
  readonly frame: Frame;
  readonly x: Field;
  readonly y: Field;
  readonly shows: { readonly points: boolean; readonly line: boolean; readonly fill: number };
}

type Says = (field: Field, frame: Frame) => boolean;

/** Which fields one series of the options is made of; null: the first that are left. */
interface Wanted {
  readonly frame: number | undefined;
  readonly x: Says | null;
  readonly y: Says | null;
  readonly size: Says | null;
  readonly colour: Says | null;
  readonly name: string;
}

/** A cloud for each y: of each series of the options, or of each number beside the first of each frame. */
export function cloudsOf(frames: readonly Frame[], options: Json): readonly Cloud[] {
  const manual = (options.mapping ?? options.seriesMapping) === "manual";
  const series = objects(options.series).map(wanted);
  const all = manual ? series : [automatic(options, series[0])];
  const parts = all.flatMap((each) =>
    frames.flatMap((frame, at) => (each.frame === undefined || each.frame === at ? partsOf(frame, each, manual) : [])),
  );
  return parts.map(cloud);
}

function wanted(json: Json): Wanted {
  return {
    frame: maybe(json.frame) ?? maybe(object(object(json.frame).matcher).options),
    x: said(json.x),
    y: said(json.y),
    size: said(json.size ?? json.pointSize),
    colour: said(json.color ?? json.pointColor),
    name: text(object(json.name).fixed) || text(json.name),
  };
}

/** What is said of all series, where no single ones are named. */
function automatic(options: Json, first: Wanted = wanted({})): Wanted {
  const dims = object(options.dims);
  const left = list(dims.exclude).map(String);
  const y: Says | null = left.length ? (field, frame) => !left.includes(titleOf(field, frame)) : null;
  return { ...first, frame: first.frame ?? maybe(dims.frame), x: first.x ?? said(dims.x), y: first.y ?? y };
}

/** A field by its name, or by a matcher of Grafana's. */
function said(of: unknown): Says | null {
  const name = text(of) || text(object(of).field);
  const { id, options } = name ? { id: "byName", options: name } : object(object(of).matcher);
  if (!text(id)) return null;
  return (field, frame) => matches(text(id), options, field, titleOf(field, frame), frame.refId);
}

interface Part extends Pick<Cloud, "frame" | "x" | "y" | "name"> {
  readonly size: Field | undefined;
  readonly coloured: Field | undefined;
}

function partsOf(frame: Frame, by: Wanted, manual: boolean): Part[] {
  const numbers = frame.fields.filter(({ kind }) => kind === "number");
  const found = (of: Says | null, ...taken: (Field | undefined)[]) =>
    of ? numbers.find((field) => !taken.includes(field) && of(field, frame)) : undefined;
  const x = by.x ? found(by.x) : numbers[0];
  if (!x) return [];
  const coloured = found(by.colour, x);
  const size = found(by.size, x, coloured);
  const ys = numbers.filter(
    (field) =>
      field !== x &&
      (manual || (field !== coloured && field !== size)) &&
      (by.y?.(field, frame) ?? true) &&
      !bool(object(field.config.custom.hideFrom).viz),
  );
  return (manual ? ys.slice(0, 1) : ys).map((y) => ({
    frame,
    x,
    y,
    size,
    coloured,
    name: by.name || titleOf(y, frame),
  }));
}

function cloud({ size, coloured, ...part }: Part, place: number): Cloud {
  const { x, y } = part;
  const { show, pointSize, fillOpacity } = y.config.custom;
  const colour = seriesColour(y.config, place, null);
  const widthAt = widths(size, object(pointSize));
  const points = x.values.flatMap((left, row): Point[] => {
    const [up, value] = [y.values[row], coloured?.values[row]];
    if (typeof left !== "number" || typeof up !== "number" || !Number.isFinite(left) || !Number.isFinite(up)) return [];
    const own = coloured && typeof value === "number" ? statColour(value, coloured.config, place) : "";
    return [{ x: left, y: up, width: widthAt(row), colour: own || colour, row }];
  });
  const shows = { points: show !== "lines", line: text(show).includes("lines"), fill: num(fillOpacity, 50) / 100 };
  return { ...part, colour, points, shows };
}

/** `clouds` with at most `most` points: as many of each, and what small ones leave goes to the others. */
export function thinned(clouds: readonly Cloud[], most: number): readonly Cloud[] {
  const taken = shares(
    clouds.map(({ points }) => points.length),
    most,
  );
  return clouds.map((each, place) => ({ ...each, points: each.points.slice(0, taken[place]) }));
}

function shares(sizes: readonly number[], most: number): readonly number[] {
  const taken = sizes.map(() => 0);
  let left = most;
  const smallestFirst = sizes.map((size, place) => ({ size, place })).sort((one, other) => one.size - other.size);
  for (const [done, { size, place }] of smallestFirst.entries()) {
    taken[place] = Math.min(size, Math.ceil(left / (sizes.length - done)));
    left -= taken[place];
  }
  return taken;
}

/** `clouds` without the points that have no place on an axis of logarithms, being at zero or below it; and how many those are. */
export function placed(clouds: readonly Cloud[]): { readonly clouds: readonly Cloud[]; readonly without: number } {
  const [first] = clouds;
  if (!first) return { clouds, without: 0 };
  const [x, y] = [logOf(first.x.config), logOf(first.y.config)];
  const has = (point: Point) => (!x || point.x > 0) && (!y || point.y > 0);
  const kept = clouds.map((each) => ({ ...each, points: each.points.filter(has) }));
  return { clouds: kept, without: counted(clouds) - counted(kept) };
}

export const counted = (clouds: readonly Cloud[]) => clouds.reduce((sum, { points }) => sum + points.length, 0);

const [SMALL, LARGE, USUAL] = [5, 25, 5]; // pixels

/** How wide the point of a row is: as the field says, between the least and the most. */
function widths(of: Field | undefined, json: Json): (row: number) => number {
  const fixed = num(json.fixed, USUAL);
  const known = (of?.values ?? []).filter(
    (value): value is number => typeof value === "number" && Number.isFinite(value),
  );
  if (!of || known.length === 0) return () => fixed;
  const [low, high] = [num(json.min, SMALL), num(json.max, LARGE)];
  const least = known.reduce((one, other) => Math.min(one, other));
  const most = known.reduce((one, other) => Math.max(one, other));
  return (row) => {
    const value = of.values[row];
    if (typeof value !== "number" || !Number.isFinite(value)) return fixed;
    return low + ((value - least) / (most - least || 1)) * (high - low);
  };
}

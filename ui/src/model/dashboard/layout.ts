/** Which panels stand where once rows are open or shut and panels are repeated for the values of their variable. */

import type { Chosen, Panel, Place } from "./types";

/** A row's head with the panels under it; the first section may have no head. */
export interface Section {
  readonly row: Panel | null;
  readonly panels: readonly Panel[];
}

/** What has a number and a place. */
export interface Placed {
  readonly id: number;
  readonly place: Place;
}

const COLUMNS = 24;

/** Panels in reading order, cut at rows; rows and panels repeated. `open` overrides what a dashboard says of its rows. */
export function sections(
  panels: readonly Panel[],
  chosen: Readonly<Record<string, Chosen>>,
  open: Readonly<Record<number, boolean>> = {},
): readonly Section[] {
  const ordered = panels.toSorted((a, b) => a.place.y - b.place.y || a.place.x - b.place.x);
  const cut: { row: Panel | null; panels: Panel[] }[] = [{ row: null, panels: [] }];
  for (const panel of ordered) {
    if (panel.type === "row") cut.push({ row: panel, panels: panel.shut ? [...panel.inside] : [] });
    else cut.at(-1)!.panels.push(panel);
  }
  return cut
    .filter(({ row, panels: own }) => row !== null || own.length > 0)
    .flatMap((section) => rowsFor(section, chosen))
    .map(({ row, panels: own }) => {
      const shut = row !== null && !(open[row.id] ?? !row.shut);
      return { row: row && { ...row, shut }, panels: shut ? [] : packed(own, { ...chosen, ...row?.scoped }) };
    });
}

/** A repeated row stands once for each value, with the panels of it. */
function rowsFor(section: Section, chosen: Readonly<Record<string, Chosen>>): Section[] {
  const { row, panels } = section;
  const values = row?.repeat ? eachOf(chosen[row.repeat.variable]) : null;
  if (!row || !values) return [section];
  return values.map((value, at) => {
    const scoped = { [row.repeat!.variable]: value };
    return {
      row: { ...row, id: numbered(row.id, at), scoped },
      panels: panels.map((panel) => ({ ...panel, id: numbered(panel.id, at), scoped })),
    };
  });
}

function eachOf(of: Chosen | undefined): readonly Chosen[] | null {
  if (!of) return null;
  return of.values.map((value, at) => ({ values: [value], texts: [of.texts[at] ?? value], all: false }));
}

function numbered(id: number, at: number): number {
  return at === 0 ? id : id * 1000 + at;
}

/** Panels in their section; a repeated one pushes down what stands below it. */
function packed(panels: readonly Panel[], chosen: Readonly<Record<string, Chosen>>): readonly Panel[] {
  const top = Math.min(...panels.map(({ place }) => place.y), Number.MAX_SAFE_INTEGER);
  const result: Panel[] = [];
  let pushed = 0;
  for (const panel of panels.toSorted((a, b) => a.place.y - b.place.y || a.place.x - b.place.x)) {
    const place = { ...panel.place, y: panel.place.y - top + pushed };
    const copies = repeated({ ...panel, place }, chosen);
    const lowest = Math.max(...copies.map((each) => each.place.y + each.place.h));
    pushed += Math.max(0, lowest - (place.y + place.h));
    result.push(...copies);
  }
  return compact(result);
}

/** No panel hangs in the air or lies on another one: each rests on what is above it, as Grafana lets them rise and give way. */
export function compact<T extends Placed>(panels: readonly T[]): readonly T[] {
  const edge = Array<number>(COLUMNS).fill(0); // how far down each column is taken
  return panels
    .toSorted((a, b) => a.place.y - b.place.y || a.place.x - b.place.x)
    .map((panel) => {
      const { x, w, h } = panel.place;
      const from = Math.min(x, COLUMNS - 1);
      const to = Math.min(COLUMNS, from + Math.max(1, w));
      const y = Math.max(...edge.slice(from, to));
      edge.fill(y + h, from, to);
      return { ...panel, place: { ...panel.place, y } };
    });
}

const [NARROWEST, LOWEST] = [2, 2];

/**
 * `all` with the one of that number at `to`. What it comes to lie on gives way downwards; what it is taken down past the middle of
 * rises above it.
 */
export function moved<T extends Placed>(all: readonly T[], id: number, to: Place): readonly T[] {
  const one = all.find((each) => each.id === id);
  if (!one) return all;
  const place = within(to);
  const others = all.filter((each) => each !== one).toSorted((a, b) => a.place.y - b.place.y || a.place.x - b.place.x);
  const passed = others.filter(
    ({ place: { x, y, w, h } }) =>
      beside({ x, w }, place) &&
      y >= one.place.y + one.place.h &&
      place.y > one.place.y &&
      place.y + place.h > y + h / 2,
  );
  const y = Math.max(place.y, ...passed.map((each) => each.place.y + each.place.h));
  const settled: T[] = [{ ...one, place: { ...place, y } }, ...passed];
  for (const each of others) {
    if (!passed.includes(each)) settled.push({ ...each, place: { ...each.place, y: freeBelow(each.place, settled) } });
  }
  return compact(settled);
}

/** How far down a place has to go to lie on none of `taken`. */
function freeBelow(place: Place, taken: readonly Placed[]): number {
  const under = taken.filter((each) => lies(each.place, place)).map((each) => each.place.y + each.place.h);
  return under.length === 0 ? place.y : freeBelow({ ...place, y: Math.max(...under) }, taken);
}

const beside = (one: Pick<Place, "x" | "w">, other: Pick<Place, "x" | "w">) =>
  one.x < other.x + other.w && other.x < one.x + one.w;
const lies = (one: Place, other: Place) => beside(one, other) && one.y < other.y + other.h && other.y < one.y + one.h;

/** A place that the grid has. */
function within({ x, y, w, h }: Place): Place {
  const wide = Math.min(COLUMNS, Math.max(NARROWEST, w));
  return { x: Math.min(COLUMNS - wide, Math.max(0, x)), y: Math.max(0, y), w: wide, h: Math.max(LOWEST, h) };
}

export type Step = "left" | "right" | "up" | "down" | "narrower" | "wider" | "lower" | "taller";

/** Where one comes to stand by a step: sideways by a column, up and down past the next one; null when there is no such one. */
export function stepped(all: readonly Placed[], id: number, step: Step): Place | null {
  const place = all.find((each) => each.id === id)?.place;
  if (!place) return null;
  const over = all.filter((each) => each.id !== id && beside(each.place, place)).map((each) => each.place);
  switch (step) {
    case "left":
      return within({ ...place, x: place.x - 1 });
    case "right":
      return within({ ...place, x: place.x + 1 });
    case "narrower":
      return within({ ...place, w: place.w - 1 });
    case "wider":
      return within({ ...place, w: Math.min(place.w + 1, COLUMNS - place.x) });
    case "lower":
      return within({ ...place, h: place.h - 1 });
    case "taller":
      return within({ ...place, h: place.h + 1 });
    case "up": {
      const above = over.filter(({ y }) => y < place.y).toSorted((a, b) => b.y - a.y)[0];
      return above ? { ...place, y: above.y } : null;
    }
    case "down": {
      const below = over.filter(({ y }) => y >= place.y + place.h).toSorted((a, b) => a.y - b.y)[0];
      return below ? { ...place, y: below.y + below.h } : null;
    }
  }
}

/** A panel once for each value of the variable it is repeated by: beside each other in lines, or below each other. */
export function repeated(panel: Panel, chosen: Readonly<Record<string, Chosen>>): readonly Panel[] {
  const values = panel.repeat ? eachOf(chosen[panel.repeat.variable]) : null;
  if (!panel.repeat || !values || values.length === 0) return [panel];
  const { variable, down, most } = panel.repeat;
  const inLine = down ? 1 : Math.max(1, Math.min(values.length, most));
  const width = down ? panel.place.w : Math.floor(COLUMNS / inLine);
  return values.map((value, at) => ({
    ...panel,
    id: numbered(panel.id, at),
    scoped: { ...panel.scoped, [variable]: value },
    place: {
      ...panel.place,
      x: down ? panel.place.x : (at % inLine) * width,
      y: panel.place.y + Math.floor(at / inLine) * panel.place.h,
      w: width,
    },
  }));
}

/** The panel of that number, also one within a row; of a copy that a repeat makes, what it is a copy of. */
export function originOf(panels: readonly Panel[], id: number): Panel | undefined {
  const all = panels.flatMap((panel) => [panel, ...panel.inside]);
  return all.find((panel) => panel.id === id) ?? all.find((panel) => panel.id === Math.floor(id / 1000));
}

const ROW = 30;
const GAP = 8;

/** How many columns and rows of the grid so many pixels are, of a grid so wide. */
export function cells(right: number, down: number, wide: number): readonly [number, number] {
  return [Math.round(right / ((wide + GAP) / COLUMNS)), Math.round(down / (ROW + GAP))];
}

/** Pixels from the top to the bottom of a place so many rows high. */
export function pixels(h: number): number {
  return h * (ROW + GAP) - GAP;
}

/** CSS of the place of a panel in the grid. */
export function gridStyle({ x, y, w, h }: Place): { gridColumn: string; gridRow: string } {
  const column = Math.max(0, Math.min(x, COLUMNS - 1));
  const width = Math.max(1, Math.min(w, COLUMNS - column));
  return { gridColumn: `${column + 1} / span ${width}`, gridRow: `${y + 1} / span ${h}` };
}

/**
 * The panels of a dashboard's JSON moved, resized, added, doubled and taken away. Every panel has a number and a place
 * (`editable` sees to it). A panel moves among those of its row, over its edge into the next one; rows below give way.
 */

import { everyPanel, withPanels } from "./edit";
import { compact, moved, type Placed, type Step, stepped } from "./layout";
import { bool, num, object, objects, text } from "./options";
import type { Json, Place } from "./types";

/** A row with the panels under it, their places counted from it; those within a shut row stand in its own list. */
interface Shelf {
  readonly row: Json | null;
  readonly panels: readonly Placed[];
  /** The numbers of those within the row's own list. */
  readonly inside: ReadonlySet<number>;
}

const placeOf = ({ gridPos }: Json): Place => {
  const { x, y, w, h } = object(gridPos);
  return { x: num(x, 0), y: num(y, 0), w: num(w, 12), h: num(h, 8) };
};

const placed = (panel: Json): Placed => ({ id: num(panel.id, 0), place: placeOf(panel) });
const byPlace = (a: Json, b: Json) => placeOf(a).y - placeOf(b).y || placeOf(a).x - placeOf(b).x;

function shelvesOf(dashboard: Json): readonly Shelf[] {
  const cut: { row: Json | null; panels: Placed[]; inside: Set<number> }[] = [
    { row: null, panels: [], inside: new Set() },
  ];
  for (const panel of objects(dashboard.panels).toSorted(byPlace)) {
    if (panel.type !== "row") cut.at(-1)!.panels.push(placed(panel));
    else {
      const own = bool(panel.collapsed) ? objects(panel.panels).map(placed) : [];
      cut.push({ row: panel, panels: own, inside: new Set(own.map(({ id }) => id)) });
    }
  }
  return cut.map((shelf) => ({ ...shelf, panels: compact(shelf.panels) }));
}

/** `dashboard` with its panels where `shelves` have them, one below the other. */
function withShelves(dashboard: Json, shelves: readonly Shelf[]): Json {
  const places = new Map<number, Place>();
  let top = 0;
  for (const { row, panels, inside } of shelves) {
    if (row) places.set(num(row.id, 0), { x: 0, y: top++, w: 24, h: 1 });
    for (const { id, place } of panels) places.set(id, { ...place, y: place.y + top });
    top = Math.max(top, ...panels.filter(({ id }) => !inside.has(id)).map(({ place }) => place.y + top + place.h));
  }
  return withPanels(dashboard, (panel) => {
    const place = places.get(num(panel.id, 0));
    if (!place || same(place, placeOf(panel))) return panel;
    return { ...panel, gridPos: { ...object(panel.gridPos), ...place } };
  });
}

function same(one: Place, other: Place): boolean {
  return one.x === other.x && one.y === other.y && one.w === other.w && one.h === other.h;
}

/** The panel of that number with those of its row, where they stand under it. */
export function neighbours(dashboard: Json, id: number): readonly Placed[] {
  return shelvesOf(dashboard).find(({ panels }) => panels.some((each) => each.id === id))?.panels ?? [];
}

/** The panel of that number at `place`, counted from its row. */
export function arranged(dashboard: Json, id: number, place: Place): Json {
  return withShelves(
    dashboard,
    shelvesOf(dashboard).map((shelf) => ({ ...shelf, panels: moved(shelf.panels, id, place) })),
  );
}

/** The panel of that number one step on, as an arrow key moves or resizes it; from the edge of its row into the next. */
export function nudged(dashboard: Json, id: number, step: Step): Json {
  const place = stepped(neighbours(dashboard, id), id, step);
  if (place) return arranged(dashboard, id, place);
  return step === "up" || step === "down" ? crossed(dashboard, id, step) : dashboard;
}

/** The panel of that number at the end of the row above, or at the beginning of the one below; shut rows keep theirs. */
function crossed(dashboard: Json, id: number, step: "up" | "down"): Json {
  const shelves = shelvesOf(dashboard);
  const from = shelves.findIndex(({ panels }) => panels.some((each) => each.id === id));
  const to = step === "up" ? from - 1 : from + 1;
  const one = shelves[from]?.panels.find((each) => each.id === id);
  if (!one || !shelves[to] || shelves[from]!.inside.has(id) || bool(shelves[to].row?.collapsed)) return dashboard;
  const end = Math.max(0, ...shelves[to].panels.map(({ place }) => place.y + place.h));
  const place = { ...one.place, y: step === "up" ? end : 0 };
  return withShelves(
    dashboard,
    shelves.map((shelf, at) => {
      if (at === from) return { ...shelf, panels: compact(shelf.panels.filter((each) => each !== one)) };
      return at === to ? { ...shelf, panels: moved([...shelf.panels, { id, place }], id, place) } : shelf;
    }),
  );
}

/** A new panel above all others, and its number. */
export function added(dashboard: Json, panel: Json): readonly [Json, number] {
  const id = freeNumber(dashboard);
  const row = panel.type === "row";
  const made = { ...panel, id, gridPos: row ? { x: 0, y: 0, w: 24, h: 1 } : { x: 0, y: 0, w: 12, h: 8 } };
  const lower = withPanels(dashboard, (each) => each); // a list, whatever stood there
  if (row) {
    const headed = { ...lower, panels: [made, ...objects(lower.panels)] };
    return [withShelves(headed, shelvesOf(headed)), id];
  }
  const [first, ...rest] = shelvesOf(lower);
  const shelf = { ...first!, panels: moved([...first!.panels, { id, place: made.gridPos }], id, made.gridPos) };
  return [withShelves({ ...lower, panels: [made, ...objects(lower.panels)] }, [shelf, ...rest]), id];
}

/** The panel of that number once more, beside it where there is room, otherwise below; and the number of the new one. */
export function duplicated(dashboard: Json, id: number): readonly [Json, number] {
  const one = everyPanel(dashboard).find((panel) => panel.id === id);
  const at = neighbours(dashboard, id).find((each) => each.id === id)?.place;
  if (!one || !at) return [dashboard, id];
  const free = freeNumber(dashboard);
  const place = at.x + 2 * at.w <= 24 ? { ...at, x: at.x + at.w } : { ...at, y: at.y + at.h };
  const copy = { ...one, id: free, title: text(one.title) && `${text(one.title)} (copy)` };
  const both = (panels: readonly Json[]): Json[] =>
    panels.flatMap((panel) => {
      if (panel.id === id) return [panel, copy];
      return [
        panel.type === "row" && Array.isArray(panel.panels) ? { ...panel, panels: both(objects(panel.panels)) } : panel,
      ];
    });
  const made = { ...dashboard, panels: both(objects(dashboard.panels)) };
  return [arranged(made, free, place), free];
}

/** Without the panel of that number; what stood below rises. The panels of a row that goes are those of the row above. */
export function removed(dashboard: Json, id: number): Json {
  const freed = objects(dashboard.panels).flatMap((panel) =>
    panel.id === id && panel.type === "row" ? [panel, ...objects(panel.panels)] : [panel],
  );
  const left = withPanels({ ...dashboard, panels: freed }, (panel) => (panel.id === id ? null : panel));
  return withShelves(left, shelvesOf(left));
}

function freeNumber(dashboard: Json): number {
  return Math.max(0, ...everyPanel(dashboard).map(({ id }) => num(id, 0))) + 1;
}

/** The panels of a dashboard's JSON, to be changed one by one; all that is not changed stays as it was written. */

import { modern } from "./legacy";
import { list, maybe, object, objects, text } from "./options";
import { panelsOf, readDashboard } from "./read";
import type { Json } from "./types";

/**
 * `dashboard` with a number and a place for every panel, in the one list that Grafana has now (rows of schema 15 and before,
 * and the plan's YAML, have neither). One that has all of it is given back as it is.
 */
export function editable(dashboard: Json): Json {
  const read = readDashboard(dashboard).panels;
  const numbered = numbers();
  const panels = panelsOf(dashboard).map((panel, at) => {
    const { id, place, inside } = read[at]!;
    const within = objects(panel.panels);
    const own = within.map((each, row) => completed(each, numbered(inside[row]?.id ?? 0), { ...inside[row]?.place }));
    const made = completed(panel, numbered(id), { ...place });
    return own.every((each, row) => each === within[row]) ? made : { ...made, panels: own };
  });
  const before = list(dashboard.panels);
  if (panels.length === before.length && panels.every((each, at) => each === before[at])) return dashboard;
  const { rows: _, ...rest } = dashboard;
  return { ...rest, panels };
}

function completed(panel: Json, id: number, gridPos: Json): Json {
  const placed = (maybe(object(panel.gridPos).w) ?? 0) > 0;
  if (placed && panel.id === id) return panel;
  return { ...panel, id, gridPos: placed ? panel.gridPos : { ...gridPos, w: gridPos.w || 12 } };
}

/** Gives numbers that nobody has had. */
function numbers(): (wanted: number) => number {
  const taken = new Set<number>();
  return (wanted) => {
    const id = wanted > 0 && !taken.has(wanted) ? wanted : Math.max(1000, ...taken) + 1;
    taken.add(id);
    return id;
  };
}

/** All panels and rows, those within shut rows too. */
export function everyPanel(dashboard: Json): readonly Json[] {
  return objects(dashboard.panels).flatMap((panel) => [panel, ...objects(panel.panels)]);
}

/** The panel of that number in its present form (`graph` is a `timeseries`); undefined when there is none. */
export function panelOf(dashboard: Json, id: number): Json | undefined {
  const found = everyPanel(dashboard).find((panel) => panel.id === id);
  if (!found) return undefined;
  const now = modern(found);
  if (now === found) return found;
  const { styles: _, dataFormat: __, ...rest } = now; // by which a table and a heatmap would be read as of old again
  return rest;
}

/** `dashboard` with each of its panels as `change` gives it; one that becomes null is left out. */
export function withPanels(dashboard: Json, change: (panel: Json) => Json | null): Json {
  const all = (panels: unknown): Json[] =>
    objects(panels).flatMap((panel) => {
      const made = change(panel);
      if (made === null) return [];
      return Array.isArray(made.panels) && made.type === "row" ? [{ ...made, panels: all(made.panels) }] : [made];
    });
  return { ...dashboard, panels: all(dashboard.panels) };
}

/** `dashboard` with `panel` in the place of that of its number. */
export function withPanel(dashboard: Json, panel: Json): Json {
  return withPanels(dashboard, (each) => (each.id === panel.id ? panel : each));
}

/** Whether what a panel asks for is another question: what it only draws otherwise can be drawn at once. */
export function asksOther(before: Json, after: Json): boolean {
  const asked = ({ datasource, targets, interval, maxDataPoints, timeFrom, timeShift }: Json) =>
    JSON.stringify([datasource, targets, interval, maxDataPoints, timeFrom, timeShift]);
  return asked(before) !== asked(after);
}

/** What is written for a dashboard that somebody begins. */
export const BLANK: Json = {
  title: "New dashboard",
  tags: [],
  schemaVersion: 39,
  time: { from: "now-1h", to: "now" },
  panels: [],
  templating: { list: [] },
};

/** Why a text of JSON is no list of objects (transformations, overrides, variables); empty where it is one. */
export function faultOfList(written: string, each: string): string {
  let read: unknown;
  try {
    read = JSON.parse(written);
  } catch (error) {
    return `no JSON: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (!Array.isArray(read)) return `a list is wanted: [ … ], of ${each}`;
  const wrong = read.findIndex((one) => typeof one !== "object" || one === null || Array.isArray(one));
  return wrong < 0
    ? ""
    : `number ${wrong + 1} is no object ({ … }): ${text(read[wrong]) || JSON.stringify(read[wrong])}`;
}

/** What a table says beyond its cells: how a cell is drawn, how it is sorted at first, what stands at its foot. */

import { display } from "./display";
import { titleOf } from "./frames";
import { at, bool, num, object, objects, text, texts } from "./options";
import { calcName, reduced } from "./reduce";
import type { Cell, Field, FieldConfig, Frame, Json } from "./types";

export type CellKind = "auto" | "text-colour" | "background" | "gauge" | "json";

/** How the cells of a field are drawn; of the present form (`cellOptions`) or that of before version 9.3 (`displayMode`). */
export function cellKind({ custom }: FieldConfig): CellKind {
  const kind = text(at(custom, "cellOptions.type") ?? custom.displayMode, "auto");
  if (kind.startsWith("color-background")) return "background";
  if (kind === "color-text") return "text-colour";
  if (kind === "gauge" || kind === "basic" || kind.endsWith("-gauge")) return "gauge";
  return kind === "json-view" ? "json" : "auto";
}

/** The least and the most of a column. */
export function rangeOf({ config, values }: Field): readonly [number, number] {
  return [
    config.min ?? Math.min(0, reduced(values, "min") ?? 0),
    config.max ?? Math.max(0, reduced(values, "max") ?? 0),
  ];
}

/** How far a value is in the range of its column, from 0 to 1; null for what is no number. */
export function shareOf([low, high]: readonly [number, number], value: Cell): number | null {
  if (typeof value !== "number" || Number.isNaN(value)) return null;
  return high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
}

/** Titles that each stand once: those of the same words have blanks behind them, which nobody sees. */
export function toldApart(titles: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  const last = new Map<string, string>();
  return titles.map((title) => {
    let own = last.get(title) ?? title;
    while (taken.has(own)) own += " ";
    taken.add(own);
    last.set(title, own);
    return own;
  });
}

/** The column a table is sorted by at first, by its title; null where it says none. */
export function firstOrder(options: Json): { readonly title: string; readonly up: boolean } | null {
  const by = objects(options.sortBy)[0];
  return by ? { title: text(by.displayName), up: !bool(by.desc) } : null;
}

/** A text for each field, at the foot of a table: what its values are together; null where there is no foot. */
export function footOf(frame: Frame, options: Json): readonly string[] | null {
  const footer = object(options.footer);
  const common = bool(footer.show) ? texts(footer.reducer) : [];
  const only = texts(footer.fields);
  const count = common.includes("count") && bool(footer.countRows);
  const told = frame.fields.map((each, place) => {
    if (count) return place === 0 ? `Count: ${each.values.length}` : "";
    const own = texts(at(each.config.custom, "footer.reducers"));
    const wanted = only.length === 0 || only.includes(each.name) || only.includes(titleOf(each, frame));
    const calcs = own.length ? own : each.kind === "number" && wanted ? common : [];
    return calcs.map((calc) => summed(each, calc, calcs.length > 1)).join(" · ");
  });
  if (told.every((each) => each === "")) return null;
  return told[0] === "" && common.length > 0 ? [common.map(calcName).join(" · "), ...told.slice(1)] : told;
}

function summed(of: Field, calc: string, named: boolean): string {
  const value = reduced(of.values, calc);
  const shown = calc === "count" || calc === "distinctCount" ? String(num(value, 0)) : display(value, of.config).text;
  return named ? `${calcName(calc)} ${shown}` : shown;
}

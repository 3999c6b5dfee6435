/** A value as it is shown: its text by unit, decimals and mappings, its colour by mappings and thresholds. */

import { colourAt, colourOf, cssColour } from "@/model/colours";
import { dateTime } from "@/model/timerange";
import { format } from "@/model/units";
import { own } from "./options";
import { pattern } from "./pattern";
import type { Cell, FieldConfig, Mapping } from "./types";

export interface Displayed {
  readonly text: string;
  readonly colour: string; // CSS; empty where nothing says one
}

export function display(value: Cell | undefined, config: FieldConfig): Displayed {
  const mapping = config.mappings.find((each) => maps(each, value ?? null));
  const colour = mapping?.colour
    ? cssColour(mapping.colour)
    : typeof value === "number"
      ? levelColour(value, config)
      : "";
  return { text: mapped(mapping, value) ?? shown(value, config), colour };
}

/** What a mapping says; one by a pattern may take parts of the value: `$2-$1`. */
function mapped(mapping: Mapping | undefined, value: Cell | undefined): string | null {
  if (mapping?.type !== "regex" || mapping.text === null) return mapping?.text ?? null;
  const by = pattern(mapping.match, { whole: true });
  return by ? by.replace(String(value), mapping.text) : mapping.text;
}

function shown(value: Cell | undefined, { unit, decimals, noValue }: FieldConfig): string {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value)))
    return noValue ?? "–";
  if (typeof value === "number") return format(value, unit, decimals);
  return Array.isArray(value) ? "" : String(value);
}

/** A time in Unix seconds as it stands in a table. */
export function displayTime(value: Cell | undefined, utc: boolean): string {
  return typeof value === "number" ? dateTime(value, utc) : "";
}

function maps({ type, match, from, to }: Mapping, value: Cell): boolean {
  switch (type) {
    case "value":
      return (
        value !== null &&
        !Array.isArray(value) &&
        (String(value) === match || (typeof value === "number" && match !== "" && Number(match) === value))
      );
    case "range":
      return (
        typeof value === "number" &&
        value >= (from ?? Number.NEGATIVE_INFINITY) &&
        value <= (to ?? Number.POSITIVE_INFINITY)
      );
    case "regex":
      return typeof value === "string" && (pattern(match, { whole: true })?.test(value) ?? false);
    case "special":
      return special(match, value);
  }
}

function special(match: string, value: Cell): boolean {
  const nan = typeof value === "number" && Number.isNaN(value);
  switch (match) {
    case "null":
      return value === null;
    case "nan":
      return nan;
    case "null+nan":
      return value === null || nan;
    case "true":
    case "false":
      return value === (match === "true");
    default:
      return match === "empty" && value === "";
  }
}

/** The colour of the highest threshold a value has reached; of percentages between `min` and `max` where they are such. */
export function levelColour(value: number, config: FieldConfig): string {
  const { percent, steps } = config.thresholds;
  const [low, high] = [config.min ?? 0, config.max ?? 100];
  const compared = percent ? (100 * (value - low)) / (high - low || 1) : value;
  const reached = steps.findLast((step) => compared >= step.value) ?? steps[0];
  return reached ? cssColour(reached.colour) : "";
}

/** Thresholds as values of the field, also where they were percentages. */
export function levels({
  thresholds: { percent, steps },
  min = 0,
  max = 100,
}: FieldConfig): readonly { value: number; colour: string }[] {
  return steps.map(({ value, colour }) => ({
    value: percent && Number.isFinite(value) ? min + (value / 100) * (max - min) : value,
    colour: cssColour(colour),
  }));
}

const SHADES: Readonly<Record<string, readonly string[]>> = {
  "continuous-GrYlRd": ["#4da75d", "#d9a92a", "#dc4d52"],
  "continuous-RdYlGr": ["#dc4d52", "#d9a92a", "#4da75d"],
  "continuous-BlYlRd": ["#4a88d4", "#d9a92a", "#dc4d52"],
  "continuous-YlRd": ["#d9a92a", "#dc4d52"],
  "continuous-BlPu": ["#4a88d4", "#9a6bc9"],
  "continuous-YlBl": ["#d9a92a", "#4a88d4"],
  "continuous-blues": ["#c4daf5", "#2760a6"],
  "continuous-reds": ["#f9c3c5", "#b02a30"],
  "continuous-greens": ["#bfe8c3", "#2f7d3f"],
  "continuous-purples": ["#e0cff1", "#6f459a"],
};

/** The ways of Grafana's to colour by where a value is between min and max. */
export const SHADE_MODES: readonly string[] = Object.keys(SHADES);

/** The colour of series `at`: fixed, by its value (thresholds, a shade between min and max), or of the usual row. */
export function seriesColour(config: FieldConfig, at: number, last: number | null): string {
  const { mode, fixed } = config.colour;
  if (fixed && (mode === "fixed" || mode === "shades")) return cssColour(fixed);
  if (mode === "thresholds" && last !== null) return levelColour(last, config);
  const shades = own(SHADES, mode);
  if (shades && last !== null)
    return shade(shades, (last - (config.min ?? 0)) / ((config.max ?? 100) - (config.min ?? 0) || 1));
  return colourAt(at);
}

/** The colour at `share` (0 to 1) along `colours`. */
export function shade(colours: readonly string[], share: number): string {
  const place = Math.min(1, Math.max(0, share)) * (colours.length - 1);
  const at = Math.min(colours.length - 2, Math.floor(place));
  return `color-mix(in oklab, ${colours[at]} ${((1 - (place - at)) * 100).toFixed(1)}%, ${colours[at + 1]})`;
}

/** Colour of a single number: by mode; thresholds where the panel says nothing. */
export function statColour(value: number | null, config: FieldConfig, at: number): string {
  const mapped = config.mappings.find((each) => maps(each, value))?.colour;
  if (mapped) return cssColour(mapped);
  if (config.colour.mode && config.colour.mode !== "thresholds") return seriesColour(config, at, value);
  return value === null ? "" : levelColour(value, config);
}

/** Colour of a state: by mapping, by mode, by its level; a text that nothing is said of has the colour of its name. */
export function stateColour(value: Cell, text: string, config: FieldConfig): string {
  const mapped = config.mappings.find((each) => maps(each, value))?.colour;
  if (mapped) return cssColour(mapped);
  const { mode, fixed } = config.colour;
  if (mode === "fixed" && fixed) return cssColour(fixed);
  if (typeof value !== "number" || mode.startsWith("palette")) return colourOf(text);
  return own(SHADES, mode) ? seriesColour(config, 0, value) : levelColour(value, config);
}

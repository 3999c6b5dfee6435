/** The fields of a panel's form, read from its JSON and written into it; all else of the JSON stays as it was. */

import { readMappings } from "./fieldconfig";
import { at, maybe, object, objects, text, texts } from "./options";
import { FIELDS, GROUPS, type PanelField } from "./panelfields";
import type { Json, Mapping } from "./types";

/** What a field of the form has: of a list its texts, of thresholds and mappings their JSON; null where nothing is written. */
export type FieldValue = string | number | boolean | readonly string[] | Json | readonly Json[] | null;

export interface FieldGroup {
  readonly name: string;
  readonly fields: readonly PanelField[];
}

const OF_ROWS = ["title", "repeat"];

/** What is asked of a panel as it stands, by groups; a group that has nothing to ask is left out. */
export function formOf(panel: Json): readonly FieldGroup[] {
  const type = text(panel.type);
  const asked = ({ path, types, when }: PanelField) =>
    (type === "row" ? OF_ROWS.includes(path) : types === null || types.includes(type)) && holds(panel, type, when);
  return GROUPS.map(({ name, fields }) => ({ name, fields: fields.filter(asked) })).filter(
    ({ fields }) => fields.length > 0,
  );
}

function holds(panel: Json, type: string, when: PanelField["when"]): boolean {
  if (!when) return true;
  const [path, ...values] = when;
  const written = at(panel, path) ?? fieldAt(path, type)?.usual;
  return values.length === 0 ? Boolean(written) : values.some((value) => value === written);
}

function fieldAt(path: string, type: string): PanelField | undefined {
  return FIELDS.find((field) => field.path === path && (field.types === null || field.types.includes(type)));
}

/** What is written at the field, in the form of its kind; what is usual where nothing is, null where nothing is usual. */
export function valueAt(panel: Json, { path, kind, usual }: PanelField): FieldValue {
  const written = at(panel, path);
  switch (kind) {
    case "number":
      return maybe(written) ?? null; // what is usual is shown as a hint
    case "switch":
      return typeof written === "boolean" ? written : usual === true;
    case "calc":
      return texts(written)[0] ?? usual ?? null;
    case "several":
    case "words":
      return texts(written);
    case "thresholds":
      return object(written);
    case "mappings":
      return objects(written);
    default:
      return text(written) || (usual ?? null);
  }
}

/** `panel` with that value at the field; an empty one is taken out. */
export function withValue(panel: Json, { path, kind, numeric = false }: PanelField, value: FieldValue): Json {
  const empty = value === null || value === "" || (Array.isArray(value) && value.length === 0);
  const written = empty ? undefined : kind === "calc" ? [value] : numeric ? Number(value) : value;
  const whole =
    path.startsWith("fieldConfig.") && !Array.isArray(at(panel, "fieldConfig.overrides"))
      ? { ...panel, fieldConfig: { ...object(panel.fieldConfig), overrides: [] } }
      : panel;
  return put(whole, path.split("."), written);
}

function put(json: Json, [key, ...rest]: readonly string[], value: unknown): Json {
  if (rest.length > 0) {
    if (value === undefined && json[key!] === undefined) return json;
    return { ...json, [key!]: put(object(json[key!]), rest, value) };
  }
  if (value !== undefined) return { ...json, [key!]: value };
  const { [key!]: _, ...left } = json;
  return left;
}

/** `panel` as one of another type: it keeps what both draw and what nobody here knows; what only the former drew is taken out. */
export function retyped(panel: Json, type: string): Json {
  const former = text(panel.type);
  const lost = FIELDS.filter(
    ({ types, path }) => types?.includes(former) && !types.includes(type) && !fieldAt(path, type),
  );
  return { ...lost.reduce((made, field) => withValue(made, field, null), panel), type };
}

/** Mappings as Grafana writes them: values that follow each other in one (the same once more in another), ranges, patterns and special ones each in its own. */
export function writtenMappings(all: readonly Mapping[]): readonly Json[] {
  const made: Json[] = [];
  all.forEach(({ type, match, from, to, text: shown, colour, more }, index) => {
    const result = { ...more, ...(shown === null ? {} : { text: shown }), ...(colour ? { color: colour } : {}), index };
    const last = made.at(-1);
    if (type === "value" && last?.type === "value" && !Object.hasOwn(object(last.options), match)) {
      made[made.length - 1] = { type, options: { ...object(last.options), [match]: result } };
    } else if (type === "value") made.push({ type, options: { [match]: result } });
    else if (type === "range") made.push({ type, options: { from, to, result } });
    else if (type === "regex") made.push({ type, options: { pattern: match, result } });
    else made.push({ type, options: { match, result } });
  });
  return made;
}

export const mappingsOf = (value: FieldValue): readonly Mapping[] => readMappings(value);

/** A step of thresholds as it is written: the first has no value. */
export interface LevelStep {
  readonly value: number | null;
  readonly colour: string;
}

export function stepsOf(thresholds: FieldValue): readonly LevelStep[] {
  const steps = objects(object(thresholds).steps);
  if (steps.length === 0) return [{ value: null, colour: "green" }];
  return steps.map(({ value, color }, at) => ({
    value: at === 0 ? null : (maybe(value) ?? 0),
    colour: text(color, "green"),
  }));
}

/** Thresholds with these steps, in their order; what else is written of them stays. */
export function withSteps(thresholds: FieldValue, steps: readonly LevelStep[]): Json {
  const [base, ...others] = steps;
  const sorted = others.toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0));
  return {
    mode: "absolute",
    ...object(thresholds),
    steps: [
      { color: base?.colour ?? "green", value: null },
      ...sorted.map(({ value, colour }) => ({ color: colour, value })),
    ],
  };
}

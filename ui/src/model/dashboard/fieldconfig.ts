/** How the values of a field are shown: read from a panel's `fieldConfig`, with its overrides on the fields they match. */

import { readLink } from "./links";
import { list, maybe, num, object, objects, own, text } from "./options";
import { pattern } from "./pattern";
import { reduced } from "./reduce";
import type { Field, FieldConfig, Json, Mapping, Override, Threshold } from "./types";

export const NO_FIELD: FieldConfig = Object.freeze({
  mappings: [],
  thresholds: { percent: false, steps: [{ value: Number.NEGATIVE_INFINITY, colour: "green" }] },
  colour: { mode: "", fixed: "" },
  links: [],
  custom: {},
});

export function fieldConfig(json: Json): FieldConfig {
  return Object.entries(json).reduce((config, [id, value]) => withProperty(config, id, value), NO_FIELD);
}

export function overrides(json: unknown): readonly Override[] {
  return objects(json).map((each) => ({
    matcher: { id: text(object(each.matcher).id), options: object(each.matcher).options },
    properties: objects(each.properties).map(({ id, value }) => ({ id: text(id), value })),
  }));
}

/** `config` with one property of Grafana's; those of `custom` are kept by name. */
export function withProperty(config: FieldConfig, id: string, value: unknown): FieldConfig {
  switch (id) {
    case "unit":
    case "noValue":
    case "displayName":
      return { ...config, [id]: text(value) || undefined };
    case "decimals":
    case "min":
    case "max":
      return { ...config, [id]: maybe(value) };
    case "mappings":
      return { ...config, mappings: readMappings(value) };
    case "thresholds":
      return { ...config, thresholds: thresholds(object(value)) };
    case "color":
      return { ...config, colour: { mode: text(object(value).mode), fixed: text(object(value).fixedColor) } };
    case "links":
      return { ...config, links: objects(value).map(readLink) };
    case "custom":
      return { ...config, custom: { ...config.custom, ...object(value) } };
    default:
      return id.startsWith("custom.") ? { ...config, custom: withPath(config.custom, id.slice(7), value) } : config;
  }
}

function withPath(json: Json, path: string, value: unknown): Json {
  const [first, ...rest] = path.split(".");
  return { ...json, [first!]: rest.length ? withPath(object(json[first!]), rest.join("."), value) : value };
}

function thresholds(json: Json): FieldConfig["thresholds"] {
  const steps: Threshold[] = objects(json.steps).map(({ value, color }, at) => ({
    value: at === 0 && !maybe(value) ? Number.NEGATIVE_INFINITY : num(value, Number.NEGATIVE_INFINITY),
    colour: text(color, "green"),
  }));
  return {
    percent: json.mode === "percentage",
    steps: steps.length ? steps.toSorted((a, b) => a.value - b.value) : NO_FIELD.thresholds.steps,
  };
}

/** Mappings as Grafana writes them, each result on its own. */
export function readMappings(json: unknown): readonly Mapping[] {
  return objects(json).flatMap(mappings);
}

/** One mapping of Grafana's, of the present form or that of before version 8, as as many as it has results. */
function mappings(json: Json): Mapping[] {
  const options = object(json.options);
  const result = object(options.result);
  const none = { match: "", from: null, to: null };
  const shown = (of: Json) => ({ text: text(of.text) || null, colour: text(of.color) || null });
  const whole = ({ index: _, text: __, color: ___, ...more }: Json) => (Object.keys(more).length > 0 ? { more } : {});
  const all = (of: Json) => ({ ...shown(of), ...whole(of) });
  switch (json.type) {
    case "range":
      return [
        { ...none, type: "range", from: maybe(options.from) ?? null, to: maybe(options.to) ?? null, ...all(result) },
      ];
    case "regex":
      return [{ ...none, type: "regex", match: text(options.pattern), ...all(result) }];
    case "special":
      return [{ ...none, type: "special", match: text(options.match), ...all(result) }];
    case 2:
      return [{ ...none, type: "range", from: maybe(json.from) ?? null, to: maybe(json.to) ?? null, ...shown(json) }];
    case 1:
      return [{ ...none, type: json.value === "null" ? "special" : "value", match: text(json.value), ...shown(json) }];
    default: // the plan's YAML leaves the type out: they are values
      // By their index: an object has the keys that are whole numbers first, in their order.
      return Object.entries(options)
        .map(([match, of]) => [match, object(of)] as const)
        .toSorted(([, one], [, other]) => num(one.index, 0) - num(other.index, 0))
        .map(([match, of]) => ({ ...none, type: "value", match, ...all(of) }));
  }
}

/** The configuration of a field: the panel's, its own, and of the overrides those that match it. */
export function configured(
  field: Field,
  name: string,
  refId: string,
  base: FieldConfig,
  over: readonly Override[],
): FieldConfig {
  const own =
    field.config === NO_FIELD ? base : { ...base, ...field.config, custom: { ...base.custom, ...field.config.custom } };
  return over
    .filter(({ matcher }) => matches(matcher.id, matcher.options, field, name, refId))
    .flatMap(({ properties }) => properties)
    .reduce((config, { id, value }) => withProperty(config, id, value), own);
}

/** Whether a matcher of Grafana's is about this field. */
export function matches(id: string, options: unknown, field: Field, name: string, refId: string): boolean {
  const names = [name, field.name, field.legend ?? ""].filter(Boolean);
  switch (id) {
    case "byName":
      return names.includes(text(options) || text(object(options).options));
    case "byNames": {
      const wanted = list(object(options).names).map(String);
      const found = names.some((each) => wanted.includes(each));
      return object(options).mode === "exclude" ? !found : found;
    }
    case "byRegexp":
    case "byRegex":
      return said(text(options), names);
    case "byType":
      return typeName(field) === (text(options) || text(object(options).options));
    case "byTypes":
      return list(object(options).types ?? options).includes(typeName(field));
    case "byRegexpOrNames": {
      const wanted = list(object(options).names).map(String);
      const by = text(object(options).pattern);
      return names.some((each) => wanted.includes(each)) || (by !== "" && said(by, names));
    }
    case "byFrameRefID":
      return text(options) === refId;
    case "byValue":
      return field.kind === "number" && compares(reduced(field.values, text(object(options).reducer)), object(options));
    case "numeric":
      return field.kind === "number";
    case "time":
    case "firstTimeField":
      return field.kind === "time";
    case "any":
      return true;
    default:
      return false;
  }
}

function said(by: string, names: readonly string[]): boolean {
  const made = pattern(by, { whole: true });
  return made !== null && names.some((each) => made.test(each));
}

const OPERATORS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  eq: (a, b) => a === b,
  neq: (a, b) => a !== b,
  lt: (a, b) => a < b,
  lte: (a, b) => a <= b,
  gt: (a, b) => a > b,
  gte: (a, b) => a >= b,
};

function compares(found: number | null, { op, value }: Json): boolean {
  return found !== null && (own(OPERATORS, text(op))?.(found, Number(value)) ?? false);
}

function typeName({ kind }: Field): string {
  return kind === "text" ? "string" : kind;
}

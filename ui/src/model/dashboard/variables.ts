/** Variables of a dashboard: read from its JSON, what they may be set to, and what they are set to by an address. */

import type { Regex } from "@/model/regex";
import { durationSeconds, type Span } from "@/model/timerange";
import { named } from "./interpolate";
import { bool, list, num, object, objects, text } from "./options";
import { pattern } from "./pattern";
import { sourceKind } from "./read";
import type { Chosen, Json, Option, Variable, VariableType } from "./types";

export const ALL = "$__all";
const TYPES: readonly string[] = [
  "query",
  "custom",
  "interval",
  "constant",
  "textbox",
  "datasource",
  "adhoc",
  "switch",
];

export function readVariables(dashboard: Json): readonly Variable[] {
  return objects(object(dashboard.templating).list).map(readVariable);
}

function readVariable(json: Json): Variable {
  const type = text(json.type, "query");
  const query = object(json.query);
  const current = object(json.current);
  const values = list(current.value ?? []).length ? list(current.value) : [current.value];
  const texts = list(current.text ?? []).length ? list(current.text) : [current.text ?? current.value];
  const kind = sourceKind(json.datasource);
  return {
    name: text(json.name),
    label: text(json.label) || text(json.name),
    type: (TYPES.includes(type) ? type : "query") as VariableType,
    query: text(json.query) || text(query.query) || text(json.definition),
    kind,
    regex: text(json.regex),
    sort: num(json.sort, 0),
    multi: bool(json.multi),
    includeAll: bool(json.includeAll),
    allValue: text(json.allValue),
    hide: json.hide === 2 || json.hide === "hideVariable" ? "variable" : json.hide === 1 ? "label" : "",
    current: text(values[0])
      ? { values: values.map((each) => text(each)), texts: texts.map((each) => text(each)), all: values[0] === ALL }
      : null,
    options: objects(json.options).map((each) => ({ text: text(each.text), value: text(each.value) })),
    auto: bool(json.auto) ? { count: num(json.auto_count, 30), least: text(json.auto_min, "10s") } : null,
    missing: TYPES.includes(type) ? "" : `a variable of type ${type} cannot be chosen here`,
  };
}

/** What a variable of a query asks for: Grafana's functions over Prometheus. */
export type Question =
  | { readonly kind: "names"; readonly match: string }
  | { readonly kind: "values"; readonly label: string; readonly match: string }
  | { readonly kind: "metrics"; readonly pattern: string }
  | { readonly kind: "result"; readonly query: string }
  | { readonly kind: "series"; readonly match: string };

/** Reads `label_values(metric, label)`, `label_names()`, `metrics(pattern)`, `query_result(query)`, or a selector. */
export function question(query: string): Question {
  const plain = query.trim();
  const call = /^(label_values|label_names|metrics|query_result)\s*\(([\s\S]*)\)\s*$/.exec(plain);
  if (!call) return { kind: "series", match: plain };
  const inside = call[2]!.trim();
  if (call[1] === "label_names") return { kind: "names", match: inside };
  if (call[1] === "metrics") return { kind: "metrics", pattern: inside.replace(/^["']|["']$/g, "") };
  if (call[1] === "query_result") return { kind: "result", query: inside };
  const last = inside.lastIndexOf(","); // a comma of a selector stands before its closing brace
  const label = inside.slice(last + 1).trim();
  if (last < 0 || !/^[\w.]+$/.test(label)) return { kind: "values", label: inside, match: "" };
  return { kind: "values", label, match: inside.slice(0, last).trim() };
}

/** The options a variable has out of what its query gave: its regex (groups `text` and `value`), its order, no doubles. */
export function optionsOf(variable: Variable, found: readonly string[]): readonly Option[] {
  const by = pattern(variable.regex);
  const picked = variable.regex ? found.flatMap((each) => byRegex(by, each)) : found.map(plainOption);
  const unique = [...new Map(picked.map((option) => [option.value, option])).values()];
  return sorted(unique, variable.sort);
}

function plainOption(value: string): Option {
  return { text: value, value };
}

function byRegex(by: Regex | null, value: string): Option[] {
  const match = by?.exec(value);
  if (!match) return [];
  const { text: shown, value: meant } = match.groups ?? {};
  const first = match[1] ?? match[0];
  return [{ text: shown ?? meant ?? first, value: meant ?? shown ?? first }];
}

/** Grafana's orders: 1, 2 by letters; 3, 4 by number; 5, 6 by letters whatever their case; 7, 8 as people count. */
function sorted(options: readonly Option[], order: number): readonly Option[] {
  if (order < 1 || order > 8) return options;
  const sign = order % 2 === 1 ? 1 : -1;
  const by = Math.ceil(order / 2);
  const number = (value: string) => Number(/\d+(\.\d+)?/.exec(value)?.[0] ?? Number.NEGATIVE_INFINITY);
  const compare = (a: Option, b: Option) => {
    if (by === 2) return number(a.text) - number(b.text);
    if (by === 3) return a.text.toLowerCase().localeCompare(b.text.toLowerCase());
    if (by === 4) return a.text.localeCompare(b.text, undefined, { numeric: true });
    return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
  };
  return options.toSorted((a, b) => sign * compare(a, b));
}

/** `a, b : 1, c\,d` as options, where `text : value` tells them apart; also one on each line. */
export function customOptions(query: string): readonly Option[] {
  return (query.match(/(?:\\,|[^,\n])+/g) ?? [])
    .map((each) => each.replaceAll("\\,", ",").trim())
    .filter(Boolean)
    .map((each) => {
      const pair = /^(.+?)\s:\s(.+)$/.exec(each);
      return pair ? { text: pair[1]!, value: pair[2]! } : plainOption(each);
    });
}

/** What a variable stands for: what the address says, else what was saved if it still can be had, else the first. */
export function chosenOf(variable: Variable, options: readonly Option[], said: readonly string[]): Chosen {
  const wanted = said.length ? said : (variable.current?.values ?? []);
  if (variable.type === "textbox" || variable.type === "constant")
    return plain(
      said[0] ?? (variable.type === "constant" ? variable.query : (variable.current?.values[0] ?? variable.query)),
    );
  if (variable.type === "switch") return plain(wanted[0] ?? "false");
  if (variable.includeAll && (wanted.includes(ALL) || wanted.includes("All"))) return everything(variable, options);
  const known = wanted.filter((each) => said.length > 0 || options.some(({ value }) => value === each));
  if (known.length > 0) return { values: known, texts: known.map((each) => textOf(options, each)), all: false };
  if (variable.includeAll) return everything(variable, options);
  return options[0] ? { values: [options[0].value], texts: [options[0].text], all: false } : plain(wanted[0] ?? "");
}

function plain(value: string): Chosen {
  return { values: [value], texts: [value], all: false };
}

/** Prometheus takes `.*` for everything where the dashboard names no value of its own and there are no options. */
function everything(variable: Variable, options: readonly Option[]): Chosen {
  if (variable.allValue) return { values: [variable.allValue], texts: ["All"], all: true };
  if (options.length === 0) return { values: [".*"], texts: ["All"], all: true };
  return {
    values: options.map(({ value }) => value),
    texts: options.map((each) => each.text),
    all: options.length > 1,
  };
}

function textOf(options: readonly Option[], value: string): string {
  return options.find((each) => each.value === value)?.text ?? value;
}

/** `auto` of an interval variable: the length of time over `count`, one of the usual steps. */
export function autoInterval(span: Span, { count, least }: NonNullable<Variable["auto"]>): string {
  const wanted = Math.max((span.end - span.start) / Math.max(1, count), durationSeconds(least) ?? 1);
  const steps = [
    "1s",
    "5s",
    "10s",
    "15s",
    "30s",
    "1m",
    "2m",
    "5m",
    "10m",
    "15m",
    "30m",
    "1h",
    "2h",
    "6h",
    "12h",
    "1d",
    "7d",
  ];
  return steps.find((each) => durationSeconds(each)! >= wanted) ?? "7d";
}

/** Variables so that each comes after those its query names; what names itself in a circle stays where it stands. */
export function inOrder(variables: readonly Variable[]): readonly Variable[] {
  const names = new Set(variables.map(({ name }) => name));
  const done = new Set<string>();
  const left = [...variables];
  const result: Variable[] = [];
  while (left.length > 0) {
    const at = left.findIndex((each) =>
      named(`${each.query} ${each.regex}`).every((name) => done.has(name) || !names.has(name) || name === each.name),
    );
    const [next] = left.splice(Math.max(0, at), 1);
    done.add(next!.name);
    result.push(next!);
  }
  return result;
}

/** Ad hoc filters of an address, `label|operator|value` each, put into every selector of a query. */
export function adhocMatchers(filters: readonly string[]): string {
  return filters
    .map((each) => each.split("|"))
    .filter((parts) => parts.length === 3)
    .map(([label, operator, value]) => `${label}${operator}${JSON.stringify(value)}`)
    .join(",");
}

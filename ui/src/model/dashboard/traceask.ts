/**
 * What a target for traces asks: one trace by its id, those that fit a search in the language of traces here (Lucene), or
 * who calls whom. Jaeger's and Tempo's forms are read; of TraceQL one span's conditions joined by `&&`.
 */

import type { Asked } from "@/model/tracesearch";
import { term } from "@/model/tracesearch";
import { objects, own, text, texts } from "./options";
import type { Json, Target } from "./types";

export type TraceAsk =
  | { readonly kind: "trace"; readonly id: string }
  | { readonly kind: "search"; readonly asked: Asked; readonly missing: readonly string[] }
  | { readonly kind: "map" };

const NOTHING: Asked = { q: "", service: "", op: "", min: "", max: "", errors: false };

/** What `target` asks; `filled` puts in the values of variables. */
export function traceAsk({ raw, expr, refId }: Target, filled: (text: string) => string): TraceAsk {
  const query = filled(expr).trim();
  if (raw.queryType === "serviceMap" || raw.queryType === "dependencyGraph") return { kind: "map" };
  if (/^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(query.replaceAll("-", "")))
    return { kind: "trace", id: query.replaceAll("-", "").toLowerCase() };
  const words = (name: string) => filled(text(raw[name])).trim();
  const named: Asked = {
    ...NOTHING,
    service: words("service") || words("serviceName"),
    op: known(words("operation")) || known(words("spanName")),
    min: words("minDuration"),
    max: words("maxDuration"),
  };
  const pairs = [...tags(words("tags")), ...tags(words("search")), ...filters(raw, filled)];
  if (query.startsWith("{")) {
    const { terms, missing } = ofTraceQl(query, refId);
    return { kind: "search", asked: { ...named, q: [...pairs, ...terms].join(" ") }, missing };
  }
  return { kind: "search", asked: { ...named, q: [...pairs, query].filter(Boolean).join(" ") }, missing: [] };
}

function known(operation: string): string {
  return /^(all|any)$/i.test(operation) ? "" : operation;
}

/** `error=true http.method="GET"`. */
function tags(words: string): string[] {
  return [...words.matchAll(/([\w.@-]+)=(?:"([^"]*)"|(\S+))/g)].map(([, name, quoted, bare]) =>
    name === "error" && (bare ?? quoted) === "true" ? "status:error" : term(name!, quoted ?? bare ?? ""),
  );
}

/** The boxes of Tempo's search form. */
function filters(raw: Json, filled: (text: string) => string): string[] {
  return objects(raw.filters).flatMap(({ tag, operator, value, scope }) => {
    const values = (texts(value).length ? texts(value) : [text(value)]).map(filled).filter(Boolean);
    if (!text(tag) || values.length === 0) return [];
    const all = values.map((each) => condition(fieldOf(text(tag), text(scope)), text(operator, "="), each));
    return [all.length === 1 ? all[0]! : `(${all.join(" OR ")})`];
  });
}

const INTRINSIC: Readonly<Record<string, string>> = {
  "service.name": "service",
  name: "name",
  "span:name": "name",
  status: "status",
  "span:status": "status",
  statusMessage: "status_message",
  kind: "kind",
  "span:kind": "kind",
  duration: "duration",
  "span:duration": "duration",
};

function fieldOf(tag: string, scope: string): string {
  if (tag === "service.name") return "service";
  return scope && scope !== "intrinsic" ? tag : (own(INTRINSIC, tag) ?? tag);
}

const CONDITION =
  /^\s*(?:(resource|span|event)\.|\.)?([\w.:-]+)\s*(=~|!~|!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[\w.-]+)\s*$/;

/** `{ resource.service.name = "shop" && duration > 1s }`. */
function ofTraceQl(query: string, refId: string): { terms: string[]; missing: string[] } {
  const inside = /^\{([\s\S]*?)\}\s*$/.exec(query)?.[1];
  if (inside === undefined || /[{}]/.test(inside))
    return {
      terms: [],
      missing: [`of query ${refId} all of “${query}”: TraceQL is read as far as one span's conditions go`],
    };
  const [terms, missing]: [string[], string[]] = [[], []];
  for (const part of inside.split("&&").filter((each) => each.trim())) {
    const found = CONDITION.exec(part);
    if (!found) missing.push(`of query ${refId} the condition “${part.trim()}”`);
    else terms.push(condition(fieldOf(found[2]!, found[1] ?? ""), found[3]!, found[4]!.replace(/^["`]|["`]$/g, "")));
  }
  return { terms, missing };
}

function condition(field: string, operator: string, value: string): string {
  const name = term(field, "x").replace(/:"x"$/, "");
  if (/^[<>]/.test(operator)) return `${name}:${operator}${value}`;
  const against = operator.startsWith("!") ? "-" : "";
  if (operator.endsWith("~")) return `${against}${name}:/^(?:${value.replaceAll("/", "\\/")})$/`;
  return `${against}${field === "kind" || field === "status" ? `${name}:${value}` : term(field, value)}`;
}

/**
 * Variables in texts: `$name`, `${name}`, `${name:format}`, `[[name]]`, and those every dashboard has (`$__interval`,
 * `$__rate_interval`, `$__range`, `$__from` …). A name nobody knows stays as it is: it may be no variable at all.
 */

import { formatDuration, type Range, type Span } from "@/model/timerange";
import type { Chosen } from "./types";

export interface Scope {
  readonly chosen: Readonly<Record<string, Chosen>>;
  readonly span: Span;
  /** The same as the address has it. */
  readonly range?: Range;
  /** Seconds between two points of the query the text is of. */
  readonly step: number;
  /** How often targets are scraped: a rate needs four of them. */
  readonly scrape: number;
  readonly title?: string;
}

const VARIABLE = /\$(\w+)|\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}|\[\[(\w+)(?::(\w+))?\]\]/g;

/** `text` with its variables replaced; `usual` is the format where none is named: `regex` in PromQL, `glob` elsewhere. */
export function interpolate(text: string, scope: Scope, usual = "glob"): string {
  return text.replace(VARIABLE, (whole, plain, braced, format, old, oldFormat) => {
    const name: string = plain ?? braced ?? old;
    const builtIn = standing(name, format, scope);
    if (builtIn !== undefined) return builtIn;
    const chosen = scope.chosen[name];
    return chosen ? formatted(chosen, format ?? oldFormat ?? usual, name) : whole;
  });
}

function standing(name: string, format: string | undefined, { span, step, scrape, title }: Scope): string | undefined {
  const length = Math.max(1, Math.round(span.end - span.start));
  switch (name) {
    case "__interval":
    case "interval_":
      return duration(step);
    case "__interval_ms":
      return String(Math.round(step * 1000));
    case "__rate_interval":
      return duration(Math.max(step + scrape, 4 * scrape));
    case "__rate_interval_ms":
      return String(1000 * Math.max(step + scrape, 4 * scrape));
    case "__range":
      return `${length}s`;
    case "__range_s":
      return String(length);
    case "__range_ms":
      return String(length * 1000);
    case "__from":
      return moment(span.start, format);
    case "__to":
      return moment(span.end, format);
    case "__dashboard":
      return title ?? "";
    case "timeFilter":
    case "__timeFilter":
      return "";
    default:
      return undefined;
  }
}

function moment(seconds: number, format: string | undefined): string {
  if (format === "date:seconds") return String(Math.floor(seconds));
  if (format?.startsWith("date")) return new Date(seconds * 1000).toISOString();
  return String(Math.floor(seconds * 1000));
}

function duration(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)}ms` : formatDuration(Math.round(seconds));
}

/** Values of a variable in one of Grafana's formats. */
export function formatted({ values, texts, all }: Chosen, format: string, name = ""): string {
  const first = values[0] ?? "";
  const [kind, argument] = format.split(":", 2);
  switch (kind) {
    case "raw":
      return values.join(",");
    case "regex":
      // One value is no alternative; that of All may be an expression itself.
      return all && values.length === 1 ? first : alternatives(values.map(escaped));
    case "promql":
      return all && values.length === 1 ? first : alternatives(values.map((each) => inString(escaped(each))));
    case "pipe":
      return values.join("|");
    case "csv":
      return values.join(",");
    case "json":
      return values.length === 1 ? JSON.stringify(first) : JSON.stringify(values);
    case "distributed":
      return values.map((each, at) => (at === 0 ? each : `${name}=${each}`)).join(",");
    case "queryparam":
      return values.map((each) => `var-${name}=${encodeURIComponent(each)}`).join("&");
    case "doublequote":
      return values.map((each) => `"${each.replaceAll('"', '\\"')}"`).join(",");
    case "singlequote":
      return values.map((each) => `'${each.replaceAll("'", "\\'")}'`).join(",");
    case "sqlstring":
      return values.map((each) => `'${each.replaceAll("'", "''")}'`).join(",");
    case "percentencode":
      return encodeURIComponent(values.length > 1 ? `{${values.join(",")}}` : first);
    case "lucene":
      return values.length > 1 ? `(${values.map(lucene).join(" OR ")})` : lucene(first);
    case "join":
      return values.join(argument ?? ",");
    case "text":
      return all ? "All" : texts.join(" + ");
    default: // glob
      return values.length > 1 ? `{${values.join(",")}}` : first;
  }
}

function alternatives(values: readonly string[]): string {
  return values.length === 1 ? values[0]! : `(${values.join("|")})`;
}

function escaped(value: string): string {
  return value.replace(/[\\^$.*+?()[\]{}|/-]/g, (each) => (each === "/" || each === "-" ? each : `\\${each}`));
}

/** A backslash of an expression stands twice within a string of PromQL. */
function inString(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
}

function lucene(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** The variables a text names. */
export function named(text: string): readonly string[] {
  return [...text.matchAll(VARIABLE)].map(([, plain, braced, , old]) => (plain ?? braced ?? old)!);
}

/** `{{ label }}` in a legend replaced by the label's value. */
export function legendOf(format: string, labels: Readonly<Record<string, string>>): string {
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
}

/**
 * What a target for logs asks, in the language logs are searched with here (Lucene): LogQL as far as it says the same, and
 * Elasticsearch's own queries, which are Lucene. What is left out is said in words.
 */

import { term } from "@/model/lucene";
import { maybe, object, objects, text } from "./options";
import type { Target } from "./types";

export interface LogAsk {
  readonly query: string;
  /** Records, or how many there are in time: all, or by level. */
  readonly form: "records" | "counts";
  readonly by: "" | "level";
  /** The counts are for each second. */
  readonly perSecond: boolean;
  /** What of it is not asked; an ask that cannot be asked at all has nothing else. */
  readonly missing: readonly string[];
  readonly impossible: boolean;
}

const RECORDS: LogAsk = { query: "", form: "records", by: "", perSecond: false, missing: [], impossible: false };

/** What `target` asks; its variables are filled in before (`expr`). */
export function logAsk(target: Target, expr: string): LogAsk {
  const plain = expr.trim();
  const { raw, refId } = target;
  if (Array.isArray(raw.metrics)) return ofElastic(raw, plain, refId);
  if (plain.startsWith("{")) return ofSelector(plain, refId);
  if (!/^[\w\s()]+\([\s\S]*\{/.test(plain)) return { ...RECORDS, query: plain };
  return ofCounts(plain, refId);
}

function ofElastic(raw: Target["raw"], query: string, refId: string): LogAsk {
  const kind = text(object(objects(raw.metrics)[0]).type, "count");
  if (kind === "logs" || kind === "raw_data" || kind === "raw_document") return { ...RECORDS, query };
  const terms = objects(raw.bucketAggs).filter(({ type }) => type !== "date_histogram");
  const field = text(terms[0]?.field);
  if (kind === "count" && terms.length === 0) return { ...RECORDS, query, form: "counts" };
  if (kind === "count" && terms.length === 1 && LEVELS.test(field))
    return { ...RECORDS, query, form: "counts", by: "level" };
  return impossible(
    `query ${refId} takes ${kind}${field ? ` by ${field}` : ""} of logs; a rule on logs can record that as a series (rules.signals)`,
  );
}

const LEVELS = /^(detected_level|level|severity|log\.level|lvl)(\.keyword)?$/;
const COUNT =
  /^(?:sum\s*(?:by\s*\(\s*([\w, ]+?)\s*\)\s*)?\()?\s*(count_over_time|rate)\s*\(\s*(\{[\s\S]*)\[[^\]]+\]\s*\)\s*\)?\s*(?:by\s*\(\s*([\w, ]+?)\s*\))?$/;

/** `sum by (level) (count_over_time({…}[1m]))`: records counted in time. */
function ofCounts(expr: string, refId: string): LogAsk {
  const found = COUNT.exec(expr);
  const by = (found?.[1] ?? found?.[4] ?? "").trim();
  if (!found || (by && !LEVELS.test(by)))
    return impossible(
      `query ${refId} makes numbers of logs (${by ? `by ${by}` : "LogQL"}); a rule on logs can record them as a series (rules.signals)`,
    );
  const asked = ofSelector(found[3]!, refId);
  return { ...asked, form: "counts", by: by ? "level" : "", perSecond: found[2] === "rate" };
}

function impossible(what: string): LogAsk {
  return { ...RECORDS, missing: [what], impossible: true };
}

/** `{app="shop"} |= "timeout" | json | status >= 500`. */
function ofSelector(expr: string, refId: string): LogAsk {
  const cursor = { text: expr, at: 1 };
  const terms: string[] = [];
  const missing: string[] = [];
  while (
    take(cursor, /\s*,?\s*(\w+)\s*(=~|!~|!=|=)\s*/y, (_, name, operator) => {
      const value = quotedAt(cursor);
      if (value === null) return false;
      terms.push(...matcher(name!, operator!, value));
      return true;
    })
  );
  if (!take(cursor, /\s*,?\s*\}/y)) return impossible(`query ${refId} begins with a selector that cannot be read`);
  while (cursor.at < cursor.text.length) {
    if (take(cursor, /\s+/y)) continue;
    if (
      take(cursor, /(\|=|!=|\|~|!~)\s*/y, (_, operator) => {
        const words = alternatives(cursor);
        if (words.length === 0) return false;
        terms.push(...line(operator!, words));
        return true;
      })
    )
      continue;
    if (!take(cursor, /\|\s*/y))
      return { ...RECORDS, query: terms.join(" "), missing: [...missing, rest(cursor, refId)] };
    // Parsers: their fields are found in records here without being asked for.
    if (take(cursor, /(json|logfmt|unpack|decolorize)\b[^|]*/y)) continue;
    if (take(cursor, /__error__\s*(=|!=)\s*/y)) {
      quotedAt(cursor);
      continue;
    }
    if (
      take(cursor, /([\w.]+)\s*(==|=~|!~|!=|>=|<=|=|>|<)\s*/y, (_, name, operator) => {
        const value = quotedAt(cursor) ?? bareAt(cursor);
        if (value === null) return false;
        terms.push(...label(name!, operator!, value));
        return true;
      })
    ) {
      if (take(cursor, /\s*(and\b|,)\s*/y))
        cursor.text = `${cursor.text.slice(0, cursor.at)}| ${cursor.text.slice(cursor.at)}`;
      continue;
    }
    return { ...RECORDS, query: terms.join(" "), missing: [...missing, rest(cursor, refId)] };
  }
  return { ...RECORDS, query: terms.join(" "), missing };
}

interface Cursor {
  text: string;
  at: number;
}

/** Goes on behind `pattern` if it stands at the cursor (and `then` agrees). */
function take(cursor: Cursor, pattern: RegExp, then?: (...groups: string[]) => boolean): boolean {
  const before = cursor.at;
  pattern.lastIndex = before;
  const found = pattern.exec(cursor.text);
  if (!found) return false;
  cursor.at = pattern.lastIndex;
  if (then && !then(...found)) {
    cursor.at = before;
    return false;
  }
  return cursor.at > before;
}

function rest({ text: all, at }: Cursor, refId: string): string {
  return `of query ${refId} the part “${all.slice(at).trim()}”`;
}

/** The text in quotes or backticks at the cursor. */
function quotedAt(cursor: Cursor): string | null {
  const pattern = /"((?:[^"\\]|\\.)*)"|`([^`]*)`/y;
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text);
  if (!found) return null;
  cursor.at = pattern.lastIndex;
  return found[2] ?? found[1]!.replace(/\\(.)/g, (_, each: string) => ({ n: "\n", t: "\t" })[each] ?? each);
}

function bareAt(cursor: Cursor): string | null {
  let value: string | null = null;
  take(cursor, /[-\w.]+/y, (all) => {
    value = all!;
    return true;
  });
  return value;
}

function alternatives(cursor: Cursor): string[] {
  const words: string[] = [];
  for (let word = quotedAt(cursor); word !== null; word = take(cursor, /\s*or\s*/y) ? quotedAt(cursor) : null)
    words.push(word);
  return words;
}

/** Lines that hold a text, or fit an expression: both as expressions, as words in Lucene are whole words in any case. */
function line(operator: string, words: readonly string[]): string[] {
  const wanted = words.filter((word) => word !== "" && word !== ".*" && word !== ".+");
  if (wanted.length < words.length || wanted.length === 0) return [];
  const all = wanted.map((word) => slashed(operator.endsWith("=") ? escaped(word) : word));
  const one = all.length === 1 ? all[0]! : `(${all.join(" OR ")})`;
  return [operator.startsWith("!") ? `-${one}` : one];
}

const SERVICES = ["service_name", "service", "app", "application", "job", "container"];

function matcher(name: string, operator: string, value: string): string[] {
  if (operator.endsWith("~") && /^(\.\*|\.\*\|.*)$/.test(value)) return [];
  return label(name, operator, value);
}

/** A label of Loki's is a field here; those it names services by are also the name of the service. */
function label(name: string, operator: string, value: string): string[] {
  const field = LEVELS.test(name) ? "level" : name;
  const against = operator === "!=" || operator === "!~";
  const number = maybe(value);
  if (/^[<>]/.test(operator)) return number === undefined ? [] : [`${escapedName(field)}:${operator}${number}`];
  const regex = operator.endsWith("~");
  const fields = SERVICES.includes(name) ? ["service", ...(name === "service" ? [] : [name])] : [field];
  // That it is there: every record has a service, whichever label names it.
  if (value === "" || (regex && value === ".+"))
    return [(value === "") !== against ? `-_exists_:${fields[0]}` : `_exists_:${fields[0]}`];
  const one = fields.flatMap((each) => (regex ? ofExpression(each, value) : [term(each, value)]));
  const all = one.length === 1 ? one[0]! : `(${one.join(" OR ")})`;
  return [against ? `-${all}` : all];
}

/** `a|b` as two values, anything else as an expression over all of the value, as Loki means it. */
function ofExpression(field: string, pattern: string): string[] {
  const bare = pattern.replace(/^\((.*)\)$/, "$1");
  const parts = bare.split("|").map((each) => each.replace(/\\([-./])/g, "$1"));
  if (parts.every((each) => /^[\w./-]+$/.test(each) && !(each.includes(".") && !pattern.includes("\\."))))
    return parts.map((each) => term(field, each));
  return [`${escapedName(field)}:${slashed(`^(?:${pattern})$`)}`];
}

function escapedName(name: string): string {
  return term(name, "x").replace(/:x$/, "");
}

function slashed(pattern: string): string {
  return `/${pattern.replace(/\\\//g, "/").replaceAll("/", "\\/")}/`;
}

function escaped(word: string): string {
  return word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

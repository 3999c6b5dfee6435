/**
 * Rules against the past: a rule as its file would say it, what of it is worth drawing, when it fired, and who would have been told.
 *
 * What a rule would have done is the server's to say; this puts the question and arranges the answer.
 */

import type { Labels } from "@/api/prometheus";
import type { Span } from "./timerange";

export interface WrittenRule {
  readonly name: string;
  readonly query: string;
  /** Of a rule on logs or traces: the fields with which a file says what it asks, in the place of PromQL. */
  readonly asks?: Readonly<Record<string, string | readonly string[]>>;
  readonly duration?: number; // `for`, in seconds
  readonly keepFiringFor?: number;
  readonly labels?: Labels;
  readonly annotations?: Labels;
}

export interface Firing {
  readonly labels: Labels;
  readonly active_at: number;
  readonly fired_at: number;
  readonly ended_at: number | null;
}

/** A file with this rule alone, evaluated as often as its group is. JSON strings are YAML's, too. */
export function ruleFile(rule: WrittenRule, interval: number): string {
  const pairs = (name: string, labels: Labels = {}) =>
    Object.entries(labels).length === 0
      ? []
      : [`    ${name}:`, ...Object.entries(labels).map(([key, value]) => `      ${key}: ${JSON.stringify(value)}`)];
  return [
    "groups:",
    "- name: backtest",
    `  interval: ${interval}s`,
    "  rules:",
    `  - alert: ${JSON.stringify(rule.name)}`,
    ...(rule.asks
      ? Object.entries(rule.asks).map(([name, value]) => `    ${name}: ${JSON.stringify(value)}`)
      : ["    expr: |", ...rule.query.split("\n").map((line) => `      ${line}`)]),
    ...(rule.duration ? [`    for: ${rule.duration}s`] : []),
    ...(rule.keepFiringFor ? [`    keep_firing_for: ${rule.keepFiringFor}s`] : []),
    ...pairs("labels", rule.labels),
    ...pairs("annotations", rule.annotations),
    "",
  ].join("\n");
}

/** What to draw of an expression: where it is compared with a number, the other side, and that number as a line. */
export function measured(expr: string): { readonly query: string; readonly level: number | null } {
  const found = /^([\s\S]+?)\s*(?:>=|<=|==|!=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*$/i.exec(expr.trim());
  if (!found || !isWhole(found[1]!)) return { query: expr, level: null };
  return { query: found[1]!, level: Number(found[2]) };
}

/** Whether a side of a comparison stands alone: its brackets are closed, and nothing that binds less tightly is outside of them. */
function isWhole(text: string): boolean {
  const bare = text.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g, "");
  let depth = 0;
  let outside = "";
  for (const char of bare) {
    if ("([{".includes(char)) depth += 1;
    else if (")]}".includes(char)) depth -= 1;
    else if (depth === 0) outside += char;
    if (depth < 0) return false;
  }
  return depth === 0 && !/\b(and|or|unless)\b|[<>]|==|!=/i.test(outside);
}

/** When anything fired, each stretch once, in order; one that lasts ends with the period. */
export function stretches(
  firings: readonly Firing[],
  end: number,
): readonly { at: number; until: number; count: number }[] {
  const found: { at: number; until: number; count: number }[] = [];
  for (const { fired_at: at, ended_at } of firings.toSorted((a, b) => a.fired_at - b.fired_at)) {
    const until = ended_at ?? end;
    const last = found.at(-1);
    if (last && at <= last.until) {
      last.until = Math.max(last.until, until);
      last.count += 1;
    } else found.push({ at, until, count: 1 });
  }
  return found;
}

/** How many fired from each moment on, as a line in steps: what is drawn of a rule whose expression is none of PromQL's. */
export function firingAt(firings: readonly Firing[], { start, end }: Span): { times: number[]; counts: number[] } {
  const changes = firings.flatMap(({ fired_at, ended_at }) => [
    { at: fired_at, by: 1 },
    { at: ended_at ?? Number.POSITIVE_INFINITY, by: -1 },
  ]);
  const times = [start];
  const counts = [0];
  for (const { at, by } of changes.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)) {
    const before = counts.at(-1)!;
    times.push(Math.max(at, start), Math.max(at, start));
    counts.push(before, before + by);
  }
  return { times: [...times, end], counts: [...counts, counts.at(-1)!] };
}

/** How often a receiver would have been told, and of what. */
export interface ToldReceiver {
  readonly receiver: string;
  readonly channels: readonly string[];
  readonly notifications: number;
  readonly first: number;
  readonly firing: number;
  readonly repeat: number;
  readonly resolved: number;
  /** It was so often at least where it is not: there was too much to count. */
  readonly is_whole: boolean;
}

const REASONS = [
  ["first", "that it fires"],
  ["firing", "that more fires"],
  ["repeat", "again while it fires"],
  ["resolved", "that it is over"],
] as const;

/** `3 times: 1 that it fires, 2 that it is over`; `at least 3 times: …` where that is not all. */
export function timesTold(told: ToldReceiver): string {
  const { notifications, is_whole } = told;
  if (notifications === 0)
    return is_whole ? "never: it was over before its group was told" : "not counted: there was too much to count";
  const reasons = REASONS.filter(([name]) => told[name] > 0).map(([name, words]) => `${told[name]} ${words}`);
  const times = notifications === 1 ? "once" : `${notifications} times`;
  return `${is_whole ? "" : "at least "}${times}: ${reasons.join(", ")}`;
}

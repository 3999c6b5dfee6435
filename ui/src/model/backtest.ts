/**
 * Rules against the past: a rule as its file would say it, what of its expression is worth drawing, and when it fired.
 *
 * What a rule would have done is the server's to say; this puts the question and arranges the answer.
 */

import type { Labels } from "@/api/prometheus";

export interface WrittenRule {
  readonly name: string;
  readonly query: string;
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
    "    expr: |",
    ...rule.query.split("\n").map((line) => `      ${line}`),
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

/** The label sets that fired, each with how often, the most frequent first. */
export function byLabels(firings: readonly Firing[]): readonly { readonly labels: Labels; readonly count: number }[] {
  const found = new Map<string, { labels: Labels; count: number }>();
  for (const { labels } of firings) {
    const key = JSON.stringify(labels);
    const one = found.get(key) ?? { labels, count: 0 };
    one.count += 1;
    found.set(key, one);
  }
  return [...found.values()].toSorted((a, b) => b.count - a.count);
}

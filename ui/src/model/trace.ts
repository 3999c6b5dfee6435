/**
 * A trace as a waterfall shows it.
 *
 * In: what the server tells of one trace. Out: rows, parents before children, with their place in time from the begin of the
 * trace on. Pure. Times are nanoseconds; Unix nanoseconds do not fit a number of JavaScript's to the last one, so an offset
 * may be wrong by a quarter of a microsecond.
 */

import { SERIES } from "./colours";

export interface SpanEvent {
  readonly ts_ns: number;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ToldSpan {
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id: string;
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly start_ns: number;
  readonly duration_ns: number;
  readonly status: string;
  readonly status_message: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly resource: Readonly<Record<string, string>>;
  readonly events: readonly SpanEvent[];
}

export interface ToldLog {
  readonly ts_ns: number;
  readonly service: string;
  readonly level: string;
  readonly body: string;
  readonly span_id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ToldNode {
  readonly at: number; // its index in `spans`
  readonly span_id: string;
  readonly parent: number | null;
  readonly depth: number;
  readonly self_ns: number;
  readonly critical_ns: number;
  readonly skew_ns: number;
  readonly is_orphan: boolean;
  readonly in_cycle: boolean;
  readonly logs: readonly number[];
}

export interface Failure {
  readonly span_id: string;
  readonly service: string;
  readonly name: string;
  readonly message: string;
  readonly exception: string;
  readonly path: readonly string[];
}

export interface Told {
  readonly trace_id: string;
  readonly is_whole: boolean;
  readonly spans: readonly ToldSpan[];
  readonly logs: readonly ToldLog[];
  readonly exemplars: readonly {
    readonly series: Readonly<Record<string, string>>;
    readonly value: number;
    readonly ts: number;
    readonly span_id: string;
  }[];
  readonly analysis: {
    readonly nodes: readonly ToldNode[];
    /** Of the trees the one whose critical path is told: its first node. */
    readonly root: number;
    readonly critical_path: readonly { readonly span_id: string; readonly start_ns: number; readonly end_ns: number }[];
    readonly failures: readonly Failure[];
    readonly repeated_spans: number;
  };
}

/** One line of the waterfall. `at` is its number among all rows, `last` that of the last row below it. */
export interface Row {
  readonly at: number;
  readonly last: number;
  readonly span: ToldSpan;
  readonly node: ToldNode;
  readonly begin: number;
  readonly end: number;
  readonly failed: boolean;
  /** Where it decides how long the trace took: offsets as `begin`. */
  readonly critical: readonly (readonly [number, number])[];
}

export interface Waterfall {
  readonly start_ns: number;
  readonly length: number;
  readonly rows: readonly Row[];
  /** What the trace is called after: an orphan may stand before it. */
  readonly root: Row;
  /** Services in the order they come in, with the colour of each. */
  readonly services: ReadonlyMap<string, string>;
}

/** The span that a trace is called after. */
export function rootOf({ spans, analysis }: Pick<Told, "spans" | "analysis">): Told["spans"][number] {
  return spans[analysis.nodes[analysis.root]!.at]!;
}

export function waterfall({ spans, analysis }: Pick<Told, "spans" | "analysis">): Waterfall {
  const nodes = analysis.nodes;
  const start = spans.reduce((least, { start_ns }) => Math.min(least, start_ns), Number.POSITIVE_INFINITY);
  const critical = new Map<string, (readonly [number, number])[]>();
  for (const { span_id, start_ns, end_ns } of analysis.critical_path) {
    const sections = critical.get(span_id) ?? [];
    sections.push([start_ns - start, end_ns - start]);
    critical.set(span_id, sections);
  }
  const last = lastBelow(nodes);
  const services = new Map<string, string>();
  const rows = nodes.map((node, at): Row => {
    const span = spans[node.at]!;
    if (!services.has(span.service)) services.set(span.service, SERIES[services.size % SERIES.length]!);
    const begin = span.start_ns - start;
    return {
      at,
      last: last[at]!,
      span,
      node,
      begin,
      end: begin + span.duration_ns,
      failed: span.status === "error",
      // Both sides of a call may share an id (Zipkin): only the one that spent the time is on the path.
      critical: node.critical_ns > 0 ? (critical.get(node.span_id) ?? []) : [],
    };
  });
  const length = rows.reduce((most, { end }) => Math.max(most, end), 1);
  return { start_ns: start, length, rows, root: rows[analysis.root]!, services };
}

/** Rows stand depth first: what is below one stands right behind it. */
function lastBelow(nodes: readonly ToldNode[]): number[] {
  const last = nodes.map((_, at) => at);
  for (let at = nodes.length - 1; at >= 0; at--) {
    const parent = nodes[at]!.parent;
    if (parent !== null) last[parent] = Math.max(last[parent]!, last[at]!);
  }
  return last;
}

/** The numbers of the rows that are shown when what is below some is folded away. */
export function unfolded(rows: readonly Row[], folded: ReadonlySet<number>): readonly number[] {
  const shown: number[] = [];
  for (let at = 0; at < rows.length; at++) {
    shown.push(at);
    if (folded.has(at)) at = rows[at]!.last;
  }
  return shown;
}

/** What is folded so that `at` can be seen. */
export function revealed(rows: readonly Row[], folded: ReadonlySet<number>, at: number): ReadonlySet<number> {
  const after = new Set(folded);
  for (let up = rows[at]!.node.parent; up !== null; up = rows[up]!.node.parent) after.delete(up);
  return after.size === folded.size ? folded : after;
}

/** Numbers of the rows that have every word of `text` in their service, operation, status or attributes. */
export function matching(rows: readonly Row[], text: string): readonly number[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  return rows.filter(({ span }) => words.every((word) => textOf(span).includes(word))).map(({ at }) => at);
}

const texts = new WeakMap<ToldSpan, string>();

function textOf(span: ToldSpan): string {
  let text = texts.get(span);
  if (text === undefined) {
    const pairs = Object.entries(span.attributes).map(([key, value]) => `${key}=${value}`);
    text = [span.span_id, span.service, span.name, span.kind, span.status, span.status_message, ...pairs]
      .join("\n")
      .toLowerCase();
    texts.set(span, text);
  }
  return text;
}

/** The first of `among` (ascending) behind `at`, or before it; at the end it begins anew. */
export function following(among: readonly number[], at: number, direction: 1 | -1): number | null {
  if (among.length === 0) return null;
  return direction === 1
    ? (among.find((each) => each > at) ?? among[0]!)
    : (among.findLast((each) => each < at) ?? among.at(-1)!);
}

/** Where `begin` to `end` stands in a window, in percent of it; null when it lies outside. */
export function placed(
  begin: number,
  end: number,
  window: readonly [number, number],
): { readonly left: number; readonly width: number } | null {
  const [from, to] = window;
  if (end < from || begin > to) return null;
  const length = to - from || 1;
  const left = (Math.max(begin, from) - from) / length;
  const right = (Math.min(end, to) - from) / length;
  return { left: left * 100, width: (right - left) * 100 };
}

/** Times at which a ruler has its lines: some five, at round distances. */
export function ruler([from, to]: readonly [number, number], most = 5): readonly number[] {
  const raw = (to - from) / most;
  if (!(raw > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999)!;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, at) => (first + at) * step);
}

/** What each service took of the critical path and in itself, most of the path first. */
export function shares(rows: readonly Row[]): readonly {
  readonly service: string;
  readonly spans: number;
  readonly errors: number;
  readonly self_ns: number;
  readonly critical_ns: number;
}[] {
  const by = new Map<
    string,
    { service: string; spans: number; errors: number; self_ns: number; critical_ns: number }
  >();
  for (const { span, node, failed } of rows) {
    const sum = by.get(span.service) ?? { service: span.service, spans: 0, errors: 0, self_ns: 0, critical_ns: 0 };
    sum.spans += 1;
    sum.errors += failed ? 1 : 0;
    sum.self_ns += node.self_ns;
    sum.critical_ns += node.critical_ns;
    by.set(span.service, sum);
  }
  return [...by.values()].toSorted((one, other) => other.critical_ns - one.critical_ns);
}

/** What is stored, added up by kind, and what grew. Pure. */

export interface StoredTable {
  readonly table: string;
  readonly rows: number;
  readonly bytes: number; // on disk
  readonly uncompressed: number;
  readonly oldest: number | null; // Unix seconds
  readonly newest: number | null;
  readonly parts: number;
  readonly retention_seconds: number | null; // 0: for ever; null: kept by no rule
}

export interface Kind {
  readonly kind: string;
  readonly rows: number;
  readonly bytes: number;
  readonly uncompressed: number;
}

const KINDS: readonly (readonly [string, RegExp])[] = [
  ["metrics", /^(samples|series|corrections|exemplars|histograms|metric_metadata)/],
  ["logs", /^log/],
  ["traces", /^(spans$|trace_)/],
  ["rollups of traces", /^(span_red|service_edges)/],
  ["events", /^events/],
];

/** The kind of telemetry a table holds; what is none is aiprism's own. */
export function kindOf(table: string): string {
  return KINDS.find(([, form]) => form.test(table))?.[0] ?? "of aiprism itself";
}

/** The tables of a kind together, the largest first. */
export function byKind(tables: readonly StoredTable[]): readonly Kind[] {
  const found = new Map<string, Kind>();
  for (const { table, rows, bytes, uncompressed } of tables) {
    const kind = kindOf(table);
    const had = found.get(kind) ?? { kind, rows: 0, bytes: 0, uncompressed: 0 };
    found.set(kind, {
      kind,
      rows: had.rows + rows,
      bytes: had.bytes + bytes,
      uncompressed: had.uncompressed + uncompressed,
    });
  }
  return [...found.values()].sort((one, other) => other.bytes - one.bytes);
}

/** How many times smaller it is on disk; null for nothing. */
export function compression({ bytes, uncompressed }: { bytes: number; uncompressed: number }): number | null {
  return bytes > 0 ? uncompressed / bytes : null;
}

export interface Count {
  readonly name: string;
  readonly value: number;
}

const MOST = 20;

/** By how much each grew that did, the most first; what was not there before grew by all of it. */
export function grown(now: readonly Count[], before: readonly Count[]): readonly Count[] {
  const had = new Map(before.map(({ name, value }) => [name, value]));
  return now
    .map(({ name, value }) => ({ name, value: value - (had.get(name) ?? 0) }))
    .filter(({ value }) => value > 0)
    .sort((one, other) => other.value - one.value)
    .slice(0, MOST);
}

/** Two traces beside each other. In: rows as the server compares them. Out: what is told of each. Pure. */

export interface Did {
  readonly spans: number;
  readonly duration_ns: number;
  readonly self_ns: number;
  readonly critical_ns: number;
  readonly errors: number;
}

export type Change = "missing" | "added" | "slower" | "faster" | "failed" | "same";

/** What the spans of a path of calls did in either trace; `slower_ns` is how much longer the second took itself. */
export interface Compared {
  readonly path: readonly (readonly [service: string, operation: string])[];
  readonly first: Did;
  readonly second: Did;
  readonly change: Change;
  readonly slower_ns: number;
}

/** Rows that changed, with the rows above them: a change is told where it is. */
export function changed(rows: readonly Compared[]): readonly Compared[] {
  const kept = new Set<Compared>();
  const above: Compared[] = [];
  for (const row of rows) {
    while (above.length && above.at(-1)!.path.length >= row.path.length) above.pop();
    above.push(row);
    if (row.change !== "same") for (const each of above) kept.add(each);
  }
  return rows.filter((row) => kept.has(row));
}

/** The largest difference, which the bars of all rows are measured by. */
export function largest(rows: readonly Compared[]): number {
  return rows.reduce((most, { slower_ns }) => Math.max(most, Math.abs(slower_ns)), 1);
}

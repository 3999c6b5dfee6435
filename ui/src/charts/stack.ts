/** Lines that lie on each other: which do, how high each of them then is, and what is filled between them. */

import type { Line } from "./TimeSeries";

export type Stacked = boolean | "percent" | undefined;
const [ABOVE, BELOW] = [" above", " below"];

/** The lines that lie on each other with this one; none where it is undefined. What is below zero hangs, apart from the others. */
function pileOf({ stack = "", values }: Line, stacked: Stacked): string | undefined {
  if (!stacked || stack === "none") return undefined;
  return stack + (values.some((value) => value !== null && value < 0) ? BELOW : ABOVE);
}

/** The columns uPlot draws: summed up from zero where lines are stacked. */
export function drawn(
  times: readonly number[],
  lines: readonly Line[],
  stacked?: Stacked,
): readonly (readonly (number | null)[])[] {
  if (!stacked) return [times, ...lines.map(({ values }) => values)];
  const piles = lines.map((line) => pileOf(line, stacked));
  const sums = new Map<string | undefined, number[]>();
  const totals = new Map<string | undefined, number[]>();
  lines.forEach(({ values, hidden }, place) => {
    const total = totals.get(piles[place]) ?? Array<number>(times.length).fill(0);
    for (const [at, value] of hidden ? [] : values.entries()) total[at]! += Math.abs(value ?? 0);
    totals.set(piles[place], total);
    sums.set(piles[place], Array<number>(times.length).fill(0));
  });
  const rows = lines.map(({ values, hidden }, place) => {
    const pile = piles[place];
    const [sum, total] = [sums.get(pile)!, totals.get(pile)!];
    return times.map((_, at) => {
      const value = values[at] ?? null;
      if (hidden || value === null || pile === undefined) return value;
      sum[at]! += stacked !== "percent" ? value : total[at] ? (100 * value) / total[at]! : 0;
      return sum[at]!;
    });
  });
  return [times, ...rows];
}

/** For each line the one that it lies on, if any: hidden ones lie on none, and none on them. */
export function under(
  lines: readonly Line[],
  stacked: Stacked,
): readonly { readonly at: number; readonly below: number; readonly hanging: boolean }[] {
  const piles = lines.map((line) => (line.hidden ? undefined : pileOf(line, stacked)));
  return piles.flatMap((pile, at) => {
    const below = pile === undefined || at === 0 ? -1 : piles.lastIndexOf(pile, at - 1);
    return below < 0 ? [] : [{ at, below, hanging: pile!.endsWith(BELOW) }];
  });
}

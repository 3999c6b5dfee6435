/** A schedule as a strip: shifts as parts of its length, and where its days begin. Pure. */

export interface Shift {
  readonly start: number; // Unix seconds
  readonly end: number;
  readonly people: readonly { readonly id: string; readonly name: string }[];
  readonly why: string;
  readonly override: string | null;
}

/** A shift where it lies, in parts of the strip from 0 to 1. */
export interface Piece {
  readonly left: number;
  readonly width: number;
  readonly shift: Shift;
}

/** The shifts between two moments; what lies outside is cut off. */
export function pieces(shifts: readonly Shift[], start: number, end: number): readonly Piece[] {
  const length = end - start;
  return shifts
    .filter((shift) => shift.end > start && shift.start < end)
    .map((shift) => {
      const from = Math.max(shift.start, start);
      return { left: (from - start) / length, width: (Math.min(shift.end, end) - from) / length, shift };
    });
}

/** The beginnings of days between two moments, by the clock that `midnight` knows: the first one after a moment. */
export function days(start: number, end: number, midnight: (after: number) => number): readonly number[] {
  const found: number[] = [];
  for (let at = midnight(start); at < end && found.length < 400; at = midnight(at + 1)) found.push(at);
  return found;
}

/** The first midnight at or after a moment, of this browser or in UTC. */
export function midnightAfter(after: number, utc: boolean): number {
  const date = new Date(after * 1000);
  if (utc) date.setUTCHours(0, 0, 0, 0);
  else date.setHours(0, 0, 0, 0);
  if (date.getTime() / 1000 < after) utc ? date.setUTCDate(date.getUTCDate() + 1) : date.setDate(date.getDate() + 1);
  return date.getTime() / 1000;
}

/** Who is on call, in words; nobody is said, too. */
export const whoIs = (people: Shift["people"]): string => people.map(({ name }) => name).join(", ") || "nobody";

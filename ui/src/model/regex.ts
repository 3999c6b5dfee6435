/**
 * Regular expressions that others wrote: whoever writes one must not be able to hold up the page of whoever reads it.
 *
 * RE2's engine runs them, as on the server, in a time that grows with the text and not with what could be tried. What it has not,
 * looking ahead and back references, the browser's engine runs, where there is little to try.
 */

import { RE2JS } from "re2js";
import { steps } from "./backtracking";

export interface Regex {
  readonly test: (text: string) => boolean;
  readonly exec: (text: string) => RegExpExecArray | null;
  /** `$1` and `$<name>` in `by` are groups; the first that fits is replaced, with the flag `g` all. */
  readonly replace: (text: string, by: string) => string;
}

const LARGEST_PROGRAM = 10_000; // steps of RE2 for one letter at worst
const TRIED = [200, 100, 50, 25]; // letters of a text that the browser's engine is held against at most: longer ones fit nothing
const LONGEST_TRIED_PATTERN = 2000; // letters
const MOST_STEPS = 3e5; // of the browser's engine for one text: a table holds one against each of its thousand cells

const made = new Map<string, Regex | null>(); // a table holds one against each of its cells
const MOST_MADE = 500;

/** The expression with JavaScript's flags; null where it is none, or one that could take longer than anybody waits. */
export function regex(source: string, flags = ""): Regex | null {
  const key = `${flags}/${source}`;
  let found = made.get(key);
  if (found === undefined) {
    found = linear(source, flags) ?? tried(source, flags);
    if (made.size >= MOST_MADE) made.clear();
    made.set(key, found);
  }
  return found;
}

function linear(source: string, flags: string): Regex | null {
  try {
    const by = RE2JS.compile(RE2JS.translateRegExp(source), bitsOf(flags));
    if (by.programSize() > LARGEST_PROGRAM) return null;
    return {
      test: (text) => by.test(text),
      exec: (text) => by.exec(text) as RegExpExecArray | null,
      replace: (text, to) =>
        flags.includes("g") ? by.matcher(text).replaceAll(to) : by.matcher(text).replaceFirst(to),
    };
  } catch {
    return null;
  }
}

function bitsOf(flags: string): number {
  const bits = { i: RE2JS.CASE_INSENSITIVE, m: RE2JS.MULTILINE, s: RE2JS.DOTALL };
  return Object.entries(bits).reduce((all, [flag, bit]) => (flags.includes(flag) ? all | bit : all), 0);
}

function tried(source: string, flags: string): Regex | null {
  if (source.length > LONGEST_TRIED_PATTERN) return null;
  const lines = (length: number) => (flags.includes("m") ? length : 1); // it may begin at each
  const longest = TRIED.find((length) => steps(source, length) * lines(length) <= MOST_STEPS);
  if (longest === undefined) return null;
  try {
    const by = new RegExp(source, flags.replace(/[gy]/g, "")); // which would go on where it stopped
    const all = new RegExp(source, flags.replace("y", ""));
    const short = (text: string) => text.length <= longest;
    return {
      test: (text) => short(text) && by.test(text),
      exec: (text) => (short(text) ? by.exec(text) : null),
      replace: (text, to) => (short(text) ? text.replace(all, to) : text),
    };
  } catch {
    return null;
  }
}

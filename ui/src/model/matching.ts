/**
 * Which labels matchers fit; apart from their text, since the engine for regular expressions is a fifth of all that the first page loads.
 *
 * A regular expression is held against the whole value, by the engine of the server's kind; the server decides, also on those that
 * are not run here.
 */

import type { Matcher } from "./matchers";
import { regex } from "./regex";

/** Whether labels have all of it, a label that is missing being an empty one; null where only the server can tell. */
export function matchesAll(matchers: readonly Matcher[], labels: Readonly<Record<string, string>>): boolean | null {
  const held = matchers.map((matcher) => holds(matcher, labels[matcher.name] ?? ""));
  if (held.includes(false)) return false;
  return held.includes(null) ? null : true;
}

/** What of `items` has all of it, and of how many only the server can tell. */
export function sorted<T extends { readonly labels: Readonly<Record<string, string>> }>(
  items: readonly T[],
  matchers: readonly Matcher[],
): { readonly fit: readonly T[]; readonly untold: number } {
  const held = items.map(({ labels }) => matchesAll(matchers, labels));
  return { fit: items.filter((_, at) => held[at]), untold: held.filter((each) => each === null).length };
}

function holds({ value, isEqual, isRegex }: Matcher, label: string): boolean | null {
  if (!isRegex) return (label === value) === isEqual;
  const by = regex(`^(?:${value})$`, "s");
  return by && by.test(label) === isEqual;
}

/**
 * Searches in Lucene's syntax, as far as clicks change them and the search box completes them. What a search means, and
 * what is wrong with it, is for the server to say.
 */

/** Fields every record has, in the order they are offered. */
export const FIELDS: readonly string[] = [
  "level",
  "service",
  "message",
  "trace_id",
  "span_id",
  "event_name",
  "severity_text",
  "scope_name",
  "pattern_id",
  "@timestamp",
];

/** `value` as it may stand behind a field: in quotes where it has more than letters, digits and what joins them. */
export function quoted(value: string): string {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.@-]*$/u.test(value) && !/^(AND|OR|NOT|TO)$/.test(value)) return value;
  return `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/** `name:value`, the name with what the syntax would take for its own made plain. */
export function term(name: string, value: string): string {
  return `${name.replace(/[\s+\-!(){}[\]^"~*?:\\/&|]/g, (each) => (each === "-" ? each : `\\${each}`))}:${quoted(value)}`;
}

/** `query` that also asks for the term, or with `out` against it; what asked the contrary is taken back. */
export function withTerm(query: string, name: string, value: string, out = false): string {
  const wanted = term(name, value);
  const words = split(query).filter((word) => word !== wanted && word !== `-${wanted}`);
  // An OR at the top binds less than words beside each other: without parentheses the term would join its last side.
  const before = words.includes("OR") || words.includes("||") ? `(${words.join(" ")})` : words.join(" ");
  return `${before} ${out ? "-" : ""}${wanted}`.trim();
}

/** `query` without the term, asked for or against. */
export function withoutTerm(query: string, name: string, value: string): string {
  const wanted = term(name, value);
  return split(query)
    .filter((word) => word !== wanted && word !== `-${wanted}`)
    .join(" ");
}

/** Whether the term stands in `query`: asked for, against, or not at all. */
export function standing(query: string, name: string, value: string): "in" | "out" | null {
  const wanted = term(name, value);
  const words = split(query);
  if (words.includes(wanted)) return "in";
  return words.includes(`-${wanted}`) ? "out" : null;
}

/** The words of a query: what is in quotes or parentheses stays together. */
export function split(query: string): string[] {
  const words: string[] = [];
  let [word, depth, within] = ["", 0, false];
  for (let at = 0; at < query.length; at++) {
    const each = query[at]!;
    if (each === "\\") {
      word += each + (query[++at] ?? "");
      continue;
    }
    if (each === '"') within = !within;
    else if (!within && "([{".includes(each)) depth++;
    else if (!within && ")]}".includes(each)) depth--;
    if (/\s/.test(each) && !within && depth <= 0) {
      if (word) words.push(word);
      word = "";
    } else word += each;
  }
  return word ? [...words, word] : words;
}

/** What is being typed at the end of `text`: a field's name, or a value of `field`, that begins at `from` with `typed`. */
export interface Typing {
  readonly field: string | null;
  readonly typed: string;
  readonly from: number;
}

/** What the text before the cursor leaves to be completed; null within quoted words of the line. */
export function typing(text: string): Typing | null {
  const value = /(?:^|[\s(+\-!])([\w@.-]*[\w@]):(?:\(|>=?|<=?)?"?([^\s"():<>=]*)$/.exec(text);
  if (value) return { field: value[1]!, typed: value[2]!, from: text.length - value[2]!.length };
  const name = /(?:^|[\s(+!]|(?<=[\s(]|^)-)([\w@.][\w@.-]*)?$/.exec(text);
  if (!name || (text.match(/(?<!\\)"/g)?.length ?? 0) % 2 === 1) return null;
  const typed = name[1] ?? "";
  return { field: null, typed, from: text.length - typed.length };
}

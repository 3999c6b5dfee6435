/** Regular expressions out of dashboards: whoever writes one must not be able to hold up the page of whoever reads it. */

/** From how many repetitions on a pattern counts as repeated without an end: so many, one in the other, take hours. */
const MANY = 10;
const TOKEN = /\\.|\[(?:\\.|[^\]\\])*\]|[*+?]|\{\d+(?:,\d*)?\}|./gs;

interface Ways {
  /** A pattern without slashes is of the whole text. */
  readonly whole?: boolean;
  /** The flag `g` is kept: to replace all there is. One that is tested must not have it: it would go on where it stopped. */
  readonly all?: boolean;
}

/** `/pattern/flags`, or a pattern alone; null where it cannot be one, or could take longer than anybody waits. */
export function pattern(text: string, { whole = false, all = false }: Ways = {}): RegExp | null {
  const parts = /^\/(.*)\/([gimsuy]*)$/s.exec(text);
  const source = parts ? parts[1]! : text;
  const flags = (parts?.[2] ?? "").replace(all ? "y" : /[gy]/g, "");
  try {
    const made = new RegExp(whole && !parts ? `^(?:${source})$` : source, flags);
    return isEndless(source) ? null : made;
  } catch {
    return null;
  }
}

/** Whether a group repeats something and is itself repeated, both without an end: `(a+)+` takes twice as long for each letter. */
function isEndless(source: string): boolean {
  const open = [false]; // of each group that is not closed yet: whether something in it repeats
  let last = false; // whether what was read last is a group in which something repeats
  for (const [token] of source.matchAll(TOKEN)) {
    const [least, most] = times(token);
    if (last && most >= MANY) return true;
    if (most - least >= MANY) open[open.length - 1] = true;
    last = false;
    if (token === "(") open.push(false);
    if (token === ")" && open.pop()) {
      last = true;
      open[open.length - 1] = true;
    }
  }
  return false;
}

/** How often a token says that what stands before it is repeated. */
function times(token: string): readonly [number, number] {
  if (token === "*" || token === "+") return [0, Number.POSITIVE_INFINITY];
  const counts = /^\{(\d+)(,?)(\d*)\}$/.exec(token);
  if (!counts) return [1, 1];
  const least = Number(counts[1]);
  return [least, counts[2] ? Number(counts[3] || Number.POSITIVE_INFINITY) : least];
}

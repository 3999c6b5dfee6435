/** How much an engine that goes back and tries anew may have to try: of a pattern and the length of a text, without either run. */

const TOKEN = /\\.|\[(?:\\.|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<[^>]*>))?|[*+?]\??|\{\d+(?:,\d*)?\}\??|./gs;

/**
 * The ways in which a pattern may lie on a text of `length` letters, at most: those of parts one after the other multiply, those
 * of alternatives add up, and what repeats has those of each count. `(a+)+` has twice as many for each letter more.
 */
export function ways(source: string, length: number): number {
  const tokens = [...source.matchAll(TOKEN)].map(([token]) => token);
  let at = 0;
  let either = false; // at the top
  const alternatives = (top: boolean): number => {
    let sum = sequence();
    while (tokens[at] === "|") {
      at += 1;
      either ||= top;
      sum += sequence();
    }
    return sum;
  };
  const sequence = (): number => {
    let product = 1;
    while (at < tokens.length && tokens[at] !== "|" && tokens[at] !== ")") product *= repeated(one());
    return product;
  };
  const one = (): number => {
    if (!tokens[at++]!.startsWith("(")) return 1;
    const inside = alternatives(false);
    at += 1; // its end
    return inside;
  };
  const repeated = (of: number): number => {
    const counts = times(tokens[at] ?? "");
    if (!counts) return of;
    at += 1;
    const [least, most] = counts;
    let sum = 0;
    for (let count = Math.min(least, length); count <= Math.min(most, length); count++) sum += of ** count;
    return sum;
  };
  const all = alternatives(true);
  if (at < tokens.length) return Number.POSITIVE_INFINITY; // a bracket that was not opened
  return source.startsWith("^") && !either ? all : all * length; // from each letter on
}

/** How often a token says that what stands before it is there. */
function times(token: string): readonly [number, number] | null {
  if (token.startsWith("*")) return [0, Number.POSITIVE_INFINITY];
  if (token.startsWith("+")) return [1, Number.POSITIVE_INFINITY];
  if (token.startsWith("?")) return [0, 1];
  const counts = /^\{(\d+)(,?)(\d*)\}/.exec(token);
  if (!counts) return null;
  const least = Number(counts[1]);
  return [least, counts[2] ? Number(counts[3] || Number.POSITIVE_INFINITY) : least];
}

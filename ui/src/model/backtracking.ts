/** How much an engine that goes back and tries anew may have to try: of a pattern and the length of a text, without either run. */

const TOKEN = /\\.|\[(?:\\.|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<[^>]*>))?|[*+?]\??|\{\d+(?:,\d*)?\}\??|./gs;

/** In how many ways a part of a pattern may lie on a text, and how many steps it takes to try them all. */
interface Tries {
  readonly ways: number;
  readonly steps: number;
}

const LETTER: Tries = { ways: 1, steps: 1 };

/**
 * The steps in which all is tried of a pattern on a text of `length` letters, at most. The ways of parts one after the other
 * multiply, those of alternatives add up, and what repeats has those of each count; what stands behind a part is tried anew for
 * each of its ways. `(a+)+` has twice as many for each letter more.
 */
export function steps(source: string, length: number): number {
  const tokens = [...source.matchAll(TOKEN)].map(([token]) => token);
  let at = 0;
  let either = false; // at the top
  const alternatives = (top: boolean): Tries => {
    let all = sequence();
    while (tokens[at] === "|") {
      at += 1;
      either ||= top;
      const other = sequence();
      all = { ways: all.ways + other.ways, steps: all.steps + other.steps };
    }
    return all;
  };
  const sequence = (): Tries => {
    let all: Tries = { ways: 1, steps: 0 };
    while (at < tokens.length && tokens[at] !== "|" && tokens[at] !== ")") {
      const next = repeated(one());
      all = { ways: all.ways * next.ways, steps: all.steps + all.ways * next.steps };
    }
    return all;
  };
  const one = (): Tries => {
    const token = tokens[at++]!;
    if (/^\\[1-9k]/.test(token)) return { ways: 1, steps: length }; // a group once more: all its letters
    if (!token.startsWith("(")) return LETTER;
    const inside = alternatives(false);
    at += 1; // its end
    // What was looked at ahead or behind is not tried in another way because of what follows.
    return { ways: /^\(\?<?[=!]/.test(token) ? 1 : inside.ways, steps: inside.steps + 1 };
  };
  const repeated = (of: Tries): Tries => {
    const counts = times(tokens[at] ?? "");
    if (!counts) return of;
    at += 1;
    const [least, most] = counts;
    let ways = 0;
    for (let count = Math.min(least, length); count <= Math.min(most, length); count++) ways += of.ways ** count;
    // What may be empty is repeated as often as it must be, however short the text.
    const often = Math.max(least, Math.min(most, length));
    const before = of.ways > 1 ? (of.ways ** often - 1) / (of.ways - 1) : often; // the ways of all counts below
    return { ways, steps: before * of.steps + 1 };
  };
  const all = alternatives(true).steps;
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

/**
 * The arithmetic of Grafana's expressions: `$A / ($B + 1) > 0.5 && !is_nan($C)`. Text in, a tree out; what a tree is worth is
 * said by whoever knows what `$A` is. Truth is 1 and 0, as there.
 */

import { own } from "./options";

export type Tree =
  | { readonly kind: "number"; readonly value: number | null }
  | { readonly kind: "query"; readonly refId: string }
  | { readonly kind: "one"; readonly of: (value: number | null) => number | null; readonly inside: Tree }
  | {
      readonly kind: "two";
      readonly of: (a: number, b: number) => number;
      readonly left: Tree;
      readonly right: Tree;
    };

const truth = (is: boolean) => (is ? 1 : 0);
const known = (of: (value: number) => number) => (value: number | null) => (value === null ? null : of(value));

const FUNCTIONS: Readonly<Record<string, (value: number | null) => number | null>> = {
  abs: known(Math.abs),
  log: known(Math.log),
  round: known(Math.round),
  ceil: known(Math.ceil),
  floor: known(Math.floor),
  is_nan: known((value) => truth(Number.isNaN(value))),
  is_inf: known((value) => truth(Math.abs(value) === Number.POSITIVE_INFINITY)),
  is_number: (value) => truth(value !== null && Number.isFinite(value)),
  is_null: (value) => truth(value === null),
};
const CONSTANTS: Readonly<Record<string, number | null>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infn: Number.NEGATIVE_INFINITY,
  null: null,
};
// From what binds least to what binds most.
const LEVELS: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { "||": (a, b) => truth(a !== 0 || b !== 0) },
  { "&&": (a, b) => truth(a !== 0 && b !== 0) },
  {
    "==": (a, b) => truth(a === b),
    "!=": (a, b) => truth(a !== b),
    ">=": (a, b) => truth(a >= b),
    "<=": (a, b) => truth(a <= b),
    ">": (a, b) => truth(a > b),
    "<": (a, b) => truth(a < b),
  },
  { "+": (a, b) => a + b, "-": (a, b) => a - b },
  { "*": (a, b) => a * b, "/": (a, b) => a / b, "%": (a, b) => a % b },
  { "**": (a, b) => a ** b },
];
const TOKEN =
  /\s*(\$\{[^}]+\}|\$\w+|0x[\da-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+|\*\*|&&|\|\||[=!<>]=|[-+*/%<>!()]|\w+)/iy;

/** The tree of an expression; an Error says at which place it cannot be read. */
export function parsed(text: string): Tree {
  const tokens = tokensOf(text);
  let at = 0;
  const expect = (token: string) => {
    if (tokens[at] !== token) throw new Error(`“${text}” has no “${token}” before “${tokens[at] ?? "its end"}”`);
    at += 1;
  };
  const level = (depth: number): Tree => {
    const operators = LEVELS[depth];
    if (!operators) return single();
    let left = level(depth + 1);
    for (let of = own(operators, tokens[at] ?? ""); of; of = own(operators, tokens[at] ?? "")) {
      at += 1;
      left = { kind: "two", of, left, right: level(depth + 1) };
    }
    return left;
  };
  const single = (): Tree => {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`“${text}” ends where a value should be`);
    if (token === "-") return { kind: "one", of: known((value) => -value), inside: single() };
    if (token === "!") return { kind: "one", of: known((value) => truth(value === 0)), inside: single() };
    if (token.startsWith("$")) return { kind: "query", refId: refIdOf(token) };
    if (/^[\d.]/.test(token)) return { kind: "number", value: Number(token) };
    if (token === "(") {
      const inside = level(0);
      expect(")");
      return inside;
    }
    const of = own(FUNCTIONS, token);
    if (!of && !Object.hasOwn(CONSTANTS, token)) throw new Error(`“${text}”: there is no ${token} in expressions`);
    expect("(");
    const inside: Tree = of ? level(0) : { kind: "number", value: CONSTANTS[token] ?? null };
    expect(")");
    return of ? { kind: "one", of, inside } : inside;
  };
  const tree = level(0);
  if (at < tokens.length) throw new Error(`“${text}”: “${tokens[at]}” is one too many`);
  return tree;
}

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = [];
  const end = text.trimEnd().length;
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < end; ) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) throw new Error(`“${text}” cannot be read from “${text.slice(from).trim()}” on`);
    tokens.push(found[1]!);
  }
  return tokens;
}

/** The query that `$A`, `${A}` or `A` names. */
export function refIdOf(text: string): string {
  return text.replace(/^\$\{?|\}$/g, "");
}

/** The queries that a tree is of. */
export function queriesOf(tree: Tree): readonly string[] {
  if (tree.kind === "query") return [tree.refId];
  if (tree.kind === "one") return queriesOf(tree.inside);
  return tree.kind === "two" ? [...queriesOf(tree.left), ...queriesOf(tree.right)] : [];
}

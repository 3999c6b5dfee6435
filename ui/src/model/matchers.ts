/**
 * Matchers of labels, as Alertmanager and PromQL write them: `job="api"`, `env!="dev"`, `path=~"/v1/.*"`, `x!~"a|b"`.
 */

export interface Matcher {
  readonly name: string;
  readonly value: string;
  readonly isEqual: boolean;
  readonly isRegex: boolean;
}

const ONE = /\s*([A-Za-z_][\w.]*|"(?:[^"\\]|\\.)*")\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|(?![=~])[^,}"\s]*)\s*/y;

/** The matchers of a text, with commas between and braces around or not; null when it is none. */
export function parseMatchers(text: string): Matcher[] | null {
  const inner = text.trim().replace(/^\{([\s\S]*)\}$/, "$1");
  const found: Matcher[] = [];
  let at = 0;
  while (at < inner.length) {
    ONE.lastIndex = at;
    const one = ONE.exec(inner);
    if (!one) return null;
    const [all, name, operator, value] = one;
    found.push({
      name: unquoted(name!),
      value: unquoted(value!),
      isEqual: operator!.startsWith("="),
      isRegex: operator!.endsWith("~"),
    });
    at += all.length;
    if (at < inner.length && inner[at] !== ",") return null;
    at += 1;
  }
  return found;
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

/** `job="api", env!~"dev|test"`. */
export function printMatchers(matchers: readonly Matcher[]): string {
  return matchers
    .map(
      ({ name, value, isEqual, isRegex }) =>
        `${name}${OPERATORS[Number(isEqual)]![Number(isRegex)]}${JSON.stringify(value)}`,
    )
    .join(", ");
}

const OPERATORS = [
  ["!=", "!~"],
  ["=", "=~"],
] as const;

/** The matchers that fit these labels and no others. */
export function exactly(labels: Readonly<Record<string, string>>): Matcher[] {
  return Object.entries(labels).map(([name, value]) => ({ name, value, isEqual: true, isRegex: false }));
}

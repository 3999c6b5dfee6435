/** Regular expressions as dashboards write them. */

import { type Regex, regex } from "@/model/regex";

interface Ways {
  /** A pattern without slashes is of the whole text. */
  readonly whole?: boolean;
}

/** `/pattern/flags`, or a pattern alone; null where it cannot be one, or could take longer than anybody waits. */
export function pattern(text: string, { whole = false }: Ways = {}): Regex | null {
  const parts = /^\/(.*)\/([gimsuy]*)$/s.exec(text);
  if (parts) return regex(parts[1]!, parts[2]);
  return regex(whole ? `^(?:${text})$` : text);
}

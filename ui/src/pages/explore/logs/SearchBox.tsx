/** The search: Lucene's syntax, completed with the fields there are and their most frequent values in the range shown. */

import type { CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { EditorState } from "@codemirror/state";
import { useState } from "react";
import { facetsOf } from "@/api/logs";
import { CodeBox, type CodeProps } from "@/components/CodeBox";
import { useLatest } from "@/components/latest";
import { useTime } from "@/components/time";
import { LEVELS } from "@/model/logs";
import { FIELDS, quoted, typing } from "@/model/lucene";
import type { Span } from "@/model/timerange";
import { format } from "@/model/units";

interface Props extends CodeProps {
  /** Names of attributes that were seen. */
  readonly names: readonly string[];
}

interface Known {
  readonly span: Span;
  readonly names: readonly string[];
}

export default function SearchBox({ names, ...props }: Props) {
  const known = useLatest<Known>({ span: useTime().span, names });
  const [language] = useState(() => {
    // One and the same object each time: a new one would be a new source, which is asked all over again.
    const sources = [{ autocomplete: (context: CompletionContext) => completed(context, known.current) }];
    return EditorState.languageData.of(() => sources);
  });
  return <CodeBox {...props} extensions={language} hint={'words, or level:ERROR service:api "timed out"'} />;
}

async function completed(context: CompletionContext, { span, names }: Known): Promise<CompletionResult | null> {
  const found = typing(context.state.sliceDoc(0, context.pos));
  if (!found || (!found.typed && !found.field && !context.explicit)) return null;
  if (found.field === null) {
    const options = [...new Set([...FIELDS, ...names])].map((name) => ({ label: name, apply: `${name}:` }));
    return { from: found.from, options, validFor: /^[\w@.-]*$/ };
  }
  const values =
    found.field === "level" ? LEVELS.map((value) => ({ value, detail: "" })) : await valuesOf(found.field, span);
  return {
    from: found.from,
    options: values.map(({ value, detail }) => ({ label: value, apply: quoted(value), detail })),
    validFor: /^[^\s"()]*$/,
  };
}

async function valuesOf(field: string, span: Span) {
  try {
    const { facets } = await facetsOf({ query: "", levels: [] }, span, [field], 50);
    return facets[field]!.map(({ value, records }) => ({ value, detail: format(records, "short") }));
  } catch {
    return []; // a field the server does not know has no values to offer; the search itself will say so
  }
}

/** Ad hoc filters: matchers put into every selector of a query, found by the grammar of PromQL itself. */

import { parser } from "@prometheus-io/lezer-promql";

/** `query` with `matchers` (`job="api",zone!="b"`) in each of its selectors; as it is where it cannot be parsed. */
export function withMatchers(query: string, matchers: string): string {
  if (!matchers) return query;
  const edits: { at: number; text: string }[] = [];
  parser.parse(query).iterate({
    enter: ({ name, node }) => {
      if (name !== "VectorSelector") return;
      const inside = node.getChild("LabelMatchers");
      if (!inside) edits.push({ at: node.to, text: `{${matchers}}` });
      else edits.push({ at: inside.from + 1, text: inside.firstChild ? `${matchers},` : matchers });
    },
  });
  return edits.toReversed().reduce((text, { at, text: put }) => text.slice(0, at) + put + text.slice(at), query);
}

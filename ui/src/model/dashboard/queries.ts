/** The queries of a panel's JSON: their texts, what they ask and of whom; added, moved and taken away. */

import { bool, list, object, objects, text } from "./options";
import { sourceKind } from "./read";
import type { Json, SourceKind } from "./types";

/** What a new query asks, and what Grafana calls a source of it. */
export const ASKED = { metrics: "prometheus", logs: "loki", traces: "tempo" } as const;
export type Asked = keyof typeof ASKED;

export type Answer = "range" | "instant" | "both";

export const queriesOf = (panel: Json): readonly Json[] => objects(panel.targets);

/** Of what kind a query is: its own source, or that of its panel. */
export function kindOf(panel: Json, query: Json): SourceKind {
  const kind = sourceKind(query.datasource ?? panel.datasource);
  return kind === "mixed" || (kind === "other" && text(query.expr)) ? "prometheus" : kind;
}

/** The text of a query, wherever its source has it. */
export function textOf(query: Json): string {
  return text(query.expr) || text(query.query) || text(object(query.query).query) || text(query.expression);
}

/** The query with another text, where its source has it. */
export function withText(query: Json, written: string): Json {
  if (typeof query.query === "object" && query.query !== null)
    return { ...query, query: { ...object(query.query), query: written } };
  if (query.expression !== undefined) return { ...query, expression: written };
  if (query.query !== undefined && !text(query.expr)) return { ...query, query: written };
  return { ...query, expr: written };
}

export function answerOf({ instant, range }: Json): Answer {
  if (!bool(instant)) return "range";
  return bool(range) ? "both" : "instant";
}

export function withAnswer(query: Json, answer: Answer): Json {
  return { ...query, instant: answer !== "range", range: answer !== "instant" };
}

/** `panel` with `query` in the place `at`. */
export function withQuery(panel: Json, at: number, query: Json): Json {
  return { ...panel, targets: queriesOf(panel).map((each, place) => (place === at ? query : each)) };
}

export function withoutQuery(panel: Json, at: number): Json {
  return { ...panel, targets: list(panel.targets).filter((_, place) => place !== at) };
}

/** `panel` with the query at one place put to another; what is not there changes nothing. */
export function movedQuery(panel: Json, from: number, to: number): Json {
  const all = queriesOf(panel);
  const one = all[from];
  if (!one || to < 0 || to >= all.length) return panel;
  return { ...panel, targets: all.toSpliced(from, 1).toSpliced(to, 0, one) };
}

/** `panel` with one more query, under the first letter that is free; its source is named where it is not that of the panel. */
export function withNewQuery(panel: Json, asked: Asked): Json {
  const all = queriesOf(panel);
  const taken = new Set(all.map(({ refId }) => refId));
  const refId = Array.from({ length: 26 }, (_, at) => String.fromCharCode(65 + at)).find((each) => !taken.has(each));
  const type = ASKED[asked];
  const own = sourceKind(panel.datasource) !== sourceKind({ type });
  const datasource = own ? { datasource: { type } } : panel.datasource ? { datasource: panel.datasource } : {};
  const empty = asked === "traces" ? { query: "" } : { expr: "" };
  return { ...panel, targets: [...all, { refId: refId ?? `Q${all.length + 1}`, ...datasource, ...empty }] };
}

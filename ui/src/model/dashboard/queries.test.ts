import { expect, test } from "vitest";
import {
  answerOf,
  kindOf,
  movedQuery,
  textOf,
  withAnswer,
  withNewQuery,
  withoutQuery,
  withQuery,
  withText,
} from "./queries";
import type { Json } from "./types";

test.each<[string, Json, Json, Json]>([
  ["PromQL", { expr: "up" }, { refId: "A", expr: "up" }, { expr: "sum(up)" }],
  ["Lucene", { query: "up" }, { query: "up" }, { query: "sum(up)" }],
  ["Jaeger's", { query: { query: "up", limit: 3 } }, {}, { query: { query: "sum(up)", limit: 3 } }],
  ["an expression", { expression: "up", type: "math" }, {}, { expression: "sum(up)", type: "math" }],
])("a text of %s is changed where it stands", (_, query, __, expected) => {
  expect(textOf(query)).toBe("up");
  expect(withText(query, "sum(up)")).toEqual(expected);
});
test("a new text stands as PromQL", () => expect(withText({ refId: "A" }, "up")).toEqual({ refId: "A", expr: "up" }));

test.each([
  [{}, "range"],
  [{ instant: true }, "instant"],
  [{ instant: true, range: true }, "both"],
  [{ instant: false, range: true }, "range"],
] as const)("%j answers with %s", (query, answer) => {
  expect(answerOf(query)).toBe(answer);
  expect(answerOf(withAnswer({ theirs: 1 }, answer))).toBe(answer);
});

const panel: Json = {
  id: 1,
  targets: [
    { refId: "A", expr: "a" },
    { refId: "C", expr: "c" },
  ],
};
const ids = ({ targets }: Json) => (targets as Json[]).map(({ refId }) => refId);

test.each<[string, Json, readonly string[]]>([
  ["moved down", movedQuery(panel, 0, 1), ["C", "A"]],
  ["moved up", movedQuery(panel, 1, 0), ["C", "A"]],
  ["no farther than the end", movedQuery(panel, 1, 2), ["A", "C"]],
  ["taken away", withoutQuery(panel, 0), ["C"]],
  ["put in the place of another", withQuery(panel, 1, { refId: "D" }), ["A", "D"]],
  ["added under the first free letter", withNewQuery(panel, "metrics"), ["A", "C", "B"]],
  ["added to none", withNewQuery({ id: 1 }, "logs"), ["A"]],
])("a query is %s", (_, made, expected) => expect(ids(made)).toEqual(expected));

test.each<[Json, "metrics" | "logs" | "traces", Json]>([
  [{}, "metrics", { refId: "A", expr: "" }],
  [
    { datasource: { type: "prometheus", uid: "p" } },
    "metrics",
    { refId: "A", datasource: { type: "prometheus", uid: "p" }, expr: "" },
  ],
  [{}, "logs", { refId: "A", datasource: { type: "loki" }, expr: "" }],
  [{ datasource: { type: "loki" } }, "metrics", { refId: "A", datasource: { type: "prometheus" }, expr: "" }],
  [{}, "traces", { refId: "A", datasource: { type: "tempo" }, query: "" }],
])("of a panel %j a new query of %s is %j", (of, asked, query) => {
  const made = withNewQuery(of, asked);
  expect(made.targets).toEqual([query]);
  expect(kindOf(made, query)).toBe(asked === "metrics" ? "prometheus" : asked);
});

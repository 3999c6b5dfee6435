import { expect, it } from "vitest";
import { readPanel } from "./read";
import { traceAsk } from "./traceask";

const ask = (raw: Record<string, unknown>) =>
  traceAsk(
    readPanel({ type: "traces", datasource: { type: "tempo" }, targets: [{ refId: "A", ...raw }] }, 1).targets[0]!,
    (text) => text,
  );
const nothing = { q: "", service: "", op: "", min: "", max: "", errors: false };

it.each([
  [{ query: "4BF92F3577B34DA6A3CE929D0E0E4736" }, { kind: "trace", id: "4bf92f3577b34da6a3ce929d0e0e4736" }],
  [{ queryType: "serviceMap" }, { kind: "map" }],
  [
    { queryType: "search", service: "shop", operation: "All", minDuration: "1s", tags: "error=true http.method=GET" },
    {
      kind: "search",
      asked: { ...nothing, service: "shop", min: "1s", q: 'status:error http.method:"GET"' },
      missing: [],
    },
  ],
  [
    { query: '{ resource.service.name = "shop" && duration > 1s && span.http.status_code >= 500 && status = error }' },
    {
      kind: "search",
      asked: { ...nothing, q: 'service:"shop" duration:>1s http.status_code:>=500 status:error' },
      missing: [],
    },
  ],
  [
    {
      queryType: "traceqlSearch",
      filters: [
        { tag: "service.name", operator: "=", scope: "resource", value: ["a", "b"] },
        { tag: "name", value: "" },
      ],
    },
    { kind: "search", asked: { ...nothing, q: '(service:"a" OR service:"b")' }, missing: [] },
  ],
  [{ query: "status:error" }, { kind: "search", asked: { ...nothing, q: "status:error" }, missing: [] }],
])("reads %o", (raw, expected) => expect(ask(raw)).toEqual(expected));

it.each(["{ .a = 1 } >> { .b = 2 }", "{ .a = 1 || .b = 2 }"])("says what of %s it does not ask", (query) => {
  expect(ask({ query })).toMatchObject({ kind: "search", missing: [expect.stringContaining("query A")] });
});

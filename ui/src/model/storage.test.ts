import { expect, test } from "vitest";
import { byKind, compression, grown, kindOf, type StoredTable } from "./storage";

test.each([
  ["samples_5m", "metrics"],
  ["metric_metadata", "metrics"],
  ["logs", "logs"],
  ["log_patterns_1m", "logs"],
  ["spans", "traces"],
  ["spans_late", "of aiprism itself"],
  ["trace_index", "traces"],
  ["service_edges_1m", "rollups of traces"],
  ["housekeeping", "of aiprism itself"],
])("%s is %s", (table, kind) => expect(kindOf(table)).toBe(kind));

const table = (name: string, bytes: number): StoredTable => ({
  table: name,
  rows: 10,
  bytes,
  uncompressed: bytes * 8,
  oldest: null,
  newest: null,
  parts: 1,
  retention_seconds: null,
});

test("kinds are added up, the largest first", () =>
  expect(byKind([table("logs", 1), table("samples", 2), table("series", 3)])).toEqual([
    { kind: "metrics", rows: 20, bytes: 5, uncompressed: 40 },
    { kind: "logs", rows: 10, bytes: 1, uncompressed: 8 },
  ]));

test.each([
  [{ bytes: 2, uncompressed: 9 }, 4.5],
  [{ bytes: 0, uncompressed: 0 }, null],
])("%j is compressed %j times", (sizes, times) => expect(compression(sizes)).toBe(times));

test("what grew is told by how much, the most first", () =>
  expect(
    grown(
      [
        { name: "same", value: 4 },
        { name: "less", value: 1 },
        { name: "more", value: 7 },
        { name: "new", value: 9 },
      ],
      [
        { name: "same", value: 4 },
        { name: "less", value: 3 },
        { name: "more", value: 5 },
      ],
    ),
  ).toEqual([
    { name: "new", value: 9 },
    { name: "more", value: 2 },
  ]));

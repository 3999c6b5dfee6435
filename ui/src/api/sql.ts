/** SQL: what there is to ask of, and the answer to one query. */

import { useQuery } from "@tanstack/react-query";
import type { SqlAnswer } from "@/model/sqlanswer";
import type { Span } from "@/model/timerange";
import { get, post } from "./http";

export interface SqlColumn {
  readonly name: string;
  readonly type: string;
  readonly about: string;
}

export interface SqlTable {
  readonly name: string;
  readonly about: string;
  readonly time: string; // empty when it has no column of time
  readonly columns: readonly SqlColumn[];
}

export interface SqlExample {
  readonly title: string;
  readonly sql: string;
}

export interface SqlCatalogue {
  readonly tables: readonly SqlTable[];
  readonly functions: readonly string[];
  readonly examples: readonly SqlExample[];
  readonly limits: { readonly rows: number; readonly seconds: number };
}

export const useSqlCatalogue = () =>
  useQuery({
    queryKey: ["sql", "catalogue"],
    staleTime: 600_000,
    queryFn: async ({ signal }) => (await get("/aiprism/v1/sql", { signal })) as SqlCatalogue,
  });

export const useSql = (query: string, span: Span, step: number) =>
  useQuery({
    queryKey: ["sql", "answer", query, span, step],
    queryFn: async ({ signal }) =>
      (await post("/aiprism/v1/sql", {
        body: { query, from: span.start, to: span.end, step },
        signal,
      })) as SqlAnswer,
    enabled: query.trim() !== "",
    retry: false,
    // Asked again it stays meanwhile; the answer of another question does not.
    placeholderData: (before, asked) => (asked?.queryKey[2] === query ? before : undefined),
  });

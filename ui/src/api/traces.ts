/** Traces: searched, told as one, compared, counted. */

import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { Span } from "@/model/timerange";
import type { Told } from "@/model/trace";
import type { Compared } from "@/model/tracediff";
import type { Asked } from "@/model/tracesearch";
import { get } from "./http";

/** One trace as a search lists it. */
export interface Found {
  readonly trace_id: string;
  readonly root_service: string;
  readonly root_name: string;
  readonly has_root: boolean;
  readonly start_ns: number;
  readonly duration_ns: number;
  readonly spans: number;
  readonly errors: number;
  readonly services: readonly string[];
}

interface Page {
  readonly traces: readonly Found[];
  readonly cursor: string | null;
}

const PAGE = 100;

/** Traces that fit, page after page. */
export const useTraces = (asked: Asked, span: Span, order: "time" | "duration", enabled = true) =>
  useInfiniteQuery({
    queryKey: ["traces", asked, span, order],
    queryFn: async ({ pageParam, signal }) =>
      (await get("/aiprism/v1/traces", {
        query: { ...queryOf(asked, span), order, limit: PAGE, cursor: pageParam },
        signal,
      })) as Page,
    initialPageParam: "",
    getNextPageParam: (page) => page.cursor,
    placeholderData: (before) => before,
    enabled,
  });

/** The newest `limit` traces that fit. */
export async function tracesOf(
  asked: Asked,
  span: Span,
  limit: number,
  signal?: AbortSignal,
): Promise<readonly Found[]> {
  const query = { ...queryOf(asked, span), order: "time" as const, limit };
  return ((await get("/aiprism/v1/traces", { query, signal })) as Page).traces;
}

/** Spans that fit in a step of time and half a doubling of their duration. */
export interface Cell {
  readonly at: number;
  readonly from_ns: number;
  readonly to_ns: number;
  readonly spans: number;
  readonly errors: number;
}

export interface Heatmap {
  readonly step: number;
  readonly cells: readonly Cell[];
}

export const useHeatmap = (asked: Asked, span: Span) =>
  useQuery({
    queryKey: ["traces", "heatmap", asked, span],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/traces/heatmap", { query: queryOf(asked, span), signal })) as Heatmap,
    placeholderData: (before) => before,
  });

/** A value of an attribute that tells slow traces from others. */
export interface Reason {
  readonly key: string;
  readonly value: string;
  readonly service: string;
  readonly operation: string;
  readonly evidence: "trace" | "span";
  readonly explained: number;
  readonly odds: number;
  readonly slow_share: number;
  readonly other_share: number;
  readonly also: readonly string[];
}

/** What an operation has of the critical path in slow traces and in others; `share` of what the slow ones take longer. */
export interface Spent {
  readonly service: string;
  readonly operation: string;
  readonly slow_ns: number;
  readonly other_ns: number;
  readonly share: number;
}

export interface Explained {
  readonly operations: readonly Spent[];
  readonly reasons: readonly Reason[];
  readonly slow: number;
  readonly other: number;
  readonly sampled: { readonly slow: number; readonly other: number; readonly most: number };
}

/** What traces of `least` or longer (or failed ones) have that the others have not. */
export const useExplain = (asked: Asked, span: Span, least: string, failed: boolean) =>
  useQuery({
    queryKey: ["traces", "explain", asked, span, least, failed],
    queryFn: async ({ signal }) => {
      const { errors: _, min_duration: __, ...rest } = queryOf(asked, span);
      const query = { ...rest, ...(failed ? { failed } : { min_duration: least }), limit: 50 };
      return (await get("/aiprism/v1/traces/explain", { query, signal })) as Explained;
    },
    enabled: failed || least !== "",
    placeholderData: (before) => before,
  });

/** Every span of a trace, its log records, and what they mean together. */
export const useTrace = (id: string) =>
  useQuery({
    queryKey: ["traces", "one", id],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/traces/{trace_id}", { path: { trace_id: id }, signal })) as Told,
    staleTime: 30_000,
    enabled: id !== "",
  });

export const useCompared = (a: string, b: string) =>
  useQuery({
    queryKey: ["traces", "compare", a, b],
    queryFn: async ({ signal }) =>
      ((await get("/aiprism/v1/traces/compare", { query: { a, b }, signal })) as { paths: readonly Compared[] }).paths,
    staleTime: 30_000,
    enabled: a !== "" && b !== "",
  });

/** Rate, errors and durations over the whole of a range. */
export interface Counted {
  readonly service: string;
  readonly operation: string;
  readonly kind: string;
  readonly spans: number;
  readonly errors: number;
  readonly rate: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly p99_ms: number;
}

/** Every operation (of a service), a row each. */
export function useOperations(span: Span, service = "") {
  const minutes = { start: Math.floor(span.start / 60) * 60, end: Math.ceil(span.end / 60) * 60 };
  return useQuery({
    queryKey: ["operations", minutes, service],
    queryFn: async ({ signal }) => {
      const query = { ...minutes, service, by: "operation" as const, step: 0 };
      return (await get("/aiprism/v1/traces/aggregate", { query, signal })) as {
        rows: readonly Counted[];
        is_whole: boolean;
      };
    },
    placeholderData: (before) => before,
  });
}

function queryOf({ q, service, op, min, max, errors }: Asked, { start, end }: Span) {
  return {
    start,
    end,
    ...(q && { query: q }),
    ...(service && { service }),
    ...(op && { operation: op }),
    ...(min && { min_duration: min }),
    ...(max && { max_duration: max }),
    ...(errors && { errors: true }),
  };
}

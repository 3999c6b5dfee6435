/** Services as their traces show them. */

import { useQuery } from "@tanstack/react-query";
import type { Span } from "@/model/timerange";
import { get } from "./http";

export interface ServiceRate {
  readonly service: string;
  readonly rate: number;
  readonly error_share: number;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
}

/** What a number is of that tells how a service does: long enough for a rate, short enough that an outage is not averaged away. */
export const LATELY = 60; // seconds

/** Rate, errors and latency of each service in the last minute until `end`; without one until now, and asked again. */
export const useServices = (end?: number) =>
  useQuery({
    queryKey: ["services", "lately", end],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/services", { query: { window: LATELY, end }, signal });
      return (answer as { services: readonly ServiceRate[] }).services;
    },
    refetchInterval: end === undefined && 15_000,
  });

/** What a service did in one step of time that begins `at`. */
export interface RedRow {
  readonly at: number;
  readonly service: string;
  readonly operation?: string;
  readonly spans: number;
  readonly errors: number;
  readonly rate: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly p99_ms: number;
}

/** Rate, errors and durations of every service (or operation of one), a row each `step` seconds. */
export function useRed(span: Span, step: number, service = "", by: "service" | "operation" = "service") {
  const start = Math.floor(span.start / step) * step;
  const end = Math.ceil(span.end / step) * step;
  return useQuery({
    queryKey: ["red", start, end, step, service, by],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/traces/aggregate", { query: { start, end, step, service, by }, signal });
      return (answer as { rows: readonly RedRow[] }).rows;
    },
    placeholderData: (before) => before,
  });
}

/** How requests went: how many, how many failed, what they took. */
export interface Load {
  readonly calls: number;
  readonly errors: number;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
  readonly p99_ms: number | null;
  readonly rate: number;
  readonly error_share: number;
}

interface Upkeep {
  readonly owner: string;
  readonly team: string;
  readonly tier: number | string | null;
  readonly runbook: string;
  readonly repository: string;
  readonly description: string;
}

export interface MapNode extends Load, Upkeep {
  readonly name: string;
  readonly kind: string;
  readonly seen: boolean;
  readonly declared: boolean;
  /** The names by which it sends. */
  readonly seen_as: readonly string[];
  readonly signals: readonly string[];
  readonly points?: readonly (Load & { readonly start: number })[];
}

export interface MapEdge extends Load {
  readonly caller: string;
  readonly callee: string;
  readonly connection: string;
  readonly system: string;
  readonly seen: boolean;
  readonly declared: boolean;
  readonly points?: readonly (Load & { readonly start: number })[];
}

export interface ServiceMap {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly is_whole: boolean;
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
}

/** Every service, declared or seen, and the calls between them; with a `step` also how they were in each step. */
export const useServiceMap = (span: Span, step = 0, enabled = true) =>
  useQuery({
    enabled,
    queryKey: ["services", "map", Math.floor(span.start / 60), Math.floor(span.end / 60), step],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/services/map", { query: { ...span, step }, signal })) as ServiceMap,
    placeholderData: (before) => before,
  });

export interface Neighbour {
  readonly name: string;
  readonly declared: boolean;
  readonly seen: boolean;
  readonly calls: number;
  readonly errors: number;
  readonly share: number;
}

export interface ChangeEvent {
  readonly id: string;
  readonly ts: number;
  readonly kind: string;
  readonly title: string;
  readonly service: string;
  readonly text: string;
  readonly source: string;
}

export interface ServicePage extends Upkeep {
  readonly name: string;
  readonly names: readonly string[];
  readonly kind: string;
  readonly seen: boolean;
  readonly declared: boolean;
  readonly signals: readonly string[];
  readonly last_seen: number | null;
  readonly callers: readonly Neighbour[];
  readonly callees: readonly Neighbour[];
  readonly metrics: readonly { readonly name: string }[];
  readonly red: Load;
  readonly operations: readonly (Load & { readonly name: string; readonly kind: string })[];
  readonly errors: readonly {
    readonly trace_id: string;
    readonly span_id: string;
    readonly name: string;
    readonly start_ns: number;
    readonly duration_ns: number;
    readonly status_message: string;
  }[];
  readonly logs: {
    readonly levels: readonly { readonly level: string; readonly records: number }[];
    readonly patterns: readonly {
      readonly pattern_id: string;
      readonly level: string;
      readonly lines: number;
      readonly example: string;
    }[];
  };
  readonly events: readonly ChangeEvent[];
  readonly incidents: readonly {
    readonly id: string;
    readonly title: string;
    readonly priority: string;
    readonly status: string;
    readonly created_at: number;
  }[];
  readonly alerts: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly since: number;
    readonly suppressed: boolean;
  }[];
}

/** All that is known of a service. */
export const useServicePage = (name: string, span: Span) =>
  useQuery({
    queryKey: ["services", "page", name, Math.floor(span.start / 15), Math.floor(span.end / 15)],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/services/{name}", { path: { name }, query: { ...span }, signal })) as ServicePage,
    placeholderData: (before) => (before?.name === name ? before : undefined),
  });

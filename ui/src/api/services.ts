/** Services as their traces show them. */

import { useQuery } from "@tanstack/react-query";
import type { Span } from "@/model/timerange";
import { get } from "./http";

export interface ServiceRate {
  readonly service: string;
  readonly rate: number;
  readonly error_share: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
}

/** Rate, errors and latency of each service in the last `seconds`. */
export const useServices = (seconds: number) =>
  useQuery({
    queryKey: ["services", seconds],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/services", { query: { window: seconds }, signal });
      return (answer as { services: readonly ServiceRate[] }).services;
    },
    refetchInterval: 15_000,
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

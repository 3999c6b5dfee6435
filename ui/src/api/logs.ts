/** Log records: searched, counted, followed, and saved searches. Every door takes the same search. */

import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { type Bucket, type LogRecord, withNewest } from "@/model/logs";
import type { Span } from "@/model/timerange";
import { address, get, post, remove } from "./http";
import { followed } from "./stream";

export interface LogQuery {
  readonly query: string;
  readonly levels: readonly string[];
}

interface Page {
  readonly logs: readonly LogRecord[];
  readonly cursor: string | null;
}

const PAGE = 500;

function asked({ query, levels }: LogQuery, { start, end }: Span) {
  return { query, level: [...levels], start, end };
}

/** Records that fit, newest first, a page at a time. */
export const useLogs = (wanted: LogQuery, span: Span, enabled: boolean) =>
  useInfiniteQuery({
    queryKey: ["logs", wanted, span],
    queryFn: async ({ pageParam, signal }) =>
      (await get("/aiprism/v1/logs", {
        query: { ...asked(wanted, span), limit: PAGE, cursor: pageParam },
        signal,
      })) as Page,
    initialPageParam: "",
    getNextPageParam: ({ cursor }) => cursor ?? undefined,
    enabled,
  });

/** The newest `limit` records that fit. */
export async function recordsOf(
  wanted: LogQuery,
  span: Span,
  limit: number,
  signal?: AbortSignal,
): Promise<readonly LogRecord[]> {
  return ((await get("/aiprism/v1/logs", { query: { ...asked(wanted, span), limit }, signal })) as Page).logs;
}

/** How many records fit in each step of time, by level. */
export async function logCounts(
  wanted: LogQuery,
  span: Span,
  step: number,
  signal?: AbortSignal,
): Promise<readonly Bucket[]> {
  const answer = await get("/aiprism/v1/logs/histogram", { query: { ...asked(wanted, span), step }, signal });
  return (answer as { readonly buckets: readonly Bucket[] }).buckets;
}

export const useLogHistogram = (wanted: LogQuery, span: Span, step: number) =>
  useQuery({
    queryKey: ["logs", "histogram", wanted, span, step],
    queryFn: ({ signal }) => logCounts(wanted, span, step, signal),
    placeholderData: (before) => before,
  });

export interface Facets {
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly records: number }[]>>;
  readonly records: number;
}

export async function facetsOf(
  wanted: LogQuery,
  span: Span,
  field: readonly string[],
  limit: number,
  signal?: AbortSignal,
): Promise<Facets> {
  const query = { ...asked(wanted, span), field: [...field], limit };
  return (await get("/aiprism/v1/logs/facets", { query, signal })) as Facets;
}

/** The most frequent values of fields among what fits, and how many records that is. */
export const useLogFacets = (wanted: LogQuery, span: Span, fields: readonly string[], enabled = true) =>
  useQuery({
    queryKey: ["logs", "facets", wanted, span, fields],
    queryFn: ({ signal }) => facetsOf(wanted, span, fields, 10, signal),
    placeholderData: (before) => before,
    enabled: enabled && fields.length > 0,
  });

/** The lines of a service around a record, at the address the record itself names. */
export const useLogContext = (link: string, lines: number) =>
  useQuery({
    queryKey: ["logs", "context", link, lines],
    queryFn: async ({ signal }) => {
      const { searchParams } = new URL(link, location.origin);
      const [ts_ns, service] = [searchParams.get("ts_ns") ?? "", searchParams.get("service") ?? ""];
      // The moment is more than a number of JavaScript holds: it goes as the text it came as.
      const query = { ts_ns: ts_ns as unknown as number, service, lines };
      const answer = await get("/aiprism/v1/logs/context", { query, signal });
      return answer as { readonly before: readonly LogRecord[]; readonly from: readonly LogRecord[] };
    },
  });

export interface Pattern {
  readonly id: string;
  readonly template: string;
  readonly count: number;
  readonly series: readonly (readonly [number, number])[];
  readonly services: Readonly<Record<string, number>> | readonly string[];
  readonly levels: Readonly<Record<string, number>> | readonly string[];
  readonly first_seen: number;
  readonly last_seen: number;
  readonly pattern_ids: readonly string[];
}

export interface Patterns {
  readonly lines: number;
  readonly step: number;
  readonly start: number;
  readonly end: number;
  readonly is_whole: boolean;
  readonly patterns: readonly Pattern[];
}

/** What the lines consist of. The counts are kept by level; words of a search do not narrow them. */
export const useLogPatterns = (levels: readonly string[], span: Span) =>
  useQuery({
    queryKey: ["logs", "patterns", levels, span],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/logs/patterns", {
        query: { ...span, level: [...levels], limit: 300, samples: 0 },
        signal,
      })) as Patterns,
  });

/** Where all that matches is had as a file. */
export function exportAddress(wanted: LogQuery, span: Span, format: "ndjson" | "csv" | "parquet"): string {
  return address("/aiprism/v1/logs/export", {}, { ...asked(wanted, span), format });
}

export interface Tail {
  readonly records: readonly LogRecord[];
  readonly heard: number;
  /** Why some may be missing, or why nothing comes. */
  readonly missing: string;
}

const MOST_TAILED = 2000;
const SILENCE: Tail = { records: [], heard: 0, missing: "" };

/** Records as they come in while `on`, the newest of them; nothing is drawn while `paused`, what comes is kept. */
export function useTail(wanted: LogQuery, on: boolean, paused: boolean): Tail & { readonly waiting: number } {
  const [tail, setTail] = useState<Tail>(SILENCE);
  const [waiting, setWaiting] = useState(0);
  const fresh = useRef<LogRecord[]>([]);
  const held = useRef(paused);
  useEffect(() => {
    held.current = paused;
  }, [paused]);
  const where = address("/aiprism/v1/logs/tail", {}, { query: wanted.query, level: [...wanted.levels] });
  useEffect(() => {
    setTail(SILENCE);
    fresh.current = [];
    if (!on) return;
    const end = followed(where, (source) => {
      source.addEventListener("log", ({ data }: MessageEvent<string>) => {
        fresh.current.push(JSON.parse(data) as LogRecord);
        if (fresh.current.length > MOST_TAILED) fresh.current.shift();
      });
      source.addEventListener("dropped", ({ data }: MessageEvent<string>) =>
        setTail((before) => ({ ...before, missing: (JSON.parse(data) as { why: string }).why })),
      );
      source.onerror = () =>
        setTail((before) => ({ ...before, missing: "the stream is interrupted; it is asked for again" }));
      source.onopen = () => setTail((before) => ({ ...before, missing: "" }));
    });
    // Drawn four times a second, however many come.
    const timer = setInterval(() => {
      if (held.current) return setWaiting(fresh.current.length);
      const some = fresh.current;
      if (some.length === 0) return;
      fresh.current = [];
      setWaiting(0);
      setTail((before) => ({
        ...before,
        records: withNewest(before.records, some, MOST_TAILED),
        heard: before.heard + some.length,
      }));
    }, 250);
    return () => {
      end();
      clearInterval(timer);
    };
  }, [where, on]);
  return { ...tail, waiting: paused ? waiting : 0 };
}

export interface SavedSearch {
  readonly name: string;
  readonly signal: string;
  readonly query: string;
  readonly columns: readonly string[];
  readonly description: string;
  readonly used_by: readonly string[];
}

export const useSavedSearches = (signal: "logs" | "traces") =>
  useQuery({
    queryKey: ["searches", signal],
    queryFn: async ({ signal: abort }) => {
      const answer = await get("/aiprism/v1/searches", { signal: abort });
      return (answer as { searches: readonly SavedSearch[] }).searches.filter((each) => each.signal === signal);
    },
  });

export function useSaveSearch() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { name: string; query: string; signal: "logs" | "traces"; columns: string[] }) =>
      post("/aiprism/v1/searches", { body: { ...body, description: "" } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["searches"] }),
  });
}

export function useDeleteSearch() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (name: string) => remove("/aiprism/v1/searches/{name}", { path: { name } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["searches"] }),
  });
}

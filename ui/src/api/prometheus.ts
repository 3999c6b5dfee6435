/** PromQL over HTTP: what is asked and what comes back, with numbers as numbers. */

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { Span } from "@/model/timerange";
import { aligned } from "@/model/timerange";
import { get } from "./http";

export type Labels = Readonly<Record<string, string>>;

/** One series of a range query; `values[i]` is of `times[i]`, null where there is none. */
export interface Series {
  readonly labels: Labels;
  readonly values: readonly (number | null)[];
}

/** What a range query gives: every series on the same grid of Unix seconds. */
export interface Frame {
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly warnings: readonly string[];
}

/** One sample of an instant query. */
export interface Sample {
  readonly labels: Labels;
  readonly time: number;
  readonly value: number;
}

export interface Exemplar {
  readonly labels: Labels;
  readonly time: number;
  readonly value: number;
  readonly series: Labels;
}

interface ExemplarsOfSeries {
  readonly seriesLabels: Labels;
  readonly exemplars: readonly { labels: Labels; value: string; timestamp: number }[];
}

interface Answered<D> {
  readonly data: D;
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
}

type Pair = readonly [number, string];
interface Result {
  readonly resultType: "vector" | "matrix" | "scalar" | "string";
  readonly result: unknown;
}

/** Every series of `query` in `span`, a value each `step` seconds. */
export async function queryRange(query: string, span: Span, step: number, signal?: AbortSignal): Promise<Frame> {
  const { start, end } = aligned(span, step);
  const asked = await get("/api/v1/query_range", { query: { query, start, end, step }, signal });
  const answer = asked as Answered<{ result: { metric: Labels; values?: Pair[] }[] }>;
  const times = Array.from({ length: Math.floor((end - start) / step + 1e-9) + 1 }, (_, at) => start + at * step);
  const place = new Map(times.map((time, at) => [Math.round(time * 1000), at]));
  const series = answer.data.result.map(({ metric, values }) => {
    const row: (number | null)[] = Array(times.length).fill(null);
    for (const [time, text] of values ?? []) {
      const at = place.get(Math.round(time * 1000));
      if (at !== undefined) row[at] = number(text);
    }
    return { labels: metric, values: row };
  });
  return { times, series, warnings: [...(answer.warnings ?? []), ...(answer.infos ?? [])] };
}

/** The samples of `query` at `time`; a scalar is one sample without labels. */
export async function queryInstant(query: string, time: number, signal?: AbortSignal): Promise<readonly Sample[]> {
  const { data } = (await get("/api/v1/query", { query: { query, time }, signal })) as Answered<Result>;
  if (data.resultType === "vector") {
    return (data.result as { metric: Labels; value: Pair }[]).map(({ metric, value }) => ({
      labels: metric,
      time: value[0],
      value: number(value[1]),
    }));
  }
  if (data.resultType === "scalar") {
    const [at, text] = data.result as Pair;
    return [{ labels: {}, time: at, value: number(text) }];
  }
  return [];
}

/** The exemplars of the series that `query` selects. */
export async function queryExemplars(query: string, span: Span, signal?: AbortSignal): Promise<readonly Exemplar[]> {
  const answer = await get("/api/v1/query_exemplars", { query: { query, ...span }, signal });
  const { data } = answer as Answered<readonly ExemplarsOfSeries[]>;
  return data.flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      labels,
      time: timestamp,
      value: number(value),
      series: seriesLabels,
    })),
  );
}

/** A range query that is asked again when its text or its range changes; what was there stays until the new is. */
export function useRange(query: string, span: Span, step: number): UseQueryResult<Frame> {
  return useQuery({
    queryKey: ["range", query, aligned(span, step), step],
    queryFn: ({ signal }) => queryRange(query, span, step, signal),
    enabled: query.trim() !== "",
    placeholderData: (before) => before,
  });
}

/** What Prometheus writes for a number: also `NaN`, `+Inf`, `-Inf`. */
export function number(text: string): number {
  if (text === "+Inf" || text === "Inf") return Number.POSITIVE_INFINITY;
  return text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text);
}

/** `up{job="api"}`, as people write a series. */
export function seriesName(labels: Labels): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  return pairs.length || !name ? `${name}{${pairs.join(", ")}}` : name;
}

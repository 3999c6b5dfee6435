/** What is stored and how long, and which metrics and labels have the most series. */

import { useQuery } from "@tanstack/react-query";
import { type Count, grown, type StoredTable } from "@/model/storage";
import { get } from "./http";
import { queryInstant } from "./prometheus";

export interface Storage {
  readonly database: string;
  readonly free_bytes: number;
  readonly tables: readonly StoredTable[];
  readonly housekeeping: Readonly<Record<string, number>>;
}

export interface Cardinality {
  readonly headStats: { readonly numSeries: number; readonly numLabelPairs: number };
  readonly seriesCountByMetricName: readonly Count[];
  readonly labelValueCountByLabelName: readonly Count[];
  readonly memoryInBytesByLabelName: readonly Count[];
  readonly seriesCountByLabelValuePair: readonly Count[];
}

export const useStorage = () =>
  useQuery({
    queryKey: ["settings", "storage"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/storage", { signal })) as Storage,
  });

export const useCardinality = (limit: number) =>
  useQuery({
    queryKey: ["settings", "cardinality", limit],
    queryFn: async ({ signal }) => {
      const answer = await get("/api/v1/status/tsdb", { query: { limit }, signal });
      return (answer as { data: Cardinality }).data;
    },
  });

const COUNTED = 'count by (__name__) ({__name__!=""})';
const HOUR = 3600;

/** The metrics that have more series than an hour ago: a question to all series, asked when somebody wants it. */
export const useGrown = (at: number, wanted: boolean) =>
  useQuery({
    queryKey: ["settings", "grown", at],
    queryFn: async ({ signal }) => {
      const asked = [at, at - HOUR].map(async (time) =>
        (await queryInstant(COUNTED, time, signal)).map(
          ({ labels, value }): Count => ({ name: labels.__name__ ?? "", value }),
        ),
      );
      const [now, before] = await Promise.all(asked);
      return grown(now!, before!);
    },
    enabled: wanted,
    retry: false,
  });

/** Scrape targets, by Prometheus' API. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import type { Labels } from "./prometheus";

export interface Target {
  readonly labels: Labels;
  readonly discoveredLabels: Labels;
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly lastError: string;
  readonly lastScrape: string;
  readonly lastScrapeDuration: number; // seconds
  readonly health: "up" | "down" | "unknown";
  readonly scrapeInterval: string;
}

export interface Targets {
  readonly activeTargets: readonly Target[];
  readonly droppedTargets: readonly { readonly discoveredLabels: Labels; readonly scrapePool?: string }[];
  readonly droppedTargetCounts: Readonly<Record<string, number>>;
}

export const useTargets = () =>
  useQuery({
    queryKey: ["settings", "targets"],
    queryFn: async ({ signal }) => {
      const answer = await get("/api/v1/targets", { signal });
      return (answer as { data: Targets }).data;
    },
    refetchInterval: 15_000,
  });

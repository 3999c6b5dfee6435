/** Rules against what is stored: when they would have fired, and on which incidents. */

import { useQueries, useQuery } from "@tanstack/react-query";
import { byLabels, type Firing } from "@/model/backtest";
import type { Span } from "@/model/timerange";
import { post } from "./http";
import { takingOf } from "./routing";

export interface RulePast {
  readonly group: string;
  readonly alert: string;
  readonly expr: string;
  readonly for: number;
  readonly evaluations: number;
  readonly failed: number;
  readonly fired: number;
  readonly seconds: number;
  readonly longest: number;
  readonly flapping: number;
  readonly pending_only: number;
  readonly notes: readonly string[];
  readonly firings: readonly Firing[];
  readonly is_whole: boolean;
}

export interface OldIncident {
  readonly id: string;
  readonly title: string;
  readonly priority: string;
  readonly created_at: number;
}

export interface Backtest {
  readonly start: number;
  readonly end: number;
  readonly rules: readonly RulePast[];
  readonly incidents: {
    readonly caught: readonly (OldIncident & { readonly alert: string; readonly earlier: number })[];
    readonly missed: readonly OldIncident[];
    readonly noise: readonly { readonly alert: string; readonly fired_at: number }[];
  };
}

/** What a file of rules would have done in `span`; nothing is asked for an empty one. */
export const useBacktest = (text: string, span: Span) =>
  useQuery({
    queryKey: ["backtest", text, Math.floor(span.start), Math.floor(span.end)],
    queryFn: async ({ signal }) => {
      const body = { files: { "rules.yml": text }, start: span.start, end: span.end, interval: 60 };
      return (await post("/aiprism/v1/backtest", { body, signal })) as Backtest;
    },
    enabled: text.trim() !== "",
    retry: false,
    placeholderData: (before) => before,
  });

const MOST = 20; // label sets whose way is asked for

/** Who would have been told of firings, and of how many; `rest` is how many firings were not asked for. */
export function useTold(firings: readonly Firing[]): { told: ReadonlyMap<string, number>; rest: number } {
  const sets = byLabels(firings);
  const asked = sets.slice(0, MOST);
  const answers = useQueries({
    queries: asked.map(({ labels }) => ({
      queryKey: ["routing", "told", labels],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        takingOf(
          Object.entries(labels).map(([name, value]) => ({ name, value, isEqual: true, isRegex: false })),
          signal,
        ),
    })),
  });
  const told = new Map<string, number>();
  answers.forEach(({ data = [] }, at) => {
    for (const receiver of new Set(data.map((taking) => taking.receiver)))
      told.set(receiver, (told.get(receiver) ?? 0) + asked[at]!.count);
  });
  return { told, rest: sets.slice(MOST).reduce((sum, { count }) => sum + count, 0) };
}

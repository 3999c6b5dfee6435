/** Rules against what is stored: when they would have fired, and on which incidents. */

import { useQuery } from "@tanstack/react-query";
import type { Firing, ToldReceiver } from "@/model/backtest";
import type { Span } from "@/model/timerange";
import { post } from "./http";

export interface RulePast {
  readonly group: string;
  readonly alert: string;
  readonly expr: string;
  /** What it counts, where its expression is none of PromQL's. */
  readonly signal: "logs" | "traces" | null;
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
  /** Who would have been told of it alone. */
  readonly told: readonly ToldReceiver[];
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
  /** Who would have been told of all of them: alerts of one group are told together, whatever rule they are of. */
  readonly told: readonly ToldReceiver[];
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

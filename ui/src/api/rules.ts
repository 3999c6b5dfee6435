/** Rule groups with their rules' states. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import type { Labels } from "./prometheus";

export interface Rule {
  readonly name: string;
  readonly query: string;
  /** Of a rule on logs or traces: the fields with which its file says what it asks. */
  readonly asks?: Readonly<Record<string, string | readonly string[]>>;
  readonly type: "alerting" | "recording";
  readonly health: "ok" | "err" | "unknown";
  readonly lastError?: string;
  readonly lastEvaluation: string;
  readonly evaluationTime: number; // seconds
  readonly labels?: Labels;
  readonly annotations?: Labels;
  readonly state?: "inactive" | "pending" | "firing";
  readonly duration?: number; // `for`, in seconds
  readonly keepFiringFor?: number;
  readonly alerts?: readonly unknown[];
}

export interface RuleGroup {
  readonly name: string;
  readonly file: string;
  readonly interval: number;
  readonly evaluationTime: number;
  readonly rules: readonly Rule[];
}

export const useRules = () =>
  useQuery({
    queryKey: ["alerts", "rules"],
    queryFn: async ({ signal }) => {
      const answer = await get("/api/v1/rules", { signal });
      return (answer as { data: { groups: readonly RuleGroup[] } }).data.groups;
    },
    refetchInterval: 30_000,
  });

/** Silences, by Alertmanager's API, and what else keeps alerts from being told. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Matcher } from "@/model/matchers";
import { get, post, remove } from "./http";
import type { Labels } from "./prometheus";

export interface Silence {
  readonly id: string;
  readonly matchers: readonly Matcher[];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly createdBy: string;
  readonly comment: string;
  readonly status: { readonly state: "active" | "pending" | "expired" };
}

export interface WantedSilence {
  readonly matchers: readonly Matcher[];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly createdBy: string;
  readonly comment: string;
}

/** A notification that nobody gets, and what holds it. */
export interface Held {
  readonly alert: string;
  readonly labels: Labels;
  readonly receiver: string;
  readonly stage: string;
  readonly reason: string;
  readonly since: number;
  readonly until: number | null;
}

export const useSilences = () =>
  useQuery({
    queryKey: ["silences"],
    queryFn: async ({ signal }) => (await get("/api/v2/silences", { signal })) as readonly Silence[],
  });

export const useHeld = (state: "held" | "past") =>
  useQuery({
    queryKey: ["alerts", "held", state],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/suppressed", { query: { state }, signal });
      return (answer as { suppressed: readonly Held[] }).suppressed;
    },
  });

export function useMakeSilence() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (wanted: WantedSilence) => post("/api/v2/silences", { body: wanted }),
    onSuccess: () =>
      Promise.all(["silences", "alerts"].map((topic) => client.invalidateQueries({ queryKey: [topic] }))),
  });
}

export function useEndSilence() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => remove("/api/v2/silence/{silence_id}", { path: { silence_id: id } }),
    onSuccess: () =>
      Promise.all(["silences", "alerts"].map((topic) => client.invalidateQueries({ queryKey: [topic] }))),
  });
}

/** What belongs to an incident beside its own page: why its alerts are one, what was told of it to whom, runbooks that there are. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { get, post } from "./http";

/** Why an alert belongs: it is like another one by time, service and kind. */
export interface Edge {
  readonly from: string; // fingerprints
  readonly to: string;
  readonly at: number;
  /** The incident that became part of this one because of it. */
  readonly took_in: string | null;
  readonly score: number;
  readonly threshold: number;
  readonly parts: Readonly<Record<Part, number>>;
  readonly weights: Readonly<Record<Part, number>>;
  readonly way: { readonly text: string; readonly known: string } | null;
}

export type Part = "time" | "service" | "kind";

export interface Correlation {
  readonly alerts: readonly {
    readonly fingerprint: string;
    readonly name: string;
    readonly service: string;
    readonly state: string;
    readonly active_at: number;
  }[];
  readonly edges: readonly Edge[];
  readonly by_hand: readonly {
    readonly at: number;
    readonly event: string;
    readonly other: string | null;
    readonly actor: string;
    readonly text: string;
  }[];
}

export const useCorrelation = (id: string) =>
  useQuery({
    queryKey: ["incidents", "correlation", id],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/incidents/{incident_id}/correlation", {
        path: { incident_id: id },
        signal,
      })) as Correlation,
  });

/** An update somebody wrote to an audience, and what became of it. */
export interface Update {
  readonly id: number;
  readonly at: number;
  readonly author: string;
  readonly audience: string;
  readonly status: string;
  readonly title: string;
  readonly text: string;
  readonly told: readonly {
    readonly receiver: string;
    readonly channel: string;
    readonly state: string;
    readonly error: string | null;
  }[];
}

export interface Draft {
  readonly audience: string;
  readonly template: string;
  readonly text: string;
}

export interface Preview {
  readonly title: string;
  readonly text: string;
  readonly public: boolean;
  readonly would_tell: readonly { readonly receiver: string; readonly channel: string }[];
}

export interface Choices {
  readonly audiences: readonly {
    readonly name: string;
    readonly public: boolean;
    readonly receivers: readonly string[];
  }[];
  readonly templates: readonly string[];
}

export const useChoices = () =>
  useQuery({
    queryKey: ["audiences"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/audiences", { signal })) as Choices,
  });

const UPDATES = "/aiprism/v1/incidents/{incident_id}/updates";

export const useUpdates = (id: string) =>
  useQuery({
    queryKey: ["incidents", "updates", id],
    queryFn: async ({ signal }) => {
      const answer = await get(UPDATES, { path: { incident_id: id }, signal });
      return (answer as { updates: readonly Update[] }).updates;
    },
  });

/** What an audience would be told; nothing is asked before one is chosen. */
export const usePreview = (id: string, draft: Draft) =>
  useQuery({
    queryKey: ["incidents", "preview", id, draft],
    queryFn: async ({ signal }) =>
      (await post(`${UPDATES}/preview`, {
        path: { incident_id: id },
        body: { ...draft, status: "", title: "" },
        signal,
      })) as Preview,
    enabled: draft.audience !== "",
    retry: false,
    placeholderData: (before) => before,
  });

export function useTell(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ actor, ...draft }: Draft & { actor: string }) =>
      post(UPDATES, { path: { incident_id: id }, body: { actor, ...draft, status: "", title: "" } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["incidents"] }),
  });
}

export const useRunbooks = () =>
  useQuery({
    queryKey: ["runbooks"],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/runbooks", { signal });
      return (answer as { runbooks: readonly { readonly name: string; readonly description: string }[] }).runbooks;
    },
  });

/** Incidents: the list; one with everything about it; what people do with it. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Channel } from "@/model/room";
import { ApiError, get, post, put } from "./http";
import type { Labels } from "./prometheus";

export type Priority = "P0" | "P1" | "P2" | "P3";
export type IncidentStatus = "investigating" | "identified" | "monitoring" | "resolved";

export interface IncidentAlert {
  readonly fingerprint: string;
  readonly name: string;
  readonly state: string;
  readonly value: number | string | null;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly active_at: number;
  readonly fired_at: number | null;
  readonly resolved_at: number | null;
}

export interface Task {
  readonly id: string | number;
  readonly text: string;
  readonly assignee: string;
  readonly due: number | null;
  readonly done_at?: number | null;
}

export interface IncidentSummary {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly priority: Priority;
  readonly status: IncidentStatus;
  readonly created_at: number;
  readonly updated_at: number;
  readonly resolved_at: number | null;
  readonly acknowledged_at: number | null;
  readonly acknowledged_by: string | null;
  readonly responded_at: number | null;
  readonly target_at: number | null;
  readonly reopened: number;
  readonly services: readonly string[];
  readonly alerts: readonly IncidentAlert[];
  readonly impact?: string;
  readonly urgency?: string;
  readonly assignee?: string;
  readonly roles?: Readonly<Record<string, string>>;
  readonly tasks?: readonly Task[];
  readonly pins?: readonly Pin[];
  readonly merged_into?: string | null;
}

/** Evidence kept at hand: a link, a query, a trace id, or any words. */
export interface Pin {
  readonly id: string;
  readonly what: string;
  readonly text: string;
  readonly by: string;
  readonly at: number;
}

export interface Entry {
  readonly id: number;
  readonly at: number;
  readonly event: string;
  readonly actor: string;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Run {
  readonly id: string;
  readonly runbook: string;
  readonly state: string;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  /** Why one that is called for may not begin yet, and until when as far as that is known. */
  readonly waits: { readonly why: string; readonly until: number | null } | null;
  /** How it ended, in a sentence, with the numbers before and after. */
  readonly outcome: string;
  readonly steps: readonly {
    readonly name?: string;
    readonly kind?: string;
    readonly state: string;
    readonly started_at: number | null;
    readonly finished_at: number | null;
    readonly result?: { readonly message?: string };
  }[];
}

export interface Incident extends IncidentSummary {
  readonly channel: Channel | null;
  readonly timeline: readonly Entry[];
  readonly notifications: readonly {
    readonly id: string;
    readonly receiver: string;
    readonly channel: string;
    readonly event: string;
    readonly state: string;
    readonly sent_at: number | null;
    readonly error: string;
  }[];
  readonly runs: readonly Run[];
  readonly durations: Readonly<Record<string, number>>;
  readonly deadlines: Readonly<Record<string, number | null>>;
}

export const useIncidents = (status: "open" | "all" | IncidentStatus, limit = 100) =>
  useQuery({
    queryKey: ["incidents", status, limit],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/incidents", { query: { status, limit }, signal });
      return (answer as { incidents: readonly IncidentSummary[] }).incidents;
    },
  });

export const useIncident = (id: string) =>
  useQuery({
    queryKey: ["incidents", "one", id],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/incidents/{incident_id}", { path: { incident_id: id }, signal })) as Incident,
  });

/** What a person says of an incident, by the word of its door. */
export type Word = "acknowledge" | "unacknowledge" | "respond" | "identify" | "resolve" | "reopen" | "comment";

/** Everything people do to one incident; each does it and has the incident asked anew. */
export function useIncidentActs(id: string) {
  const client = useQueryClient();
  const path = { incident_id: id };
  return useMutation({
    mutationFn: (act: (at: typeof path) => Promise<unknown>) => act(path),
    onSuccess: () => client.invalidateQueries({ queryKey: ["incidents"] }),
  });
}

export const say = (word: Word, actor: string, text: string) => (path: { incident_id: string }) =>
  word === "comment"
    ? post("/aiprism/v1/incidents/{incident_id}/comment", { path, body: { actor, text } })
    : post(`/aiprism/v1/incidents/{incident_id}/${word}`, { path, body: { actor, text } });

export interface Hypothesis {
  readonly kind: string;
  readonly service: string;
  readonly statement: string;
  readonly confidence: number;
  readonly evidence: readonly string[];
  readonly next_steps: readonly string[];
}

/** A metric that is otherwise since: its rate, its mean (of a histogram), its level, or how many series of it go on (`ended`). */
export interface MetricChange {
  readonly service: string;
  readonly metric: string;
  readonly labels: Labels;
  readonly measure: string;
  /** What finds its series, as PromQL writes it; findings of before have none. */
  readonly matcher?: string;
  readonly before: number;
  readonly after: number;
}

/** A statement in the logs that is new or more frequent. */
export interface LogChange {
  readonly service: string;
  readonly level: string;
  readonly pattern: string;
  readonly change: string;
  readonly lines: number;
}

export interface Investigation {
  readonly state: string;
  readonly conclusion: string;
  readonly findings?: {
    readonly hypotheses: readonly Hypothesis[];
    readonly metrics: readonly MetricChange[];
    readonly logs: readonly LogChange[];
    readonly traces: {
      readonly failed: number;
      readonly read: number;
      readonly examples: readonly {
        readonly trace_id: string;
        readonly why: string;
        readonly service: string;
        readonly operation: string;
        readonly seconds: number;
      }[];
    };
    readonly missed?: readonly string[];
  };
}

/** What was found of itself; null before the first is done. */
export const useInvestigation = (id: string) =>
  useQuery({
    queryKey: ["incidents", "investigation", id],
    queryFn: ({ signal }) =>
      orNone<Investigation>(
        get("/aiprism/v1/incidents/{incident_id}/investigation", { path: { incident_id: id }, signal }),
      ),
  });

export interface Alike {
  readonly id: string;
  readonly title: string;
  readonly score: number;
  readonly reasons: readonly string[];
}

export const useSimilar = (id: string) =>
  useQuery({
    queryKey: ["incidents", "similar", id],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/incidents/{incident_id}/similar", { path: { incident_id: id }, signal });
      return (answer as { similar: readonly Alike[] }).similar;
    },
  });

export interface Postmortem {
  readonly title: string;
  readonly text: string;
  readonly version: number;
  readonly versions: readonly { readonly version: number; readonly at: number; readonly author: string }[];
}

/** The postmortem as it is now, or of a version; null while there is none. */
export const usePostmortem = (id: string, version?: number) =>
  useQuery({
    queryKey: ["incidents", "postmortem", id, version],
    queryFn: ({ signal }) =>
      orNone<Postmortem>(
        get("/aiprism/v1/incidents/{incident_id}/postmortem", {
          path: { incident_id: id },
          query: { version },
          signal,
        }),
      ),
    placeholderData: (before) => before, // of another version: who writes goes on
  });

export const writePostmortem = (actor: string) => (path: { incident_id: string }) =>
  post("/aiprism/v1/incidents/{incident_id}/postmortem", { path, body: { actor, again: false } });

export const keepPostmortem = (author: string, version: number, text: string) => (path: { incident_id: string }) =>
  put("/aiprism/v1/incidents/{incident_id}/postmortem", { path, body: { author, version, text } });

async function orNone<T>(answer: Promise<unknown>): Promise<T | null> {
  try {
    return (await answer) as T;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

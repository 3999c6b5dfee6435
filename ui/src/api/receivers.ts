/** Receivers, how they were reached, and trying one. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { get, post } from "./http";

export interface Integration {
  readonly channel: string;
  readonly where: string; // without secrets
  readonly send_resolved: boolean;
  readonly sent: number; // of the last week, as failed and waiting
  readonly failed: number;
  readonly waiting: number;
  readonly last: {
    readonly event: string;
    readonly state: string;
    readonly error: string;
    readonly at: number;
    readonly attempts: number;
  } | null;
}

export interface Receiver {
  readonly name: string;
  readonly used: boolean; // by a route
  readonly integrations: readonly Integration[];
}

export interface Receivers {
  readonly receivers: readonly Receiver[];
  readonly warnings: readonly string[];
  readonly others: readonly { readonly name: string; readonly setting: string; readonly configured: boolean }[];
}

export interface Tried {
  readonly receiver: string;
  readonly delivered: boolean;
  readonly tried: readonly {
    readonly channel: string;
    readonly integration: number;
    readonly delivered: boolean;
    readonly reason: string;
    readonly seconds: number;
  }[];
}

export const useReceivers = () =>
  useQuery({
    queryKey: ["settings", "receivers"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/receivers", { signal })) as Receivers,
  });

export function useTryReceiver() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ name, by }: { name: string; by: string }) =>
      (await post("/aiprism/v1/receivers/{name}/test", { path: { name }, body: { by } })) as Tried,
    onSettled: () => client.invalidateQueries({ queryKey: ["settings", "receivers"] }),
  });
}

/** Who is on call, schedules, and standing in for somebody. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { Shift } from "@/model/oncall";
import { get, post, remove } from "./http";

type People = Shift["people"];

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly receivers: readonly { readonly receiver: string; readonly after: number }[];
}

export interface OnCall {
  readonly schedules: readonly {
    readonly name: string;
    readonly zone: string;
    readonly people: People;
    readonly why: string;
    readonly until: number | null;
    readonly next: People | null;
  }[];
  readonly people: readonly Person[];
}

export interface Override {
  readonly id: string | null; // one of oncall.yml has none
  readonly people: People;
  readonly start: number;
  readonly end: number;
  readonly reason: string;
  readonly author: string;
}

export interface Schedule {
  readonly name: string;
  readonly zone: string;
  readonly start: number;
  readonly end: number;
  readonly shifts: readonly Shift[];
  readonly gaps: readonly { readonly start: number; readonly end: number }[];
  readonly overrides: readonly Override[];
}

export interface WantedOverride {
  readonly schedule: string;
  readonly people: string[];
  readonly start: number;
  readonly end: number;
  readonly reason: string;
  readonly author: string;
}

export const useOnCall = () =>
  useQuery({
    queryKey: ["oncall", "now"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/oncall", { signal })) as OnCall,
    refetchInterval: 60_000,
  });

export const useSchedule = (name: string, start: number, end: number) =>
  useQuery({
    queryKey: ["oncall", "schedule", name, start, end],
    queryFn: async ({ signal }) =>
      (await get("/aiprism/v1/oncall/schedules/{name}", { path: { name }, query: { start, end }, signal })) as Schedule,
  });

export function useStandIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: WantedOverride) => post("/aiprism/v1/oncall/overrides", { body: { ...body, duration: "" } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["oncall"] }),
  });
}

export function useEndOverride() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => remove("/aiprism/v1/oncall/overrides/{override_id}", { path: { override_id: id } }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["oncall"] }),
  });
}

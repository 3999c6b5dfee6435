/** The configuration in force, when it was read, reading it anew, and what this server runs on. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { get, post } from "./http";

export interface Runtime {
  readonly startTime: string;
  readonly hostname: string;
  readonly CWD: string;
  readonly serverTime: string;
  readonly reloadConfigSuccess: boolean;
  readonly lastConfigTime: string;
  readonly goroutineCount: number; // threads
  readonly GOMAXPROCS: number; // processors
  readonly storageRetention: string;
}

export const useConfiguration = () =>
  useQuery({
    queryKey: ["settings", "configuration"],
    queryFn: async ({ signal }) =>
      ((await get("/api/v1/status/config", { signal })) as { data: { yaml: string } }).data.yaml,
  });

export const useRuntime = () =>
  useQuery({
    queryKey: ["settings", "runtime"],
    queryFn: async ({ signal }) => ((await get("/api/v1/status/runtimeinfo", { signal })) as { data: Runtime }).data,
  });

export function useReload() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => post("/-/reload"),
    onSettled: () => client.invalidateQueries({ queryKey: ["settings"] }),
  });
}

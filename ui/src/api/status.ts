/** The server's own state: version, readiness, and what every stage has passed on and dropped. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";

export interface Stage {
  readonly stage: string;
  readonly passed: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface Status {
  readonly version: string;
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
  readonly notes?: Readonly<Record<string, string>>;
  readonly flow: readonly Stage[];
}

export const useStatus = () =>
  useQuery({
    queryKey: ["status"],
    queryFn: async ({ signal }) => (await get("/aiprism/v1/status", { signal })) as Status,
    refetchInterval: 10_000,
    retry: false,
  });

/** Incidents: the list; one with everything about it; what people do with it. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";

export type Priority = "P0" | "P1" | "P2" | "P3";
export type IncidentStatus = "investigating" | "identified" | "monitoring" | "resolved";

export interface IncidentSummary {
  readonly id: string;
  readonly title: string;
  readonly priority: Priority;
  readonly status: IncidentStatus;
  readonly created_at: number;
  readonly updated_at: number;
  readonly resolved_at: number | null;
  readonly acknowledged_by: string;
  readonly services: readonly string[];
}

export const useIncidents = (status: "open" | "all" | IncidentStatus, limit = 100) =>
  useQuery({
    queryKey: ["incidents", status, limit],
    queryFn: async ({ signal }) => {
      const answer = await get("/aiprism/v1/incidents", { query: { status, limit }, signal });
      return (answer as { incidents: readonly IncidentSummary[] }).incidents;
    },
  });

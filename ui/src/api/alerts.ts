/** Alerts as the rules have them. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import type { Labels } from "./prometheus";

export interface Alert {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly state: "pending" | "firing";
  readonly activeAt: string;
  readonly value: string;
}

export const useAlerts = () =>
  useQuery({
    queryKey: ["alerts"],
    queryFn: async ({ signal }) => {
      const answer = await get("/api/v1/alerts", { signal });
      return (answer as { data: { alerts: readonly Alert[] } }).data.alerts;
    },
  });

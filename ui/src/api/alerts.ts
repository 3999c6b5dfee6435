/** Alerts: what fires, whoever says so, and what rules are about to fire. */

import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import type { Labels } from "./prometheus";

export interface Alert {
  readonly labels: Labels;
  readonly annotations: Labels;
  /** `suppressed`: it fires, and somebody or something keeps it from being told. */
  readonly state: "pending" | "firing" | "suppressed";
  readonly since: number; // Unix seconds
  readonly silencedBy: readonly string[];
  readonly inhibitedBy: readonly string[];
  readonly fingerprint: string;
  readonly source: string; // where its rule's expression can be looked at; empty when nobody says
}

interface OfRule {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly state: "pending" | "firing";
  readonly activeAt: string;
}

interface Told {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string;
  readonly fingerprint: string;
  readonly generatorURL?: string;
  readonly status: { state: string; silencedBy: readonly string[]; inhibitedBy: readonly string[] };
}

/** Every alert, longest first: those of rules that are pending, and all that fire, also of other senders. */
export const useAlerts = () =>
  useQuery({
    queryKey: ["alerts"],
    queryFn: async ({ signal }) => {
      const [rules, told] = await Promise.all([get("/api/v1/alerts", { signal }), get("/api/v2/alerts", { signal })]);
      const pending = (rules as { data: { alerts: readonly OfRule[] } }).data.alerts.filter(
        ({ state }) => state === "pending",
      );
      return [...(told as readonly Told[]).map(firing), ...pending.map(waiting)];
    },
  });

function firing({ labels, annotations, startsAt, fingerprint, generatorURL, status }: Told): Alert {
  return {
    labels,
    annotations,
    state: status.state === "suppressed" ? "suppressed" : "firing",
    since: Date.parse(startsAt) / 1000,
    silencedBy: status.silencedBy,
    inhibitedBy: status.inhibitedBy,
    fingerprint,
    source: generatorURL ?? "",
  };
}

function waiting({ labels, annotations, activeAt }: OfRule): Alert {
  const since = Date.parse(activeAt) / 1000;
  const fingerprint = `pending ${JSON.stringify(labels)}`;
  return { labels, annotations, state: "pending", since, silencedBy: [], inhibitedBy: [], fingerprint, source: "" };
}

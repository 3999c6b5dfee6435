/** What is going on: incidents, alerts, how every service does, and whether what is sent to aiprism arrives. */

import { useMemo } from "react";
import { Link } from "react-router";
import { useAlerts } from "@/api/alerts";
import { useIncidents } from "@/api/incidents";
import { useServices } from "@/api/services";
import { useGoto } from "@/components/time";
import { kindOfShare } from "@/model/red";
import { format } from "@/model/units";
import { Alerts } from "./Alerts";
import { Flow } from "./Flow";
import { Incidents } from "./Incidents";
import { Services } from "./Services";

export default function Now() {
  return (
    <>
      <Figures />
      <div className="grid2">
        <Incidents />
        <Alerts />
      </div>
      <Services />
      <Flow />
    </>
  );
}

function Figures() {
  const goto = useGoto();
  const services = useServices().data;
  const alerts = useAlerts().data;
  const incidents = useIncidents("open").data;
  const { rate, failed } = useMemo(() => {
    const rate = (services ?? []).reduce((sum, each) => sum + each.rate, 0);
    return {
      rate,
      failed: rate ? (services ?? []).reduce((sum, each) => sum + each.rate * each.error_share, 0) / rate : 0,
    };
  }, [services]);
  const firing = alerts?.filter(({ state }) => state === "firing").length;
  return (
    <div className="figures">
      <Figure
        to={goto("/incidents")}
        value={incidents?.length}
        label="open incidents"
        kind={incidents?.length ? "bad" : "good"}
      />
      <Figure to={goto("/alerts")} value={firing} label="alerts firing" kind={firing ? "bad" : "good"} />
      <Figure to={goto("/services")} value={services?.length} label="services answering" />
      <Figure to={goto("/services")} value={services && format(rate, "none")} label="requests/s" />
      <Figure
        to={goto("/services")}
        value={services && (rate ? format(failed, "percentunit") : "–")}
        label="failed"
        kind={kindOfShare(failed)}
      />
    </div>
  );
}

function Figure({
  to,
  value,
  label,
  kind = "",
}: {
  to: string;
  value: string | number | undefined;
  label: string;
  kind?: string;
}) {
  return (
    <Link to={to} className={`figure ${value === undefined ? "" : kind}`}>
      <b>{value ?? "–"}</b>
      <span>{label}</span>
    </Link>
  );
}

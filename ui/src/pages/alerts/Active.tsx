import { Button, SegmentedControl } from "@mantine/core";
import { type ReactNode, useMemo } from "react";
import { Link } from "react-router";
import { type Alert, useAlerts } from "@/api/alerts";
import { type IncidentSummary, useIncidents } from "@/api/incidents";
import { Ago } from "@/components/Ago";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useUrl } from "@/components/time";
import { Untold } from "@/components/Untold";
import { incidentOf, upkeep } from "@/model/incident";
import { exactly, parseMatchers, printMatchers } from "@/model/matchers";
import { sorted } from "@/model/matching";

const STATES = ["all", "firing", "pending", "suppressed"];

/** Every alert there is, found by matchers or words. */
export function Active() {
  const alerts = useAlerts();
  const open = useIncidents("open").data;
  const within = useMemo(() => incidentOf(open ?? []), [open]);
  const goto = useGoto();
  const [state, setState] = useUrl("state", "all");
  const [sought, setSought] = useUrl("match");
  const columns = useMemo((): Column<Alert>[] => {
    const silence = (labels: Alert["labels"]) => (
      <Button
        size="compact-xs"
        variant="subtle"
        component={Link}
        to={goto("/alerts/silences", { new: printMatchers(exactly(labels)) })}
        aria-label={`silence ${labels.alertname}`}
      >
        silence
      </Button>
    );
    return [
      { title: "state", cell: (alert) => <Tag of={alert.state} />, by: (alert) => alert.state, width: "76px" },
      {
        title: "alert",
        cell: ({ labels, annotations, source }) => (
          <>
            <strong style={{ overflowWrap: "anywhere" }}>
              {source ? <a href={local(source)}>{labels.alertname}</a> : labels.alertname}
            </strong>
            <div className="quiet">{annotations.summary ?? annotations.description}</div>
            <Leads incident={within(labels)} runbooks={upkeep([{ annotations }]).runbooks}>
              <span className="only-small">{silence(labels)}</span>
            </Leads>
          </>
        ),
        by: ({ labels }) => labels.alertname ?? "",
      },
      { title: "labels", cell: ({ labels }) => <Labels of={labels} without={["alertname"]} />, small: false },
      { title: "since", cell: ({ since }) => <Ago at={since} />, by: ({ since }) => since, number: true },
      {
        title: "",
        cell: (alert) => (
          <>
            <Button
              size="compact-xs"
              variant="subtle"
              color="gray"
              component={Link}
              to={goto("/alerts/routing", { labels: printMatchers(exactly(alert.labels)) })}
              aria-label={`route of ${alert.labels.alertname}`}
            >
              route
            </Button>
            {silence(alert.labels)}
          </>
        ),
        small: false,
      },
    ];
  }, [goto, within]);
  return (
    <Panel
      title="Alerts"
      side={
        <>
          <SegmentedControl size="xs" aria-label="state" data={STATES} value={state} onChange={setState} />
          <Sought w={240} label="find alerts" hint='service="api", or a word' value={sought} onChange={setSought} />
        </>
      }
    >
      <Shown of={alerts} rows={8}>
        {(all) => {
          const those = all.filter((alert) => state === "all" || alert.state === state);
          const { fit, untold } = found(those, sought);
          if (fit.length + untold > 0)
            return (
              <>
                <Untold count={untold} of={`of ${those.length} alerts`} what="whether they match" />
                {fit.length > 0 && (
                  <Table
                    label="alerts"
                    columns={columns}
                    rows={fit}
                    id={({ fingerprint }) => fingerprint}
                    many={150}
                    height={640}
                  />
                )}
              </>
            );
          if (all.length > 0)
            return (
              <Nothing title="No alert matches">{all.length} alerts are in other states or have other labels.</Nothing>
            );
          return (
            <Nothing title="Nothing is firing">
              Rules are read from the files that rules.files in aiprism.yml, or rule_files in prometheus.yml, names;
              others send alerts to /api/v2/alerts, as to Alertmanager.
            </Nothing>
          );
        }}
      </Shown>
    </Panel>
  );
}

interface LeadsProps {
  readonly incident: IncidentSummary | undefined;
  readonly runbooks: readonly string[];
  readonly children: ReactNode;
}

/** The incident that an alert is of, and what is written on how it is repaired. */
function Leads({ incident, runbooks, children }: LeadsProps) {
  const goto = useGoto();
  return (
    <div style={{ display: "flex", flexWrap: "wrap", gap: "0 12px" }}>
      {incident && (
        <Link to={goto(`/incidents/${incident.id}`)} title={incident.title}>
          incident {incident.priority}
        </Link>
      )}
      {runbooks.map((address) => (
        <a key={address} href={address} rel="noreferrer" title={address}>
          runbook
        </a>
      ))}
      {children}
    </div>
  );
}

/** The alerts that matchers fit, or that have all words somewhere. */
function found(alerts: readonly Alert[], sought: string): { fit: readonly Alert[]; untold: number } {
  const matchers = /[=~]/.test(sought) ? parseMatchers(sought) : null;
  if (matchers) return sorted(alerts, matchers);
  const words = sought.toLowerCase().split(/\s+/);
  const has = ({ labels, annotations }: Alert) => {
    const text = JSON.stringify([labels, annotations]).toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return { fit: alerts.filter(has), untold: 0 };
}

/** Path and query of an address: what a rule names leads to this server, however it is called from outside. */
function local(address: string): string {
  const found = URL.parse(address, location.origin);
  // One slash at its head: with two it would be another host's.
  return found ? `/${found.pathname.replace(/^\/+/, "")}${found.search}` : "/explore/metrics";
}

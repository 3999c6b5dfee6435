import { Button, SegmentedControl } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { type Alert, useAlerts } from "@/api/alerts";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { exactly, matchesAll, parseMatchers, printMatchers } from "@/model/matchers";
import { ago } from "@/model/timerange";

const STATES = ["all", "firing", "pending", "suppressed"];

/** Every alert there is, found by matchers or words. */
export function Active() {
  const alerts = useAlerts();
  const { now } = useTime();
  const goto = useGoto();
  const [state, setState] = useUrl("state", "all");
  const [sought, setSought] = useUrl("match");
  const columns = useMemo<Column<Alert>[]>(
    () => [
      { title: "state", cell: (alert) => <Tag of={alert.state} />, by: (alert) => alert.state, width: "90px" },
      {
        title: "alert",
        cell: ({ labels, annotations, source }) => (
          <>
            <strong>{source ? <a href={local(source)}>{labels.alertname}</a> : labels.alertname}</strong>
            <div className="quiet">{annotations.summary ?? annotations.description}</div>
          </>
        ),
        by: ({ labels }) => labels.alertname ?? "",
      },
      { title: "labels", cell: ({ labels }) => <Labels of={labels} without={["alertname"]} />, small: false },
      { title: "since", cell: ({ since }) => ago(since, now), by: ({ since }) => since, number: true },
      {
        title: "",
        cell: (alert) => (
          <>
            <Button
              size="compact-xs"
              variant="subtle"
              color="gray"
              className="hide-small"
              component={Link}
              to={goto("/alerts/routing", { labels: printMatchers(exactly(alert.labels)) })}
              aria-label={`route of ${alert.labels.alertname}`}
            >
              route
            </Button>
            <Button
              size="compact-xs"
              variant="subtle"
              component={Link}
              to={goto("/alerts/silences", { new: printMatchers(exactly(alert.labels)) })}
              aria-label={`silence ${alert.labels.alertname}`}
            >
              silence
            </Button>
          </>
        ),
      },
    ],
    [now, goto],
  );
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
          const rows = all.filter((alert) => (state === "all" || alert.state === state) && isSought(alert, sought));
          if (rows.length > 0)
            return (
              <Table
                label="alerts"
                columns={columns}
                rows={rows}
                id={({ fingerprint }) => fingerprint}
                many={150}
                height={640}
              />
            );
          if (all.length > 0)
            return (
              <Nothing title="No alert matches">{all.length} alerts are in other states or have other labels.</Nothing>
            );
          return (
            <Nothing title="Nothing is firing">
              Rules are read from the files of rule_files in prometheus.yml; others send alerts to /api/v2/alerts, as to
              Alertmanager.
            </Nothing>
          );
        }}
      </Shown>
    </Panel>
  );
}

function isSought({ labels, annotations }: Alert, sought: string): boolean {
  if (!sought.trim()) return true;
  const matchers = /[=~]/.test(sought) ? parseMatchers(sought) : null;
  if (matchers) return matchesAll(matchers, labels);
  const text = JSON.stringify([labels, annotations]).toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Path and query of an address: what a rule names leads to this server, however it is called from outside. */
function local(address: string): string {
  const found = URL.parse(address, location.origin);
  // One slash at its head: with two it would be another host's.
  return found ? `/${found.pathname.replace(/^\/+/, "")}${found.search}` : "/explore/metrics";
}

import { useMemo } from "react";
import { Link } from "react-router";
import { type Alert, useAlerts } from "@/api/alerts";
import { useIncidents } from "@/api/incidents";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import { incidentOf } from "@/model/incident";
import { exactly, printMatchers } from "@/model/matchers";

const MOST = 12;

/** The alerts that fire, the gravest first, and those about to; each leads to its incident. */
export function Alerts() {
  const alerts = useAlerts();
  const open = useIncidents("open").data;
  const within = useMemo(() => incidentOf(open ?? []), [open]);
  const goto = useGoto();
  const columns: Column<Alert>[] = [
    { title: "state", cell: ({ state }) => <Tag of={state} />, width: "70px" },
    { title: "severity", cell: ({ labels }) => labels.severity && <Tag of={labels.severity} />, small: false },
    {
      title: "alert",
      cell: ({ labels }) => {
        const incident = within(labels);
        const to = incident
          ? goto(`/incidents/${incident.id}`)
          : goto("/alerts/active", { match: printMatchers(exactly(labels)) });
        return <Link to={to}>{labels.alertname}</Link>;
      },
    },
    {
      title: "of",
      cell: ({ labels }) => <span className="quiet">{labels.service ?? labels.job ?? labels.instance}</span>,
    },
    { title: "since", cell: ({ since }) => <Ago at={since} />, number: true, small: false },
  ];
  return (
    <Panel title="Alerts" side={<Link to={goto("/alerts")}>all</Link>}>
      <Shown of={alerts}>
        {(rows) =>
          rows.length ? (
            <>
              <Table
                label="alerts"
                columns={columns}
                rows={order(rows).slice(0, MOST)}
                id={({ fingerprint }) => fingerprint}
              />
              {rows.length > MOST && <Link to={goto("/alerts")}>{rows.length - MOST} more</Link>}
            </>
          ) : (
            <Nothing title="Nothing is firing">
              Rules are read from the files that rules.files in aiprism.yml, or rule_files in prometheus.yml, names.
            </Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}

const RANK = { firing: 0, pending: 1, suppressed: 2 } as const;

const GRAVE = [
  ["critical", "page"],
  ["high", "error"],
  ["warning", "medium"],
];

function grave({ labels: { severity = "" } }: Alert): number {
  const at = GRAVE.findIndex((words) => words.includes(severity));
  return at < 0 ? GRAVE.length : at;
}

function order(alerts: readonly Alert[]): readonly Alert[] {
  return alerts.toSorted(
    (one, other) => RANK[one.state] - RANK[other.state] || grave(one) - grave(other) || one.since - other.since,
  );
}

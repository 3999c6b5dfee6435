import { Link } from "react-router";
import { type Alert, useAlerts } from "@/api/alerts";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime } from "@/components/time";
import { ago } from "@/model/timerange";

const MOST = 12;

/** The alerts that fire, longest first, and those about to. */
export function Alerts() {
  const alerts = useAlerts();
  const { now } = useTime();
  const goto = useGoto();
  const columns: Column<Alert>[] = [
    { title: "state", cell: ({ state }) => <Tag of={state} />, width: "70px" },
    { title: "alert", cell: ({ labels }) => labels.alertname },
    {
      title: "of",
      cell: ({ labels }) => <span className="quiet">{labels.service ?? labels.job ?? labels.instance}</span>,
    },
    { title: "since", cell: ({ since }) => ago(since, now), number: true, small: false },
  ];
  return (
    <Panel title="Alerts" side={<Link to={goto("/alerts")}>all</Link>}>
      <Shown of={alerts}>
        {(rows) =>
          rows.length ? (
            <Table
              label="alerts"
              columns={columns}
              rows={order(rows).slice(0, MOST)}
              id={({ fingerprint }) => fingerprint}
            />
          ) : (
            <Nothing title="Nothing is firing">
              Alerting rules are read from the files of rule_files in prometheus.yml.
            </Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}

const RANK = { firing: 0, pending: 1, suppressed: 2 } as const;

function order(alerts: readonly Alert[]): readonly Alert[] {
  return alerts.toSorted((one, other) => RANK[one.state] - RANK[other.state] || one.since - other.since);
}

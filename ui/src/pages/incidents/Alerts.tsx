import { Button, Checkbox, Group, Select } from "@mantine/core";
import { useState } from "react";
import { post } from "@/api/http";
import { type Incident, type IncidentAlert, useIncidentActs, useIncidents } from "@/api/incidents";
import { type Edge, useCorrelation } from "@/api/incidentwork";
import { Ago } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { edgeOfEach, shares, wayInWords } from "@/model/correlation";

const COLOURS = ["var(--accent)", "var(--good)", "var(--warn)"];

/** The alerts of an incident, why each of them belongs to it, and what people make two or one of it. */
export function Alerts({ incident }: { incident: Incident }) {
  const correlation = useCorrelation(incident.id);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const edges = edgeOfEach(correlation.data?.edges ?? []);
  const names = new Map(incident.alerts.map(({ fingerprint, name, labels }) => [fingerprint, { name, labels }]));
  const turn = (fingerprint: string) => {
    const after = new Set(picked);
    if (!after.delete(fingerprint)) after.add(fingerprint);
    setPicked(after);
  };
  const parted = incident.alerts.length > 1;
  return (
    <Panel title="Alerts, and why they are one incident" note={`${incident.alerts.length}`}>
      {correlation.isError && <Fault error={correlation.error} />}
      <Table
        label="alerts of the incident"
        rows={incident.alerts}
        id={({ fingerprint }) => fingerprint}
        many={60}
        height={360}
        columns={[
          {
            title: "",
            width: "26px",
            cell: ({ fingerprint, name }) =>
              parted && (
                <Checkbox
                  size="xs"
                  aria-label={`pick ${name}`}
                  checked={picked.has(fingerprint)}
                  onChange={() => turn(fingerprint)}
                />
              ),
          },
          { title: "state", cell: ({ state }) => <Tag of={state} />, width: "76px" },
          {
            title: "alert",
            cell: (alert) => (
              <>
                <Named alert={alert} />
                <Because edge={edges.get(alert.fingerprint)} names={names} />
              </>
            ),
            by: ({ name }) => name,
          },
          {
            title: "since",
            cell: ({ active_at }) => <Ago at={active_at} past />,
            by: ({ active_at }) => active_at,
            number: true,
          },
        ]}
      />
      {(correlation.data?.by_hand ?? []).map(({ at, actor, text }) => (
        <div key={`${at} ${text}`} className="quiet">
          by hand: {text} ({actor}, <Ago at={at} past />)
        </div>
      ))}
      <Parting incident={incident} picked={picked} onDone={() => setPicked(new Set())} />
    </Panel>
  );
}

function Named({ alert: { name, labels, annotations } }: { alert: IncidentAlert }) {
  return (
    <>
      <strong>{name}</strong> <span className="quiet">{annotations.summary}</span>
      <div>
        <Labels of={labels} without={["alertname"]} />
      </div>
    </>
  );
}

type Names = ReadonlyMap<string, { readonly name: string; readonly labels: Readonly<Record<string, string>> }>;

/** The edge that brought an alert: to which other, and how much time, service and kind gave to it. */
function Because({ edge, names }: { edge: Edge | undefined; names: Names }) {
  if (!edge) return null;
  const other = names.get(edge.to);
  const parts = shares(edge);
  const told = parts.map(({ part, like }) => `${part} ${like.toFixed(2)}`).join(", ");
  const way = wayInWords(edge.way);
  return (
    <div className="quiet" style={{ paddingTop: 2 }}>
      like {other ? `${other.name} ${other.labels.service ? `of ${other.labels.service}` : ""}` : edge.to}:{" "}
      <b>{edge.score.toFixed(2)}</b> (needs {edge.threshold.toFixed(2)})
      <div
        role="img"
        aria-label={told}
        title={told}
        style={{
          position: "relative",
          display: "flex",
          height: 6,
          maxWidth: 260,
          margin: "3px 0",
          background: "var(--hover)",
        }}
      >
        {parts.map(({ part, gives }, at) => (
          <i key={part} style={{ width: `${gives * 100}%`, background: COLOURS[at], marginRight: 1 }} />
        ))}
        <i
          style={{
            position: "absolute",
            left: `${edge.threshold * 100}%`,
            top: -2,
            bottom: -2,
            width: 1,
            background: "var(--ink)",
          }}
        />
      </div>
      {told}
      {way && `; ${way}`}
    </div>
  );
}

/** Makes some of its alerts an incident of their own, or takes in another incident. */
function Parting({
  incident,
  picked,
  onDone,
}: {
  incident: Incident;
  picked: ReadonlySet<string>;
  onDone: () => void;
}) {
  const [actor] = useActor();
  const open = useIncidents("open");
  const [other, setOther] = useState<string | null>(null);
  const acts = useIncidentActs(incident.id);
  const others = (open.data ?? []).filter(({ id }) => id !== incident.id);
  const body = { actor, text: "" };
  const split = () =>
    acts.mutate(
      (path) => post("/aiprism/v1/incidents/{incident_id}/split", { path, body: { ...body, alerts: [...picked] } }),
      { onSuccess: onDone },
    );
  const merge = () =>
    acts.mutate(
      (path) => post("/aiprism/v1/incidents/{incident_id}/merge", { path, body: { ...body, other: other ?? "" } }),
      { onSuccess: () => setOther(null) },
    );
  return (
    <>
      <Group gap={6} pt={8}>
        {incident.alerts.length > 1 && (
          <Button
            size="compact-xs"
            variant="default"
            disabled={!actor || picked.size === 0 || picked.size === incident.alerts.length}
            loading={acts.isPending}
            onClick={split}
          >
            {picked.size > 0 ? `split off ${picked.size} as an incident` : "pick alerts to split off"}
          </Button>
        )}
        {others.length > 0 && (
          <>
            <Select
              size="xs"
              style={{ flex: "1 1 180px" }}
              aria-label="another incident"
              placeholder="another incident to merge"
              searchable
              clearable
              data={others.map(({ id, title }) => ({ value: id, label: `${title} (${id.slice(-4)})` }))}
              value={other}
              onChange={setOther}
            />
            <Button
              size="compact-xs"
              variant="default"
              disabled={!actor || !other}
              loading={acts.isPending}
              onClick={merge}
            >
              merge
            </Button>
          </>
        )}
      </Group>
      {acts.isError && <Fault error={acts.error} />}
    </>
  );
}

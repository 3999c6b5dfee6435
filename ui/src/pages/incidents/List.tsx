import { Button, SegmentedControl } from "@mantine/core";
import { Link } from "react-router";
import { type IncidentSummary, useIncidents } from "@/api/incidents";
import { Ago, Lasting } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { holder } from "@/model/incident";

/** Incidents, newest first. */
export function List() {
  const [which, setWhich] = useUrl("which", "open");
  const [sought, setSought] = useUrl("find");
  const incidents = useIncidents(which === "all" ? "all" : "open", 500);
  const { now } = useTime();
  const goto = useGoto();
  const columns: Column<IncidentSummary>[] = [
    { title: "tier", cell: ({ priority }) => <Tag of={priority} />, by: ({ priority }) => priority, width: "40px" },
    {
      title: "incident",
      cell: (incident) => (
        <>
          <Link to={goto(`/incidents/${incident.id}`)}>
            <strong>{incident.title}</strong>
          </Link>
          <div className="only-small">
            <Status of={incident} /> <Who of={incident} />
          </div>
          <div className="quiet">
            {incident.id} · {incident.services.join(", ")}
          </div>
        </>
      ),
    },
    {
      title: "status",
      cell: (incident) => <Status of={incident} />,
      by: ({ status }) => status,
      small: false,
    },
    {
      title: "assignee",
      cell: (incident) => <Who of={incident} />,
      by: holder,
      small: false,
    },
    {
      title: "alerts",
      cell: ({ alerts }) => `${alerts.filter(({ state }) => state === "firing").length} / ${alerts.length}`,
      number: true,
      small: false,
    },
    {
      title: "opened",
      cell: ({ created_at }) => <Ago at={created_at} />,
      by: ({ created_at }) => created_at,
      number: true,
    },
    {
      title: "lasted",
      cell: ({ created_at, resolved_at }) => <Lasting from={created_at} until={resolved_at} />,
      by: ({ created_at, resolved_at }) => (resolved_at ?? now) - created_at,
      number: true,
      small: false,
    },
  ];
  return (
    <Panel
      title="Incidents"
      side={
        <>
          <SegmentedControl size="xs" aria-label="which" data={["open", "all"]} value={which} onChange={setWhich} />
          <Sought w={200} label="find incidents" hint="word, service, person" value={sought} onChange={setSought} />
          <Button size="compact-xs" variant="default" component={Link} to={goto("/incidents/review")}>
            weekly review
          </Button>
        </>
      }
    >
      <Shown of={incidents} rows={8}>
        {(all) => {
          const rows = all.filter((incident) => isSought(incident, sought));
          if (rows.length > 0)
            return (
              <Table label="incidents" columns={columns} rows={rows} id={({ id }) => id} many={120} height={680} />
            );
          if (sought) return <Nothing title="No match">No incident of these has all the words.</Nothing>;
          return (
            <Nothing title={which === "all" ? "There was none yet" : "No open incident"}>
              An alert of tier P0 or P1 opens one; related alerts join it.
            </Nothing>
          );
        }}
      </Shown>
    </Panel>
  );
}

function Status({ of: { status, merged_into } }: { of: IncidentSummary }) {
  return <Tag of={merged_into ? "merged" : status} />;
}

function Who({ of: incident }: { of: IncidentSummary }) {
  return holder(incident) || <span className="faint">nobody</span>;
}

function isSought(incident: IncidentSummary, sought: string): boolean {
  const text = [
    incident.id,
    incident.title,
    incident.priority,
    ...incident.services,
    incident.assignee,
    incident.acknowledged_by,
  ]
    .join(" ")
    .toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

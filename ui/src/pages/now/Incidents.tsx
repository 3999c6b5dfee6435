import { Link } from "react-router";
import { type IncidentSummary, useIncidents } from "@/api/incidents";
import { Ago } from "@/components/Ago";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import { holder } from "@/model/incident";

/** The incidents that are not over, or what the last ones were. */
export function Incidents() {
  const open = useIncidents("open");
  const goto = useGoto();
  const columns: Column<IncidentSummary>[] = [
    { title: "", cell: ({ priority }) => <Tag of={priority} />, width: "34px" },
    { title: "incident", cell: ({ id, title }) => <Link to={goto(`/incidents/${id}`)}>{title}</Link> },
    { title: "status", cell: ({ status }) => <Tag of={status} /> },
    { title: "who", cell: (incident) => holder(incident) || <span className="warn">nobody</span> },
    { title: "since", cell: ({ created_at }) => <Ago at={created_at} />, number: true, small: false },
  ];
  return (
    <Panel title="Open incidents" side={<Link to={goto("/incidents")}>all</Link>}>
      <Shown of={open}>
        {(rows) =>
          rows.length ? (
            <Table label="open incidents" columns={columns} rows={rows} id={({ id }) => id} />
          ) : (
            <Nothing title="No open incident">An alert of tier P0 or P1 opens one; related alerts join it.</Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}

import { Button } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useIncidents } from "@/api/incidents";
import { type MapNode, useServiceMap } from "@/api/services";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { kindOfShare } from "@/model/red";
import { format } from "@/model/units";

/** Every service that is declared or was seen: who has it, how it does, whether something is wrong. */
export function List() {
  const { span } = useTime();
  const goto = useGoto();
  const map = useServiceMap(span);
  const incidents = useIncidents("open").data;
  const [sought, setSought] = useUrl("find");
  const open = useMemo(() => new Set((incidents ?? []).flatMap(({ services }) => services)), [incidents]);
  const columns: Column<MapNode>[] = [
    {
      title: "service",
      cell: ({ name, description }) => (
        <>
          <Link to={goto(`/services/${encodeURIComponent(name)}`)}>{name}</Link>
          {description && <div className="quiet">{description}</div>}
        </>
      ),
      by: ({ name }) => name,
    },
    { title: "kind", cell: ({ kind }) => <span className="quiet">{kind}</span>, by: ({ kind }) => kind, small: false },
    { title: "", cell: (node) => <Marks node={node} open={open.has(node.name)} /> },
    {
      title: "owner",
      cell: ({ owner, team }) => [owner, team].filter(Boolean).join(" · ") || "–",
      by: ({ owner, team }) => owner || team,
      small: false,
    },
    {
      title: "tier",
      cell: ({ tier }) => tier ?? "–",
      by: ({ tier }) => (tier === null ? null : String(tier)),
      small: false,
    },
    {
      title: "requests/s",
      cell: ({ rate, calls }) => (calls ? format(rate, "none") : "–"),
      by: ({ rate }) => rate,
      number: true,
    },
    {
      title: "errors",
      cell: ({ error_share, calls }) =>
        calls ? <span className={kindOfShare(error_share)}>{format(error_share, "percentunit")}</span> : "–",
      by: ({ error_share }) => error_share,
      number: true,
    },
    {
      title: "p50",
      cell: ({ p50_ms }) => format(p50_ms, "ms"),
      by: ({ p50_ms }) => p50_ms,
      number: true,
      small: false,
    },
    { title: "p95", cell: ({ p95_ms }) => format(p95_ms, "ms"), by: ({ p95_ms }) => p95_ms, number: true },
  ];
  return (
    <Panel
      title="Services"
      note="in the range above"
      side={
        <>
          <Sought w={220} label="find services" hint="name, owner, team" value={sought} onChange={setSought} />
          <Button size="compact-xs" variant="default" component={Link} to={goto("/services/map")}>
            map
          </Button>
        </>
      }
    >
      <Shown of={map} rows={8}>
        {({ nodes }) => {
          const rows = nodes.filter((node) => isSought(node, sought));
          if (rows.length > 0)
            return (
              <Table label="services" columns={columns} rows={rows} id={({ name }) => name} many={120} height={680} />
            );
          if (nodes.length > 0) return <Nothing title="No match">No name, owner or team has these letters.</Nothing>;
          return (
            <Nothing title="No service yet">
              Send traces over OTLP (gRPC 4317, HTTP 4318), or declare services in services.yml (respond.services).
            </Nothing>
          );
        }}
      </Shown>
    </Panel>
  );
}

function Marks({ node, open }: { node: MapNode; open: boolean }) {
  return (
    <>
      {open && <Tag of="incident" kind="bad" />} {!node.seen && <Tag of="not seen" kind="warn" />}{" "}
      {!node.declared && <Tag of="undeclared" kind="" />}
    </>
  );
}

function isSought({ name, owner, team }: MapNode, sought: string): boolean {
  const text = `${name} ${owner} ${team}`.toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

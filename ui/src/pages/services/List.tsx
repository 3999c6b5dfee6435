import { Button } from "@mantine/core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useIncidents } from "@/api/incidents";
import { type MapNode, useRed, useServiceMap, useServices } from "@/api/services";
import { Spark } from "@/charts/Spark";
import { NoRequests } from "@/components/NoRequests";
import { Panel } from "@/components/Panel";
import { Sought } from "@/components/Sought";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime, useUrl } from "@/components/time";
import { altogether, coursesOf, kindOfShare } from "@/model/red";
import { stepFor, untilNow } from "@/model/timerange";
import { format } from "@/model/units";

/** A service, and how it did: in the last minute if it answers itself, else over the range, as those tell who call it. */
interface Row extends MapNode {
  readonly answers: boolean;
  readonly load: Pick<MapNode, "rate" | "error_share" | "p50_ms" | "p95_ms"> | null;
}

/** Every service that is declared or was seen: who has it, how it does, whether something is wrong. */
export function List() {
  const { span, now } = useTime();
  const goto = useGoto();
  const map = useServiceMap(span);
  const lately = useServices(untilNow(span, now) ? undefined : span.end).data;
  const step = stepFor(span, 40, 60);
  const red = useRed(span, step).data;
  const course = useMemo(() => coursesOf(red ?? [], span, step), [red, span, step]);
  const incidents = useIncidents("open").data;
  const [sought, setSought] = useUrl("find");
  const open = useMemo(() => new Set((incidents ?? []).flatMap(({ services }) => services)), [incidents]);
  const row = (node: MapNode): Row => {
    const answers = node.signals.includes("traces");
    const load = answers ? altogether(lately ?? [], namesOf(node)) : node.calls ? node : null;
    return { ...node, answers, load };
  };
  const columns: Column<Row>[] = [
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
      cell: ({ load, answers, calls, rate }) =>
        load ? (
          <span className={answers ? undefined : "quiet"}>{format(load.rate, "none")}</span>
        ) : answers && calls && lately ? (
          <NoRequests usual={rate} />
        ) : (
          "–"
        ),
      by: ({ load }) => load?.rate ?? 0,
      number: true,
    },
    {
      title: " ",
      cell: (node) => node.answers && <Spark label={`requests of ${node.name}`} values={course(namesOf(node)).rate} />,
      small: false,
    },
    {
      title: "errors",
      cell: ({ load }) =>
        load ? <span className={kindOfShare(load.error_share)}>{format(load.error_share, "percentunit")}</span> : "–",
      by: ({ load }) => load?.error_share ?? null,
      number: true,
    },
    {
      title: "  ",
      cell: (node) =>
        node.answers && (
          <Spark label={`errors of ${node.name}`} colour="var(--bad)" values={course(namesOf(node)).errors} />
        ),
      small: false,
    },
    {
      title: "p50",
      cell: ({ load }) => format(load?.p50_ms, "ms"),
      by: ({ load }) => load?.p50_ms ?? null,
      number: true,
      small: false,
    },
    {
      title: "p95",
      cell: ({ load }) => format(load?.p95_ms, "ms"),
      by: ({ load }) => load?.p95_ms ?? null,
      number: true,
    },
    {
      title: "   ",
      cell: (node) =>
        node.answers && (
          <Spark label={`95th percentile of ${node.name}`} colour="var(--info)" values={course(namesOf(node)).p95} />
        ),
      small: false,
    },
  ];
  return (
    <Panel
      title="Services"
      note="the last minute of the range; numbers in grey, and lines: all of it"
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
          const rows = nodes.filter((node) => isSought(node, sought)).map(row);
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

function namesOf({ name, seen_as }: MapNode): readonly string[] {
  return [name, ...seen_as.filter((each) => each !== name)];
}

function isSought({ name, owner, team }: MapNode, sought: string): boolean {
  const text = `${name} ${owner} ${team}`.toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

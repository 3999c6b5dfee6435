import { Button, Checkbox, SegmentedControl } from "@mantine/core";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { type Found, useTraces } from "@/api/traces";
import { csv, Panel, save } from "@/components/Panel";
import { Fault, Loading, Nothing } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime, useUrl } from "@/components/time";
import { dateTime } from "@/model/timerange";
import type { Asked } from "@/model/tracesearch";
import { format } from "@/model/units";

/** The traces that fit; two of them may be chosen to be compared. */
export function Results({ asked }: { asked: Asked }) {
  const { span, utc } = useTime();
  const goto = useGoto();
  const [order, setOrder] = useUrl("order", "time");
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const found = useTraces(asked, span, order === "duration" ? "duration" : "time");
  const rows = useMemo(() => (found.data?.pages ?? []).flatMap(({ traces }) => traces), [found.data]);
  const longest = useMemo(() => rows.reduce((most, { duration_ns }) => Math.max(most, duration_ns), 1), [rows]);
  const toggle = (id: string) =>
    setChosen((before) => (before.includes(id) ? before.filter((each) => each !== id) : [...before, id].slice(-2)));
  const columns: Column<Found>[] = [
    {
      title: "",
      cell: ({ trace_id, root_name }) => (
        <Checkbox
          size="xs"
          aria-label={`compare ${root_name} ${trace_id.slice(0, 8)}`}
          checked={chosen.includes(trace_id)}
          onChange={() => toggle(trace_id)}
        />
      ),
      width: "24px",
      small: false,
    },
    {
      title: "begun",
      cell: ({ start_ns }) => <span className="quiet nowrap">{dateTime(start_ns / 1e9, utc)}</span>,
      by: ({ start_ns }) => start_ns,
      width: "150px",
      small: false,
    },
    {
      title: "trace",
      cell: ({ trace_id, root_service, root_name, has_root }) => (
        <Link to={goto(`/explore/traces/${trace_id}`)}>
          {has_root ? `${root_service} ${root_name}` : `${trace_id.slice(0, 16)}… (its root is not stored)`}
        </Link>
      ),
      by: ({ root_service, root_name }) => `${root_service} ${root_name}`,
    },
    {
      title: "duration",
      cell: ({ duration_ns }) => (
        <span className="trace-length">
          <i style={{ width: `${(100 * duration_ns) / longest}%` }} />
          <span>{format(duration_ns, "ns")}</span>
        </span>
      ),
      by: ({ duration_ns }) => duration_ns,
      number: true,
      width: "150px",
    },
    {
      title: "spans",
      cell: ({ spans }) => spans,
      by: ({ spans }) => spans,
      number: true,
      small: false,
    },
    {
      title: "errors",
      cell: ({ errors }) => <span className={errors ? "bad" : "faint"}>{errors}</span>,
      by: ({ errors }) => errors,
      number: true,
    },
    {
      title: "services",
      cell: ({ services }) => (
        <span className="quiet nowrap" title={services.join(", ")}>
          {services.length > 3
            ? `${services.slice(0, 3).join(", ")} and ${services.length - 3} more`
            : services.join(", ")}
        </span>
      ),
      by: ({ services }) => services.length,
      small: false,
    },
  ];
  return (
    <Panel
      title="Traces"
      note={found.data ? `${rows.length}${found.hasNextPage ? " of more" : ""}` : ""}
      side={
        <>
          {chosen.length === 2 ? (
            <Link to={goto("/explore/traces/compare", { a: chosen[0]!, b: chosen[1]! })}>compare these two</Link>
          ) : (
            chosen.length === 1 && <span>choose another one to compare it with</span>
          )}
          <SegmentedControl
            size="xs"
            aria-label="order"
            data={[
              { value: "time", label: "newest" },
              { value: "duration", label: "longest" },
            ]}
            value={order}
            onChange={setOrder}
          />
        </>
      }
      takings={[{ label: "CSV", act: () => save("traces.csv", csv(table(rows)), "text/csv") }]}
    >
      {found.isError && <Fault error={found.error} again={() => void found.refetch()} />}
      {found.isPending && <Loading rows={8} />}
      {found.data && rows.length === 0 && <None asked={asked} />}
      {rows.length > 0 && (
        <Table label="traces" columns={columns} rows={rows} id={({ trace_id }) => trace_id} many={40} />
      )}
      {found.hasNextPage && (
        <Button
          size="compact-xs"
          variant="subtle"
          loading={found.isFetchingNextPage}
          onClick={() => void found.fetchNextPage()}
        >
          more
        </Button>
      )}
    </Panel>
  );
}

function None({ asked }: { asked: Asked }) {
  return Object.values(asked).some(Boolean) ? (
    <Nothing title="No trace in this range of time fits">
      A trace is found when one of its spans meets all that is asked. Choose a longer time, or ask for less.
    </Nothing>
  ) : (
    <Nothing title="No trace in this range of time">
      Send some: OTLP over gRPC to port 4317 or over HTTP to 4318 of this server, or Zipkin's JSON to /api/v2/spans.
    </Nothing>
  );
}

function table(rows: readonly Found[]): (string | number)[][] {
  return [
    ["trace_id", "begun", "service", "operation", "duration_ms", "spans", "errors", "services"],
    ...rows.map((each) => [
      each.trace_id,
      new Date(each.start_ns / 1e6).toISOString(),
      each.root_service,
      each.root_name,
      each.duration_ns / 1e6,
      each.spans,
      each.errors,
      each.services.join(" "),
    ]),
  ];
}

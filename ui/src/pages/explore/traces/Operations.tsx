import { useMemo } from "react";
import { Link } from "react-router";
import type { Frame } from "@/api/prometheus";
import { type RedRow, useRed } from "@/api/services";
import { type Counted, useOperations } from "@/api/traces";
import { Graph } from "@/charts/Graph";
import { csv, Panel, save } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime } from "@/components/time";
import { stepFor } from "@/model/timerange";
import type { Asked } from "@/model/tracesearch";
import { format } from "@/model/units";

interface Props {
  readonly asked: Asked;
  readonly onAsk: (values: Partial<Asked>) => void;
}

/** Every operation with its rate, errors and durations; of a service, or an operation, also how they went. */
export function Operations({ asked, onAsk }: Props) {
  const { span } = useTime();
  const goto = useGoto();
  const operations = useOperations(span, asked.service);
  const rows = useMemo(
    () => (operations.data?.rows ?? []).filter(({ operation }) => !asked.op || operation === asked.op),
    [operations.data, asked.op],
  );
  const columns: Column<Counted>[] = [
    {
      title: "service",
      cell: ({ service }) => <Link to={goto(`/services/${encodeURIComponent(service)}`)}>{service}</Link>,
      by: ({ service }) => service,
      small: false,
    },
    {
      title: "operation",
      cell: ({ service, operation }) => (
        <button type="button" className="link" onClick={() => onAsk({ service, op: operation })}>
          {operation}
        </button>
      ),
      by: ({ operation }) => operation,
    },
    {
      title: "kind",
      cell: ({ kind }) => <span className="quiet">{kind}</span>,
      by: ({ kind }) => kind,
      small: false,
    },
    { title: "per second", cell: ({ rate }) => format(rate, "none"), by: ({ rate }) => rate, number: true },
    {
      title: "errors",
      cell: ({ errors, spans }) => (
        <span className={errors ? "bad" : "faint"}>{format(spans ? errors / spans : 0, "percentunit")}</span>
      ),
      by: ({ errors, spans }) => (spans ? errors / spans : 0),
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
    {
      title: "p99",
      cell: ({ p99_ms }) => format(p99_ms, "ms"),
      by: ({ p99_ms }) => p99_ms,
      number: true,
      small: false,
    },
    {
      title: "time of all",
      cell: ({ spans, p50_ms }) => format(spans * p50_ms, "ms"),
      by: ({ spans, p50_ms }) => spans * p50_ms,
      number: true,
      small: false,
    },
  ];
  return (
    <>
      {asked.service && <Course service={asked.service} op={asked.op} />}
      <Panel
        title="Operations"
        note={asked.service ? `of ${asked.service}` : "of all services"}
        takings={[{ label: "CSV", act: () => save("operations.csv", csv(table(rows)), "text/csv") }]}
      >
        <Shown of={operations} rows={8}>
          {({ is_whole }) =>
            rows.length ? (
              <>
                {!is_whole && <div className="warn">There are more operations than are listed: choose a service.</div>}
                <Table
                  label="operations"
                  columns={columns}
                  rows={rows}
                  id={({ service, operation, kind }) => `${service} ${operation} ${kind}`}
                />
              </>
            ) : (
              <Nothing title="No operation in this range of time">
                Operations are counted as their spans come in; choose a longer time, or another service.
              </Nothing>
            )
          }
        </Shown>
      </Panel>
    </>
  );
}

/** Rate, errors and durations over time. */
function Course({ service, op }: { service: string; op: string }) {
  const { span } = useTime();
  const step = stepFor(span, 120, 60);
  const red = useRed(span, step, service, op ? "operation" : "service");
  const rows = useMemo(() => (red.data ?? []).filter(({ operation }) => !op || operation === op), [red.data, op]);
  const frames = useMemo(() => framesOf(rows, step), [rows, step]);
  const of = op || service;
  return (
    <Shown of={red} rows={6}>
      {() =>
        rows.length > 0 && (
          <div className="grid3">
            <Panel title="Requests">
              <Graph frame={frames.rate} label={`requests of ${of}`} unit="reqps" height={150} min={0} together="red" />
            </Panel>
            <Panel title="Errors">
              <Graph
                frame={frames.errors}
                label={`errors of ${of}`}
                unit="percentunit"
                height={150}
                min={0}
                together="red"
              />
            </Panel>
            <Panel title="Durations">
              <Graph
                frame={frames.durations}
                label={`durations of ${of}`}
                unit="ms"
                height={150}
                min={0}
                together="red"
              />
            </Panel>
          </div>
        )
      }
    </Shown>
  );
}

/** An operation may be called and call at once (kinds): of several rows of a time the one with most spans is drawn. */
function framesOf(rows: readonly RedRow[], step: number): { rate: Frame; errors: Frame; durations: Frame } {
  const by = new Map<number, RedRow>();
  for (const row of rows) if (row.spans > (by.get(row.at)?.spans ?? 0)) by.set(row.at, row);
  const known = [...by.keys()].toSorted((one, other) => one - other);
  const count = known.length ? Math.round((known.at(-1)! - known[0]!) / step) + 1 : 0;
  const times = Array.from({ length: count }, (_, at) => known[0]! + at * step);
  const line = (name: string, of: (row: RedRow) => number) => ({
    labels: { __name__: name },
    values: times.map((at) => {
      const row = by.get(at);
      return row ? of(row) : null;
    }),
  });
  const frame = (...series: ReturnType<typeof line>[]): Frame => ({ times, series, warnings: [] });
  return {
    rate: frame(line("requests", ({ rate }) => rate)),
    errors: frame(line("errors", ({ errors, spans }) => (spans ? errors / spans : 0))),
    durations: frame(
      line("p50", ({ p50_ms }) => p50_ms),
      line("p95", ({ p95_ms }) => p95_ms),
      line("p99", ({ p99_ms }) => p99_ms),
    ),
  };
}

function table(rows: readonly Counted[]): (string | number)[][] {
  return [
    ["service", "operation", "kind", "spans", "errors", "rate", "p50_ms", "p95_ms", "p99_ms"],
    ...rows.map((each) => [
      each.service,
      each.operation,
      each.kind,
      each.spans,
      each.errors,
      each.rate,
      each.p50_ms,
      each.p95_ms,
      each.p99_ms,
    ]),
  ];
}

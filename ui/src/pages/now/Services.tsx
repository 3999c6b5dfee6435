import { useMemo } from "react";
import { Link } from "react-router";
import { type RedRow, type ServiceRate, useRed, useServices } from "@/api/services";
import { Spark } from "@/charts/Spark";
import { NoRequests } from "@/components/NoRequests";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime } from "@/components/time";
import { coursesOf, kindOfShare } from "@/model/red";
import { stepFor } from "@/model/timerange";
import { format } from "@/model/units";

/** A service in the last minute; `before` is how many requests it had in the range. */
interface Row extends ServiceRate {
  readonly before: number;
}

/** Rate, errors and duration of every service: as of the last minute, and how they were in the range that is looked at. */
export function Services() {
  const { span } = useTime();
  const goto = useGoto();
  const services = useServices();
  const step = stepFor(span, 40, 60);
  const red = useRed(span, step).data;
  const all = useMemo(() => withSilent(services.data ?? [], red ?? []), [services.data, red]);
  const seconds = span.end - span.start;
  const course = useMemo(() => coursesOf(red ?? [], span, step), [red, span, step]);
  const columns: Column<Row>[] = [
    {
      title: "service",
      cell: ({ service }) => <Link to={goto(`/services/${encodeURIComponent(service)}`)}>{service}</Link>,
      by: ({ service }) => service,
    },
    {
      title: "requests/s",
      cell: ({ rate, before }) => (rate > 0 ? format(rate, "none") : <NoRequests usual={before / seconds} />),
      by: ({ rate }) => rate,
      number: true,
    },
    {
      title: "",
      cell: ({ service }) => <Spark label={`requests of ${service}`} values={course([service]).rate} />,
      small: false,
    },
    {
      title: "errors",
      cell: ({ rate, error_share }) =>
        rate > 0 ? <span className={kindOfShare(error_share)}>{format(error_share, "percentunit")}</span> : "–",
      by: ({ error_share }) => error_share,
      number: true,
    },
    {
      title: " ",
      cell: ({ service }) => (
        <Spark label={`errors of ${service}`} colour="var(--bad)" values={course([service]).errors} />
      ),
      small: false,
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
      title: "  ",
      cell: ({ service }) => (
        <Spark label={`95th percentile of ${service}`} colour="var(--info)" values={course([service]).p95} />
      ),
      small: false,
    },
  ];
  return (
    <Panel
      title="Services"
      note="the last minute; lines: the range above"
      side={<Link to={goto("/services/map")}>map</Link>}
    >
      <Shown of={services} rows={7}>
        {() =>
          all.length ? (
            <Table label="services" columns={columns} rows={all} id={({ service }) => service} />
          ) : (
            <Nothing title="No service has answered a request in this range">
              Point one at this server: OTLP over gRPC on port 4317, over HTTP on 4318.
            </Nothing>
          )
        }
      </Shown>
    </Panel>
  );
}

/** Also the services that were heard of in the range and are not any more: those one looks for. */
function withSilent(rates: readonly ServiceRate[], rows: readonly RedRow[]): readonly Row[] {
  const before = new Map<string, number>();
  for (const { service, spans } of rows) before.set(service, (before.get(service) ?? 0) + spans);
  const heard = rates.map((each) => ({ ...each, before: before.get(each.service) ?? 0 }));
  for (const { service } of rates) before.delete(service);
  const nothing = { rate: 0, error_share: 0, p50_ms: null, p95_ms: null };
  const silent = [...before].map(([service, spans]) => ({ service, before: spans, ...nothing }));
  return [...heard, ...silent].toSorted((one, other) => one.service.localeCompare(other.service));
}

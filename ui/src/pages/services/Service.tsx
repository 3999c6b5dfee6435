import { Button, Group } from "@mantine/core";
import { Link, useNavigate } from "react-router";
import { type Neighbour, type ServicePage, useRed, useServicePage, useServices } from "@/api/services";
import { type Mark, TimeSeries } from "@/charts/TimeSeries";
import { Ago } from "@/components/Ago";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto, useTime } from "@/components/time";
import { useTitle } from "@/components/title";
import { altogether, courses, kindOfShare } from "@/model/red";
import { absolute, dateTime, stepFor, untilNow } from "@/model/timerange";
import { format } from "@/model/units";

/** One service: how it does over time, its operations, neighbours, errors, logs, changes, and what is wrong. */
export function Service({ name }: { name: string }) {
  const { span } = useTime();
  const page = useServicePage(name, span);
  useTitle(name);
  return (
    <Shown of={page} rows={12}>
      {(service) => (
        <>
          <Head service={service} />
          {service.incidents.length + service.alerts.length > 0 && <Wrong service={service} />}
          <Course service={service} />
          <div className="grid2">
            <Operations service={service} />
            <Neighbours title="Calls" of={service.callees} none="It calls nobody that is known." />
            <Errors service={service} />
            <Neighbours title="Called by" of={service.callers} none="Nobody that is known calls it." />
            <Logs service={service} />
            <Changes service={service} />
          </div>
        </>
      )}
    </Shown>
  );
}

function Head({ service }: { service: ServicePage }) {
  const goto = useGoto();
  const facts = [
    ["owner", service.owner],
    ["team", service.team],
    ["tier", service.tier === null ? "" : String(service.tier)],
    ["signals", service.signals.join(", ")],
    ["also", service.names.filter((name) => name !== service.name).join(", ")],
  ].filter(([, value]) => value);
  return (
    <div>
      <Group gap={10} align="baseline">
        <strong style={{ fontSize: 18 }}>{service.name}</strong>
        <Tag of={service.kind} kind="" />
        {!service.seen && <Tag of="not seen in this range" kind="warn" />}
        <span className="quiet">{service.description}</span>
        <Group gap={4} ml="auto">
          <Button
            size="compact-xs"
            variant="default"
            component={Link}
            to={goto("/explore/traces", { service: service.name })}
          >
            traces
          </Button>
          <Button
            size="compact-xs"
            variant="default"
            component={Link}
            to={goto("/explore/logs", { q: `service:${quoted(service.name)}` })}
          >
            logs
          </Button>
          <Button
            size="compact-xs"
            variant="default"
            component={Link}
            to={goto("/services/map", { focus: service.name })}
          >
            map
          </Button>
          {/^https?:\/\//.test(service.runbook) && (
            <Button size="compact-xs" variant="default" component="a" href={service.runbook} rel="noreferrer">
              runbook
            </Button>
          )}
        </Group>
      </Group>
      <Group gap="2px 16px" className="quiet">
        {facts.map(([key, value]) => (
          <span key={key}>
            {key} <b>{value}</b>
          </span>
        ))}
      </Group>
    </div>
  );
}

function quoted(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : JSON.stringify(text);
}

function Wrong({ service }: { service: ServicePage }) {
  const goto = useGoto();
  return (
    <Panel title="Problems now">
      <Table
        label="problems now"
        rows={[
          ...service.incidents.map(({ id, title, priority, status, created_at }) => ({
            key: id,
            what: priority,
            text: title,
            state: status,
            at: created_at,
            to: `/incidents/${id}`,
          })),
          ...service.alerts.map(({ name, labels, since, suppressed }) => ({
            key: JSON.stringify(labels),
            what: "alert",
            text: name,
            state: suppressed ? "suppressed" : "firing",
            at: since,
            to: `/alerts/active?match=${encodeURIComponent(name)}`,
          })),
        ]}
        id={({ key }) => key}
        columns={[
          { title: "", cell: ({ what }) => <Tag of={what} />, width: "50px" },
          { title: "what", cell: ({ text, to }) => <Link to={to.includes("?") ? to : goto(to)}>{text}</Link> },
          { title: "state", cell: ({ state }) => <Tag of={state} /> },
          { title: "since", cell: ({ at }) => <Ago at={at} />, number: true },
        ]}
      />
    </Panel>
  );
}

const HEIGHT = 170;
const MOST_ERRORS = 8;

function Course({ service }: { service: ServicePage }) {
  const { span, now, utc, setRange } = useTime();
  const rates = useServices(untilNow(span, now) ? undefined : span.end).data;
  const lately = rates && altogether(rates, service.names);
  const inLastMinute = (value: string) => (lately ? `; ${value} in the last minute` : "");
  const navigate = useNavigate();
  const goto = useGoto();
  const step = stepFor(span, 120, 60);
  const red = useRed(span, step, service.name);
  const marks: Mark[] = [
    ...service.events.map(({ ts, title, kind }) => ({ at: ts, text: `${kind}: ${title}`, colour: "#8e6bbf" })),
    ...service.incidents.map(({ id, created_at, title }) => ({
      at: created_at,
      text: `incident: ${title}`,
      colour: "#c8504b",
      onPick: () => void navigate(goto(`/incidents/${id}`)),
    })),
  ];
  return (
    <Shown of={red} rows={5}>
      {(rows) => {
        if (rows.length === 0)
          return (
            <Nothing title="No requests were seen in this range">
              What it answers is counted from its spans of kind server and consumer.
            </Nothing>
          );
        const { times, rate, errors, p50, p95, p99 } = courses(rows, span, step);
        const common = {
          times,
          span,
          utc,
          height: HEIGHT,
          marks,
          together: "service",
          onZoom: (to: typeof span) => setRange(absolute(to)),
        };
        return (
          <div className="grid2" style={{ gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 320px), 1fr))" }}>
            <Panel
              title="Requests"
              note={`per second${lately === null ? "; none in the last minute" : inLastMinute(format(lately?.rate, "none"))}`}
            >
              <TimeSeries
                {...common}
                label={`requests of ${service.name}`}
                unit="none"
                min={0}
                lines={[{ name: "requests/s", values: rate, colour: "#3b82c4", fill: 0.12 }]}
              />
            </Panel>
            <Panel title="Errors" note={`share of requests${inLastMinute(format(lately?.error_share, "percentunit"))}`}>
              <TimeSeries
                {...common}
                label={`errors of ${service.name}`}
                unit="percentunit"
                min={0}
                lines={[{ name: "errors", values: errors, colour: "#c8504b", fill: 0.12 }]}
              />
            </Panel>
            <Panel title="Duration" note={lately ? `p95 ${format(lately.p95_ms, "ms")} in the last minute` : ""}>
              <TimeSeries
                {...common}
                label={`durations of ${service.name}`}
                unit="ms"
                min={0}
                lines={[
                  { name: "p99", values: p99, colour: "#c8504b" },
                  { name: "p95", values: p95, colour: "#e08a1e" },
                  { name: "p50", values: p50, colour: "#2f9e6e" },
                ]}
              />
            </Panel>
          </div>
        );
      }}
    </Shown>
  );
}

function Operations({ service }: { service: ServicePage }) {
  const goto = useGoto();
  return (
    <Panel title="Operations" note="of the spans it made in the range">
      {service.operations.length === 0 ? (
        <Nothing title="None">It sent no spans in this range.</Nothing>
      ) : (
        <Table
          label="operations"
          rows={service.operations}
          id={({ name, kind }) => `${kind} ${name}`}
          many={40}
          height={300}
          columns={[
            {
              title: "operation",
              cell: ({ name }) => (
                <Link to={goto("/explore/traces", { service: service.name, operation: name })}>{name}</Link>
              ),
              by: ({ name }) => name,
            },
            { title: "kind", cell: ({ kind }) => <span className="quiet">{kind}</span>, small: false },
            { title: "per second", cell: ({ rate }) => format(rate, "none"), by: ({ rate }) => rate, number: true },
            {
              title: "errors",
              cell: ({ error_share }) => (
                <span className={kindOfShare(error_share)}>{format(error_share, "percentunit")}</span>
              ),
              by: ({ error_share }) => error_share,
              number: true,
            },
            { title: "p95", cell: ({ p95_ms }) => format(p95_ms, "ms"), by: ({ p95_ms }) => p95_ms, number: true },
          ]}
        />
      )}
    </Panel>
  );
}

function Neighbours({ title, of, none }: { title: string; of: readonly Neighbour[]; none: string }) {
  const goto = useGoto();
  return (
    <Panel title={title}>
      {of.length === 0 ? (
        <div className="empty">{none}</div>
      ) : (
        <Table
          label={title.toLowerCase()}
          rows={of}
          id={({ name }) => name}
          columns={[
            {
              title: "service",
              cell: ({ name }) => <Link to={goto(`/services/${encodeURIComponent(name)}`)}>{name}</Link>,
              by: ({ name }) => name,
            },
            {
              title: "",
              cell: ({ seen, declared }) => (
                <>
                  {!seen && <Tag of="only declared" kind="warn" />} {!declared && <Tag of="undeclared" kind="" />}
                </>
              ),
            },
            { title: "calls", cell: ({ calls }) => format(calls, "locale"), by: ({ calls }) => calls, number: true },
            {
              title: "failed",
              cell: ({ errors, calls }) => (
                <span className={kindOfShare(calls ? errors / calls : 0)}>
                  {format(calls ? errors / calls : 0, "percentunit")}
                </span>
              ),
              number: true,
            },
          ]}
        />
      )}
    </Panel>
  );
}

function Errors({ service }: { service: ServicePage }) {
  const goto = useGoto();
  const { utc } = useTime();
  return (
    <Panel
      title="Last errors"
      side={<Link to={goto("/explore/traces", { service: service.name, errors: "true" })}>all</Link>}
    >
      {service.errors.length === 0 ? (
        <div className="empty">No span of it has failed in this range.</div>
      ) : (
        <Table
          label="errors"
          rows={service.errors.slice(0, MOST_ERRORS)}
          id={({ trace_id, span_id }) => `${trace_id} ${span_id}`}
          columns={[
            { title: "at", cell: ({ start_ns }) => dateTime(start_ns / 1e9, utc).slice(11), width: "70px" },
            {
              title: "operation",
              cell: ({ trace_id, name }) => <Link to={goto(`/explore/traces/${trace_id}`)}>{name}</Link>,
            },
            { title: "message", cell: ({ status_message }) => <span className="quiet">{status_message}</span> },
            { title: "took", cell: ({ duration_ns }) => format(duration_ns, "ns"), number: true, small: false },
          ]}
        />
      )}
    </Panel>
  );
}

function Logs({ service }: { service: ServicePage }) {
  const goto = useGoto();
  const { levels, patterns } = service.logs;
  return (
    <Panel title="Logs" note={levels.map(({ level, records }) => `${level} ${format(records, "locale")}`).join(" · ")}>
      {patterns.length === 0 ? (
        <div className="empty">It logged nothing in this range.</div>
      ) : (
        <Table
          label="log patterns"
          rows={patterns}
          id={({ pattern_id }, at) => `${pattern_id} ${at}`}
          columns={[
            { title: "level", cell: ({ level }) => <Tag of={level.toLowerCase()} />, width: "64px" },
            {
              title: "line",
              cell: ({ example, pattern_id }) => (
                <Link to={goto("/explore/logs", { q: `pattern_id:${pattern_id}` })} className="mono">
                  {example}
                </Link>
              ),
            },
            {
              title: "lines",
              cell: ({ lines }) => format(lines, "locale"),
              by: ({ lines }) => lines,
              number: true,
            },
          ]}
        />
      )}
    </Panel>
  );
}

function Changes({ service }: { service: ServicePage }) {
  const { utc } = useTime();
  return (
    <Panel title="Changes" note="deployments, configurations, restarts of the last days">
      {service.events.length === 0 ? (
        <div className="empty">
          None known. Webhooks of GitHub, GitLab, Argo CD and Kubernetes report them, and POST /aiprism/v1/events.
        </div>
      ) : (
        <Table
          label="changes"
          rows={service.events}
          id={({ id }) => id}
          columns={[
            { title: "at", cell: ({ ts }) => dateTime(ts, utc), width: "140px" },
            { title: "kind", cell: ({ kind }) => <Tag of={kind} kind="info" /> },
            {
              title: "what",
              cell: ({ title, source }) => (
                <>
                  {title} {source && <Labels of={{ by: source }} />}
                </>
              ),
            },
          ]}
        />
      )}
    </Panel>
  );
}

import { ActionIcon, CloseButton, Tooltip } from "@mantine/core";
import { IconCopy, IconSearch } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { Link, useNavigate } from "react-router";
import { copy } from "@/components/Panel";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import type { Row, Told, Waterfall } from "@/model/trace";
import { term } from "@/model/tracesearch";
import { format } from "@/model/units";
import { Lines } from "./Lines";

interface Props {
  readonly told: Told;
  readonly fall: Waterfall;
  readonly row: Row;
  readonly onPick: (row: number) => void;
  readonly onClose: () => void;
}

const AROUND = 60; // seconds: clocks differ, and logs come late
const AROUND_METRICS = 1800;

/** All that is known of one span, and where it leads. */
export function Details({ told, fall, row, onPick, onClose }: Props) {
  const { span, node } = row;
  const logs = node.logs.map((at) => told.logs[at]!);
  const parent = node.parent === null ? null : fall.rows[node.parent]!;
  return (
    <section className="trace-details" aria-label={`span ${span.name}`}>
      <header>
        <h3>{span.name}</h3>
        <CloseButton size="sm" aria-label="close the span" onClick={onClose} />
      </header>
      <Leads row={row} wrote={logs.length > 0} />
      <dl className="facts">
        <Fact name="status">
          <Tag of={span.status} kind={row.failed ? "bad" : ""} /> {span.status_message}
        </Fact>
        <Fact name="took">{format(span.duration_ns, "ns")}</Fact>
        <Fact name="in itself">
          {format(node.self_ns, "ns")} <small className="quiet">{shareOf(node.self_ns, span.duration_ns)}</small>
        </Fact>
        <Fact name="critical">
          {format(node.critical_ns, "ns")}{" "}
          <small className="quiet">{shareOf(node.critical_ns, fall.length)} of the trace</small>
        </Fact>
        <Fact name="begun">after {format(row.begin, "ns")}</Fact>
        <Fact name="kind">{span.kind}</Fact>
        {parent && (
          <Fact name="called by">
            <button type="button" className="link" onClick={() => onPick(parent.at)}>
              {parent.span.service} {parent.span.name}
            </button>
          </Fact>
        )}
        {node.is_orphan && <Fact name="parent">{span.parent_span_id} is not stored</Fact>}
        {node.skew_ns !== 0 && (
          <Fact name="clock">
            {format(Math.abs(node.skew_ns), "ns")} {node.skew_ns > 0 ? "ahead of" : "behind"} its caller's
          </Fact>
        )}
        <Fact name="id">
          <code>{span.span_id}</code>
        </Fact>
      </dl>
      <Pairs title="Attributes" of={span.attributes} />
      {span.events.length > 0 && (
        <>
          <h4>Events</h4>
          {span.events.map((event, at) => (
            <div key={`${at} ${event.name}`} className="trace-event">
              <b>{event.name}</b> <span className="quiet">after {format(event.ts_ns - fall.start_ns, "ns")}</span>
              <Pairs of={event.attributes} field={(key) => `event.${key}`} />
            </div>
          ))}
        </>
      )}
      {logs.length > 0 && (
        <>
          <h4>Logs</h4>
          <Lines logs={logs} fall={fall} />
        </>
      )}
      <Pairs title="Resource" of={span.resource} />
    </section>
  );
}

/** From a span to its logs, to the metrics of its operation at that time, to its service, to others like it. */
function Leads({ row: { span }, wrote }: { row: Row; wrote: boolean }) {
  const goto = useGoto();
  const [begun, ended] = [span.start_ns / 1e9, (span.start_ns + span.duration_ns) / 1e9];
  const within = (seconds: number) => ({
    from: String(Math.floor(begun - seconds)),
    to: String(Math.ceil(ended + seconds)),
  });
  const all = term("trace_id", span.trace_id);
  const logs = wrote ? `${all} AND ${term("span_id", span.span_id)}` : all; // most spans write none: those of its trace then
  const operation = { service: span.service, op: span.name };
  return (
    <nav className="trace-leads" aria-label="from this span">
      <Link to={goto("/explore/logs", { q: logs, ...within(AROUND) })}>{wrote ? "logs" : "logs of the trace"}</Link>
      <Link to={goto("/explore/traces", { ...operation, view: "operations", ...within(AROUND_METRICS) })}>metrics</Link>
      <Link to={goto(`/services/${encodeURIComponent(span.service)}`)}>{span.service}</Link>
      <Link to={goto("/explore/traces", operation)}>others like it</Link>
    </nav>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface PairsProps {
  readonly of: Readonly<Record<string, string>>;
  readonly title?: string;
  readonly field?: (key: string) => string;
}

/** Names and values; each can be copied, or looked for in other traces. */
function Pairs({ of, title, field = (key) => key }: PairsProps) {
  const goto = useGoto();
  const navigate = useNavigate();
  const pairs = Object.entries(of).toSorted(([one], [other]) => one.localeCompare(other));
  if (pairs.length === 0) return null;
  return (
    <>
      {title && <h4>{title}</h4>}
      <dl className="pairs">
        {pairs.map(([key, value]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd>
              <code>{value}</code>
              <span className="acts">
                <Tooltip label="traces with this value">
                  <ActionIcon
                    size="xs"
                    variant="subtle"
                    color="gray"
                    aria-label={`traces with ${key} = ${value.slice(0, 60)}`}
                    onClick={() => navigate(goto("/explore/traces", { q: term(field(key), value) }))}
                  >
                    <IconSearch size={12} />
                  </ActionIcon>
                </Tooltip>
                <ActionIcon
                  size="xs"
                  variant="subtle"
                  color="gray"
                  aria-label={`copy ${key}`}
                  onClick={() => void copy(value, key)}
                >
                  <IconCopy size={12} />
                </ActionIcon>
              </span>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function shareOf(part: number, whole: number): string {
  return whole > 0 ? format(part / whole, "percentunit", 0) : "";
}

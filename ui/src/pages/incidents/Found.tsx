import { Button } from "@mantine/core";
import { Link } from "react-router";
import { post } from "@/api/http";
import { type Incident, useIncidentActs, useInvestigation } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import { linesLike, questionOf, tracesIn, unitOf } from "@/model/incident";
import { absolute } from "@/model/timerange";
import { format } from "@/model/units";

const MOST = 6;
const BEFORE = 900;

/** What the investigation found: what may be the cause, and what changed, each with where to look. */
export function Found({ incident: { id, created_at, resolved_at } }: { incident: Incident }) {
  const investigation = useInvestigation(id);
  const goto = useGoto();
  // What it leads to is looked at as it was then, also when the page's own range is another day.
  const around = resolved_at
    ? absolute({ start: created_at - BEFORE, end: resolved_at + BEFORE / 2 })
    : { from: String(Math.round(created_at - BEFORE)), to: "now" };
  return (
    <Panel title="Investigation" note={investigation.data?.conclusion} side={<Again id={id} />}>
      <Shown of={investigation} rows={5}>
        {(found) => {
          if (!found?.findings)
            return (
              <Nothing title={found ? `It is ${found.state}` : "Not yet"}>
                An incident is looked into when it opens: metrics, logs, traces, and what may be the cause.
              </Nothing>
            );
          const { hypotheses, metrics, logs, traces, missed = [] } = found.findings;
          return (
            <>
              {hypotheses.length === 0 && <div className="empty">Nothing points to a cause.</div>}
              {hypotheses.slice(0, 4).map(({ statement, confidence, evidence, next_steps, service }) => (
                <div key={statement} className="sentence" style={{ padding: "4px 0 6px" }}>
                  <strong>{format(confidence, "percentunit", 0)}</strong> {statement}{" "}
                  {service && <Link to={goto(`/services/${encodeURIComponent(service)}`)}>{service}</Link>}
                  {evidence.slice(0, 3).map((line) => (
                    <div key={line} className="quiet">
                      {line}
                    </div>
                  ))}
                  {next_steps.slice(0, 2).map((line) => (
                    <div key={line}>
                      → <WithTraces text={line} />
                    </div>
                  ))}
                </div>
              ))}
              {metrics.length > 0 && (
                <Table
                  label="changed metrics"
                  rows={metrics.slice(0, MOST)}
                  id={({ metric, service, measure }, at) => `${at} ${service} ${metric} ${measure}`}
                  columns={[
                    {
                      title: "metric that changed",
                      cell: (change) => (
                        <Link
                          to={goto("/explore/metrics", { q: questionOf(change), ...around })}
                          className="mono"
                          style={{ overflowWrap: "anywhere" }}
                          title={questionOf(change)}
                        >
                          {change.metric}
                        </Link>
                      ),
                    },
                    { title: "of", cell: ({ service }) => <span className="quiet">{service}</span>, small: false },
                    { title: "before", cell: (change) => format(change.before, unitOf(change)), number: true },
                    { title: "after", cell: (change) => format(change.after, unitOf(change)), number: true },
                  ]}
                />
              )}
              {logs.length > 0 && (
                <Table
                  label="changed logs"
                  rows={logs.slice(0, MOST)}
                  id={({ pattern, service }, at) => `${at} ${service} ${pattern}`}
                  columns={[
                    { title: "", cell: ({ change }) => <Tag of={change} kind="warn" />, width: "60px" },
                    {
                      title: "line that is new or more frequent",
                      cell: (line) => (
                        <Link to={goto("/explore/logs", { q: linesLike(line), ...around })}>
                          <code>{line.pattern}</code>
                        </Link>
                      ),
                    },
                    { title: "of", cell: ({ service }) => <span className="quiet">{service}</span>, small: false },
                    { title: "lines", cell: ({ lines }) => format(lines, "locale"), number: true },
                  ]}
                />
              )}
              {traces.examples.length > 0 && (
                <Table
                  label="example traces"
                  rows={traces.examples.slice(0, MOST)}
                  id={({ trace_id }) => trace_id}
                  columns={[
                    {
                      title: "",
                      cell: ({ why }) => <Tag of={why} kind={why === "failed" ? "bad" : "warn"} />,
                      width: "60px",
                    },
                    {
                      title: "trace",
                      cell: ({ trace_id, service, operation }) => (
                        <Link to={goto(`/explore/traces/${trace_id}`)}>
                          {service}: {operation}
                        </Link>
                      ),
                    },
                    { title: "took", cell: ({ seconds }) => format(seconds, "s"), number: true },
                  ]}
                />
              )}
              {missed.map((line) => (
                <div key={line} className="quiet">
                  not looked at: {line}
                </div>
              ))}
            </>
          );
        }}
      </Shown>
    </Panel>
  );
}

/** A sentence in which the id of a trace leads to the trace. */
function WithTraces({ text }: { text: string }) {
  const goto = useGoto();
  return tracesIn(text).map(({ words, trace }, at) =>
    trace ? (
      <Link key={at} to={goto(`/explore/traces/${trace}`)} className="mono">
        {trace.slice(0, 8)}…
      </Link>
    ) : (
      words
    ),
  );
}

/** What is slow is not yet stored when its incident opens: a later look sees more. */
function Again({ id }: { id: string }) {
  const [actor] = useActor();
  const acts = useIncidentActs(id);
  const look = () =>
    acts.mutate((path) => post("/aiprism/v1/incidents/{incident_id}/investigation", { path, body: { actor } }));
  return (
    <Button size="compact-xs" variant="default" disabled={!actor} loading={acts.isPending} onClick={look}>
      look again
    </Button>
  );
}

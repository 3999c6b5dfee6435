import { Button } from "@mantine/core";
import { Link } from "react-router";
import { post } from "@/api/http";
import { useIncidentActs, useInvestigation } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { useGoto } from "@/components/time";
import { format } from "@/model/units";

const MOST = 6;

/** What the investigation found: what may be the cause, and what changed, each with where to look. */
export function Found({ id }: { id: string }) {
  const investigation = useInvestigation(id);
  const goto = useGoto();
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
                    <div key={line}>→ {line}</div>
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
                      cell: ({ metric }) => (
                        <Link to={goto("/explore/metrics", { q: metric })} className="mono">
                          {metric}
                        </Link>
                      ),
                    },
                    { title: "of", cell: ({ service }) => <span className="quiet">{service}</span>, small: false },
                    { title: "before", cell: ({ before }) => format(before, "short"), number: true },
                    { title: "after", cell: ({ after }) => format(after, "short"), number: true },
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
                    { title: "line that is new or more frequent", cell: ({ pattern }) => <code>{pattern}</code> },
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

/** What a trace says before one looks at its spans: where errors began, where the time went, what of it is not as it should be. */

import { useMemo } from "react";
import { Link } from "react-router";
import { seriesName } from "@/api/prometheus";
import { Panel } from "@/components/Panel";
import { useGoto } from "@/components/time";
import { shares, type Told, type Waterfall } from "@/model/trace";
import { format } from "@/model/units";

const MOST_FAILURES = 5;

export function Story({ told, onPick }: { told: Told; onPick: (spanId: string) => void }) {
  const { nodes, failures, repeated_spans } = told.analysis;
  const orphans = nodes.filter(({ is_orphan }) => is_orphan).length;
  const cycles = nodes.filter(({ in_cycle }) => in_cycle).length;
  const skewed = nodes.filter(({ skew_ns }) => skew_ns !== 0).length;
  const notes = [
    !told.is_whole && "it has more spans than are shown here",
    orphans > 0 && `the parents of ${orphans} spans are not stored`,
    cycles > 0 && `${cycles} spans name each other as parents`,
    skewed > 0 && `the clocks of ${skewed} spans differ from their callers'`,
    repeated_spans > 0 && `${repeated_spans} spans were sent again`,
  ].filter(Boolean);
  return (
    <>
      {failures.slice(0, MOST_FAILURES).map(({ span_id, service, name, message, exception, path }) => (
        <div key={span_id} className="trace-failure">
          <span className="bad">failed</span> in{" "}
          <button type="button" className="link" onClick={() => onPick(span_id)}>
            {service} {name}
          </button>
          {(exception || message) && <code> {[exception, message].filter(Boolean).join(": ")}</code>}
          {path.length > 1 && <span className="quiet"> and in {path.length - 1} spans above it</span>}
        </div>
      ))}
      {failures.length > MOST_FAILURES && (
        <div className="quiet">Errors began in {failures.length - MOST_FAILURES} more spans: press e below.</div>
      )}
      {notes.length > 0 && <div className="warn">Note: {notes.join("; ")}.</div>}
    </>
  );
}

const LEAST_SHARE = 0.005;

/** Services, and what each has of the critical path. */
export function Shares({ fall }: { fall: Waterfall }) {
  const rows = useMemo(() => shares(fall.rows), [fall]);
  const whole = rows.reduce((sum, { critical_ns }) => sum + critical_ns, 0) || 1;
  return (
    <div style={{ padding: "4px 0 8px" }}>
      <div className="trace-shares" aria-hidden>
        {rows
          .filter(({ critical_ns }) => critical_ns / whole >= LEAST_SHARE)
          .map(({ service, critical_ns }) => (
            <i key={service} style={{ flexGrow: critical_ns / whole, background: fall.services.get(service) }} />
          ))}
      </div>
      <div className="legend" role="group" aria-label="services and their share of the critical path" tabIndex={0}>
        {rows.map(({ service, spans, errors, critical_ns }) => (
          <span key={service} style={{ display: "inline-flex", gap: 6 }}>
            <i style={{ background: fall.services.get(service) }} />
            {service}
            <span className="quiet">
              {format(critical_ns, "ns")} · {format(critical_ns / whole, "percentunit", 0)} · {spans}{" "}
              {spans === 1 ? "span" : "spans"}
            </span>
            {errors > 0 && <span className="bad">{errors} failed</span>}
          </span>
        ))}
      </div>
    </div>
  );
}

/** Values of metrics that were measured within the trace; each leads to its series. */
export function Measured({ told }: { told: Told }) {
  const goto = useGoto();
  if (told.exemplars.length === 0) return null;
  return (
    <Panel title="Measured in it" note="values of metrics whose exemplars name this trace">
      <ul className="trace-list">
        {told.exemplars.map(({ series, value, ts }, at) => (
          <li key={`${at} ${ts}`}>
            <b>{format(value, "short")}</b>{" "}
            <Link
              to={goto("/explore/metrics", { q: seriesName(series), from: String(ts - 900), to: String(ts + 900) })}
            >
              <code>{seriesName(series)}</code>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

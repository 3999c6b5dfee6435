import type { Incident } from "@/api/incidents";
import { useRed } from "@/api/services";
import { type Line, TimeSeries } from "@/charts/TimeSeries";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { useTime } from "@/components/time";
import { colourAt } from "@/model/colours";
import { courses } from "@/model/red";
import { stepFor } from "@/model/timerange";

const BEFORE = 1800;
const MOST = 6;

/** How the services it is about did around it: failed requests and the 95th percentile, with the incident marked. */
export function Evidence({ incident }: { incident: Incident }) {
  const { now, utc } = useTime();
  const span = { start: incident.created_at - BEFORE, end: Math.min(now, (incident.resolved_at ?? now) + BEFORE / 2) };
  const step = stepFor(span, 90, 60);
  const red = useRed(span, step);
  const marks = [
    { at: incident.created_at, until: incident.resolved_at ?? now, text: incident.title, colour: "#c8504b" },
  ];
  return (
    <Panel title="How its services did" note="failed requests, and the 95th percentile">
      <Shown of={red} rows={6}>
        {(rows) => {
          const services = incident.services
            .filter((service) => rows.some((row) => row.service === service))
            .slice(0, MOST);
          if (services.length === 0)
            return <Nothing title="No requests of them were seen">Its services sent no spans in this time.</Nothing>;
          const all = services.map((service) => ({
            service,
            ...courses(
              rows.filter((row) => row.service === service),
              span,
              step,
            ),
          }));
          const common = { times: all[0]!.times, span, utc, height: 150, marks, min: 0, together: "incident" };
          const lines = (of: "errors" | "p95"): Line[] =>
            all.map((course, at) => ({ name: course.service, values: course[of], colour: colourAt(at) }));
          return (
            <>
              <TimeSeries {...common} label="failed requests" unit="percentunit" lines={lines("errors")} />
              <TimeSeries {...common} label="95th percentile" unit="ms" lines={lines("p95")} />
              <div className="quiet">
                {services.map((service, at) => (
                  <span key={service} style={{ marginRight: 12 }}>
                    <span className="dot" style={{ background: colourAt(at) }} /> {service}
                  </span>
                ))}
              </div>
            </>
          );
        }}
      </Shown>
    </Panel>
  );
}

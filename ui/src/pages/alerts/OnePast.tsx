import type { RulePast } from "@/api/backtest";
import { useRange } from "@/api/prometheus";
import { Graph } from "@/charts/Graph";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { useTime } from "@/components/time";
import { type Firing, firingAt, measured, stretches, type ToldReceiver, timesTold } from "@/model/backtest";
import { dateTime, formatDuration, roughly, stepFor } from "@/model/timerange";

const POINTS = 400;
const MOST_MARKS = 200;

/** What one rule would have done: how often and how long it fired, over its expression, and who would have been told. */
export function OnePast({ past, end }: { past: RulePast; end: number }) {
  return (
    <Panel title={past.alert} note={<code>{past.expr}</code>}>
      <Figures past={past} />
      {past.failed > 0 && (
        <div className="bad">
          {past.failed} of {past.evaluations} evaluations failed.
        </div>
      )}
      {past.notes.map((note) => (
        <div key={note} className="warn">
          {note}
        </div>
      ))}
      <Course past={past} end={end} />
      <Told told={past.told} />
      <Firings past={past} end={end} />
    </Panel>
  );
}

function Figures({ past }: { past: RulePast }) {
  const lasting = (seconds: number) => (seconds > 0 ? formatDuration(roughly(seconds)) : "–");
  const figures: readonly (readonly [string, string | number])[] = [
    ["times it fired", past.fired],
    ["in all", lasting(past.seconds)],
    ["the longest", lasting(past.longest)],
    ["soon after another", past.flapping],
    ["over before it fired", past.pending_only],
    ["evaluations", past.evaluations],
  ];
  return (
    <div className="figures" style={{ margin: "4px 0 8px" }} role="group" aria-label={`figures of ${past.alert}`}>
      {figures.map(([name, value]) => (
        <div key={name} className="figure">
          <b>{value}</b>
          <span>{name}</span>
        </div>
      ))}
    </div>
  );
}

/** When it fired: over its expression, or as how many fired where that is none of PromQL's. */
function Course({ past, end }: { past: RulePast; end: number }) {
  const { span } = useTime();
  if (!past.signal) return <Expression past={past} end={end} />;
  const { times, counts } = firingAt(past.firings, { start: span.start, end });
  const frame = { times, series: [{ labels: { __name__: "alerts that fire" }, values: counts }], warnings: [] };
  return <Graph frame={frame} label={`${past.alert} over time`} height={110} marks={marked(past.firings, end)} />;
}

/** The expression over time, without its comparison where it has one, with the stretches in which it fired. */
function Expression({ past, end }: { past: RulePast; end: number }) {
  const { span } = useTime();
  const { query, level } = measured(past.expr);
  const range = useRange(query, span, stepFor(span, POINTS));
  return (
    <Shown of={range} rows={5}>
      {(frame) => (
        <Graph
          frame={frame}
          label={query}
          height={170}
          levels={level === null ? [] : [{ value: level, colour: "#c8504b" }]}
          marks={marked(past.firings, end)}
        />
      )}
    </Shown>
  );
}

function marked(firings: readonly Firing[], end: number) {
  const fired = stretches(firings, end).slice(0, MOST_MARKS);
  return fired.map(({ at, until, count }) => ({ at, until, text: `fires: ${count}`, colour: "#c8504b" }));
}

/** Who would have been told: what fires together is one notification. */
export function Told({ told }: { told: readonly ToldReceiver[] }) {
  if (told.length === 0) return <div className="empty">It would not have fired, and nobody would have been told.</div>;
  return (
    <div style={{ padding: "4px 0" }} role="group" aria-label="who would have been told">
      Told of it would have been
      <ul style={{ margin: 0, paddingLeft: 18 }}>
        {told.map((each) => (
          <li key={each.receiver}>
            <b>{each.receiver}</b>{" "}
            <span className="quiet">{each.channels.length ? `(${each.channels.join(", ")})` : "(no channel)"}</span>{" "}
            {timesTold(each)}
          </li>
        ))}
      </ul>
      <span className="quiet">Grouped as routes say now; less what silences, inhibition and incidents hold back.</span>
    </div>
  );
}

function Firings({ past, end }: { past: RulePast; end: number }) {
  const { utc } = useTime();
  if (past.firings.length === 0) return null;
  return (
    <>
      <Table
        label={`firings of ${past.alert}`}
        rows={past.firings}
        id={(firing, at) => `${at} ${firing.fired_at}`}
        many={60}
        height={300}
        columns={[
          { title: "alert", cell: ({ labels }) => <Labels of={labels} without={["alertname"]} /> },
          {
            title: "held since",
            cell: ({ active_at }) => dateTime(active_at, utc),
            by: ({ active_at }) => active_at,
            number: true,
            small: false,
          },
          {
            title: "fired at",
            cell: ({ fired_at }) => (
              <>
                <span className="hide-small">{dateTime(fired_at, utc).slice(0, 5)}</span>
                {dateTime(fired_at, utc).slice(5)}
              </>
            ),
            by: ({ fired_at }) => fired_at,
            number: true,
          },
          {
            title: "for",
            cell: ({ fired_at, ended_at }) =>
              ended_at === null ? "still does" : formatDuration(roughly(Math.max(1, ended_at - fired_at))),
            by: ({ fired_at, ended_at }) => (ended_at ?? end) - fired_at,
            number: true,
          },
        ]}
      />
      {!past.is_whole && <div className="quiet">The first {past.firings.length} are shown.</div>}
    </>
  );
}

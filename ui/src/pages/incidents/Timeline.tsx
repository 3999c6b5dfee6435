import { SegmentedControl } from "@mantine/core";
import { useState } from "react";
import type { Entry, Incident } from "@/api/incidents";
import { Panel } from "@/components/Panel";
import { useTime, useUrl } from "@/components/time";
import { toldOf } from "@/model/incident";
import { clockTime, dateTime, formatDuration, roughly } from "@/model/timerange";
import { mood } from "./mood";

const KINDS: Readonly<Record<string, RegExp>> = {
  all: /./,
  alerts: /^alert_|^incident_created|merged|split/,
  people: /comment|acknowledg|respond|identif|resolved|reopen|assigned|role|task|pinned|priority|update/,
  machine: /runbook|step|investigat|paged|notification|escalat|overdue|remind|change/,
};

/** What happened, oldest first: when, how long after the beginning, by whom, and with what evidence. */
export function Timeline({ incident }: { incident: Incident }) {
  const [kind, setKind] = useUrl("timeline", "all");
  const shown = incident.timeline.filter(({ event }) => (KINDS[kind] ?? KINDS.all!).test(event));
  return (
    <Panel
      title="Timeline"
      note={`${shown.length}`}
      side={
        <SegmentedControl
          size="xs"
          aria-label="of the timeline"
          data={Object.keys(KINDS)}
          value={kind}
          onChange={setKind}
        />
      }
    >
      <ol style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label="timeline">
        {shown.map((entry) => (
          <Line key={entry.id} entry={entry} begun={incident.created_at} />
        ))}
      </ol>
    </Panel>
  );
}

function Line({ entry, begun }: { entry: Entry; begun: number }) {
  const { utc } = useTime();
  const [open, setOpen] = useState(false);
  const after = entry.at - begun;
  const told = toldOf(entry);
  const evidence = Object.entries(entry.data ?? {});
  return (
    <li
      title={entry.event.replaceAll("_", " ")}
      style={{
        display: "grid",
        gridTemplateColumns: "10px 64px 1fr",
        gap: 8,
        padding: "3px 0",
        alignItems: "baseline",
      }}
    >
      <span className={`dot ${mood(entry.event)}`} />
      <time
        className="quiet"
        title={`${dateTime(entry.at, utc)}, ${after < 0 ? "-" : "+"}${formatDuration(roughly(Math.abs(after)))}`}
      >
        {clockTime(entry.at, utc)}
      </time>
      <div style={{ minWidth: 0, overflowWrap: "anywhere" }}>
        {told.kind && <span className="quiet">{told.kind} </span>}
        {told.text} <span className="faint">{told.by}</span>
        {evidence.length > 0 && (
          <button
            type="button"
            className="faint"
            aria-expanded={open}
            onClick={() => setOpen(!open)}
            style={{ background: "none", border: 0, cursor: "pointer", padding: "0 4px" }}
          >
            {open ? "less" : "evidence"}
          </button>
        )}
        {open && (
          <pre className="mono" style={{ margin: "2px 0 6px" }}>
            {JSON.stringify(entry.data, null, 1)}
          </pre>
        )}
      </div>
    </li>
  );
}

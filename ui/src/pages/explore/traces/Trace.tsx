import { Button } from "@mantine/core";
import { useCallback, useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { useTrace } from "@/api/traces";
import { copy, Panel, save } from "@/components/Panel";
import { Fault, Loading, Nothing } from "@/components/states";
import { useGoto, useTime, useUrl } from "@/components/time";
import { useTitle } from "@/components/title";
import { dateTime } from "@/model/timerange";
import { matching, revealed, type Told, waterfall } from "@/model/trace";
import { format } from "@/model/units";
import { Details } from "./Details";
import { Find } from "./Find";
import { Lines } from "./Lines";
import { Minimap } from "./Minimap";
import { Measured, Shares, Story } from "./Story";
import { Waterfall } from "./Waterfall";

/** One trace: how it went, where its time is spent, and all that is known of each span. */
export function Trace() {
  const id = (useParams().id ?? "").trim().toLowerCase();
  const trace = useTrace(id);
  if (trace.data) return <Shown told={trace.data} />;
  if (!trace.isError) return <Loading rows={12} />;
  return (
    <Panel title={`Trace ${id}`}>
      <Fault error={trace.error} again={() => void trace.refetch()} />
      <Nothing title="It is not stored">
        It may have been left out when traces were sampled, be older than traces are kept, or not have come in yet.
      </Nothing>
    </Panel>
  );
}

function Shown({ told }: { told: Told }) {
  const { utc } = useTime();
  const goto = useGoto();
  const [picked, setPicked] = useUrl("span");
  const [text, setText] = useUrl("find");
  const [zoom, setZoom] = useUrl("zoom");
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const fall = useMemo(() => waterfall(told), [told]);
  const found = useMemo(() => matching(fall.rows, text), [fall, text]);
  const window = useMemo(() => windowOf(zoom, fall.length), [zoom, fall.length]);
  const at = useMemo(() => fall.rows.findIndex(({ span }) => span.span_id === picked), [fall, picked]);
  const pick = useCallback(
    (row: number) => {
      setFolded((before) => revealed(fall.rows, before, row));
      setPicked(fall.rows[row]!.span.span_id);
    },
    [fall, setPicked],
  );
  const pickSpan = (spanId: string) => {
    const row = fall.rows.findIndex(({ span }) => span.span_id === spanId);
    if (row >= 0) pick(row);
  };
  const setWindow = useCallback(
    (next: readonly [number, number] | null) => setZoom(next ? next.map(Math.round).join("-") : "", true),
    [setZoom],
  );
  const { root } = fall;
  useTitle(`${root.span.service} ${root.span.name}`);
  const errors = fall.rows.filter(({ failed }) => failed);
  const takings = [
    { label: "Copy its id", act: () => copy(told.trace_id, "id") },
    { label: "Copy its address", act: () => copy(location.href, "address") },
    { label: "JSON", act: () => save(`${told.trace_id}.json`, JSON.stringify(told), "application/json") },
  ];
  return (
    <>
      <Panel
        title={`${root.span.service} ${root.span.name}`}
        note={`${dateTime(fall.start_ns / 1e9, utc)} · ${format(fall.length, "ns")} · ${fall.rows.length} spans · ${fall.services.size} services`}
        side={
          <span className="trace-leads">
            {errors.length > 0 && <span className="bad">{errors.length} failed</span>}
            <Link to={goto("/explore/traces/compare", { a: told.trace_id })}>compare</Link>
            <Link to={goto("/explore/traces", { service: root.span.service, op: root.span.name })}>others like it</Link>
          </span>
        }
        takings={takings}
      >
        <Story told={told} onPick={pickSpan} />
        <Shares fall={fall} />
        <Find
          rows={fall.rows}
          text={text}
          onText={setText}
          found={found}
          errors={errors.map((row) => row.at)}
          at={at}
          onPick={pick}
        />
        <Minimap fall={fall} window={window} onWindow={setWindow} />
        {zoom && (
          <Button size="compact-xs" variant="subtle" onClick={() => setZoom("")}>
            the whole trace
          </Button>
        )}
        <div className={at >= 0 ? "trace-split" : undefined}>
          <Waterfall
            fall={fall}
            window={window}
            folded={folded}
            onFold={setFolded}
            found={found}
            at={at}
            onPick={pick}
            onZoom={setWindow}
          />
          {at >= 0 && (
            <Details
              key={picked}
              told={told}
              fall={fall}
              row={fall.rows[at]!}
              onPick={pick}
              onClose={() => setPicked("")}
            />
          )}
        </div>
      </Panel>
      <Measured told={told} />
      <Panel title="Logs" note={`${told.logs.length} lines written within it`}>
        {told.logs.length ? (
          <Lines logs={told.logs} fall={fall} onPick={pickSpan} />
        ) : (
          <Nothing title="No line names this trace">
            Lines belong to a trace when they carry its id: OTLP's logs do, others by a field `trace_id`.
          </Nothing>
        )}
      </Panel>
    </>
  );
}

/** `zoom=200-900`: nanoseconds from the begin of the trace on. */
function windowOf(text: string, length: number): readonly [number, number] {
  const [from, to] = text.split("-").map(Number);
  const known = from !== undefined && to !== undefined && from >= 0 && to > from && from < length;
  return known ? [from, Math.min(to, length)] : [0, length];
}

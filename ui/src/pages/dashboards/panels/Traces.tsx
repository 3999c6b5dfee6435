import { useMemo, useState } from "react";
import { Link } from "react-router";
import { useTrace } from "@/api/traces";
import { Fault, Loading, Nothing } from "@/components/states";
import { useGoto, useTime } from "@/components/time";
import { traceAsk } from "@/model/dashboard/traceask";
import { dateTime } from "@/model/timerange";
import { revealed, type Told, waterfall } from "@/model/trace";
import { format } from "@/model/units";
import { Waterfall } from "@/pages/explore/traces/Waterfall";
import type { PanelProps } from "./interface";
import TablePanel from "./TablePanel";

/** A trace as its waterfall where its id is asked for; of a search the traces that fit, each leading to its page. */
export default function Traces(props: PanelProps) {
  const { panel, frames, filled } = props;
  const target = panel.targets.find(({ kind, hidden }) => kind === "traces" && !hidden);
  const ask = target && traceAsk(target, (text) => filled(text));
  if (!ask || ask.kind === "map")
    return (
      <Nothing title="Nothing is asked">
        A panel of traces has the id of a trace as its query, or a search for traces.
      </Nothing>
    );
  if (ask.kind === "trace") return <One id={ask.id} />;
  if (frames.every(({ fields }) => fields.every(({ values }) => values.length === 0)))
    return <Nothing title="No trace matches">In this range of time none was found.</Nothing>;
  return <TablePanel {...props} />;
}

function One({ id }: { id: string }) {
  const trace = useTrace(id);
  if (trace.data) return <Fall told={trace.data} />;
  return trace.isError ? <Fault error={trace.error} again={() => void trace.refetch()} /> : <Loading rows={6} />;
}

const NONE: readonly number[] = [];

function Fall({ told }: { told: Told }) {
  const goto = useGoto();
  const { utc } = useTime();
  const fall = useMemo(() => waterfall(told), [told]);
  const [window, setWindow] = useState<readonly [number, number]>([0, fall.length]);
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [at, setAt] = useState(-1);
  const root = fall.root.span;
  const picked = fall.rows[at]?.span;
  const query: Record<string, string> = picked ? { span: picked.span_id } : {};
  return (
    <>
      <div style={{ display: "flex", gap: 10, alignItems: "baseline" }}>
        <Link to={goto(`/explore/traces/${told.trace_id}`, query)}>
          {picked ? `${picked.service} ${picked.name}` : `${root.service} ${root.name}`}
        </Link>
        <span className="quiet">
          {dateTime(fall.start_ns / 1e9, utc)} · {format(fall.length, "ns")} · {fall.rows.length} spans
        </span>
      </div>
      <Waterfall
        fall={fall}
        window={window}
        folded={folded}
        onFold={setFolded}
        found={NONE}
        at={at}
        onPick={(row) => {
          setFolded((before) => revealed(fall.rows, before, row));
          setAt(row);
        }}
        onZoom={setWindow}
      />
    </>
  );
}

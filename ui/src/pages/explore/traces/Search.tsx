import { SegmentedControl } from "@mantine/core";
import { useMemo } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useHeatmap, useTraces } from "@/api/traces";
import { Heat, type HeatDot } from "@/charts/Heat";
import { Panel } from "@/components/Panel";
import { Fault, Loading } from "@/components/states";
import { useGoto, useTime, useUrl, withValues } from "@/components/time";
import { absolute } from "@/model/timerange";
import { type Asked, askedOf, type Box, durationText, valuesOf } from "@/model/tracesearch";
import { format } from "@/model/units";
import { Form } from "./Form";
import { Operations } from "./Operations";
import { Results } from "./Results";
import { Slow } from "./Slow";

const VIEWS = [
  { value: "", label: "traces" },
  { value: "slow", label: "what makes these slow" },
  { value: "operations", label: "operations" },
];

/** The search, when spans that fit were and how long they took, and below either they, why, or all operations. */
export function Search() {
  const [params, setParams] = useSearchParams();
  const [view, setView] = useUrl("view");
  const asked = useMemo(() => askedOf(params), [params]);
  const ask = (values: Partial<Asked>, more: Readonly<Record<string, string>> = {}) =>
    setParams((before) => withValues(before, { ...valuesOf({ ...askedOf(before), ...values }), ...more }));
  return (
    <>
      <Form asked={asked} onAsk={ask} />
      <Durations asked={asked} onBox={(box) => ask(...boxed(box))} />
      <SegmentedControl
        size="xs"
        aria-label="shown below"
        style={{ justifySelf: "start" }}
        data={VIEWS}
        value={view}
        onChange={setView}
      />
      {view === "slow" ? (
        <Slow asked={asked} onAsk={ask} />
      ) : view === "operations" ? (
        <Operations asked={asked} onAsk={ask} />
      ) : (
        <Results asked={asked} />
      )}
    </>
  );
}

/** What a box asks for: its time is that of the page, its durations are those of the search. */
function boxed({ time, from_ns, to_ns }: Box): [Partial<Asked>, Readonly<Record<string, string>>] {
  const { from, to } = absolute(time);
  return [
    { min: durationText(from_ns), max: durationText(to_ns, true) },
    { from, to },
  ];
}

function Durations({ asked, onBox }: { asked: Asked; onBox: (box: Box) => void }) {
  const { span, utc } = useTime();
  const goto = useGoto();
  const navigate = useNavigate();
  const heat = useHeatmap(asked, span);
  const [order] = useUrl("order", "time");
  const found = useTraces(asked, span, order === "duration" ? "duration" : "time").data;
  const dots = useMemo(
    () =>
      (found?.pages ?? []).flatMap(({ traces }) =>
        traces.map(
          (trace): HeatDot => ({
            at: trace.start_ns / 1e9,
            ns: trace.duration_ns,
            failed: trace.errors > 0,
            text: `${trace.root_service} ${trace.root_name}: ${format(trace.duration_ns, "ns")}`,
            onPick: () => navigate(goto(`/explore/traces/${trace.trace_id}`)),
          }),
        ),
      ),
    [found, goto, navigate],
  );
  const cells = heat.data?.cells ?? [];
  const total = cells.reduce((sum, { spans }) => sum + spans, 0);
  const failed = cells.reduce((sum, { errors }) => sum + errors, 0);
  const label = `durations over time: ${total} spans, ${failed} of them failed`;
  return (
    <Panel
      title="Durations"
      note={heat.data ? `${format(total, "short")} spans that fit; dots: traces below; drag a box to look into it` : ""}
    >
      {heat.isError && !heat.data ? (
        <Fault error={heat.error} again={() => void heat.refetch()} />
      ) : heat.data ? (
        <Heat cells={cells} step={heat.data.step} dots={dots} span={span} utc={utc} label={label} onBox={onBox} />
      ) : (
        <Loading rows={6} />
      )}
    </Panel>
  );
}

import { useElementSize, useInViewport, useMergedRef } from "@mantine/hooks";
import { IconInfoCircle } from "@tabler/icons-react";
import { Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Mark } from "@/charts/TimeSeries";
import { Boundary } from "@/components/Boundary";
import { useExemplars } from "@/components/exemplars";
import { Panel as Box, type Taking } from "@/components/Panel";
import { Scrolled } from "@/components/Scrolled";
import { Fault, Loading, Nothing } from "@/components/states";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { pixels } from "@/model/dashboard/layout";
import { leadOf, type Spot } from "@/model/dashboard/links";
import type { Panel } from "@/model/dashboard/types";
import { type PanelData, useFrames } from "./data";
import { type PanelProps, VIEWS } from "./panels";
import { useTakings } from "./takings";

interface Props {
  readonly panel: Panel;
  readonly scope: Scope;
  readonly marks: readonly Mark[];
  readonly adhoc: string;
  readonly together?: string;
  readonly height?: number;
  /** What is first in its menu. */
  readonly acts: readonly Taking[];
}

const NONE: readonly string[] = [];
const HEADER = 36;
const FOOT = 15;

/** A panel in its frame: asks once it is in sight, and says what it cannot show. */
export function PanelBox({ panel, scope: page, marks, adhoc, together, height, acts }: Props) {
  const { ref: place, inViewport } = useInViewport<HTMLDivElement>();
  const { ref: sized, width } = useElementSize<HTMLDivElement>();
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (inViewport) setSeen(true);
  }, [inViewport]);
  const scope = useMemo(() => ({ ...page, chosen: { ...page.chosen, ...panel.scoped } }), [page, panel.scoped]);
  // Nothing before it is known how wide it is: as many points are asked for as there is room.
  const data = useFrames(panel, scope, width, seen && width > 0, adhoc);
  const tall = height ?? pixels(panel.place.h);
  const title = interpolate(panel.title, scope, "text");
  const leads = useCallback(
    (spot: Spot) => (spot.field?.config.links ?? []).map((link) => leadOf(link, { ...scope, span: data.span }, spot)),
    [scope, data.span],
  );
  const dots = useExemplars(seen && panel.type === "timeseries" ? data.exemplars : NONE, data.span, panel.field.unit);
  const own = panel.quietTime
    ? []
    : [panel.timeFrom && `last ${panel.timeFrom}`, panel.timeShift && `${panel.timeShift} earlier`];
  const frame = useRef<HTMLDivElement>(null);
  const outer = useMergedRef(place, frame);
  const takings = useTakings(panel, data, scope, title, frame, acts);
  return (
    <div ref={outer} style={{ height: tall }} className="dashpanel" data-panel={panel.id}>
      <Box
        title={title || (panel.bare ? "" : panel.type)}
        note={own.filter(Boolean).join(", ")}
        takings={takings}
        height={tall}
        side={panel.description && <Hint text={interpolate(panel.description, scope, "text")} />}
      >
        <Scrolled ref={sized}>
          {
            seen && width > 0 ? (
              <Boundary of={data.frames}>
                <Content
                  panel={panel}
                  data={data}
                  marks={marks}
                  dots={dots}
                  leads={leads}
                  together={together}
                  height={tall - HEADER - FOOT}
                  small={width < 220 || tall < 130}
                  scope={scope}
                />
              </Boundary>
            ) : null /* it asks when it comes in sight */
          }
        </Scrolled>
      </Box>
    </div>
  );
}

function Hint({ text }: { text: string }) {
  return (
    <span title={text} role="note" aria-label={text} style={{ cursor: "help", display: "inline-flex" }}>
      <IconInfoCircle size={14} />
    </span>
  );
}

interface ContentProps extends Pick<Props, "panel" | "scope" | "marks" | "together"> {
  readonly data: PanelData;
  readonly height: number;
  readonly leads: PanelProps["leads"];
  readonly dots: PanelProps["dots"];
  /** There is no room for explanations. */
  readonly small: boolean;
}

function Content({ panel, data, scope, marks, together, height, leads, dots, small }: ContentProps) {
  const kind = VIEWS[panel.type];
  if (!kind) return <Missing what={[`panels of type “${panel.type}”`]} />;
  const filled = (text: string, format = "text") => interpolate(text, scope, format);
  const { view: View, alone = false } = kind;
  const empty = !alone && data.frames.every(({ fields }) => fields.every(({ values }) => values.length === 0));
  return (
    <>
      {data.errors.map((text) => (
        <Fault key={text} error={text} again={data.again} />
      ))}
      {data.missing.length > 0 && <Missing what={data.missing} />}
      {empty && data.loading && <Loading rows={4} />}
      {empty && !data.loading && data.errors.length === 0 && <Empty panel={panel} data={data} small={small} />}
      {!empty && (
        <Suspense fallback={<Loading rows={4} />}>
          <View
            panel={panel}
            frames={data.frames}
            span={data.span}
            height={Math.max(40, height)}
            filled={filled}
            leads={leads}
            dots={dots}
            marks={marks}
            together={together}
          />
        </Suspense>
      )}
    </>
  );
}

function Missing({ what }: { what: readonly string[] }) {
  return (
    <div className="warn" role="note">
      Not shown here: {what.join("; ")}.
    </div>
  );
}

interface EmptyProps {
  readonly panel: Panel;
  readonly data: PanelData;
  readonly small: boolean;
}

function Empty({ panel, data: { asked, questions, missing }, small }: EmptyProps) {
  if (questions === 0 && missing.length > 0) return null; // it was said why
  if (questions === 0) return <Nothing title="Nothing is asked">This panel has no query.</Nothing>;
  if (asked.length === 0)
    return <Nothing title="No data">In this range of time nothing was found that matches.</Nothing>;
  const names = [...new Set(asked.flatMap((query) => query.match(/\b[a-zA-Z_:][\w:]*(?=\s*[{[])/g) ?? []))].slice(0, 3);
  const title = panel.field.noValue ?? "No data";
  if (small) return <Nothing title={title} />;
  return (
    <Nothing title={title}>
      There is no such series in this range of time
      {names.length > 0 && (
        <>
          ; it is made of <code>{names.join(", ")}</code>
        </>
      )}
      .
    </Nothing>
  );
}

import { useElementSize, useInViewport } from "@mantine/hooks";
import { Suspense, useEffect, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import type { Mark } from "@/charts/TimeSeries";
import { Panel as Box, copy, csv, save, type Taking } from "@/components/Panel";
import { Fault, Loading, Nothing } from "@/components/states";
import { useGoto } from "@/components/time";
import { together as joined, numbers, titleOf } from "@/model/dashboard/frames";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { pixels } from "@/model/dashboard/layout";
import type { Frame, Panel } from "@/model/dashboard/types";
import { type PanelData, useFrames } from "./data";
import { VIEWS } from "./panels";

interface Props {
  readonly panel: Panel;
  readonly scope: Scope;
  readonly marks: readonly Mark[];
  readonly adhoc: string;
  readonly together?: string;
  readonly height?: number;
  readonly alone: boolean;
  readonly onView: () => void;
}

const HEADER = 36;
const FOOT = 15;

/** A panel in its frame: asks once it is in sight, and says what it cannot show. */
export function PanelBox({ panel, scope: page, marks, adhoc, together, height, alone, onView }: Props) {
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
  const note = [panel.timeFrom && `last ${panel.timeFrom}`, panel.timeShift && `${panel.timeShift} earlier`].filter(
    Boolean,
  );
  const takings = useTakings(data, title, onView, alone);
  return (
    <div ref={place} style={{ height: tall }} className="dashpanel">
      <Box
        title={title || (panel.bare ? "" : panel.type)}
        note={note.join(", ")}
        takings={takings}
        height={tall}
        side={panel.description && <Hint text={interpolate(panel.description, scope, "text")} />}
      >
        <div ref={sized} style={{ height: "100%", overflow: "auto" }}>
          {
            seen && width > 0 ? (
              <Content
                panel={panel}
                data={data}
                marks={marks}
                together={together}
                height={tall - HEADER - FOOT}
                scope={scope}
              />
            ) : null /* it asks when it comes in sight */
          }
        </div>
      </Box>
    </div>
  );
}

function Hint({ text }: { text: string }) {
  return (
    <span title={text} role="note" aria-label={text} style={{ cursor: "help" }}>
      ⓘ
    </span>
  );
}

interface ContentProps extends Pick<Props, "panel" | "scope" | "marks" | "together"> {
  readonly data: PanelData;
  readonly height: number;
}

function Content({ panel, data, scope, marks, together, height }: ContentProps) {
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
      {empty && !data.loading && data.errors.length === 0 && <Empty panel={panel} data={data} />}
      {!empty && (
        <Suspense fallback={<Loading rows={4} />}>
          <View
            panel={panel}
            frames={data.frames}
            span={data.span}
            height={Math.max(40, height)}
            filled={filled}
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

function Empty({ panel, data: { asked, questions, missing } }: { panel: Panel; data: PanelData }) {
  if (questions === 0 && missing.length > 0) return null; // it was said why
  if (questions === 0) return <Nothing title="Nothing is asked">This panel has no query.</Nothing>;
  if (asked.length === 0) return <Nothing title="No data">In this range of time nothing was found that fits.</Nothing>;
  const names = [...new Set(asked.flatMap((query) => query.match(/\b[a-zA-Z_:][\w:]*(?=\s*[{[])/g) ?? []))].slice(0, 3);
  return (
    <Nothing title={panel.field.noValue ?? "No data"}>
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

function useTakings(
  { asked, frames, step, span }: PanelData,
  title: string,
  onView: () => void,
  alone: boolean,
): Taking[] {
  const navigate = useNavigate();
  const goto = useGoto();
  const name = title.replace(/[^\w-]+/g, "-").toLowerCase() || "panel";
  const curl = asked.map(
    (query) =>
      `curl -G ${location.origin}/api/v1/query_range --data-urlencode 'query=${query.replaceAll("'", "'\\''")}' -d start=${span.start} -d end=${span.end} -d step=${step}`,
  );
  return [
    { label: alone ? "Back to the dashboard" : "View alone", act: onView },
    ...(asked[0] ? [{ label: "Explore", act: () => void navigate(goto("/explore/metrics", { q: asked[0]! })) }] : []),
    ...(asked[0] ? [{ label: "Copy as PromQL", act: () => copy(asked.join("\n"), "query") }] : []),
    ...(asked[0] ? [{ label: "Copy as curl", act: () => copy(curl.join("\n"), "command") }] : []),
    ...(frames.length ? [{ label: "CSV", act: () => save(`${name}.csv`, csv(rows(frames)), "text/csv") }] : []),
  ];
}

/** Series over one column of times; a table as it is. */
function rows(frames: readonly Frame[]): (string | number | null)[][] {
  const table = frames.find(({ form }) => form === "table");
  if (table) {
    const length = table.fields[0]?.values.length ?? 0;
    const cell = (value: unknown) => (typeof value === "number" || typeof value === "string" ? value : null);
    return [
      table.fields.map((each) => titleOf(each, table)),
      ...Array.from({ length }, (_, row) => table.fields.map(({ values }) => cell(values[row]))),
    ];
  }
  const { times, columns } = joined(frames);
  return [
    ["time", ...numbers(frames).map((each) => each.title)],
    ...times.map((time, at) => [new Date(time * 1000).toISOString(), ...columns.map((column) => column[at] ?? null)]),
  ];
}

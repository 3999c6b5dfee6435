import { useQuery } from "@tanstack/react-query";
import { useRef } from "react";
import { Link } from "react-router";
import { useExplained } from "@/api/metrics";
import { type Frame, type Labels, queryInstant, type Sample, seriesName, useRange } from "@/api/prometheus";
import { Graph } from "@/charts/Graph";
import { useExemplars } from "@/components/exemplars";
import { copy, csv, Panel, save, type Taking } from "@/components/Panel";
import { savePicture } from "@/components/picture";
import { Nothing, Shown } from "@/components/states";
import { type Column, Table } from "@/components/Table";
import { useGoto, useTime } from "@/components/time";
import { dateTime, formatDuration, type Span, stepFor } from "@/model/timerange";
import { format } from "@/model/units";

const POINTS = 400;
const NONE: readonly string[] = [];

interface Props {
  readonly query: string;
  readonly view: string;
  readonly stacked: boolean;
  readonly exemplars: boolean;
}

/** What one query gives, as it is looked at. */
export function Answer({ query, view, stacked, exemplars }: Props) {
  const { span } = useTime();
  const box = useRef<HTMLDivElement>(null);
  const step = stepFor(span, POINTS);
  const range = useRange(view === "table" || view === "explain" ? "" : query, span, step);
  const takings = takingsOf(query, span, step, range.data, box);
  return (
    <div ref={box}>
      <Panel
        title={<code>{query}</code>}
        note={view === "table" ? "" : `a point each ${formatDuration(step)}`}
        takings={takings}
      >
        {view === "explain" ? (
          <Explained query={query} span={span} step={step} />
        ) : (
          <>
            {view !== "table" && (
              <Shown of={range} rows={8}>
                {(frame) => <Course frame={frame} query={query} stacked={stacked} exemplars={exemplars} />}
              </Shown>
            )}
            {view !== "graph" && <Samples query={query} at={span.end} />}
          </>
        )}
      </Panel>
    </div>
  );
}

function Course({
  frame,
  query,
  stacked,
  exemplars,
}: {
  frame: Frame;
  query: string;
  stacked: boolean;
  exemplars: boolean;
}) {
  const { span } = useTime();
  const dots = useExemplars(exemplars ? [query] : NONE, span);
  if (frame.series.length === 0) {
    return (
      <Nothing title="Nothing matches">
        There is no such series in this range of time; the metrics there are: see “metrics” above.
      </Nothing>
    );
  }
  return (
    <>
      {frame.warnings.map((text) => (
        <div key={text} className="warn">
          {text}
        </div>
      ))}
      <Graph frame={frame} label={query} stacked={stacked} dots={dots} together="explore" />
    </>
  );
}

function Samples({ query, at }: { query: string; at: number }) {
  const { utc } = useTime();
  const answer = useQuery({
    queryKey: ["instant", query, Math.round(at)],
    queryFn: ({ signal }) => queryInstant(query, at, signal),
    placeholderData: (before) => before,
  });
  return (
    <Shown of={answer}>
      {(samples) => (
        <>
          <div className="quiet" style={{ padding: "6px 0 2px" }}>
            {samples.length} series at {dateTime(at, utc)}
          </div>
          <Table
            label={`values of ${query}`}
            columns={columnsOf(samples)}
            rows={samples}
            id={({ labels }, row) => `${row} ${seriesName(labels)}`}
            height={420}
          />
        </>
      )}
    </Shown>
  );
}

const MOST_COLUMNS = 9;

/** A column for each label that tells series apart, and one for what all of them share. */
function columnsOf(samples: readonly Sample[]): Column<Sample>[] {
  const names = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))].filter(
    (name) => samples.length === 1 || new Set(samples.map(({ labels }) => labels[name])).size > 1,
  );
  const value: Column<Sample> = {
    title: "value",
    cell: (sample) => format(sample.value, "none"),
    by: (sample) => sample.value,
    number: true,
  };
  if (names.length === 0 || names.length > MOST_COLUMNS)
    return [
      {
        title: "series",
        cell: ({ labels }) => <code>{seriesName(labels)}</code>,
        by: ({ labels }) => seriesName(labels),
      },
      value,
    ];
  return [
    ...names.map(
      (name): Column<Sample> => ({
        title: name,
        cell: ({ labels }) => <Value name={name} labels={labels} />,
        by: ({ labels }) => labels[name] ?? null,
      }),
    ),
    value,
  ];
}

function Value({ name, labels }: { name: string; labels: Labels }) {
  const goto = useGoto();
  const value = labels[name] ?? "";
  if (["service", "job", "service_name"].includes(name) && value)
    return <Link to={goto(`/services/${encodeURIComponent(value)}`)}>{value}</Link>;
  return <>{value}</>;
}

function Explained({ query, span, step }: { query: string; span: Span; step: number }) {
  const answer = useExplained(query, span.start, span.end, step, true);
  return (
    <Shown of={answer}>
      {(told) => (
        <pre className="mono scroll" style={{ margin: 0 }}>
          {(told as { text: string }).text}
        </pre>
      )}
    </Shown>
  );
}

function takingsOf(
  query: string,
  span: Span,
  step: number,
  frame: Frame | undefined,
  box: React.RefObject<HTMLDivElement | null>,
): Taking[] {
  const address = `${location.origin}/api/v1/query_range`;
  const curl = `curl -G ${address} --data-urlencode ${quoted(`query=${query}`)} -d start=${span.start} -d end=${span.end} -d step=${step}`;
  return [
    { label: "Copy as PromQL", act: () => copy(query, "query") },
    { label: "Copy as curl", act: () => copy(curl, "command") },
    ...(frame ? [{ label: "CSV", act: () => save("metrics.csv", csv(rowsOf(frame)), "text/csv") }] : []),
    ...(frame?.series.length
      ? [
          {
            label: "PNG",
            act: () => savePicture(box.current?.querySelector<HTMLElement>(".panel") ?? null, "metrics.png"),
          },
        ]
      : []),
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function rowsOf({ times, series }: Frame): (string | number | null)[][] {
  return [
    ["time", ...series.map(({ labels }) => seriesName(labels))],
    ...times.map((time, at) => [
      new Date(time * 1000).toISOString(),
      ...series.map(({ values }) => values[at] ?? null),
    ]),
  ];
}

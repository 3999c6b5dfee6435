/** Series of PromQL over time with their legend; a drag chooses the time of the whole page. */

import { useMemo, useState } from "react";
import { type Frame, type Labels, seriesName } from "@/api/prometheus";
import { useTime } from "@/components/time";
import { colourAt } from "@/model/colours";
import { absolute } from "@/model/timerange";
import { Legend } from "./Legend";
import { type Line, TimeSeries, type TimeSeriesProps } from "./TimeSeries";

interface Props
  extends Partial<
    Pick<
      TimeSeriesProps,
      "unit" | "decimals" | "stacked" | "min" | "max" | "levels" | "marks" | "dots" | "together" | "log" | "tip"
    >
  > {
  readonly frame: Frame;
  readonly label: string;
  readonly height?: number;
  readonly name?: (labels: Labels, at: number) => string;
  readonly most?: number;
  readonly legend?: boolean;
}

export const MOST_SERIES = 250;

export function Graph({
  frame,
  label,
  height = 260,
  name = seriesName,
  most = MOST_SERIES,
  legend = true,
  unit = "short",
  ...rest
}: Props) {
  const { span, utc, setRange } = useTime();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const lines = useMemo<Line[]>(
    () =>
      frame.series
        .slice(0, most)
        .map(({ labels, values }, at) => ({ name: name(labels, at), values, colour: colourAt(at) })),
    [frame, most, name],
  );
  const shown = useMemo(
    () => lines.map((line) => (hidden.has(line.name) ? { ...line, hidden: true } : line)),
    [lines, hidden],
  );
  return (
    <>
      <TimeSeries
        {...rest}
        unit={unit}
        label={label}
        times={frame.times}
        lines={shown}
        span={span}
        utc={utc}
        height={height}
        onZoom={(to) => setRange(absolute(to))}
      />
      {frame.series.length > most && (
        <div className="warn">
          {most} of {frame.series.length} series are drawn; aggregate or narrow the query to see the others.
        </div>
      )}
      {legend && <Legend lines={lines} unit={unit} hidden={hidden} onChange={setHidden} />}
    </>
  );
}

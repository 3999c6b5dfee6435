/**
 * Series over time. uPlot draws; here it is told what, follows its size and the colours of the page, shows what is under
 * the cursor, and says which part of time was dragged over.
 *
 * In: Unix seconds and one row of numbers a series, null where there is none. A hundred series of a thousand points are
 * drawn anew at each move of the cursor only where uPlot's overlay is; the canvas is drawn when data or size change.
 */

import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import { useLatest } from "@/components/latest";
import type { Along } from "@/model/dashboard/trend";
import type { Span } from "@/model/timerange";
import { format } from "@/model/units";
import { options } from "./plot";
import { drawn, under } from "./stack";

export interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
  readonly colour: string;
  readonly hidden?: boolean;
  readonly draw?: "line" | "bars" | "points";
  readonly step?: "before" | "after";
  readonly width?: number;
  readonly fill?: number; // opacity of the area below, 0 to 1
  readonly dash?: readonly number[];
  readonly unit?: string;
  readonly axis?: "left" | "right";
  /** Where the chart is stacked: lines of one name lie on each other, "none" on none. */
  readonly stack?: string;
  /** A click on the line, at a time of this place. */
  readonly onPick?: (at: number) => void;
  /** Index of a line this one bounds a band with (percentiles). */
  readonly bandTo?: number;
}

/** A moment, or a time from `at` to `until`, marked on the chart. */
export interface Mark {
  readonly at: number;
  readonly until?: number;
  readonly text: string;
  readonly colour: string;
  readonly onPick?: () => void;
}

/** A dot with a story: an exemplar and where it leads. */
export interface Dot {
  readonly at: number;
  readonly value: number;
  readonly text: string;
  readonly onPick?: () => void;
}

/** A horizontal line, or with `fill` all above it. */
export interface Level {
  readonly value: number;
  readonly colour: string;
  readonly fill?: boolean;
}

export interface TimeSeriesProps {
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly span: Span;
  readonly height: number;
  /** What stands in the place of times, where they are none. */
  readonly along?: Along;
  readonly unit?: string;
  readonly decimals?: number;
  readonly utc?: boolean;
  readonly stacked?: boolean | "percent";
  readonly min?: number;
  readonly max?: number;
  readonly log?: 2 | 10;
  readonly levels?: readonly Level[];
  readonly marks?: readonly Mark[];
  readonly dots?: readonly Dot[];
  readonly label: string;
  /** Charts of one name share their cursor. */
  readonly together?: string;
  readonly bare?: boolean; // no axes: a sparkline
  readonly tip?: "single" | "multi" | "none";
  readonly onZoom?: (span: Span) => void;
}

export function TimeSeries(props: TimeSeriesProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useLatest(props);
  const scheme = useComputedColorScheme("light");
  const { times, lines, stacked } = props;
  const data = useMemo(() => drawn(times, lines, stacked) as uPlot.AlignedData, [times, lines, stacked]);

  // What cannot be changed in a living chart makes a new one; the data and the size do not.
  const shape = JSON.stringify([
    scheme,
    props.along,
    props.unit,
    props.decimals,
    props.utc,
    props.stacked,
    props.min,
    props.max,
    props.log,
    props.levels,
    props.bare,
    props.tip,
    props.together,
    props.marks?.map(({ at, until, colour }) => [at, until, colour]),
    props.dots?.length,
    stacked && under(lines, stacked),
    lines.map(({ name, colour, draw, step, width, fill, dash, unit, axis, stack, bandTo }) => [
      name,
      colour,
      draw,
      step,
      width,
      fill,
      dash,
      unit,
      axis,
      stack,
      bandTo,
    ]),
  ]);
  useEffect(() => {
    const place = box.current!;
    const made = new uPlot(
      options(() => latest.current, place),
      drawn(latest.current.times, latest.current.lines, latest.current.stacked) as uPlot.AlignedData,
      place,
    );
    plot.current = made;
    const sized = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width > 0 && width !== made.width) made.setSize({ width, height: latest.current.height });
    });
    sized.observe(place);
    return () => {
      sized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  useEffect(
    () => plot.current?.setScale("x", { min: props.span.start, max: props.span.end }),
    [props.span.start, props.span.end],
  );
  useEffect(() => plot.current?.setSize({ width: plot.current.width, height: props.height }), [props.height]);
  const hidden = lines.map((line) => (line.hidden ? "1" : "0")).join("");
  useEffect(() => {
    [...hidden].forEach((each, at) => {
      if (plot.current && plot.current.series[at + 1]?.show === (each === "1"))
        plot.current.setSeries(at + 1, { show: each === "0" });
    });
  }, [hidden]);
  return <div ref={box} className="chart" style={{ height: props.height }} role="img" aria-label={described(props)} />;
}

/** What the chart says to those who do not see it. */
function described({ label, lines, unit }: TimeSeriesProps): string {
  const ends = lines.slice(0, 5).map(({ name, values, unit: own }) => {
    const last = values.findLast((value) => value !== null);
    return `${name} ${format(last, own ?? unit)}`;
  });
  const rest = lines.length > 5 ? `, and ${lines.length - 5} more` : "";
  return `${label}: ${lines.length === 0 ? "no data" : `at the end ${ends.join(", ")}${rest}`}`;
}

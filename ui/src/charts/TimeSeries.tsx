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
import { clockTime, dateTime, type Span } from "@/model/timerange";
import { format } from "@/model/units";

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

const MOST_IN_TIP = 12;

export function TimeSeries(props: TimeSeriesProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const scheme = useComputedColorScheme("light");
  const { times, lines, stacked } = props;
  const data = useMemo(() => drawn(times, lines, stacked), [times, lines, stacked]);

  // What cannot be changed in a living chart makes a new one; the data and the size do not.
  const shape = JSON.stringify([
    scheme,
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
    lines.map(({ name, colour, draw, step, width, fill, dash, unit, axis, bandTo }) => [
      name,
      colour,
      draw,
      step,
      width,
      fill,
      dash,
      unit,
      axis,
      bandTo,
    ]),
  ]);
  useEffect(() => {
    const place = box.current!;
    const made = new uPlot(
      options(() => latest.current, place),
      drawn(latest.current.times, latest.current.lines, latest.current.stacked),
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

/** The columns uPlot draws: summed up from below where lines are stacked. */
function drawn(times: readonly number[], lines: readonly Line[], stacked?: boolean | "percent"): uPlot.AlignedData {
  if (!stacked) return [times, ...lines.map(({ values }) => values)] as unknown as uPlot.AlignedData;
  const total =
    stacked === "percent"
      ? times.map((_, at) => lines.reduce((sum, { values, hidden }) => sum + (hidden ? 0 : (values[at] ?? 0)), 0))
      : null;
  const below = Array<number>(times.length).fill(0);
  const rows = lines.map(({ values, hidden }) =>
    times.map((_, at) => {
      const value = values[at];
      if (hidden || value === null || value === undefined) return value === undefined ? null : (value ?? null);
      below[at]! += total ? (total[at] ? (100 * value) / total[at]! : 0) : value;
      return below[at]!;
    }),
  );
  return [times, ...rows] as unknown as uPlot.AlignedData;
}

function options(now: () => TimeSeriesProps, place: HTMLElement): uPlot.Options {
  const props = now();
  const style = getComputedStyle(place);
  const ink = style.getPropertyValue("color");
  const quiet = mixed(ink, 0.62);
  const grid = mixed(ink, 0.09);
  const left = props.lines.find(({ axis }) => axis !== "right")?.unit ?? props.unit ?? "short";
  const right = props.lines.find(({ axis }) => axis === "right");
  const axis = {
    stroke: quiet,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
    font: "11px system-ui, sans-serif",
  };
  const side = (unit: string, more: Partial<uPlot.Axis> = {}): uPlot.Axis => ({
    ...axis,
    size: (self, values) => Math.max(34, ...(values ?? []).map((text) => measured(self, text) + 14)),
    values: (_, splits) => splits.map((value) => (value === null ? "" : format(value, unit, props.decimals))),
    ...more,
  });
  let showTip = () => {};
  const dragged = props.onZoom ? { x: true, y: false, setScale: false } : { x: false, y: false };
  return {
    width: Math.max(80, place.clientWidth),
    height: props.height,
    padding: props.bare ? [2, 0, 2, 0] : [8, 8, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => (props.utc ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    cursor: {
      show: !props.bare,
      drag: dragged,
      points: { size: 6 },
      focus: { prox: 24 },
      sync: props.together ? { key: props.together, setSeries: false } : undefined,
    },
    focus: { alpha: props.lines.length > 1 ? 0.35 : 1 },
    scales: {
      x: { time: true, range: () => [now().span.start, now().span.end] },
      y: {
        distr: props.log ? 3 : 1,
        log: props.log ?? 10,
        range: (_, low, high) => bounds(low, high, now()),
      },
      right: { range: (_, low, high) => bounds(low, high, { ...now(), min: undefined, max: undefined }) },
    },
    axes: props.bare
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, size: 26, space: 70, values: (_, splits) => timesOf(splits, props) },
          side(left, { scale: "y" }),
          ...(right
            ? [side(right.unit ?? props.unit ?? "short", { scale: "right", side: 1, grid: { show: false } })]
            : []),
        ],
    series: [{}, ...props.lines.map((line) => lineOf(line, Boolean(props.stacked)))],
    bands: bandsOf(props),
    hooks: {
      drawClear: [(self) => drawLevels(self, now())],
      draw: [(self) => drawMarks(self, now())],
      setSelect: [
        (self) => {
          const { left: from, width } = self.select;
          if (width < 4) return;
          now().onZoom?.({ start: self.posToVal(from, "x"), end: self.posToVal(from + width, "x") });
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      init: [
        (self) => {
          if (!props.bare && props.tip !== "none") showTip = tip(self, now);
        },
      ],
      setCursor: [() => showTip()],
      setSeries: [() => showTip()],
      ready: [(self) => picking(self, now)],
    },
  };
}

function lineOf({ name, colour, draw, step, width, fill, dash, axis, hidden }: Line, stacked: boolean): uPlot.Series {
  const area = fill ?? (stacked ? 0.3 : 0);
  const paths =
    draw === "bars"
      ? uPlot.paths.bars!({ size: [0.8, 40] })
      : step
        ? uPlot.paths.stepped!({ align: step === "after" ? 1 : -1 })
        : draw === "points"
          ? () => null
          : undefined;
  return {
    label: name,
    scale: axis === "right" ? "right" : "y",
    show: !hidden,
    stroke: colour,
    width: draw === "points" ? 0 : (width ?? 1.4),
    fill: area > 0 ? mixed(colour, area) : undefined,
    dash: dash ? [...dash] : undefined,
    paths,
    points: {
      show: draw === "points" ? true : undefined,
      size: draw === "points" ? 5 : 4,
      stroke: colour,
      fill: colour,
    },
    spanGaps: false,
  };
}

function bandsOf({ lines, stacked }: TimeSeriesProps): uPlot.Band[] {
  if (stacked)
    return lines.slice(1).map((line, at) => ({ series: [at + 2, at + 1], fill: mixed(line.colour, line.fill ?? 0.3) }));
  return lines.flatMap((line, at) =>
    line.bandTo === undefined
      ? []
      : [{ series: [at + 1, line.bandTo + 1] as [number, number], fill: mixed(line.colour, 0.14) }],
  );
}

/** From the lowest to the highest with some air; from zero where the lowest is near it; never a line without height. */
function bounds(
  low: number | null,
  high: number | null,
  { min, max, log, stacked }: TimeSeriesProps,
): [number, number] {
  if (stacked === "percent") return [0, 100];
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [min ?? 0, max ?? 1];
  if (log) return [min ?? Math.max(low, 1e-12) / 2, max ?? high * 2];
  const air = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  const bottom = low >= 0 && low - air < high * 0.5 ? 0 : low - air;
  const [start, end] = [min ?? bottom, max ?? high + air];
  return start < end ? [start, end] : [start, start + 1];
}

function timesOf(splits: readonly number[], { span, utc = false }: TimeSeriesProps): string[] {
  const length = span.end - span.start;
  const step = splits.length > 1 ? splits[1]! - splits[0]! : 60;
  return splits.map((at) => {
    if (length > 7 * 86_400 || step >= 86_400) return dateTime(at, utc).slice(5, 10);
    if (length > 86_400) return dateTime(at, utc).slice(5, 16);
    return clockTime(at, utc).slice(0, step < 60 ? 8 : 5);
  });
}

const measures = new Map<string, number>();

function measured(self: uPlot, text: string): number {
  let width = measures.get(text);
  if (width === undefined) {
    self.ctx.save();
    self.ctx.font = "11px system-ui, sans-serif";
    width = self.ctx.measureText(text).width;
    self.ctx.restore();
    if (measures.size > 2000) measures.clear();
    measures.set(text, width);
  }
  return width;
}

/** `colour` with this opacity. */
export function mixed(colour: string, opacity: number): string {
  return `color-mix(in srgb, ${colour} ${Math.round(opacity * 100)}%, transparent)`;
}

function drawLevels(self: uPlot, { levels = [] }: TimeSeriesProps): void {
  const { ctx, bbox } = self;
  ctx.save();
  levels.forEach(({ value, colour, fill }, at) => {
    const y = Math.min(Math.max(self.valToPos(value, "y", true), bbox.top), bbox.top + bbox.height);
    if (fill) {
      const next = levels[at + 1];
      const top = next ? Math.max(self.valToPos(next.value, "y", true), bbox.top) : bbox.top;
      ctx.fillStyle = mixed(colour, 0.1);
      ctx.fillRect(bbox.left, top, bbox.width, Math.max(0, y - top));
    }
    if (y > bbox.top && y < bbox.top + bbox.height)
      stroke(ctx, colour, [5, 4], [bbox.left, y, bbox.left + bbox.width, y]);
  });
  ctx.restore();
}

function drawMarks(self: uPlot, { marks = [], dots = [] }: TimeSeriesProps): void {
  const { ctx, bbox } = self;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { at, until, colour } of marks) {
    const x = self.valToPos(at, "x", true);
    if (until !== undefined && until > at) {
      ctx.fillStyle = mixed(colour, 0.12);
      ctx.fillRect(x, bbox.top, self.valToPos(until, "x", true) - x, bbox.height);
    }
    stroke(ctx, colour, [4, 3], [x, bbox.top, x, bbox.top + bbox.height]);
    ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x - 5, bbox.top + bbox.height);
    ctx.lineTo(x + 5, bbox.top + bbox.height);
    ctx.lineTo(x, bbox.top + bbox.height - 7);
    ctx.fill();
  }
  for (const { at, value } of dots) {
    const [x, y] = [self.valToPos(at, "x", true), self.valToPos(value, "y", true)];
    ctx.fillStyle = "#d9822b";
    ctx.strokeStyle = "#ffffff";
    ctx.beginPath();
    ctx.moveTo(x, y - 5);
    ctx.lineTo(x + 5, y);
    ctx.lineTo(x, y + 5);
    ctx.lineTo(x - 5, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

function stroke(
  ctx: CanvasRenderingContext2D,
  colour: string,
  dash: number[],
  [x1, y1, x2, y2]: [number, number, number, number],
): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
  ctx.setLineDash([]);
}

interface Near {
  readonly text: string;
  readonly onPick?: () => void;
}

/** The mark or the dot within seven pixels of the cursor. */
function near(self: uPlot, { marks = [], dots = [] }: TimeSeriesProps): Near | undefined {
  const { left = -1, top = -1 } = self.cursor;
  if (left < 0) return undefined;
  const dot = dots.find(
    ({ at, value }) => Math.hypot(self.valToPos(at, "x") - left, self.valToPos(value, "y") - top) < 8,
  );
  return dot ?? marks.find(({ at }) => Math.abs(self.valToPos(at, "x") - left) < 6);
}

function picking(self: uPlot, now: () => TimeSeriesProps): void {
  self.over.addEventListener("click", () => near(self, now())?.onPick?.());
}

/** What is under the cursor, as a small table that keeps within the chart. */
function tip(self: uPlot, now: () => TimeSeriesProps): () => void {
  const box = document.createElement("div");
  box.className = "tip";
  box.hidden = true;
  self.over.parentElement!.append(box);
  const show = () => {
    const { idx, left = -1, top = -1 } = self.cursor;
    const props = now();
    box.hidden = idx === null || idx === undefined || left < 0 || top < 0;
    self.over.style.cursor = near(self, props)?.onPick ? "pointer" : "crosshair";
    if (box.hidden) return;
    box.replaceChildren(...told(self, idx!, props));
    const wide = self.over.clientWidth;
    const at = left + self.over.offsetLeft;
    box.style.left = left > wide / 2 ? "" : `${at + 14}px`;
    box.style.right =
      left > wide / 2 ? `${wide - left + 14 + (self.root.clientWidth - wide - self.over.offsetLeft)}px` : "";
    box.style.top = `${Math.max(0, Math.min(top, self.over.clientHeight - box.offsetHeight))}px`;
  };
  return show;
}

function told(self: uPlot, idx: number, props: TimeSeriesProps): HTMLElement[] {
  const lines = props.lines
    .map((line, at) => ({ ...line, at, value: line.values[idx] ?? null }))
    .filter(({ value, hidden }) => value !== null && !hidden);
  const focused =
    self.series.findIndex((series, at) => at > 0 && (series as { _focus?: boolean | null })._focus === true) - 1;
  const some = props.tip === "single" && focused >= 0 ? lines.filter(({ at }) => at === focused) : lines;
  const shown = some.toSorted((one, other) => other.value! - one.value!).slice(0, MOST_IN_TIP);
  const rows = shown.map(({ name, colour, value, unit, at }) => {
    const row = element("div", "row");
    const swatch = element("i", "dot");
    swatch.style.background = colour;
    const title = element("span", "cut", name);
    if (at === focused) title.style.fontWeight = "600";
    row.append(swatch, title, element("b", "", format(value, unit ?? props.unit, props.decimals)));
    return row;
  });
  const more = some.length > shown.length ? [element("div", "quiet", `and ${some.length - shown.length} more`)] : [];
  const story = near(self, props);
  return [
    element("div", "quiet", dateTime(props.times[idx]!, props.utc ?? false)),
    ...(story ? [element("div", "", story.text)] : []),
    ...rows,
    ...more,
  ];
}

function element(kind: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

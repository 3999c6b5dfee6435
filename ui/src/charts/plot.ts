/** What uPlot is told: the columns it draws, its axes and scales, and how each line looks. */

import uPlot from "uplot";
import { clockTime, dateTime, type Span } from "@/model/timerange";
import { format, isBinary, tick } from "@/model/units";
import { highlight } from "./highlight";
import { drawLevels, drawMarks, mixed, near } from "./marks";
import { drawHeld, type Hand, heldHeight, movable } from "./moving";
import { under } from "./stack";
import type { Line, TimeSeriesProps } from "./TimeSeries";
import { lineAt, tip } from "./tip";

const POWERS_OF_TWO = Array.from({ length: 91 }, (_, power) => 2 ** (power - 30)); // marks of 1 GiB, not of 954 MiB
const FONT = "11px system-ui, sans-serif";
const MOST_POINTS = 12; // lines that have each a dot at the cursor; of more, the nearest has

/** `now` tells the properties as they are when uPlot asks; what it was made with are those of now. */
export function options(now: () => TimeSeriesProps, place: HTMLElement): uPlot.Options {
  const props = now();
  const hand: Hand = { held: null };
  return {
    width: Math.max(80, place.clientWidth),
    height: props.height,
    // The last time stands half beyond the end.
    padding: props.bare ? [2, 0, 2, 0] : [8, props.lines.some(isRight) ? 8 : 18, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => (props.utc ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    focus: { alpha: 1 }, // others are paler under a veil
    scales: scalesOf(now, hand),
    axes: props.bare ? [{ show: false }, { show: false }] : axesOf(now, hand, place),
    series: [{}, ...props.lines.map((line) => lineOf(line, Boolean(props.stacked), hand))],
    bands: bandsOf(props),
    ...lived(now, hand),
  };
}

const isRight = ({ axis }: Line) => axis === "right";

function scalesOf(now: () => TimeSeriesProps, hand: Hand): uPlot.Scales {
  const { log, along } = now();
  return {
    x: {
      time: !along,
      range: () => {
        const { start, end } = seen(now, hand);
        return [start, end];
      },
    },
    y: {
      distr: log ? 3 : 1,
      log: log ?? 10,
      range: (_, low, high) => heldHeight(hand, "y") ?? bounds(low, high, now()),
    },
    right: {
      range: (_, low, high) =>
        heldHeight(hand, "right") ?? bounds(low, high, { ...now(), min: undefined, max: undefined }),
    },
  };
}

function seen(now: () => TimeSeriesProps, { held }: Hand): Span {
  return held?.view ?? now().span;
}

/** Times below, or what stands in their place, values at the left, and at the right those of lines that are measured in something else. */
function axesOf(now: () => TimeSeriesProps, hand: Hand, place: HTMLElement): uPlot.Axis[] {
  const { lines, unit: usual = "none", decimals, utc, along } = now();
  const ink = getComputedStyle(place).getPropertyValue("color");
  const grid = mixed(ink, 0.09);
  const axis = {
    stroke: mixed(ink, 0.62),
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
    font: FONT,
  };
  const numbers = (unit: string, exact: number | undefined): uPlot.Axis => ({
    ...axis,
    values: (_, splits) =>
      splits.map((value) => {
        if (value === null) return "";
        return exact === undefined ? tick(value, unit) : format(value, unit, exact);
      }),
    ...(isBinary(unit) ? { incrs: POWERS_OF_TWO } : {}),
  });
  const side = (unit: string, more: Partial<uPlot.Axis>): uPlot.Axis => ({
    ...numbers(unit, decimals),
    size: (self, values) => Math.max(34, ...(values ?? []).map((text) => measured(self, text) + 14)),
    ...more,
  });
  const below: uPlot.Axis = along
    ? numbers(along.unit ?? "none", along.decimals)
    : { ...axis, values: (_, splits) => timesOf(splits, seen(now, hand), utc) };
  const right = lines.find(isRight);
  const left = lines.find((line) => !isRight(line));
  return [
    { ...below, size: 26, space: 70 },
    side(left?.unit ?? usual, { scale: "y" }),
    ...(right ? [side(right.unit ?? usual, { scale: "right", side: 1, grid: { show: false } })] : []),
  ];
}

/** What it does under a cursor, and what is drawn beside its lines. */
function lived(now: () => TimeSeriesProps, hand: Hand): Pick<uPlot.Options, "cursor" | "hooks"> {
  const { bare, lines, onZoom, tip: told, together } = now();
  let showTip = () => {};
  let raise = (_: number | null) => {};
  let moves: ReturnType<typeof movable> | null = null;
  const cursor: uPlot.Cursor = {
    show: !bare,
    drag: onZoom ? { x: true, y: false, setScale: false } : { x: false, y: false },
    points: { size: 6, one: lines.length > MOST_POINTS },
    focus: { prox: 24 },
    bind: {
      // With Shift it is moved, without a part of it is chosen.
      mousedown: (_, __, choose) => (event) => {
        if (!event.shiftKey || !moves) return choose(event);
        moves.drag(event);
        return null;
      },
    },
    sync: together ? { key: together, setSeries: false } : undefined,
  };
  const hooks: uPlot.Hooks.Arrays = {
    init: [
      (self) => {
        if (bare) return;
        if (told !== "none") showTip = tip(self, now);
        raise = highlight(self, now);
        if (onZoom) moves = movable(self, hand, now);
      },
    ],
    ready: [(self) => picking(self, now)],
    drawClear: [(self) => hand.held?.picture ?? drawLevels(self, now())],
    draw: [
      (self) => {
        raise(null);
        if (hand.held?.picture) drawHeld(self, hand.held);
        else drawMarks(self, now());
      },
    ],
    setCursor: [() => showTip()],
    setSeries: [
      (_, series, change) => {
        if ("focus" in change) raise(series);
        showTip();
      },
    ],
    setSelect: [(self) => zoomed(self, now)],
    destroy: [() => moves?.end()],
  };
  return { cursor, hooks };
}

/** The part that was dragged over is what is to be seen. */
function zoomed(self: uPlot, now: () => TimeSeriesProps): void {
  const { left, width } = self.select;
  if (width < 4) return;
  now().onZoom?.({ start: self.posToVal(left, "x"), end: self.posToVal(left + width, "x") });
  self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

function lineOf(
  { name, colour, draw, step, width, fill, dash, axis, stack, hidden }: Line,
  stacked: boolean,
  hand: Hand,
): uPlot.Series {
  const area = fill ?? (stacked && stack !== "none" ? 0.3 : 0);
  const paths =
    draw === "bars"
      ? uPlot.paths.bars!({ size: [0.8, 40] })
      : step
        ? uPlot.paths.stepped!({ align: step === "after" ? 1 : -1 })
        : draw === "points"
          ? () => null
          : uPlot.paths.linear!();
  return {
    label: name,
    scale: axis === "right" ? "right" : "y",
    show: !hidden,
    stroke: colour,
    width: draw === "points" ? 0 : (width ?? 1.4),
    fill: area > 0 ? mixed(colour, area) : undefined,
    dash: dash ? [...dash] : undefined,
    paths: (...where) => (hand.held?.picture ? null : paths(...where)),
    points: {
      show: draw === "points" ? () => !hand.held?.picture : undefined,
      size: draw === "points" ? 5 : 4,
      stroke: colour,
      fill: colour,
    },
    spanGaps: false,
  };
}

function bandsOf({ lines, stacked }: TimeSeriesProps): uPlot.Band[] {
  const piled = under(lines, stacked).map(({ at, below, hanging }): uPlot.Band => {
    const line = lines[at]!;
    return { series: [at + 1, below + 1], fill: mixed(line.colour, line.fill ?? 0.3), dir: hanging ? 1 : -1 };
  });
  const bounded = lines.flatMap((line, at): uPlot.Band[] =>
    line.bandTo === undefined ? [] : [{ series: [at + 1, line.bandTo + 1], fill: mixed(line.colour, 0.14) }],
  );
  return stacked ? piled : bounded;
}

/** From the lowest to the highest with some air; from zero where the lowest is near it or heights are; never a line without height. */
function bounds(
  low: number | null,
  high: number | null,
  { min, max, log, stacked, lines }: TimeSeriesProps,
): [number, number] {
  if (stacked === "percent" && (low === null || low >= 0)) return [0, 100];
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [min ?? 0, max ?? 1];
  if (log) return [min ?? Math.max(low, 1e-12) / 2, max ?? high * 2];
  const flat = high - low <= 1e-9 * Math.abs(high); // what remains of a calculation is no height
  const air = (flat ? 0 : (high - low) * 0.08) || Math.abs(high) * 0.1 || 1;
  // Areas on each other and bars are read by their height.
  const tall = Boolean(stacked) || lines.some(({ draw }) => draw === "bars");
  const bottom = low >= 0 && (tall || low - air < high * 0.5) ? 0 : low - air;
  const top = tall && high <= 0 ? 0 : high + air;
  const [start, end] = [min ?? bottom, max ?? top];
  return start < end ? [start, end] : [start, start + 1];
}

function timesOf(splits: readonly number[], span: Span, utc = false): string[] {
  const length = span.end - span.start;
  const step = splits.length > 1 ? splits[1]! - splits[0]! : 60;
  return splits.map((at) => {
    if (length > 7 * 86_400 || step >= 86_400) return dateTime(at, utc).slice(5, 10);
    if (length > 86_400) return dateTime(at, utc).slice(5, 16);
    return clockTime(at, utc).slice(0, step < 60 ? 8 : 5);
  });
}

function picking(self: uPlot, now: () => TimeSeriesProps): void {
  self.over.addEventListener("click", () => {
    const story = near(self, now());
    if (story?.onPick) story.onPick();
    else lineAt(self, now())?.onPick?.(self.cursor.idx ?? 0);
  });
}

const measures = new Map<string, number>();

function measured(self: uPlot, text: string): number {
  let width = measures.get(text);
  if (width === undefined) {
    self.ctx.save();
    self.ctx.font = FONT;
    width = self.ctx.measureText(text).width;
    self.ctx.restore();
    if (measures.size > 2000) measures.clear();
    measures.set(text, width);
  }
  return width;
}

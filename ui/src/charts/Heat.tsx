/**
 * How long things took, over time: cells as dark as they are many, dots for single ones, on a scale of doublings. A drag
 * chooses a box, a click on a dot what it stands for.
 *
 * In: Unix seconds and nanoseconds. The canvas is drawn when data or size change; what is dragged is a box laid over it.
 */

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { clockTime, type Span } from "@/model/timerange";
import type { Box } from "@/model/tracesearch";
import { format } from "@/model/units";
import { colourAt } from "./colour";

export interface HeatCell {
  readonly at: number;
  readonly from_ns: number;
  readonly to_ns: number;
  readonly spans: number;
  readonly errors: number;
}

export interface HeatDot {
  readonly at: number;
  readonly ns: number;
  readonly failed: boolean;
  readonly text: string;
  readonly onPick: () => void;
}

interface Props {
  readonly cells: readonly HeatCell[];
  readonly step: number;
  readonly dots: readonly HeatDot[];
  readonly span: Span;
  readonly utc: boolean;
  readonly label: string;
  readonly height?: number;
  readonly onBox: (box: Box) => void;
}

interface Scale {
  readonly x: (at: number) => number;
  readonly y: (ns: number) => number;
  readonly timeAt: (x: number) => number;
  readonly nsAt: (y: number) => number;
  readonly low: number;
  readonly high: number;
}

const LEFT = 62;
const FOOT = 18;
const REACH = 7; // of the pointer, in pixels
const LEAST_DRAG = 5;
const DECADES = 1e6; // between the shortest and the longest that are told apart

export function Heat({ cells, step, dots, span, utc, label, height = 190, onBox }: Props) {
  const { ref, width } = useElementSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const scheme = useComputedColorScheme("light");
  const scale = useMemo(
    () => scaleOf(cells, dots, span, Math.max(width, LEFT + 20), height),
    [cells, dots, span, width, height],
  );
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number } | null>(null);
  const [under, setUnder] = useState<{ x: number; y: number; text: string; dot?: HeatDot } | null>(null);

  useEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, width, height, { cells, step, dots, span, utc, scale });
  }, [cells, step, dots, span, utc, scale, width, height, scheme]); // the colours are those of the scheme

  const place = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: clamp(event.clientX - box.left, LEFT, width), y: clamp(event.clientY - box.top, 0, height - FOOT) };
  };
  const moved = (event: PointerEvent) => {
    const { x, y } = place(event);
    if (drag) return setDrag({ ...drag, x1: x, y1: y });
    const dot = nearest(dots, scale, x, y);
    const cell = cells.find((each) => holds(each, step, scale.timeAt(x), scale.nsAt(y)));
    const text = dot?.text ?? (cell && toldOf(cell, utc));
    setUnder(text ? { x, y, text, dot } : null);
  };
  const released = () => {
    if (!drag) return;
    setDrag(null);
    const { x0, y0, x1, y1 } = drag;
    if (Math.abs(x1 - x0) < LEAST_DRAG && Math.abs(y1 - y0) < LEAST_DRAG) return nearest(dots, scale, x0, y0)?.onPick();
    onBox({
      time: { start: scale.timeAt(Math.min(x0, x1)), end: scale.timeAt(Math.max(x0, x1)) },
      from_ns: scale.nsAt(Math.max(y0, y1)),
      to_ns: scale.nsAt(Math.min(y0, y1)),
    });
  };
  return (
    <div ref={ref} className="chart heat" style={{ height }}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        style={{ width: "100%", height, cursor: under?.dot ? "pointer" : "crosshair", touchAction: "pan-y" }}
        onPointerDown={(event) => {
          const { x, y } = place(event);
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ x0: x, y0: y, x1: x, y1: y });
          setUnder(null);
        }}
        onPointerMove={moved}
        onPointerUp={released}
        onPointerCancel={() => setDrag(null)}
        onPointerLeave={() => setUnder(null)}
      />
      {drag && <div className="heat-box" style={boxOf(drag)} />}
      {under && (
        <div
          className="tip"
          style={{
            top: under.y + 12,
            ...(under.x > width / 2 ? { right: width - under.x + 10 } : { left: under.x + 12 }),
          }}
        >
          {under.text}
        </div>
      )}
    </div>
  );
}

function toldOf({ at, from_ns, to_ns, spans, errors }: HeatCell, utc: boolean): string {
  const failed = errors ? `, ${errors} failed` : "";
  return `${clockTime(at, utc)}: ${spans} of ${format(from_ns, "ns")} to ${format(to_ns, "ns")}${failed}`;
}

function holds({ at, from_ns, to_ns }: HeatCell, step: number, time: number, ns: number): boolean {
  return at <= time && time < at + step && from_ns <= ns && ns < to_ns;
}

function nearest(dots: readonly HeatDot[], scale: Scale, x: number, y: number): HeatDot | undefined {
  let [best, least] = [undefined as HeatDot | undefined, REACH];
  for (const dot of dots) {
    const distance = Math.hypot(scale.x(dot.at) - x, scale.y(dot.ns) - y);
    if (distance <= least) [best, least] = [dot, distance];
  }
  return best;
}

function boxOf({ x0, y0, x1, y1 }: { x0: number; y0: number; x1: number; y1: number }) {
  return { left: Math.min(x0, x1), top: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}

function scaleOf(
  cells: readonly HeatCell[],
  dots: readonly HeatDot[],
  { start, end }: Span,
  width: number,
  height: number,
): Scale {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const { from_ns, to_ns } of cells) [low, high] = [Math.min(low, from_ns), Math.max(high, to_ns)];
  for (const { ns } of dots) [low, high] = [Math.min(low, Math.max(ns, 1)), Math.max(high, ns * 1.1)];
  if (!(low < high)) [low, high] = [1e6, 1e9];
  low = Math.max(low, high / DECADES); // what took next to nothing stands at the bottom
  const [bottom, top] = [Math.log2(low), Math.log2(high)];
  const [across, up] = [width - LEFT - 4, height - FOOT - 6];
  return {
    x: (at) => LEFT + ((at - start) / (end - start || 1)) * across,
    y: (ns) => 6 + (1 - (Math.log2(Math.max(ns, low)) - bottom) / (top - bottom)) * up,
    timeAt: (x) => start + clamp((x - LEFT) / across, 0, 1) * (end - start),
    nsAt: (y) => 2 ** (bottom + clamp(1 - (y - 6) / up, 0, 1) * (top - bottom)),
    low,
    high,
  };
}

interface Drawn {
  readonly cells: readonly HeatCell[];
  readonly step: number;
  readonly dots: readonly HeatDot[];
  readonly span: Span;
  readonly utc: boolean;
  readonly scale: Scale;
}

function draw(canvas: HTMLCanvasElement, width: number, height: number, drawn: Drawn): void {
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  const pen = canvas.getContext("2d")!;
  pen.scale(density, density);
  const colour = (name: string) => colourAt(canvas, name);
  drawAxes(pen, width, height, drawn, colour("--line"), colour("--quiet"));
  drawCells(pen, height, drawn, colour("--accent"), colour("--bad"));
  for (const { at, ns, failed } of drawn.dots) {
    pen.beginPath();
    pen.arc(drawn.scale.x(at), drawn.scale.y(ns), 2.6, 0, 7);
    pen.fillStyle = colour(failed ? "--bad" : "--accent");
    pen.fill();
  }
}

function drawCells(pen: CanvasRenderingContext2D, height: number, drawn: Drawn, plain: string, bad: string): void {
  const { cells, step, scale } = drawn;
  const most = Math.log2(1 + cells.reduce((sum, { spans }) => Math.max(sum, spans), 1));
  for (const { at, from_ns, to_ns, spans, errors } of cells) {
    const [x, y] = [Math.max(LEFT, scale.x(at)), scale.y(to_ns)];
    pen.globalAlpha = 0.1 + 0.42 * (Math.log2(1 + spans) / most); // few are seen beside many
    pen.fillStyle = errors * 2 > spans ? bad : plain;
    const [wide, tall] = [Math.max(1, scale.x(at + step) - x - 1), Math.max(1, scale.y(from_ns) - y - 1)];
    pen.fillRect(x, y, wide, Math.min(tall, height - FOOT - y));
  }
  pen.globalAlpha = 1;
}

function drawAxes(
  pen: CanvasRenderingContext2D,
  width: number,
  height: number,
  { scale, span, utc }: Drawn,
  line: string,
  ink: string,
): void {
  pen.font = "11px system-ui, sans-serif";
  pen.strokeStyle = line;
  pen.fillStyle = ink;
  pen.lineWidth = 1;
  for (const ns of levels(scale.low, scale.high)) {
    const y = Math.round(scale.y(ns)) + 0.5;
    pen.beginPath();
    pen.moveTo(LEFT, y);
    pen.lineTo(width, y);
    pen.stroke();
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(format(ns, "ns"), LEFT - 6, y);
  }
  const ticks = Math.max(2, Math.floor((width - LEFT) / 130));
  for (let tick = 0; tick <= ticks; tick++) {
    const at = span.start + ((span.end - span.start) * tick) / ticks;
    pen.textAlign = tick === ticks ? "right" : tick === 0 ? "left" : "center";
    pen.textBaseline = "alphabetic";
    pen.fillText(clockTime(at, utc), Math.min(scale.x(at), width), height - 4);
  }
}

/** Round durations between both: powers of ten, and where these are few, halves and fifths of them. */
function levels(low: number, high: number): number[] {
  const factors = high / low < 200 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: 15 }, (_, power) => 10 ** power);
  return powers.flatMap((power) => factors.map((factor) => factor * power)).filter((ns) => low <= ns && ns < high);
}

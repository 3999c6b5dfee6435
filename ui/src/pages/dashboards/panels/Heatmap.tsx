import { useElementSize } from "@mantine/hooks";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTime } from "@/components/time";
import { type Heat, ofBuckets, ofValues } from "@/model/dashboard/heat";
import { at, bool, maybe, own, text } from "@/model/dashboard/options";
import { clockTime, dateTime, type Span, ticks } from "@/model/timerange";
import { format } from "@/model/units";
import type { PanelProps } from "./interface";

const [LEFT, BOTTOM] = [58, 20];
const SCHEMES: Readonly<Record<string, readonly [number, number, number]>> = {
  Oranges: [217, 95, 14],
  Reds: [203, 24, 29],
  Greens: [35, 139, 69],
  Blues: [33, 113, 181],
  Purples: [106, 81, 163],
};

/** How values spread over time: the more of them, the stronger the colour. */
export default function Heatmap({ panel, frames, span, height }: PanelProps) {
  const { utc } = useTime();
  const { ref, width } = useElementSize<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [told, tell] = useState("");
  const { options, field } = panel;
  const buckets = !bool(options.calculate) || frames.some(({ form }) => form === "heatmap");
  const heat = useMemo(
    () => (buckets ? ofBuckets(frames) : ofValues(frames, field.min, field.max)),
    [frames, buckets, field.min, field.max],
  );
  const unit = text(at(options, "yAxis.unit")) || field.unit || "none";
  const ink = own(SCHEMES, text(at(options, "color.scheme"))) ?? SCHEMES.Oranges!;
  const power = maybe(at(options, "color.exponent")) ?? 0.5;
  const tall = Math.max(80, height - 18);
  useEffect(() => {
    const wide = canvas.current?.clientWidth || width; // the box is measured after the first drawing
    if (canvas.current && wide > 0) draw(canvas.current, heat, span, wide, tall, ink, power, unit, utc);
  }, [heat, span, width, tall, ink, power, unit, utc]);
  if (heat.most === 0) return <div className="empty">There is nothing to count in this range of time.</div>;
  const label = `${panel.title}: ${heat.bounds.length} rows from ${format(heat.bottom, unit)} to ${bound(heat.bounds.at(-1), unit)}, at most ${format(heat.most)} in a cell`;
  return (
    <div ref={ref}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={label}
        style={{ width: "100%", height: tall, display: "block" }}
        onPointerLeave={() => tell("")}
        onPointerMove={({ nativeEvent: { offsetX: x, offsetY: y } }) => {
          const row = Math.floor(((tall - BOTTOM - y) / (tall - BOTTOM)) * heat.bounds.length);
          const time = span.start + ((x - LEFT) / (width - LEFT)) * (span.end - span.start);
          const column = heat.times.findLastIndex((each) => each <= time);
          const count = heat.cells[row]?.[column];
          tell(
            count === undefined
              ? ""
              : `${dateTime(heat.times[column]!, utc)}: ${format(count)} up to ${bound(heat.bounds[row], unit)}`,
          );
        }}
      />
      <div className="quiet" style={{ fontSize: 12, height: 18 }}>
        {told}
      </div>
    </div>
  );
}

function bound(value: number | undefined, unit: string): string {
  return value === Number.POSITIVE_INFINITY ? "∞" : format(value, unit);
}

function draw(
  canvas: HTMLCanvasElement,
  { times, bounds, cells, most }: Heat,
  span: Span,
  width: number,
  height: number,
  [red, green, blue]: readonly [number, number, number],
  power: number,
  unit: string,
  utc: boolean,
): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.floor(width * ratio);
  canvas.height = Math.floor(height * ratio);
  const ctx = canvas.getContext("2d")!;
  ctx.scale(ratio, ratio);
  const [wide, tall] = [width - LEFT, height - BOTTOM];
  const x = (time: number) => LEFT + ((time - span.start) / (span.end - span.start)) * wide;
  const row = tall / bounds.length;
  const cell = times.length > 1 ? x(times[1]!) - x(times[0]!) : wide;
  cells.forEach((values, at) => {
    values.forEach((value, column) => {
      if (value <= 0) return;
      ctx.fillStyle = `rgba(${red}, ${green}, ${blue}, ${(0.08 + 0.92 * (value / most) ** power).toFixed(3)})`;
      const left = Math.max(LEFT, x(times[column]!));
      ctx.fillRect(left, tall - (at + 1) * row + 0.5, Math.max(1, Math.min(cell, width - left)), Math.max(1, row - 1));
    });
  });
  ctx.fillStyle = getComputedStyle(canvas).color;
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "right";
  const every = Math.max(1, Math.ceil(bounds.length / (tall / 22)));
  bounds.forEach((value, at) => {
    if (at % every === 0) ctx.fillText(bound(value, unit), LEFT - 6, tall - at * row - row / 2 + 4);
  });
  ctx.textAlign = "center";
  for (const time of ticks(span, Math.max(1, Math.floor(wide / 90))))
    ctx.fillText(clockTime(time, utc).slice(0, 5), Math.max(LEFT + 16, Math.min(x(time), width - 16)), height - 5);
}

/** What is drawn beside the lines: levels, moments, times and dots, and which of them the cursor is at. */

import type uPlot from "uplot";
import type { TimeSeriesProps } from "./TimeSeries";

/** `colour` with this opacity. */
export function mixed(colour: string, opacity: number): string {
  return `color-mix(in srgb, ${colour} ${Math.round(opacity * 100)}%, transparent)`;
}

export function drawLevels(self: uPlot, { levels = [] }: TimeSeriesProps): void {
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

export function drawMarks(self: uPlot, { marks = [], dots = [] }: TimeSeriesProps): void {
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
export function near(self: uPlot, { marks = [], dots = [] }: TimeSeriesProps): Near | undefined {
  const { left = -1, top = -1 } = self.cursor;
  if (left < 0) return undefined;
  const dot = dots.find(
    ({ at, value }) => Math.hypot(self.valToPos(at, "x") - left, self.valToPos(value, "y") - top) < 8,
  );
  return dot ?? marks.find(({ at }) => Math.abs(self.valToPos(at, "x") - left) < 6);
}

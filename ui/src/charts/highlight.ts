/**
 * The line the cursor is at stands out: a veil lies over all others.
 *
 * The veil is a canvas of its own: uPlot would draw every line anew, paler, and a hundred of them take longer than the cursor needs
 * to reach the next one.
 */

import uPlot from "uplot";
import { colourAt } from "./colour";
import type { TimeSeriesProps } from "./TimeSeries";

const VEIL = 0.65;

/** Makes the veil of `self`; the function puts it over all but one series, or away. */
export function highlight(self: uPlot, now: () => TimeSeriesProps): (series: number | null) => void {
  const veil = document.createElement("canvas");
  veil.className = "veil";
  let over: number | null = null;
  return (series) => {
    if (series === over) return;
    over = series;
    const line = series === null ? undefined : now().lines[series - 1];
    const paths = series === null ? undefined : pathsOf(self.series[series]);
    const path = paths?.stroke instanceof Path2D ? paths.stroke : null;
    veil.remove();
    if (!line || !path || now().lines.length < 2) return;
    const { bbox } = self;
    [veil.width, veil.height] = [bbox.width, bbox.height]; // which wipes it
    const ctx = veil.getContext("2d")!;
    ctx.globalAlpha = VEIL;
    ctx.fillStyle = colourAt(self.root, "--panel");
    ctx.fillRect(0, 0, bbox.width, bbox.height);
    ctx.globalAlpha = 1;
    ctx.translate(-bbox.left, -bbox.top);
    ctx.strokeStyle = line.colour;
    ctx.lineWidth = (line.width ?? 1.4) * uPlot.pxRatio;
    ctx.setLineDash(line.dash ? [...line.dash] : []);
    ctx.stroke(path);
    self.over.prepend(veil);
  };
}

function pathsOf(series: uPlot.Series | undefined): uPlot.Series.Paths | null | undefined {
  return (series as { _paths?: uPlot.Series.Paths | null } | undefined)?._paths; // uPlot keeps them until the scale changes
}

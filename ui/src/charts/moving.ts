/**
 * A chart that is moved by hand: Ctrl and the wheel zoom around the cursor; Shift and the wheel or a drag, or a wheel that turns
 * sideways, go along in time. Once the hand rests, the time that is seen becomes that of the whole page.
 *
 * Few points are drawn anew at each step. Drawing a hundred lines of a thousand points takes longer than a frame may last: of
 * those a picture is made when it begins, which is moved and stretched, and only the axes are drawn meanwhile.
 */

import type uPlot from "uplot";
import { along, around, type Span } from "@/model/timerange";
import type { TimeSeriesProps } from "./TimeSeries";

const RESTS_MS = 250;
const MOST_DRAWN = 20_000; // points
const LINE = 16; // pixels, for wheels that count in lines

/** A chart in somebody's hand. */
interface Held {
  readonly from: Span; // what the picture shows
  readonly heights: ReadonlyMap<string, readonly [number, number]>; // the scales of values keep still
  readonly picture: HTMLCanvasElement | null;
  view: Span;
}

export interface Hand {
  held: Held | null;
}

/** The limits of a scale of values while a picture is moved. */
export function heldHeight({ held }: Hand, scale: string): [number, number] | null {
  const height = held?.picture ? held.heights.get(scale) : undefined;
  return height ? [...height] : null;
}

/** Lets `self` be moved; what it begins is ended by the function that is given. */
export function movable(self: uPlot, hand: Hand, now: () => TimeSeriesProps) {
  let [frame, rest] = [0, 0];
  const show = (view: Span) => {
    hand.held ??= taken(self);
    hand.held.view = view;
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (hand.held) self.setScale("x", { min: hand.held.view.start, max: hand.held.view.end });
    });
  };
  const letGo = () => {
    clearTimeout(rest);
    const view = hand.held?.view;
    if (!view) return;
    hand.held = null;
    shown(self, true);
    now().onZoom?.(view);
  };
  const seen = () => hand.held?.view ?? now().span;
  const width = () => self.over.clientWidth || 1;

  const turned = (event: WheelEvent) => {
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const span = seen();
    if (event.ctrlKey || event.metaKey) {
      const place = (event.clientX - self.over.getBoundingClientRect().left) / width();
      show(around(span, place, Math.exp(event.deltaY * unit * 0.002)));
    } else if (event.shiftKey || sideways) {
      show(along(span, ((sideways ? event.deltaX : event.deltaY) * unit) / width()));
    } else return; // the page's
    event.preventDefault();
    clearTimeout(rest);
    rest = window.setTimeout(letGo, RESTS_MS);
  };
  self.over.addEventListener("wheel", turned, { passive: false });

  let dragged: AbortController | null = null;
  /** Goes along with the mouse until its button is up. */
  const drag = (down: MouseEvent) => {
    const span = seen();
    dragged = new AbortController();
    const { signal } = dragged;
    const ended = () => {
      dragged?.abort();
      letGo();
    };
    window.addEventListener("mousemove", ({ clientX }) => show(along(span, (down.clientX - clientX) / width())), {
      signal,
    });
    window.addEventListener("mouseup", ended, { signal });
  };
  const end = () => {
    cancelAnimationFrame(frame);
    clearTimeout(rest);
    dragged?.abort();
  };
  return { drag, end };
}

/** Draws the picture where it stands in what is seen. */
export function drawHeld(self: uPlot, { picture, from, view }: Held): void {
  if (!picture) return;
  const { ctx, bbox } = self;
  const perSecond = bbox.width / (view.end - view.start);
  const left = bbox.left + (from.start - view.start) * perSecond;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.drawImage(picture, left, bbox.top, (from.end - from.start) * perSecond, bbox.height);
  ctx.restore();
}

function taken(self: uPlot): Held {
  const points = self.series.filter(({ show }, at) => at > 0 && show).length * self.data[0].length;
  const { min = 0, max = 1 } = self.scales.x ?? {};
  const from = { start: min!, end: max! };
  const picture = points > MOST_DRAWN ? pictureOf(self) : null;
  if (picture) shown(self, false);
  const heights = Object.entries(self.scales).map(([name, scale]) => [name, [scale.min!, scale.max!]] as const);
  return { from, view: from, picture, heights: new Map(heights) };
}

function pictureOf({ ctx, bbox }: uPlot): HTMLCanvasElement {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [bbox.width, bbox.height];
  picture
    .getContext("2d")!
    .drawImage(ctx.canvas, bbox.left, bbox.top, bbox.width, bbox.height, 0, 0, bbox.width, bbox.height);
  return picture;
}

/** The lines of the grid are on the picture, too. */
function shown(self: uPlot, grid: boolean): void {
  for (const axis of self.axes) if (axis.grid && axis.side !== 1) axis.grid.show = grid;
}

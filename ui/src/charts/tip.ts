/** What is under the cursor, told in a small table beside it. */

import type uPlot from "uplot";
import { dateTime } from "@/model/timerange";
import { format } from "@/model/units";
import { near } from "./marks";
import type { Line, TimeSeriesProps } from "./TimeSeries";

const MOST_IN_TIP = 12;
const [GAP, WIDEST] = [14, 420]; // pixels

/** What is under the cursor, as a small table that keeps within the chart; the function puts it where the cursor is now. */
export function tip(self: uPlot, now: () => TimeSeriesProps): () => void {
  const box = document.createElement("div");
  box.className = "tip";
  box.hidden = true;
  self.over.parentElement!.append(box);
  const show = () => {
    const { idx, left = -1, top = -1 } = self.cursor;
    const props = now();
    box.hidden = idx === null || idx === undefined || left < 0 || top < 0;
    self.over.style.cursor = (near(self, props) ?? lineAt(self, props))?.onPick ? "pointer" : "crosshair";
    if (box.hidden) return;
    box.replaceChildren(...told(self, idx!, props));
    const room = roomOf(self);
    box.style.maxWidth = `${Math.min(WIDEST, room.right - room.left)}px`;
    box.style.left = `${beside(self, left, box.offsetWidth, room)}px`;
    box.style.top = `${Math.max(0, Math.min(top, self.over.clientHeight - box.offsetHeight))}px`;
  };
  return show;
}

interface Room {
  readonly left: number;
  readonly right: number;
}

/** The panel around a chart, as seen from the chart: what goes beyond is cut off. */
function roomOf(self: uPlot): Room {
  const own = self.root.getBoundingClientRect();
  const { left, right } = (self.root.closest(".panel") ?? self.root).getBoundingClientRect();
  return { left: left - own.left, right: right - own.left };
}

/** Where a box `width` wide begins beside the cursor: where there is more room, but within what is around the chart. */
function beside(self: uPlot, left: number, width: number, room: Room): number {
  const at = left + self.over.offsetLeft;
  const [least, most] = [room.left, room.right - width];
  const sides = [at + GAP, at - GAP - width];
  if (left > self.over.clientWidth / 2) sides.reverse();
  return sides.find((side) => side >= least && side <= most) ?? Math.max(least, Math.min(sides[0]!, most));
}

/** The line the cursor is at; the only one wherever it is. */
export function lineAt(self: uPlot, { lines }: TimeSeriesProps): Line | undefined {
  return lines.length === 1 ? lines[0] : lines[focusedAt(self)];
}

function focusedAt(self: uPlot): number {
  return self.series.findIndex((series, at) => at > 0 && (series as { _focus?: boolean | null })._focus === true) - 1;
}

function told(self: uPlot, idx: number, props: TimeSeriesProps): HTMLElement[] {
  const lines = props.lines
    .map((line, at) => ({ ...line, at, value: line.values[idx] ?? null }))
    .filter(({ value, hidden }) => value !== null && !hidden);
  const focused = focusedAt(self);
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
  const { along, utc = false } = props;
  const place = props.times[idx]!;
  return [
    element(
      "div",
      "quiet",
      along ? `${along.name} ${format(place, along.unit, along.decimals)}` : dateTime(place, utc),
    ),
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

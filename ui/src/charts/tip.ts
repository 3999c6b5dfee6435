/** What is under the cursor, told in a small table beside it. */

import type uPlot from "uplot";
import { dateTime } from "@/model/timerange";
import { format } from "@/model/units";
import { near } from "./marks";
import type { Line, TimeSeriesProps } from "./TimeSeries";

const MOST_IN_TIP = 12;

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
    const wide = self.over.clientWidth;
    const at = left + self.over.offsetLeft;
    box.style.left = left > wide / 2 ? "" : `${at + 14}px`;
    box.style.right =
      left > wide / 2 ? `${wide - left + 14 + (self.root.clientWidth - wide - self.over.offsetLeft)}px` : "";
    box.style.top = `${Math.max(0, Math.min(top, self.over.clientHeight - box.offsetHeight))}px`;
  };
  return show;
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

// Series over time as lines: ticks, gaps where nothing is known, a legend that isolates, a read-out under the pointer.
// In: [{label, points: [[unix seconds, value], …]}], a range and a step. Out: a live element. No other module draws.

import { clock, el, fill, number } from "./dom.js";

const HEIGHT = 260;
const PAD = { left: 54, right: 12, top: 10, bottom: 24 };
const MOST_IN_READOUT = 12;
const COLOURS = ["#3d7fc4", "#d2783a", "#3f9c6b", "#c2504d", "#8566b8", "#8a6d4f", "#c069a4", "#6f7b86", "#a59a2e", "#2f9fb3"];
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Draw `series` into `place`; a second call for the same place keeps what the reader has isolated. */
export function plot(place, series, { start, end, step }) {
  const lines = series.map((each, at) => ({ ...each, colour: COLOURS[at % COLOURS.length] }));
  const only = place.isolated && lines.some((line) => line.label === place.isolated) ? place.isolated : null;
  place.isolated = only;
  const redraw = (label) => {
    place.isolated = place.isolated === label ? null : label;
    plot(place, series, { start, end, step });
  };
  const scrolled = place.querySelector(".legend")?.scrollTop ?? 0;
  const frame = el("div", { class: "plot" });
  const legend = el("div", { class: "legend" }, lines.map((line) => legendEntry(line, only, redraw)));
  fill(place, frame, legend);
  legend.scrollTop = scrolled;
  const width = Math.max(300, frame.clientWidth || place.clientWidth || 800);
  drawLines(frame, only ? lines.filter((line) => line.label === only) : lines, lines, { start, end, step, width });
}

function legendEntry(line, only, choose) {
  return el(
    "button",
    { type: "button", class: only && only !== line.label ? "off" : null, title: line.label, onclick: () => choose(line.label) },
    el("i", { class: "swatch", style: `background:${line.colour}` }),
    el("span", { class: "label" }, line.label),
    el("span", { class: "quiet" }, line.points.length ? number(line.points.at(-1)[1]) : "–"),
  );
}

function drawLines(frame, shown, all, { start, end, step, width }) {
  const values = shown.flatMap((line) => line.points.map(([, value]) => value)).filter(Number.isFinite);
  const ticks = valueTicks(Math.min(0, ...values), Math.max(...values, Math.min(0, ...values)));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const x = (at) => PAD.left + ((at - start) / (end - start || 1)) * (width - PAD.left - PAD.right);
  const y = (value) => HEIGHT - PAD.bottom - ((value - low) / (high - low || 1)) * (HEIGHT - PAD.top - PAD.bottom);
  const svg = el("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": `${all.length} series over time` });
  for (const tick of ticks) {
    svg.append(
      el("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: Math.round(y(tick)), y2: Math.round(y(tick)) }),
      el("text", { x: PAD.left - 7, y: y(tick) + 3.5, "text-anchor": "end" }, number(tick)),
    );
  }
  for (const tick of timeTicks(start, end, width)) {
    const anchor = x(tick) > width - 40 ? "end" : "middle";
    svg.append(el("text", { x: Math.min(x(tick), width - 2), y: HEIGHT - 6, "text-anchor": anchor }, timeLabel(tick, end - start)));
  }
  for (const line of shown) svg.append(course(line, step, x, y));
  const cursor = el("line", { class: "cursor", y1: PAD.top, y2: HEIGHT - PAD.bottom, visibility: "hidden" });
  const readout = el("div", { class: "readout", hidden: true });
  svg.append(cursor);
  follow(svg, cursor, readout, shown, { start, end, step, width, x });
  frame.append(svg, readout);
}

// A gap of more than a step and a half breaks the line; a value with gaps on both sides is a dot.
function course(line, step, x, y) {
  const runs = [];
  let last = -Infinity;
  for (const [at, value] of line.points) {
    if (!Number.isFinite(value)) { last = -Infinity; continue; }
    if (at - last > step * 1.5) runs.push([]);
    runs.at(-1).push([x(at).toFixed(1), y(value).toFixed(1)]);
    last = at;
  }
  const path = runs.filter((run) => run.length > 1).map((run) => `M${run.map((point) => point.join(",")).join("L")}`).join("");
  const dots = runs.filter((run) => run.length === 1).map(([[cx, cy]]) => el("circle", { class: "lone", cx, cy, r: 2, fill: line.colour }));
  return el("g", {}, el("path", { class: "course", d: path, stroke: line.colour }), dots);
}

function follow(svg, cursor, readout, lines, { start, end, step, width, x }) {
  const leave = () => { cursor.setAttribute("visibility", "hidden"); readout.hidden = true; };
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * width;
    const wanted = start + ((px - PAD.left) / (width - PAD.left - PAD.right)) * (end - start);
    const at = start + Math.round((wanted - start) / step) * step;
    if (at < start - step / 2 || at > end + step / 2) return leave();
    cursor.setAttribute("x1", x(at));
    cursor.setAttribute("x2", x(at));
    cursor.setAttribute("visibility", "visible");
    fill(readout, el("b", {}, clock(at)), readoutRows(lines, at, step));
    readout.hidden = false;
    const right = event.clientX - box.left > box.width / 2;
    readout.style.left = right ? "auto" : `${event.clientX - box.left + 14}px`;
    readout.style.right = right ? `${box.right - event.clientX + 14}px` : "auto";
  });
}

function readoutRows(lines, at, step) {
  const found = lines
    .map((line) => ({ line, point: line.points.find(([when]) => Math.abs(when - at) < step / 2) }))
    .filter(({ point }) => point)
    .sort((one, other) => other.point[1] - one.point[1]);
  const rows = found.slice(0, MOST_IN_READOUT).map(({ line, point }) =>
    el("div", {},
      el("i", { class: "swatch", style: `background:${line.colour}` }),
      el("span", { class: "label" }, line.label),
      el("b", {}, number(point[1]))));
  if (found.length > MOST_IN_READOUT) rows.push(el("div", { class: "quiet" }, `and ${found.length - MOST_IN_READOUT} more`));
  return rows.length ? rows : [el("div", { class: "quiet" }, "no value here")];
}

/** Round numbers from below `low` to above `high`, four to seven of them. */
export function valueTicks(low, high) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) [low, high] = high === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
}

function timeTicks(start, end, width) {
  const most = Math.max(2, Math.floor((width - PAD.left - PAD.right) / 90));
  const step = TIME_STEPS.find((size) => (end - start) / size <= most) ?? TIME_STEPS.at(-1);
  const zone = new Date(end * 1000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let at = Math.ceil((start - zone) / step) * step + zone; at <= end; at += step) ticks.push(at);
  return ticks;
}

function timeLabel(at, span) {
  const day = new Date(at * 1000);
  const date = `${day.getMonth() + 1}/${day.getDate()}`;
  if (span > 4 * 86400) return date;
  const text = clock(at);
  if (span > 86400) return `${date} ${text.slice(0, 5)}`;
  return span > 1800 ? text.slice(0, 5) : text;
}

/**
 * Ranges of time as people write them: `now-1h` to `now`, `now/d`, or Unix seconds.
 *
 * In: texts of the URL and of the picker. Out: Unix seconds. Pure: what is now comes in as an argument.
 */

export interface Range {
  readonly from: string;
  readonly to: string;
}

/** Unix seconds, `start` before `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export const USUAL: Range = { from: "now-1h", to: "now" };

/** What an address says for no refresh, where there would be one. */
export const OFF = "off";

/** How often a page is asked again when its address does not say: what one watches while something is wrong, by itself. */
export function usualRefresh(pathname: string): string {
  return pathname === "/" || /^\/incidents\/INC_[^/]*$/.test(pathname) ? "30s" : "";
}

/** What the picker offers, in its order. */
export const QUICK: readonly string[] = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "24h", "2d", "7d", "30d", "90d"];

const SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  M: 2_592_000,
  Q: 7_776_000,
  y: 31_536_000,
};
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w|M|Q|y))+$/;
const RELATIVE = /^now((?:[+-]\d+(?:ms|[smhdwMQy]))*)(?:\/(fQ|fy|[smhdwMQy]))?$/;

/** Seconds of `1h30m`; null when it is no duration. */
export function durationSeconds(text: string): number | null {
  if (!DURATION.test(text)) return null;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwMQy])/g)) {
    total += Number(count) * SECONDS[unit!]!;
  }
  return total;
}

/** `5400` → `1h30m`; parts below a thousandth of the whole are left out. */
export function formatDuration(seconds: number): string {
  if (seconds === 0) return "0s";
  const sign = seconds < 0 ? "-" : "";
  let rest = Math.abs(seconds);
  if (rest < 1) return `${sign}${round(rest * 1000)}ms`;
  const least = rest / 1000;
  const parts: string[] = [];
  for (const unit of ["d", "h", "m"] as const) {
    const size = SECONDS[unit]!;
    const count = Math.floor(rest / size + 1e-9);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  if (rest > 1e-6 && rest >= least) parts.push(`${round(rest)}s`);
  return sign + parts.join("");
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Unix seconds of one end of a range; `end` says which, as `now/d` is the first second of the day or its last. */
export function moment(text: string, now: number, end = false): number | null {
  const plain = text.trim();
  if (/^-?\d+(\.\d+)?$/.test(plain)) {
    const number = Number(plain);
    return Math.abs(number) > 1e11 ? number / 1000 : number; // milliseconds, as Grafana has them
  }
  const relative = RELATIVE.exec(plain);
  if (!relative) {
    const parsed = /^\d{4}-\d\d-\d\d/.test(plain) ? Date.parse(plain) : Number.NaN; // it would take "now-1" for a year
    return Number.isNaN(parsed) ? null : parsed / 1000;
  }
  let at = now;
  for (const [, sign, count, unit] of relative[1]!.matchAll(/([+-])(\d+)(ms|[smhdwMQy])/g)) {
    at = moved(at, Number(count) * (sign === "-" ? -1 : 1), unit!);
  }
  return relative[2] ? floored(at, relative[2].replace("f", ""), end) : at;
}

function moved(at: number, count: number, unit: string): number {
  const months = { M: 1, Q: 3, y: 12 }[unit];
  if (months === undefined) return at + count * SECONDS[unit]!;
  const date = new Date(at * 1000);
  const day = date.getDate();
  date.setDate(1);
  date.setMonth(date.getMonth() + count * months);
  date.setDate(Math.min(day, new Date(date.getFullYear(), date.getMonth() + 1, 0).getDate()));
  return date.getTime() / 1000;
}

function floored(at: number, unit: string, end: boolean): number {
  const date = new Date(at * 1000);
  date.setMilliseconds(0);
  if (unit !== "s") date.setSeconds(0);
  if ("hdwMQy".includes(unit)) date.setMinutes(0);
  if ("dwMQy".includes(unit)) date.setHours(0);
  if (unit === "w") date.setDate(date.getDate() - ((date.getDay() + 6) % 7));
  if ("MQy".includes(unit)) date.setDate(1);
  if (unit === "Q") date.setMonth(date.getMonth() - (date.getMonth() % 3));
  if (unit === "y") date.setMonth(0);
  const first = date.getTime() / 1000;
  return end ? moved(first, 1, unit) - 0.001 : first;
}

/** The seconds a range means at `now`; the usual hour where it means none. */
export function resolve(range: Range, now: number): Span {
  const start = moment(range.from, now);
  const end = moment(range.to, now, true);
  if (start === null || end === null || start >= end) return { start: now - 3600, end: now };
  return { start, end };
}

/** Whether a range reaches until now, or beyond as `now/d` does: what is the last of it goes on. */
export function untilNow({ end }: Span, now: number): boolean {
  return end > now - 1;
}

/** Whether both texts are moments, the first before the second. */
export function isRange(range: Range, now: number): boolean {
  const start = moment(range.from, now);
  const end = moment(range.to, now, true);
  return start !== null && end !== null && start < end;
}

/** How a range is called: `last 1 hour`, or its two ends. */
export function describe(range: Range, utc: boolean): string {
  const last = /^now-(\d+)([smhdwMy])$/.exec(range.from);
  if (last && range.to === "now") {
    const word = { s: "second", m: "minute", h: "hour", d: "day", w: "week", M: "month", y: "year" }[last[2]!]!;
    return `last ${last[1]} ${word}${last[1] === "1" ? "" : "s"}`;
  }
  return `${endName(range.from, utc)} – ${endName(range.to, utc)}`;
}

function endName(text: string, utc: boolean): string {
  return text.startsWith("now") ? text : dateTime(moment(text, 0) ?? 0, utc);
}

/** The range of twice the length around the same middle. */
export function zoomedOut(span: Span, now: number): Range {
  const half = (span.end - span.start) / 2;
  const end = Math.min(span.end + half, Math.max(now, span.end));
  return absolute({ start: end - 4 * half, end });
}

/** The range moved by half its length, back (-1) or on (1). */
export function shifted(span: Span, direction: -1 | 1): Range {
  const by = ((span.end - span.start) / 2) * direction;
  return absolute({ start: span.start + by, end: span.end + by });
}

const LEAST = 1; // seconds
const MOST = 20 * 366 * 86_400;

/** `span` made longer by a factor (below 1: shorter), so that what stands at `place` (0 the start, 1 the end) keeps there. */
export function around(span: Span, place: number, factor: number): Span {
  const length = span.end - span.start;
  const next = Math.min(MOST, Math.max(LEAST, length * factor));
  const start = span.start + (length - next) * Math.min(1, Math.max(0, place));
  return { start, end: start + next };
}

/** `span` moved on by a share of its length; a negative one moves it back. */
export function along(span: Span, share: number): Span {
  const by = (span.end - span.start) * share;
  return { start: span.start + by, end: span.end + by };
}

export function absolute(span: Span): Range {
  return { from: String(Math.round(span.start * 1000) / 1000), to: String(Math.round(span.end * 1000) / 1000) };
}

const STEPS = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800,
];

/** Seconds between points so that no more than `points` fit, of the usual steps; never below `least`. */
export function stepFor(span: Span, points: number, least = 1): number {
  const raw = Math.max((span.end - span.start) / Math.max(1, points), least);
  return STEPS.find((step) => step >= raw - 1e-9) ?? Math.ceil(raw / 604_800) * 604_800;
}

/** `start` and `end` on the grid of `step`, so that a range asked again shortly after has the same points. */
export function aligned(span: Span, step: number): Span {
  return { start: Math.floor(span.start / step) * step, end: Math.floor(span.end / step) * step };
}

/** Round moments within `span`, at most `most` of them. */
export function ticks(span: Span, most: number): readonly number[] {
  const step = stepFor(span, Math.max(1, most));
  const first = Math.ceil(span.start / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((span.end - first) / step) + 1) }, (_, at) => first + at * step);
}

/** `2026-11-28 14:02:31`, in local time or UTC. */
export function dateTime(seconds: number, utc: boolean): string {
  const date = new Date(seconds * 1000);
  const iso = utc ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return Number.isNaN(iso.getTime()) ? "never" : iso.toISOString().slice(0, 19).replace("T", " ");
}

/** `14:02:31`. */
export function clockTime(seconds: number, utc: boolean): string {
  return dateTime(seconds, utc).slice(11);
}

/** `3m ago`. */
export function ago(seconds: number, now: number): string {
  const passed = now - seconds;
  if (Math.abs(passed) < 1) return "now";
  const text = formatDuration(whole(Math.abs(passed)));
  return passed < 0 ? `in ${text}` : `${text} ago`;
}

/** Without what is too small to matter: what is two minutes old is not told by the second, where it goes on under one's eyes. */
function whole(seconds: number): number {
  const least = seconds >= 86_400 ? 3600 : seconds >= 120 ? 60 : 1;
  return Math.floor(seconds / least) * least;
}

/** A duration with two parts at most: `1d3h`, not `1d3h12m4s`. */
export function roughly(seconds: number): number {
  if (seconds >= 86_400) return Math.round(seconds / 3600) * 3600;
  if (seconds >= 3600) return Math.round(seconds / 60) * 60;
  return seconds >= 10 ? Math.round(seconds) : Math.round(seconds * 10) / 10;
}

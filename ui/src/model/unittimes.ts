/** Units of time, of days and of clocks, as Grafana writes them. */

import { two } from "./dated";

/** How many decimals are wanted (undefined: as many as say something), and a number written so. */
export interface Precision {
  readonly decimals: number | undefined;
  readonly round: (value: number) => string;
}

export type Format = (value: number, precision: Precision) => string;

const [MINUTE, HOUR, DAY, WEEK, MONTH, YEAR] = [60, 3600, 86_400, 604_800, 2_592_000, 31_536_000];
const SECOND = 1e9; // nanoseconds, in which durations are compared and converted: whole numbers stay whole
const FOREVER = Number.POSITIVE_INFINITY;

/** Below how many nanoseconds, of how many nanoseconds each, and whether its name takes an s when there is more than one. */
type Step = readonly [below: number, size: number, name: string, plural?: true];

const NS: Step = [1e3, 1, "ns"];
const US: Step = [1e6, 1e3, "µs"];
const MS: Step = [SECOND, 1e6, "ms"];
const SHORT: readonly Step[] = [
  [MINUTE * SECOND, SECOND, "s"],
  [HOUR * SECOND, MINUTE * SECOND, "min", true],
  [DAY * SECOND, HOUR * SECOND, "hour", true],
];
const DAYS: Step = [WEEK * SECOND, DAY * SECOND, "day", true];
const WEEKS: Step = [YEAR * SECOND, WEEK * SECOND, "week", true];

/** Years as each unit counts them: by days, or as long as the earth takes. */
function years(seconds = YEAR): Step {
  return [FOREVER, seconds * SECOND, "year", true];
}

/** A number of `unit` seconds in the first step that it is below. */
function lasting(unit: number, steps: readonly Step[]): Format {
  const own = Math.round(unit * SECOND);
  return (value, { round }) => {
    const size = Math.abs(value) * own;
    const [, each, name, plural] = steps.find(([below]) => size < below) ?? steps.at(-1)!;
    const shown = each < own ? value * (own / each) : value / (each / own);
    return `${round(shown)} ${name}${plural && Math.abs(shown) > 1 ? "s" : ""}`;
  };
}

const seconds = lasting(1, [NS, US, MS, ...SHORT, DAYS, WEEKS, years(31_556_900)]);

const PARTS = [
  ["year", YEAR],
  ["month", MONTH],
  ["week", WEEK],
  ["day", DAY],
  ["hour", HOUR],
  ["minute", MINUTE],
  ["second", 1],
  ["millisecond", 0.001],
] as const;

/** `1 minute, 30 seconds`: the largest part, and as many of the next ones as decimals are wanted. */
function inWords(unit: number, name: string): Format {
  return (value, { decimals = 0 }) => {
    if (value === 0) return `0 ${name}s`;
    let rest = Math.round(Math.abs(value) * unit * 1000 * 1e6) / 1e9; // whole nanoseconds: 12.345 is not 12.344999
    const words: string[] = [];
    for (const [part, size] of PARTS) {
      const count = Math.floor(rest / size + 1e-9);
      if (words.length === 0 && count === 0) continue;
      if (words.length > decimals) break;
      words.push(`${count} ${part}${count === 1 ? "" : "s"}`);
      rest -= count * size;
    }
    return `${words.join(", ")}${value < 0 && words.length > 0 ? " ago" : ""}`;
  };
}

/** `01:23:20`, with days before it where they are wanted. */
function colons(withDays: boolean): Format {
  return (value) => {
    const whole = Math.floor(Math.abs(value));
    const days = withDays ? Math.floor(whole / DAY) : 0;
    const rest = whole - days * DAY;
    const text = [Math.floor(rest / HOUR), Math.floor(rest / MINUTE) % 60, rest % 60].map(two).join(":");
    return `${days ? `${days} d ` : ""}${text}${value < 0 ? " ago" : ""}`;
  };
}

/** `1h:23m:20s:000ms`; so many parts behind the first as decimals are wanted. */
function clock(unit: number): Format {
  return (value, { decimals = 3 }) => {
    const ms = Math.floor(Math.max(0, value) * unit * 1000 + 1e-6);
    const [hours, minutes, rest] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, ms % 60_000];
    const parts = [
      `${hours}h`,
      `${two(minutes)}m`,
      `${two(Math.floor(rest / 1000))}s`,
      `${String(rest % 1000).padStart(3, "0")}ms`,
    ];
    const first = hours ? 0 : minutes ? 1 : rest >= 1000 ? 2 : 3;
    return parts.slice(first, first + decimals + 1).join(":");
  };
}

function moment(write: (at: Date) => string): Format {
  return (value) => {
    const at = new Date(value);
    return Number.isNaN(at.getTime()) ? "Invalid date" : write(at);
  };
}

const iso = (at: Date) => at.toISOString().slice(0, 19).replace("T", " ");
const american = (at: Date) => `${two(at.getUTCMonth() + 1)}/${two(at.getUTCDate())}/${at.getUTCFullYear()}`;
const american12 = (at: Date) =>
  `${at.getUTCHours() % 12 || 12}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} ${at.getUTCHours() < 12 ? "am" : "pm"}`;
const local = (at: Date, options: Intl.DateTimeFormatOptions) =>
  at.toLocaleString(undefined, { ...options, timeZone: "UTC" });
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
const DATE = { year: "numeric", month: "2-digit", day: "2-digit" } as const;

/** Two ways to write a moment: with its date, and without where that is today's. */
function unlessToday(whole: (at: Date) => string, short: (at: Date) => string): Format {
  return moment((at) => (iso(at).slice(0, 10) === iso(new Date()).slice(0, 10) ? short(at) : whole(at)));
}

const FAR = [
  [YEAR, 0.877, "year"],
  [30.4 * DAY, 0.855, "month"],
  [DAY, 0.917, "day"],
  [HOUR, 0.75, "hour"],
  [MINUTE, 0.75, "minute"],
] as const;

function fromNow(at: Date): string {
  const passed = (Date.now() - at.getTime()) / 1000;
  const size = Math.abs(passed);
  const found = FAR.find(([unit, share]) => size >= unit * share);
  const count = found ? Math.max(1, Math.round(size / found[0])) : 0;
  const article = found?.[2] === "hour" ? "an" : "a";
  const text = found ? (count === 1 ? `${article} ${found[2]}` : `${count} ${found[2]}s`) : "a few seconds";
  return passed < 0 ? `in ${text}` : `${text} ago`;
}

const micro = lasting(1e-6, [[1e6, 1e3, "µs"], MS, [FOREVER, SECOND, "s"]]);

export const TIMES: Readonly<Record<string, Format>> = {
  ns: lasting(1e-9, [NS, US, MS, ...SHORT, [FOREVER, DAY * SECOND, "day", true]]),
  µs: micro,
  us: micro,
  ms: lasting(1e-3, [[SECOND, 1e6, "ms"], ...SHORT, [YEAR * SECOND, DAY * SECOND, "day", true], years()]),
  s: (value, precision) => (value === 0 ? "0 s" : seconds(value, precision)),
  m: lasting(MINUTE, [[HOUR * SECOND, MINUTE * SECOND, "min"], SHORT[2]!, DAYS, WEEKS, years(31_556_880)]),
  h: lasting(HOUR, [[DAY * SECOND, HOUR * SECOND, "hour"], DAYS, WEEKS, years()]),
  d: lasting(DAY, [DAYS, WEEKS, years()]),
  timeticks: (value, precision) => (value === 0 ? "0 s" : seconds(value / 100, precision)),
  dtdurations: inWords(1, "second"),
  dtdurationms: inWords(0.001, "millisecond"),
  dthms: colons(false),
  dtdhms: colons(true),
  clocks: clock(1),
  clockms: clock(0.001),
  dateTimeAsIso: moment(iso),
  dateTimeAsIsoNoDateIfToday: unlessToday(iso, (at) => iso(at).slice(11)),
  dateTimeAsUS: moment((at) => `${american(at)} ${american12(at)}`),
  dateTimeAsUSNoDateIfToday: unlessToday((at) => `${american(at)} ${american12(at)}`, american12),
  dateTimeAsLocal: moment((at) => local(at, { ...DATE, ...TIME })),
  dateTimeAsLocalNoDateIfToday: unlessToday(
    (at) => local(at, { ...DATE, ...TIME }),
    (at) => local(at, TIME),
  ),
  dateTimeAsSystem: moment(iso),
  dateTimeFromNow: moment(fromNow),
};

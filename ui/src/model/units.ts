/**
 * Numbers as people read them. Units have Grafana's ids (`bytes`, `percentunit`, `reqps` …), as dashboards name them;
 * an id nobody knows stands behind the number as it is.
 */

import { formatDuration } from "./timerange";

type Format = (value: number, decimals?: number) => string;

const SI = ["", "k", "M", "G", "T", "P", "E"];
const SMALL = ["", "m", "µ", "n", "p"];
const IEC = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

function significant(value: number, decimals?: number): string {
  if (decimals !== undefined) return value.toFixed(decimals);
  const size = Math.abs(value);
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  const text = value.toFixed(size > 0 && size < 0.01 ? Math.min(12, 1 - Math.floor(Math.log10(size))) : digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function scaled(base: number, prefixes: readonly string[], unit: string, gap = " ", least = 0): Format {
  return (value, decimals) => {
    let [rest, at] = [value, least];
    while (Math.abs(rest) >= base * (decimals === undefined ? 0.99995 : 1) && at < prefixes.length - 1) {
      rest /= base;
      at += 1;
    }
    const tail = `${prefixes[at]}${unit}`;
    return `${significant(rest, decimals)}${tail ? gap + tail : ""}`;
  };
}

/** As `scaled`, with thousandths below one. */
function metric(unit: string): Format {
  const large = scaled(1000, SI, unit);
  return (value, decimals) => {
    if (value === 0 || Math.abs(value) >= 1) return large(value, decimals);
    let [rest, at] = [value, 0];
    while (Math.abs(rest) < 0.99995 && at < SMALL.length - 1) {
      rest *= 1000;
      at += 1;
    }
    return `${significant(rest, decimals)} ${SMALL[at]}${unit}`;
  };
}

function seconds(factor: number): Format {
  return (value, decimals) => {
    const total = value * factor;
    const size = Math.abs(total);
    if (size === 0) return "0 s";
    if (size < 1e-6) return `${significant(total * 1e9, decimals)} ns`;
    if (size < 1e-3) return `${significant(total * 1e6, decimals)} µs`;
    if (size < 1) return `${significant(total * 1e3, decimals)} ms`;
    if (size < 60) return `${significant(total, decimals)} s`;
    if (size < 3600) return `${significant(total / 60, decimals)} min`;
    if (size < 86_400) return `${significant(total / 3600, decimals)} h`;
    return `${significant(total / 86_400, decimals)} d`;
  };
}

function per(unit: string): Format {
  return scaled(1000, SI, unit);
}

function money(sign: string): Format {
  const short = scaled(1000, SI, "", "");
  return (value, decimals) => `${value < 0 ? "-" : ""}${sign}${short(Math.abs(value), decimals)}`;
}

function suffixed(unit: string): Format {
  return (value, decimals) => `${significant(value, decimals)}${unit}`;
}

const short: Format = (value, decimals) => {
  if (value !== 0 && Math.abs(value) < 1) return significant(value, decimals);
  return scaled(1000, ["", "K", "Mil", "Bil", "Tri"], "")(value, decimals);
};

const FORMATS: Readonly<Record<string, Format>> = {
  none: (value, decimals) => significant(value, decimals),
  short,
  sishort: scaled(1000, SI, "", " "),
  string: (value) => String(value),
  percent: suffixed("%"),
  percentunit: (value, decimals) => `${significant(value * 100, decimals)}%`,
  bytes: scaled(1024, IEC, "B"),
  decbytes: scaled(1000, SI, "B"),
  bits: scaled(1024, IEC, "b"),
  decbits: scaled(1000, SI, "b"),
  kbytes: scaled(1024, IEC, "B", " ", 1),
  deckbytes: scaled(1000, SI, "B", " ", 1),
  mbytes: scaled(1024, IEC, "B", " ", 2),
  decmbytes: scaled(1000, SI, "B", " ", 2),
  gbytes: scaled(1024, IEC, "B", " ", 3),
  decgbytes: scaled(1000, SI, "B", " ", 3),
  tbytes: scaled(1024, IEC, "B", " ", 4),
  Bps: scaled(1000, SI, "B/s"),
  binBps: scaled(1024, IEC, "B/s"),
  bps: scaled(1000, SI, "b/s"),
  binbps: scaled(1024, IEC, "b/s"),
  KBs: scaled(1000, SI, "B/s", " ", 1),
  MBs: scaled(1000, SI, "B/s", " ", 2),
  pps: per("p/s"),
  cps: per("c/s"),
  ops: per("ops/s"),
  reqps: per("req/s"),
  rps: per("rd/s"),
  wps: per("wr/s"),
  iops: per("io/s"),
  eps: per("evt/s"),
  opm: per("ops/m"),
  reqpm: per("req/m"),
  cpm: per("c/m"),
  ns: seconds(1e-9),
  µs: seconds(1e-6),
  us: seconds(1e-6),
  ms: seconds(1e-3),
  s: seconds(1),
  m: seconds(60),
  h: seconds(3600),
  d: seconds(86_400),
  dtdurations: (value) => formatDuration(value),
  dtdurationms: (value) => formatDuration(value / 1000),
  clocks: (value) => formatDuration(value),
  clockms: (value) => formatDuration(value / 1000),
  hertz: metric("Hz"),
  currencyUSD: money("$"),
  currencyEUR: money("€"),
  currencyGBP: money("£"),
  currencyJPY: money("¥"),
  celsius: suffixed(" °C"),
  fahrenheit: suffixed(" °F"),
  kelvin: suffixed(" K"),
  volt: metric("V"),
  amp: metric("A"),
  watt: metric("W"),
  joule: metric("J"),
  humidity: suffixed("%H"),
  rotrpm: suffixed(" rpm"),
  degree: suffixed("°"),
  hex: (value) => Math.trunc(value).toString(16).toUpperCase(),
  hex0x: (value) => `0x${Math.trunc(value).toString(16).toUpperCase()}`,
  sci: (value, decimals) => value.toExponential(decimals ?? 2),
  locale: (value, decimals) => value.toLocaleString("en-US", { maximumFractionDigits: decimals ?? 3 }),
  bool: (value) => (value ? "True" : "False"),
  bool_yes_no: (value) => (value ? "Yes" : "No"),
  bool_on_off: (value) => (value ? "On" : "Off"),
  dateTimeAsIso: (value) => new Date(value).toISOString().slice(0, 19).replace("T", " "),
};

/** `format(1536, "bytes")` is `1.5 KiB`; infinities and what is no number are said as such. */
export function format(value: number | null | undefined, unit = "short", decimals?: number): string {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const known = FORMATS[unit];
  if (known) return known(value, decimals);
  const [kind, rest] = [unit.slice(0, unit.indexOf(":")), unit.slice(unit.indexOf(":") + 1)];
  if (kind === "suffix") return `${significant(value, decimals)} ${rest}`;
  if (kind === "prefix") return `${rest}${significant(value, decimals)}`;
  if (kind === "currency") return money(rest)(value, decimals);
  if (kind === "si") return scaled(1000, SI, rest)(value, decimals);
  if (kind === "count") return `${short(value, decimals)} ${rest}`;
  return unit ? `${significant(value, decimals)} ${unit}` : significant(value, decimals);
}

/** The ids that `format` knows by name. */
export const UNITS: readonly string[] = Object.keys(FORMATS);

/**
 * Numbers as people read them. Units have Grafana's ids (`bytes`, `percentunit`, `reqps` …) and are written as Grafana
 * writes them; an id nobody knows stands behind the number as it is.
 */

import { dated } from "./dated";
import { COUNTS, FIXED, IEC, MONEY, MONEY_BEHIND, SI, type Unit } from "./unittable";
import { type Format, type Precision, TIMES } from "./unittimes";

const SI_PREFIXES = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const SI_NONE = 5; // the place of no prefix
const IEC_PREFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SHORT = ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"];
const THOUSANDS = ["", "K", "M", "B", "T"];

/** With so many decimals, zeros too. */
function fixed(value: number, decimals: number): string {
  const factor = 10 ** decimals;
  const large = value * factor;
  const text = String(Number.isFinite(large) ? Math.round(large) / factor : value);
  if (text.includes("e")) return text;
  const [whole, part = ""] = text.split(".");
  return decimals > 0 ? `${whole}.${part.padEnd(decimals, "0")}` : text;
}

/** With three digits that say something, and none behind a whole number: `7.60`, `12.3`, `1234`, `8`. */
function three(value: number): string {
  if (value === 0 || value % 1 === 0) return fixed(value, 0);
  return fixed(value, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
}

/** As short as it can be without being another number: `0.075`, `1.5`, `20`. */
function exact(value: number): string {
  return String(Number(value.toPrecision(5)));
}

/** How many thousands (of `base`) a number has, between `least` and `most`; nothing has none. */
function thousands(value: number, base: number, least: number, most: number): number {
  if (value === 0) return Math.max(0, least);
  return Math.min(most, Math.max(least, Math.floor(Math.log(Math.abs(value)) / Math.log(base))));
}

function scaled(base: number, prefixes: readonly string[], none: number, { symbol, prefix }: Unit): Format {
  return (value, { round }) => {
    const own = none + prefix;
    const at = thousands(value, base, -own, prefixes.length - 1 - own);
    return `${round(value / base ** at)} ${prefixes[own + at]}${symbol}`.trimEnd();
  };
}

/** In thousands, millions and so on, without thousandths: [the number, what stands behind it]. */
function counted(value: number, { round }: Precision, names: readonly string[]): readonly [string, string] {
  const at = thousands(value, 1000, 0, names.length - 1);
  return [round(value / 1000 ** at), names[at]!];
}

function money(sign: string, behind = false): Format {
  return (value, precision) => {
    const amount = counted(Math.abs(value), precision, THOUSANDS).join("");
    const minus = value < 0 ? "-" : "";
    return behind ? `${minus}${amount}${sign}` : `${minus}${sign}${amount}`;
  };
}

function of(symbol: string): Format {
  return (value, precision) => {
    const [amount, name] = counted(value, precision, THOUSANDS);
    return `${amount}${name} ${symbol}`;
  };
}

const si = (unit: Unit): Format => scaled(1000, SI_PREFIXES, SI_NONE, unit);
const iec = (unit: Unit): Format => scaled(1024, IEC_PREFIXES, 0, unit);

const hex: Format = (value, { round }) => Number(round(value)).toString(16).toUpperCase();

const MISC: Readonly<Record<string, Format>> = {
  none: (value, { round }) => round(value),
  string: String,
  short: (value, precision) => counted(value, precision, SHORT).join(""),
  percent: (value, { round }) => `${round(value)}%`,
  percentunit: (value, { round }) => `${round(value * 100)}%`,
  hex,
  hex0x: (value, precision) => `${value < 0 ? "-" : ""}0x${hex(Math.abs(value), precision)}`,
  sci: (value, { decimals }) => value.toExponential(decimals),
  locale: (value, { decimals }) => value.toLocaleString("en-US", { maximumFractionDigits: decimals ?? 3 }),
  pressurepsi: (value, precision) => counted(value, precision, ["psi", "ksi", "Mpsi"]).join(""),
  bool: (value) => (value ? "True" : "False"),
  bool_yes_no: (value) => (value ? "Yes" : "No"),
  bool_on_off: (value) => (value ? "On" : "Off"),
};

const FORMATS: ReadonlyMap<string, Format> = new Map([
  ...Object.entries(MISC),
  ...Object.entries(TIMES),
  ...made(
    FIXED,
    ({ symbol }) =>
      (value, { round }) =>
        `${round(value)} ${symbol}`,
  ),
  ...made(SI, si),
  ...made(IEC, iec),
  ...made(COUNTS, ({ symbol }) => of(symbol)),
  ...made(MONEY, ({ symbol }) => money(symbol)),
  ...made(MONEY_BEHIND, ({ symbol }) => money(symbol, true)),
]);

function made(units: ReadonlyMap<string, Unit>, how: (unit: Unit) => Format): readonly (readonly [string, Format])[] {
  return [...units].map(([id, unit]) => [id, how(unit)] as const);
}

/** What an id says by its words: `suffix:docs`, `si:foo`, `currency:₿`, `bool:on/off`. */
function described(unit: string): Format {
  const at = unit.indexOf(":");
  const [kind, rest] = [unit.slice(0, Math.max(0, at)), unit.slice(at + 1)];
  switch (kind) {
    case "suffix":
      return (value, { round }) => `${round(value)} ${rest}`;
    case "prefix":
      return (value, { round }) => `${rest}${round(value)}`;
    case "currency":
      return money(rest);
    case "count":
      return of(rest);
    case "si":
      return ownPrefix(rest);
    case "time":
      return (value) => dated(new Date(value), rest || "YYYY-MM-DD HH:mm:ss");
    case "bool":
      return (value) => rest.split("/")[value ? 0 : 1] ?? "";
    default:
      return (value, { round }) => `${round(value)} ${unit}`.trimEnd();
  }
}

/** `si:mF`: the number comes in thousandths of a farad. */
function ownPrefix(text: string): Format {
  const prefix = text.length > 1 ? SI_PREFIXES.indexOf(text[0]!) : -1;
  return prefix < 0 ? si({ symbol: text, prefix: 0 }) : si({ symbol: text.slice(1), prefix: prefix - SI_NONE });
}

function written(value: number | null | undefined, unit: string, precision: Precision): string {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return (FORMATS.get(unit) ?? described(unit))(value, precision);
}

/** As many decimals as a number can be written with, whatever a dashboard says. */
function possible(decimals: number): number {
  return Math.min(20, Math.max(0, Math.trunc(decimals)));
}

/** `format(1536, "bytes")` is `1.50 KiB`; infinities and what is no number are said as such. */
export function format(value: number | null | undefined, unit = "none", wanted?: number): string {
  const decimals = wanted === undefined ? undefined : possible(wanted);
  const round = decimals === undefined ? three : (rest: number) => fixed(rest, decimals);
  return written(value, unit, { decimals, round });
}

/** A value of an axis, which is a round one: `tick(0.075)` is `0.075`, `tick(1500, "bytes")` of 500 each is not `1 KiB` twice. */
export function tick(value: number | null | undefined, unit = "none"): string {
  return written(value, unit, { decimals: undefined, round: exact });
}

/** Whether a unit counts in powers of 1024. */
export function isBinary(unit: string): boolean {
  return IEC.has(unit);
}

/** The ids that `format` knows by name. */
export const UNITS: readonly string[] = [...FORMATS.keys()];

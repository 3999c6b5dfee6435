/** Moments as texts, in the letters of Moment, as dashboards have them. Times are UTC. */

/** `two(7)` is `07`. */
export const two = (value: number) => String(value).padStart(2, "0");
const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const LETTERS: Readonly<Record<string, (at: Date) => string>> = {
  YYYY: (at) => String(at.getUTCFullYear()),
  YY: (at) => two(at.getUTCFullYear() % 100),
  MMMM: (at) => MONTHS[at.getUTCMonth()]!,
  MMM: (at) => MONTHS[at.getUTCMonth()]!.slice(0, 3),
  MM: (at) => two(at.getUTCMonth() + 1),
  M: (at) => String(at.getUTCMonth() + 1),
  DD: (at) => two(at.getUTCDate()),
  D: (at) => String(at.getUTCDate()),
  dddd: (at) => DAYS[at.getUTCDay()]!,
  ddd: (at) => DAYS[at.getUTCDay()]!.slice(0, 3),
  HH: (at) => two(at.getUTCHours()),
  H: (at) => String(at.getUTCHours()),
  hh: (at) => two(at.getUTCHours() % 12 || 12),
  h: (at) => String(at.getUTCHours() % 12 || 12),
  mm: (at) => two(at.getUTCMinutes()),
  m: (at) => String(at.getUTCMinutes()),
  ss: (at) => two(at.getUTCSeconds()),
  s: (at) => String(at.getUTCSeconds()),
  SSS: (at) => String(at.getUTCMilliseconds()).padStart(3, "0"),
  A: (at) => (at.getUTCHours() < 12 ? "AM" : "PM"),
  a: (at) => (at.getUTCHours() < 12 ? "am" : "pm"),
};

/** A moment in the letters of Moment (`YYYY-MM-DD HH:mm:ss`); what stands in brackets is kept. */
export function dated(at: Date, form: string): string {
  if (Number.isNaN(at.getTime())) return "Invalid date";
  return form.replace(
    /\[([^\]]*)\]|YYYY|YY|MMMM|MMM|MM|M|DD|D|dddd|ddd|HH|H|hh|h|mm|m|ss|s|SSS|A|a/g,
    (letters, kept) => (kept === undefined ? LETTERS[letters]!(at) : kept),
  );
}

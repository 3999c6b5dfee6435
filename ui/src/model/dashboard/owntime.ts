/** The time a dashboard has of its own: where an address says none, and where a panel differs from its page. */

import { durationSeconds, moment, type Span, USUAL } from "@/model/timerange";
import type { Dashboard, Panel } from "./types";

/** What of a dashboard's own range and refresh an address lacks; nothing where it says both. */
export function ownTime(
  { range, refresh }: Pick<Dashboard, "range" | "refresh">,
  said: URLSearchParams,
): Readonly<Record<string, string>> {
  const usual = !range || (range.from === USUAL.from && range.to === USUAL.to);
  return {
    ...(usual || said.has("from") ? {} : { from: range.from, to: range.to }),
    ...(durationSeconds(refresh) && !said.has("refresh") ? { refresh } : {}),
  };
}

/** The time a panel shows: the page's, unless it has its own (`2h`, `1d/d`, `now/w`) or looks back (`timeShift`). */
export function spanOf({ timeFrom, timeShift }: Pick<Panel, "timeFrom" | "timeShift">, span: Span): Span {
  const length = durationSeconds(timeFrom);
  const whole = /^(\d+)([smhdwMQy])\/\2$/.exec(timeFrom);
  const own = length
    ? { start: span.end - length, end: span.end }
    : whole
      ? {
          start: moment(`now-${timeFrom}`, span.end) ?? span.start,
          end: moment(`now-${timeFrom}`, span.end, true) ?? span.end,
        }
      : timeFrom.startsWith("now")
        ? { start: moment(timeFrom, span.end) ?? span.start, end: span.end }
        : span;
  const back = durationSeconds(timeShift) ?? 0;
  return back ? { start: own.start - back, end: own.end - back } : own;
}

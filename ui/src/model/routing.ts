/**
 * The routing tree of alertmanager.yml, and the way an alert takes through it.
 *
 * Which routes take an alert is the server's to say; what is lit on the way to them, and in which words, is said here.
 */

import { type Matcher, parseMatchers } from "./matchers";
import { formatDuration } from "./timerange";

export interface RouteNode {
  readonly id: string;
  readonly receiver: string;
  readonly matchers: readonly string[];
  readonly continue: boolean;
  readonly group_by: readonly string[];
  readonly group_wait: number;
  readonly group_interval: number;
  readonly repeat_interval: number;
  readonly mute_time_intervals: readonly string[];
  readonly active_time_intervals: readonly string[];
  /** The time intervals that keep it quiet at present. */
  readonly muted_by: readonly string[];
  readonly routes: readonly RouteNode[];
}

/** The ids of the routes that are passed on the way to those that take an alert, themselves included. */
export function litWay(root: RouteNode, taking: ReadonlySet<string>): ReadonlySet<string> {
  const below = root.routes.flatMap((route) => [...litWay(route, taking)]);
  return new Set(below.length > 0 || taking.has(root.id) ? [root.id, ...below] : []);
}

/** The route of an id. */
export function routeOf(root: RouteNode, id: string): RouteNode | undefined {
  if (root.id === id) return root;
  for (const route of root.routes) {
    const found = routeOf(route, id);
    if (found) return found;
  }
  return undefined;
}

/** How many routes there are below and at this one. */
export function countRoutes(root: RouteNode): number {
  return 1 + root.routes.reduce((sum, route) => sum + countRoutes(route), 0);
}

/** Labels as people type them, `severity="critical", service=api`; null when it is none, or a condition. */
export function typedLabels(text: string): readonly Matcher[] | null {
  const found = parseMatchers(text);
  return found?.every(({ isEqual, isRegex }) => isEqual && !isRegex) ? found : null;
}

/** When a group of a route is told: `after 30s, of what is new every 5m, again every 4h`. */
export function timing(route: Pick<RouteNode, "group_wait" | "group_interval" | "repeat_interval">): string {
  const { group_wait: wait, group_interval: interval, repeat_interval: repeat } = route;
  const first = wait > 0 ? `after ${formatDuration(wait)}` : "at once";
  return `${first}, of what is new every ${formatDuration(interval)}, again every ${formatDuration(repeat)}`;
}

/** What alerts of a route are told together: those that have these labels alike. */
export function grouping(groupBy: readonly string[]): string {
  if (groupBy.length === 0) return "all in one group";
  return groupBy[0] === "..." ? "each by itself" : `grouped by ${groupBy.join(", ")}`;
}

/** When a route is told at all, other than always. */
export function hours(route: Pick<RouteNode, "mute_time_intervals" | "active_time_intervals">): string {
  const parts = [
    route.active_time_intervals.length > 0 ? `only in ${route.active_time_intervals.join(", ")}` : "",
    route.mute_time_intervals.length > 0 ? `not in ${route.mute_time_intervals.join(", ")}` : "",
  ];
  return parts.filter(Boolean).join(", ");
}

/** What a panel asks, and what it is answered: one query for each target, overrides and transformations applied. */

import { type UseQueryResult, useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { queryInstant, queryRange } from "@/api/prometheus";
import { withMatchers } from "@/model/dashboard/adhoc";
import { ofInstant, ofRange, withConfig } from "@/model/dashboard/frames";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { transformed } from "@/model/dashboard/transform";
import type { Frame, Panel, Target } from "@/model/dashboard/types";
import { durationSeconds, moment, type Span, stepFor } from "@/model/timerange";

export const SCRAPE = 15; // seconds: what a rate is taken over four of

export interface PanelData {
  readonly frames: readonly Frame[];
  readonly loading: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly missing: readonly string[];
  readonly span: Span;
  readonly step: number;
  /** What was asked, variables filled in. */
  readonly asked: readonly string[];
  readonly again: () => void;
}

/** The time a panel shows: the page's, unless it has its own (`timeFrom`) or looks back (`timeShift`). */
export function spanOf({ timeFrom, timeShift }: Panel, span: Span): Span {
  const length = durationSeconds(timeFrom);
  const own = length
    ? { start: span.end - length, end: span.end }
    : timeFrom.startsWith("now")
      ? { start: moment(timeFrom, span.end) ?? span.start, end: span.end }
      : span;
  const back = durationSeconds(timeShift) ?? 0;
  return back ? { start: own.start - back, end: own.end - back } : own;
}

/** The frames of `panel`; nothing is asked before it is `seen`. `extra` is put into every selector (ad hoc filters). */
export function useFrames(panel: Panel, scope: Scope, width: number, seen: boolean, adhoc: string): PanelData {
  const span = useMemo(() => spanOf(panel, scope.span), [panel, scope.span]);
  const points = panel.maxPoints ?? Math.max(60, Math.min(1000, Math.floor(width / 2)));
  const usual = stepFor(span, points, least(panel.interval, scope));
  const asked = useMemo(
    () => panel.targets.filter((target) => !target.hidden && target.kind === "prometheus" && target.expr.trim()),
    [panel.targets],
  );
  const answers = useQueries({
    queries: asked.map((target) => {
      const step = Math.max(usual, least(target.interval, scope));
      const query = filledIn(target, scope, span, step, adhoc);
      return {
        queryKey: ["panel", query, target.instant && !target.range, target.form, span, step],
        enabled: seen,
        placeholderData: (before: Frame[] | undefined) => before,
        queryFn: ({ signal }: { signal: AbortSignal }) => framesOf(target, query, span, step, scope, signal),
      };
    }),
    combine: combined,
  });
  return useMemo(() => {
    const { frames, missing } = transformed(
      withConfig(answers.frames, panel.field, panel.overrides),
      panel.transformations,
    );
    const queries = asked.map((target) => filledIn(target, scope, span, usual, adhoc));
    // Names changed by transformations are what overrides mean too.
    const shown = panel.transformations.length ? withConfig(frames, panel.field, panel.overrides) : frames;
    return {
      ...answers,
      frames: shown,
      missing: [...panel.missing, ...missing],
      warnings: [],
      span,
      step: usual,
      asked: queries,
    };
  }, [answers, panel, span, usual, scope, asked, adhoc]);
}

function filledIn({ expr }: Target, scope: Scope, span: Span, step: number, adhoc: string): string {
  return withMatchers(interpolate(expr, { ...scope, span, step }, "promql"), adhoc);
}

function least(text: string, scope: Scope): number {
  return durationSeconds(interpolate(text, scope).replace(/^>/, "")) ?? 1;
}

async function framesOf(
  target: Target,
  query: string,
  span: Span,
  step: number,
  scope: Scope,
  signal: AbortSignal,
): Promise<Frame[]> {
  const legend = interpolate(target.legend, scope);
  if (target.instant && !target.range) return ofInstant(await queryInstant(query, span.end, signal), target, legend);
  return ofRange(await queryRange(query, span, step, signal), target, legend);
}

function combined(results: UseQueryResult<Frame[]>[]) {
  return {
    frames: results.flatMap(({ data }) => data ?? []),
    loading: results.some(({ isLoading }) => isLoading),
    errors: [...new Set(results.flatMap(({ error }) => (error ? [error.message] : [])))],
    again: () => results.forEach(({ refetch }) => void refetch()),
  };
}

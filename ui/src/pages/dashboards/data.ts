/** What a panel asks, and what it is answered: one query for each target, overrides and transformations applied. */

import { type UseQueryResult, useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { queryInstant, queryRange } from "@/api/prometheus";
import { withMatchers } from "@/model/dashboard/adhoc";
import { neededBy, withExpressions } from "@/model/dashboard/expressions";
import { ofInstant, ofRange, withConfig, withValueNames } from "@/model/dashboard/frames";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { type LogAsk, logAsk } from "@/model/dashboard/logsearch";
import { spanOf } from "@/model/dashboard/owntime";
import { type TraceAsk, traceAsk } from "@/model/dashboard/traceask";
import { transformed } from "@/model/dashboard/transform";
import type { Frame, Panel, Target } from "@/model/dashboard/types";
import { durationSeconds, type Span, stepFor } from "@/model/timerange";
import { logFrames, traceFrames } from "./signals";

export const SCRAPE = 15; // seconds: what a rate is taken over four of

export interface PanelData {
  readonly frames: readonly Frame[];
  readonly loading: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly missing: readonly string[];
  readonly span: Span;
  readonly step: number;
  /** How many questions it has, of metrics, logs and traces; those in PromQL, variables filled in. */
  readonly questions: number;
  readonly asked: readonly string[];
  /** Those of them whose exemplars are to be shown. */
  readonly exemplars: readonly string[];
  readonly again: () => void;
}

/** One question of a panel, variables filled in. */
type Question = { readonly target: Target; readonly step: number; readonly text: string } & (
  | { readonly kind: "metrics" }
  | { readonly kind: "logs"; readonly ask: LogAsk }
  | { readonly kind: "traces"; readonly ask: Extract<TraceAsk, { kind: "search" }> }
);

/** The frames of `panel`; nothing is asked before it is `seen`. `adhoc` is put into every selector of PromQL. */
export function useFrames(panel: Panel, scope: Scope, width: number, seen: boolean, adhoc: string): PanelData {
  const span = useMemo(() => spanOf(panel, scope.span), [panel, scope.span]);
  const usual = stepFor(span, pointsOf(panel, width), least(panel.interval, scope));
  const asked = useMemo(() => {
    const needed = neededBy(panel.targets);
    return panel.targets
      .filter(({ hidden, refId }) => !hidden || needed.has(refId))
      .flatMap((target) => questionOf(panel, target, scope, span, usual, adhoc));
  }, [panel, scope, span, usual, adhoc]);
  const answers = useQueries({
    queries: asked.map((question) => {
      const { target, kind, text, step } = question;
      const { refId, form } = target;
      const legend = interpolate(target.legend, scope);
      return {
        // Frames are called after their query's letter and legend: who asks the same under others is answered with others.
        queryKey: ["panel", kind, text, target.instant && !target.range, form, refId, legend, span, step],
        enabled: seen,
        placeholderData: (before: Frame[] | undefined) => before,
        queryFn: ({ signal }: { signal: AbortSignal }) => framesOf(question, span, scope, signal),
      };
    }),
    combine: combined,
  });
  return useMemo(() => {
    const worked = withExpressions(answers.frames, panel.targets, span);
    const { frames, missing } = transformed(
      withConfig(worked.frames, panel.field, panel.overrides),
      panel.transformations,
    );
    // Names changed by transformations are what overrides mean too.
    const shown = panel.transformations.length ? withConfig(frames, panel.field, panel.overrides) : frames;
    const unasked = asked.flatMap((each) => (each.kind === "metrics" ? [] : each.ask.missing));
    return {
      ...answers,
      frames: shown,
      missing: [...panel.missing, ...unasked, ...worked.missing, ...missing],
      warnings: [],
      span,
      step: usual,
      questions: asked.length,
      asked: asked.flatMap(({ kind, text }) => (kind === "metrics" ? [text] : [])),
      exemplars: asked.flatMap(({ kind, text, target }) => (kind === "metrics" && target.exemplars ? [text] : [])),
    };
  }, [answers, panel, span, usual, asked]);
}

const BOX = 14; // pixels of a state that is looked at once

function pointsOf({ maxPoints, type }: Panel, width: number): number {
  if (type === "status-history") return Math.max(10, Math.min(maxPoints ?? 100, Math.floor(width / BOX)));
  return maxPoints ?? Math.max(60, Math.min(1000, Math.floor(width / 2)));
}

/** What a target asks; nothing where the panel asks for itself (lines of logs, one trace, the map of services). */
function questionOf(
  { type }: Panel,
  target: Target,
  scope: Scope,
  span: Span,
  usual: number,
  adhoc: string,
): readonly Question[] {
  const step = Math.max(usual, least(target.interval, scope));
  const own = { ...scope, span, step };
  if (target.kind === "prometheus" && target.expr.trim())
    return [{ kind: "metrics", target, step, text: withMatchers(interpolate(target.expr, own, "promql"), adhoc) }];
  if (target.kind === "logs" && type !== "logs") {
    const ask = logAsk(target, interpolate(target.expr, own, target.expr.includes("{") ? "regex" : "lucene"));
    return [{ kind: "logs", target, step, ask, text: JSON.stringify(ask) }];
  }
  if (target.kind === "traces" && type !== "nodeGraph") {
    const ask = traceAsk(target, (text) => interpolate(text, own));
    return ask.kind === "search" ? [{ kind: "traces", target, step, ask, text: JSON.stringify(ask.asked) }] : [];
  }
  return [];
}

function least(text: string, scope: Scope): number {
  return durationSeconds(interpolate(text, scope).replace(/^>/, "")) ?? 1;
}

async function framesOf(question: Question, span: Span, scope: Scope, signal: AbortSignal): Promise<Frame[]> {
  const { target, text, step } = question;
  if (question.kind === "logs")
    return question.ask.impossible ? [] : logFrames(question.ask, target, span, step, signal);
  if (question.kind === "traces") return traceFrames(question.ask, target, span, signal);
  const legend = interpolate(target.legend, scope);
  if (target.instant && !target.range)
    return ofInstant(await queryInstant(text, span.end, signal), target, legend, text);
  return ofRange(await queryRange(text, span, step, signal), target, legend, text);
}

function combined(results: UseQueryResult<Frame[]>[]) {
  return {
    frames: withValueNames(results.flatMap(({ data }) => data ?? [])),
    loading: results.some(({ isLoading }) => isLoading),
    errors: [...new Set(results.flatMap(({ error }) => (error ? [error.message] : [])))],
    again: () => results.forEach(({ refetch }) => void refetch()),
  };
}

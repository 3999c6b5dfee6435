/** Moments a dashboard marks on its charts: changes, incidents, and what its own annotations find. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useNavigate } from "react-router";
import { get } from "@/api/http";
import { useIncidents } from "@/api/incidents";
import { recordsOf } from "@/api/logs";
import { type Labels, queryRange } from "@/api/prometheus";
import type { Mark } from "@/charts/TimeSeries";
import { useGoto, useTime } from "@/components/time";
import { cssColour } from "@/model/colours";
import { interpolate, legendOf, type Scope } from "@/model/dashboard/interpolate";
import { logAsk } from "@/model/dashboard/logsearch";
import type { Annotation, Dashboard, Target } from "@/model/dashboard/types";
import { durationSeconds, type Span, stepFor } from "@/model/timerange";

interface Change {
  readonly ts: number;
  readonly title: string;
  readonly kind: string;
}

/** A mark, and the panels that show it. */
export interface PlacedMark extends Mark {
  readonly panels: Annotation["panels"];
}

/** What the panels of a dashboard are drawn with. */
export interface Drawing {
  readonly dashboard: Dashboard;
  readonly scope: Scope;
  readonly marks: readonly PlacedMark[];
  readonly adhoc: string;
}

/** The marks a panel of that number shows. */
export function marksFor(marks: readonly PlacedMark[], panel: number): readonly PlacedMark[] {
  return marks.filter(({ panels }) => !panels || panels.ids.includes(panel) !== panels.exclude);
}

const MOST = 200; // more lines than this hide what they are to explain

export function useMarks(annotations: readonly Annotation[], scope: Scope): readonly PlacedMark[] {
  const { span } = useTime();
  const navigate = useNavigate();
  const goto = useGoto();
  const shown = annotations.filter(({ enabled }) => enabled);
  const events = shown.find(({ kind }) => kind === "events");
  const incidents = shown.find(({ kind }) => kind === "incidents");
  const asked = shown.flatMap((each) =>
    (each.kind === "prometheus" || each.kind === "logs") && each.expr
      ? [{ ...each, expr: interpolate(each.expr, scope, each.kind === "logs" ? "regex" : "promql") }]
      : [],
  );
  const changes = useQuery({
    queryKey: ["events", events?.of ?? "", Math.round(span.start / 15), Math.round(span.end / 15)],
    enabled: events !== undefined,
    queryFn: async ({ signal }) => {
      const query = { start: span.start, end: span.end, kind: events!.of ? [events!.of] : undefined, limit: MOST };
      return ((await get("/aiprism/v1/events", { query, signal })) as { events: readonly Change[] }).events;
    },
  }).data;
  const opened = useIncidents("all", MOST).data;
  const found = useQuery({
    queryKey: ["annotations", asked.map(({ expr }) => expr), Math.round(span.start / 15), Math.round(span.end / 15)],
    enabled: asked.length > 0,
    queryFn: async ({ signal }) => (await Promise.all(asked.map((each) => marksOf(each, span, signal)))).flat(),
  }).data;
  return useMemo(
    () =>
      [
        ...(changes ?? []).map(
          ({ ts, title }): PlacedMark => ({
            at: ts,
            text: title,
            colour: cssColour(events?.colour ?? "blue"),
            panels: events?.panels ?? null,
          }),
        ),
        ...(incidents ? (opened ?? []) : [])
          .filter(({ created_at: at }) => at >= span.start && at <= span.end)
          .map(
            ({ created_at: at, title, id }): PlacedMark => ({
              at,
              text: `incident: ${title}`,
              colour: cssColour(incidents!.colour),
              onPick: () => void navigate(goto(`/incidents/${id}`)),
              panels: incidents!.panels,
            }),
          ),
        ...(found ?? []),
      ].slice(0, MOST),
    [changes, opened, found, events, incidents, span, navigate, goto],
  );
}

/** A mark at each time a series of the annotation's query begins to be there and above zero, or at each record. */
async function marksOf(annotation: Annotation, span: Span, signal: AbortSignal): Promise<PlacedMark[]> {
  const { expr, panels, valueIsTime } = annotation;
  const step = durationSeconds(annotation.step) ?? stepFor(span, 400, 15);
  const words = [annotation.title || annotation.name, annotation.text].filter(Boolean).join(": ");
  const mark = (at: number, labels: Labels): PlacedMark => ({
    at,
    text: legendOf(words, labels),
    colour: cssColour(annotation.colour),
    panels,
  });
  if (annotation.kind === "logs") {
    const ask = logAsk({ refId: annotation.name, raw: {} } as Target, expr);
    const records = await recordsOf({ query: ask.query, levels: [] }, span, MOST, signal);
    return records.map((record) => ({
      ...mark(record.ts_ns / 1e9, record.attributes),
      text: annotation.text ? legendOf(words, record.attributes) : `${annotation.name}: ${record.body}`,
    }));
  }
  const { times, series } = await queryRange(expr, span, step, signal);
  if (valueIsTime) {
    const all = series.flatMap(({ labels, values }) =>
      [...new Set(values)].map((value) => mark((value ?? 0) / 1000, labels)),
    );
    return all.filter(({ at }) => at >= span.start && at <= span.end);
  }
  return series.flatMap(({ labels, values }) =>
    values.flatMap((value, at) => (!value || (at > 0 && values[at - 1]) ? [] : [mark(times[at]!, labels)])),
  );
}

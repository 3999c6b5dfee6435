/** Moments a dashboard marks on its charts: changes, incidents, and what its own annotations find. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useNavigate } from "react-router";
import { get } from "@/api/http";
import { useIncidents } from "@/api/incidents";
import { queryRange } from "@/api/prometheus";
import type { Mark } from "@/charts/TimeSeries";
import { useGoto, useTime } from "@/components/time";
import { cssColour } from "@/model/colours";
import { legendOf } from "@/model/dashboard/interpolate";
import type { Annotation, Dashboard } from "@/model/dashboard/types";
import { durationSeconds, type Span, stepFor } from "@/model/timerange";

interface Change {
  readonly ts: number;
  readonly title: string;
  readonly kind: string;
}

const MOST = 200; // more lines than this hide what they are to explain

export function useMarks({ annotations }: Dashboard): readonly Mark[] {
  const { span } = useTime();
  const navigate = useNavigate();
  const goto = useGoto();
  const shown = annotations.filter(({ enabled }) => enabled);
  const events = shown.find(({ kind }) => kind === "events");
  const incidents = shown.find(({ kind }) => kind === "incidents");
  const asked = shown.filter(({ kind, expr }) => kind === "prometheus" && expr);
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
          ({ ts, title }): Mark => ({ at: ts, text: title, colour: cssColour(events?.colour ?? "blue") }),
        ),
        ...(incidents ? (opened ?? []) : [])
          .filter(({ created_at: at }) => at >= span.start && at <= span.end)
          .map(
            ({ created_at: at, title, id }): Mark => ({
              at,
              text: `incident: ${title}`,
              colour: cssColour(incidents!.colour),
              onPick: () => void navigate(goto(`/incidents/${id}`)),
            }),
          ),
        ...(found ?? []),
      ].slice(0, MOST),
    [changes, opened, found, events?.colour, incidents, span, navigate, goto],
  );
}

/** A mark at each time a series of the annotation's query begins to be there and above zero. */
async function marksOf(annotation: Annotation, span: Span, signal: AbortSignal): Promise<Mark[]> {
  const step = durationSeconds(annotation.step) ?? stepFor(span, 400, 15);
  const { times, series } = await queryRange(annotation.expr, span, step, signal);
  return series.flatMap(({ labels, values }) =>
    values.flatMap((value, at): Mark[] => {
      if (!value || (at > 0 && values[at - 1])) return [];
      const words = [annotation.title || annotation.name, annotation.text].filter(Boolean);
      return [{ at: times[at]!, text: legendOf(words.join(": "), labels), colour: cssColour(annotation.colour) }];
    }),
  );
}

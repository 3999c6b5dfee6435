/** Exemplars of queries as dots on a chart; each leads to its trace. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useNavigate } from "react-router";
import { type Exemplar, queryExemplars } from "@/api/prometheus";
import type { Dot } from "@/charts/TimeSeries";
import { useGoto, useTime } from "@/components/time";
import { clockTime, type Span } from "@/model/timerange";
import { format } from "@/model/units";

const TRACE_LABELS = ["trace_id", "traceID", "traceId", "TraceID"];

export function useExemplars(queries: readonly string[], span: Span, unit?: string): readonly Dot[] {
  const { utc } = useTime();
  const navigate = useNavigate();
  const goto = useGoto();
  const found = useQuery({
    queryKey: ["exemplars", queries, span],
    queryFn: async ({ signal }) =>
      (await Promise.all(queries.map((query) => queryExemplars(query, span, signal)))).flat(),
    enabled: queries.length > 0,
    retry: false,
    placeholderData: (before) => before,
  }).data;
  return useMemo(
    () =>
      (found ?? []).map(({ time, value, labels }: Exemplar) => {
        const trace = TRACE_LABELS.map((name) => labels[name]).find(Boolean);
        return {
          at: time,
          value,
          text: `exemplar ${format(value, unit)} at ${clockTime(time, utc)}${trace ? ", click for its trace" : ""}`,
          onPick: trace ? () => navigate(goto(`/explore/traces/${trace}`)) : undefined,
        };
      }),
    [found, utc, unit, navigate, goto],
  );
}

/** What targets for logs and for traces are answered, as frames: any panel can show them. */

import { logCounts, recordsOf } from "@/api/logs";
import { tracesOf } from "@/api/traces";
import { field } from "@/model/dashboard/frames";
import { readLink } from "@/model/dashboard/links";
import type { LogAsk } from "@/model/dashboard/logsearch";
import type { TraceAsk } from "@/model/dashboard/traceask";
import type { Cell, Field, Frame, Target } from "@/model/dashboard/types";
import { courses } from "@/model/logs";
import type { Span } from "@/model/timerange";

const MOST = 500;

/** Records as a table, or how many there were in each step of time: of each level, or of all. */
export async function logFrames(
  ask: LogAsk,
  { refId, legend }: Target,
  span: Span,
  step: number,
  signal: AbortSignal,
): Promise<Frame[]> {
  const wanted = { query: ask.query, levels: [] };
  if (ask.form === "records") {
    const records = await recordsOf(wanted, span, MOST, signal);
    const column = (name: string, of: (at: number) => string) =>
      field(
        name,
        "text",
        records.map((_, at) => of(at)),
      );
    const times = records.map(({ ts_ns }) => ts_ns / 1e9);
    const fields = [
      field("Time", "time", times),
      column("Line", (at) => records[at]!.body),
      ...(["level", "service", "trace_id"] as const).map((name) => column(name, (at) => records[at]![name])),
    ];
    return [{ refId, name: refId, form: "table", fields }];
  }
  const { times, rows } = courses(await logCounts(wanted, span, step, signal), span, step);
  const per = (count: number) => (ask.perSecond ? count / step : count);
  const series = (name: string, values: readonly number[], labels: Record<string, string>): Frame => ({
    refId,
    name,
    form: "series",
    fields: [field("Time", "time", times), field("Value", "number", values.map(per), labels)],
  });
  if (ask.by) return [...rows].map(([level, values]) => series(level || "no level", values, { level }));
  const total = times.map((_, at) => [...rows.values()].reduce((sum, values) => sum + values[at]!, 0));
  return [series(legend || "records", total, {})];
}

/** Traces as a table whose ids lead to them. */
export async function traceFrames(
  ask: Extract<TraceAsk, { kind: "search" }>,
  { refId, raw }: Target,
  span: Span,
  signal: AbortSignal,
): Promise<Frame[]> {
  const found = await tracesOf(ask.asked, span, limitOf(raw.limit), signal);
  const column = (name: string, kind: Field["kind"], values: readonly Cell[], more: Partial<Field["config"]> = {}) => {
    const made = field(name, kind, values);
    return { ...made, config: { ...made.config, ...more } };
  };
  const link = readLink({ title: "trace", url: "/explore/traces/${__value.raw}" });
  const all = <T extends Cell>(of: (trace: (typeof found)[number]) => T) => found.map(of);
  const fields = [
    column(
      "traceID",
      "text",
      all(({ trace_id }) => trace_id),
      { links: [link] },
    ),
    column(
      "startTime",
      "time",
      all(({ start_ns }) => start_ns / 1e9),
    ),
    column(
      "traceService",
      "text",
      all(({ root_service }) => root_service),
    ),
    column(
      "traceName",
      "text",
      all(({ root_name }) => root_name),
    ),
    column(
      "traceDuration",
      "number",
      all(({ duration_ns }) => duration_ns),
      { unit: "ns" },
    ),
    column(
      "spans",
      "number",
      all(({ spans }) => spans),
    ),
    column(
      "errors",
      "number",
      all(({ errors }) => errors),
    ),
  ];
  return [{ refId, name: refId, form: "table", fields }];
}

function limitOf(value: unknown): number {
  const limit = Number(value);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, MOST) : 20;
}

/** What can be done with a panel from its menu: looked at alone or in Explore, taken along as text, numbers or a picture. */

import type { RefObject } from "react";
import { useNavigate } from "react-router";
import { address } from "@/api/http";
import { copy, csv, save, type Taking } from "@/components/Panel";
import { savePicture } from "@/components/picture";
import { useGoto } from "@/components/time";
import { together as joined, numbers, titleOf } from "@/model/dashboard/frames";
import { interpolate, type Scope } from "@/model/dashboard/interpolate";
import { leadOf } from "@/model/dashboard/links";
import { logAsk } from "@/model/dashboard/logsearch";
import { traceAsk } from "@/model/dashboard/traceask";
import type { Frame, Panel } from "@/model/dashboard/types";
import type { Span } from "@/model/timerange";
import { valuesOf } from "@/model/tracesearch";
import type { PanelData } from "./data";

/** A page of Explore that asks what the panel asks, and the address of the answer over HTTP. */
interface Asked {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly http: string;
}

export function useTakings(
  panel: Panel,
  data: PanelData,
  scope: Scope,
  title: string,
  box: RefObject<HTMLElement | null>,
  acts: readonly Taking[],
): Taking[] {
  const navigate = useNavigate();
  const goto = useGoto();
  const { asked, frames, step, span } = data;
  const name = title.replace(/[^\w-]+/g, "-").toLowerCase() || "panel";
  const signals = panel.targets.filter(({ hidden }) => !hidden).flatMap((target) => ofSignal(target, scope, span));
  const metrics = asked.map(
    (query): Asked => ({
      path: "/explore/metrics",
      query: { q: query },
      http: address("/api/v1/query_range", {}, { query, start: span.start, end: span.end, step }),
    }),
  );
  const all = [...metrics, ...signals];
  const curl = all.map(({ http }) => `curl ${quoted(new URL(http, location.origin).href)}`);
  return [
    ...acts,
    ...(all[0] ? [{ label: "Explore", act: () => void navigate(goto(all[0]!.path, all[0]!.query)) }] : []),
    ...(asked[0] ? [{ label: "Copy as PromQL", act: () => copy(asked.join("\n"), "query") }] : []),
    ...(curl.length ? [{ label: "Copy as curl", act: () => copy(curl.join("\n"), "command") }] : []),
    ...(frames.length ? [{ label: "CSV", act: () => save(`${name}.csv`, csv(rows(frames)), "text/csv") }] : []),
    { label: "PNG", act: () => savePicture(box.current?.querySelector<HTMLElement>(".panel") ?? null, `${name}.png`) },
    ...useLinks(panel, scope),
  ];
}

function ofSignal(target: Panel["targets"][number], scope: Scope, span: Span): Asked[] {
  if (target.kind === "logs") {
    const { query } = logAsk(target, interpolate(target.expr, scope, target.expr.includes("{") ? "regex" : "lucene"));
    return [{ path: "/explore/logs", query: { q: query }, http: address("/aiprism/v1/logs", {}, { query, ...span }) }];
  }
  if (target.kind !== "traces") return [];
  const ask = traceAsk(target, (text) => interpolate(text, scope));
  if (ask.kind === "map")
    return [{ path: "/services/map", query: {}, http: address("/aiprism/v1/services/map", {}, { ...span }) }];
  if (ask.kind === "trace")
    return [
      {
        path: `/explore/traces/${ask.id}`,
        query: {},
        http: address("/aiprism/v1/traces/{trace_id}", { trace_id: ask.id }, {}),
      },
    ];
  const { q: query, service } = ask.asked;
  return [
    {
      path: "/explore/traces",
      query: valuesOf(ask.asked),
      http: address("/aiprism/v1/traces", {}, { query, service, ...span }),
    },
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The links of a panel itself, in its menu. */
function useLinks(panel: Panel, scope: Scope): Taking[] {
  const navigate = useNavigate();
  return panel.links.flatMap((link) => {
    const { title, to, inside } = leadOf(link, scope);
    if (!link.url || to === "#") return [];
    return [
      {
        label: `→ ${title}`,
        act: () => {
          if (inside) void navigate(to);
          else window.open(to, "_blank", "noopener,noreferrer");
        },
      },
    ];
  });
}

/** Series over one column of times; a table as it is. */
function rows(frames: readonly Frame[]): (string | number | null)[][] {
  const table = frames.find(({ form }) => form === "table");
  if (table) {
    const length = table.fields[0]?.values.length ?? 0;
    const cell = (value: unknown) => (typeof value === "number" || typeof value === "string" ? value : null);
    return [
      table.fields.map((each) => titleOf(each, table)),
      ...Array.from({ length }, (_, row) => table.fields.map(({ values }) => cell(values[row]))),
    ];
  }
  const { times, columns } = joined(frames);
  return [
    ["time", ...numbers(frames).map((each) => each.title)],
    ...times.map((time, at) => [new Date(time * 1000).toISOString(), ...columns.map((column) => column[at] ?? null)]),
  ];
}

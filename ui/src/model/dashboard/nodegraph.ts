/**
 * A graph of nodes and edges: out of frames that have `id`, or `source` and `target`, as Grafana's node graph wants them,
 * or out of the map of services.
 */

import type { ServiceMap } from "@/api/services";
import { kindOfShare } from "@/model/red";
import { format } from "@/model/units";
import { display } from "./display";
import type { Field, Frame } from "./types";

export interface Node {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly colour: string; // CSS; empty where nothing says one
  /** The service it is, if any. */
  readonly service: string;
}

export interface Edge {
  readonly source: string;
  readonly target: string;
  readonly text: string;
  readonly colour: string;
  /** How thick it is, 0 to 1. */
  readonly weight: number;
}

export interface NodeGraph {
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
}

/** The graph of frames; null where none of them has what a graph needs. */
export function graphOf(frames: readonly Frame[]): NodeGraph | null {
  const column = (frame: Frame, ...names: string[]) =>
    frame.fields.find(({ name }) => names.includes(name.toLowerCase()));
  const of = (field: Field | undefined, row: number) => (field ? String(field.values[row] ?? "") : "");
  const shown = (field: Field | undefined, row: number) =>
    field ? display(field.values[row] ?? null, field.config).text : "";
  const rows = (frame: Frame) => Array.from({ length: frame.fields[0]?.values.length ?? 0 }, (_, row) => row);
  const wires = frames.filter((frame) => column(frame, "source") && column(frame, "target"));
  const named = frames.filter((frame) => column(frame, "id") && !wires.includes(frame));
  if (wires.length === 0 && named.length === 0) return null;
  const nodes = named.flatMap((frame) =>
    rows(frame).map((row): Node => {
      const id = of(column(frame, "id"), row);
      const stats = [shown(column(frame, "mainstat"), row), shown(column(frame, "secondarystat"), row)];
      const title = of(column(frame, "title"), row) || id;
      const subtitle = of(column(frame, "subtitle"), row);
      return {
        id,
        title,
        text: [subtitle, ...stats].filter(Boolean).join(" · "),
        colour: of(column(frame, "color"), row),
        service: "",
      };
    }),
  );
  const edges = wires.flatMap((frame) => {
    const main = column(frame, "mainstat") ?? frame.fields.find(({ kind }) => kind === "number");
    const most = Math.max(1e-9, ...(main?.values ?? []).map((value) => (typeof value === "number" ? value : 0)));
    return rows(frame).map((row): Edge => {
      const [source, target] = [of(column(frame, "source"), row), of(column(frame, "target"), row)];
      const value = main?.values[row];
      return {
        source,
        target,
        text: shown(main, row),
        colour: "",
        weight: typeof value === "number" ? Math.max(0, value / most) : 0,
      };
    });
  });
  const known = new Set(nodes.map(({ id }) => id));
  const others = [...new Set(edges.flatMap(({ source, target }) => [source, target]))].filter(
    (id) => id && !known.has(id),
  );
  return {
    nodes: [...nodes, ...others.map((id) => ({ id, title: id, text: "", colour: "", service: "" }))],
    edges: edges.filter(({ source, target }) => source && target),
  };
}

/** The map of services as a graph: rate, errors and p95 of each, edges by how much goes over them. */
export function graphOfServices({ nodes, edges }: ServiceMap): NodeGraph {
  const busiest = Math.max(1e-9, ...edges.map(({ rate }) => rate));
  const colour = (calls: number, share: number) => (calls ? `var(--${kindOfShare(share) || "good"})` : "var(--line)");
  const told = (calls: number, rate: number, share: number, p95: number | null) =>
    calls ? `${format(rate, "reqps")} · ${format(share, "percentunit")} · ${format(p95, "ms")}` : "quiet";
  return {
    nodes: nodes.map(({ name, calls, rate, error_share, p95_ms }) => ({
      id: name,
      title: name,
      text: told(calls, rate, error_share, p95_ms),
      colour: colour(calls, error_share),
      service: name,
    })),
    edges: edges.map(({ caller, callee, calls, rate, error_share, p95_ms }) => ({
      source: caller,
      target: callee,
      text: told(calls, rate, error_share, p95_ms),
      colour: colour(calls, error_share),
      weight: Math.min(1, rate / busiest),
    })),
  };
}

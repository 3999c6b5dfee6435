/** Why an alert belongs to an incident, in parts that can be drawn and words that can be read. */

import type { Edge, Part } from "@/api/incidentwork";

export const PARTS: readonly Part[] = ["time", "service", "kind"];

/** How alike two alerts are in each part, and how much of the score that gives. */
export function shares({ parts, weights }: Pick<Edge, "parts" | "weights">): readonly Share[] {
  return PARTS.map((part) => ({ part, like: parts[part], gives: parts[part] * weights[part] }));
}

export interface Share {
  readonly part: Part;
  readonly like: number;
  readonly gives: number;
}

/** The edge that brought each alert, by its fingerprint: the last one, where an alert came twice. */
export function edgeOfEach(edges: readonly Edge[]): ReadonlyMap<string, Edge> {
  return new Map(edges.filter(({ took_in }) => took_in === null).map((edge) => [edge.from, edge]));
}

/** `api-gateway → model-server (declared and seen)`; nothing where the two do not hang together. */
export function wayInWords(way: Edge["way"]): string {
  if (!way) return "";
  return way.known ? `${way.text} (${way.known})` : way.text;
}

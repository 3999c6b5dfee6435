/**
 * Where the services of a map stand: callers left of those they call, few crossings, by dagre's layered layout.
 *
 * In: names and calls. Out: boxes and the points of each line, in pixels, and the size of the whole. Pure, and the same
 * for the same names whatever their order.
 */

import { Graph, layout } from "@dagrejs/dagre";

export interface Box {
  readonly name: string;
  readonly x: number; // of its middle
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Wire {
  readonly caller: string;
  readonly callee: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly wires: readonly Wire[];
}

const HEIGHT = 44;
const WIDTH = 184; // of "1.23 kreq/s · 99.9% · 123 ms"
const LETTER = 7.1;

export function laidOut(
  names: readonly string[],
  calls: readonly { readonly caller: string; readonly callee: string }[],
): Layout {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 84, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const name of names.toSorted()) {
    graph.setNode(name, { width: Math.max(WIDTH, Math.min(230, name.length * LETTER + 30)), height: HEIGHT });
  }
  const known = new Set(names);
  const between = calls.filter(({ caller, callee }) => known.has(caller) && known.has(callee) && caller !== callee);
  for (const { caller, callee } of between.toSorted((one, other) => key(one).localeCompare(key(other))))
    graph.setEdge(caller, callee);
  layout(graph);
  const size = graph.graph();
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    boxes: graph.nodes().map((name) => ({ name, ...pick(graph.node(name)) })),
    wires: graph.edges().map(({ v, w }) => ({ caller: v, callee: w, points: graph.edge(v, w).points ?? [] })),
  };
}

function key({ caller, callee }: { caller: string; callee: string }): string {
  return `${caller}\n${callee}`;
}

function pick({ x, y, width, height }: { x?: number; y?: number; width: number; height: number }) {
  return { x: x ?? 0, y: y ?? 0, width, height };
}

/** A smooth line through points, as the `d` of an SVG path. */
export function curve(points: readonly { readonly x: number; readonly y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  const parts = rest.slice(0, -1).map((point, at) => {
    const next = rest[at + 1]!;
    return at === rest.length - 2
      ? `Q${point.x},${point.y} ${next.x},${next.y}`
      : `Q${point.x},${point.y} ${(point.x + next.x) / 2},${(point.y + next.y) / 2}`;
  });
  return `M${first.x},${first.y} ${parts.length ? parts.join(" ") : rest.map(({ x, y }) => `L${x},${y}`).join(" ")}`;
}

interface Named {
  readonly nodes: readonly { readonly name: string }[];
  readonly edges: readonly { readonly caller: string; readonly callee: string }[];
}

/** Some services with those they call and that call them, and how those hang together. */
export function near<M extends Named>(map: M, centres: readonly string[]): M {
  const near = new Set(centres);
  const names = new Set([
    ...near,
    ...map.edges.flatMap(({ caller, callee }) => (near.has(caller) || near.has(callee) ? [caller, callee] : [])),
  ]);
  return {
    ...map,
    nodes: map.nodes.filter(({ name }) => names.has(name)),
    edges: map.edges.filter(({ caller, callee }) => names.has(caller) && names.has(callee)),
  };
}

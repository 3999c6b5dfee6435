/** Services as boxes and calls as lines, coloured by the share that failed, wide by how much. */

import { useMemo } from "react";
import { useNavigate } from "react-router";
import type { Load, MapEdge, MapNode, ServiceMap } from "@/api/services";
import { useGoto } from "@/components/time";
import { curve, laidOut } from "@/model/maplayout";
import { kindOfShare } from "@/model/red";
import { format } from "@/model/units";

interface Props {
  readonly map: ServiceMap;
  /** How a service or call did, in the time that is looked at. */
  readonly load: (of: MapNode | MapEdge) => Load;
  readonly fit: boolean;
  /** Services to be noticed. */
  readonly marked?: ReadonlySet<string>;
  readonly onPick?: (name: string) => void;
}

export function Drawing({ map, load, fit, marked, onPick }: Props) {
  const place = useMemo(
    () =>
      laidOut(
        map.nodes.map(({ name }) => name),
        map.edges,
      ),
    [map],
  );
  const nodes = new Map(map.nodes.map((node) => [node.name, node]));
  const edges = new Map(map.edges.map((edge) => [`${edge.caller}\n${edge.callee}`, edge]));
  const busiest = Math.max(1e-9, ...map.edges.map((edge) => load(edge).rate));
  return (
    <svg
      width={fit ? "100%" : place.width}
      height={fit ? undefined : place.height}
      viewBox={`0 0 ${place.width} ${place.height}`}
      style={{ display: "block", maxWidth: place.width, maxHeight: fit ? "68vh" : undefined }}
      role="group"
      aria-label={`${map.nodes.length} services, ${map.edges.length} calls`}
    >
      {place.wires.map(({ caller, callee, points }) => {
        const edge = edges.get(`${caller}\n${callee}`)!;
        return (
          <Wire key={`${caller} ${callee}`} edge={edge} load={load(edge)} busiest={busiest} path={curve(points)} />
        );
      })}
      {place.boxes.map((box) => (
        <Box
          key={box.name}
          node={nodes.get(box.name)!}
          load={load(nodes.get(box.name)!)}
          box={box}
          marked={marked?.has(box.name) ?? false}
          onPick={onPick && (() => onPick(box.name))}
        />
      ))}
    </svg>
  );
}

function colourOf({ calls, error_share }: Load): string {
  if (calls === 0) return "var(--line)";
  return `var(--${kindOfShare(error_share) || "good"})`;
}

function Wire({ edge, load, busiest, path }: { edge: MapEdge; load: Load; busiest: number; path: string }) {
  const width = 1 + 4 * Math.sqrt(Math.min(1, load.rate / busiest));
  return (
    <path
      d={path}
      fill="none"
      stroke={colourOf(load)}
      strokeWidth={width}
      strokeDasharray={edge.seen ? undefined : "5 4"}
      opacity={0.75}
    >
      <title>
        {`${edge.caller} → ${edge.callee}${edge.system ? ` (${edge.system})` : ""}: ${load.calls ? `${format(load.rate, "reqps")}, ${format(load.error_share, "percentunit")} failed, p95 ${format(load.p95_ms, "ms")}` : edge.seen ? "no calls then" : "declared, never seen"}`}
      </title>
    </path>
  );
}

function Box({
  node,
  load,
  box,
  marked,
  onPick,
}: {
  node: MapNode;
  load: Load;
  box: { x: number; y: number; width: number; height: number };
  marked: boolean;
  onPick: (() => void) | undefined;
}) {
  const navigate = useNavigate();
  const goto = useGoto();
  const open = () => void navigate(goto(`/services/${encodeURIComponent(node.name)}`));
  const told = load.calls
    ? `${format(load.rate, "reqps")} · ${format(load.error_share, "percentunit")} · ${format(load.p95_ms, "ms")}`
    : node.seen
      ? "quiet"
      : "never seen";
  return (
    <g transform={`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a short cut of the pointer; the name beside it is reached by keys */}
      <rect
        width={box.width}
        height={box.height}
        rx={6}
        fill={marked ? "var(--bad-wash)" : "var(--panel)"}
        stroke={colourOf(load)}
        strokeWidth={1.5}
        strokeDasharray={node.seen ? undefined : "5 4"}
        onClick={onPick}
        style={onPick && { cursor: "pointer" }}
      />
      <text
        x={10}
        y={18}
        fontSize={12.5}
        fontWeight={600}
        fill="var(--ink)"
        role="link"
        tabIndex={0}
        aria-label={`${node.name}: ${told}`}
        onClick={open}
        onKeyDown={(event) => event.key === "Enter" && open()}
        style={{ cursor: "pointer" }}
      >
        {node.name.length > 28 ? `${node.name.slice(0, 27)}…` : node.name}
      </text>
      <text x={10} y={34} fontSize={11} fill="var(--quiet)" pointerEvents="none">
        {told}
      </text>
    </g>
  );
}

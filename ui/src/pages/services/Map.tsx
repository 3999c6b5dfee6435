/** Who calls whom: boxes and lines, coloured by the share that failed, wide by how much; a slider goes through the range. */

import { Button, Group, SegmentedControl, Slider } from "@mantine/core";
import { useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { type Load, type MapEdge, type MapNode, type ServiceMap, useServiceMap } from "@/api/services";
import { Panel } from "@/components/Panel";
import { Nothing, Shown } from "@/components/states";
import { useGoto, useTime, useUrl } from "@/components/time";
import { curve, laidOut } from "@/model/maplayout";
import { kindOfShare } from "@/model/red";
import { dateTime, stepFor } from "@/model/timerange";
import { format } from "@/model/units";

const STEPS = 60;

export default function Page() {
  const { span } = useTime();
  const map = useServiceMap(span, stepFor(span, STEPS, 60));
  return (
    <Shown of={map} rows={10}>
      {(found) =>
        found.nodes.length ? (
          <Drawn map={found} />
        ) : (
          <Nothing title="No service yet">
            The map draws the calls that traces show, and the dependencies that services.yml declares.
          </Nothing>
        )
      }
    </Shown>
  );
}

function Drawn({ map }: { map: ServiceMap }) {
  const { utc } = useTime();
  const [focus, setFocus] = useUrl("focus");
  const [scale, setScale] = useState("fit");
  const times = useMemo(
    () => Array.from({ length: Math.ceil((map.end - map.start) / map.step) }, (_, at) => map.start + at * map.step),
    [map],
  );
  const [at, setAt] = useState<number | null>(null); // null: the whole range
  const shown = useMemo(() => near(map, focus), [map, focus]);
  const place = useMemo(
    () =>
      laidOut(
        shown.nodes.map(({ name }) => name),
        shown.edges,
      ),
    [shown],
  );
  const nodes = new Map(shown.nodes.map((node) => [node.name, node]));
  const edges = new Map(shown.edges.map((edge) => [`${edge.caller}\n${edge.callee}`, edge]));
  const busiest = Math.max(1e-9, ...shown.edges.map((edge) => loadAt(edge, times, at).rate));
  return (
    <Panel
      title={focus ? `Around ${focus}` : "Who calls whom"}
      note={at === null ? "the whole range" : `from ${dateTime(times[at]!, utc)}`}
      side={
        <>
          {focus && (
            <Button size="compact-xs" variant="subtle" onClick={() => setFocus("", true)}>
              all services
            </Button>
          )}
          <SegmentedControl size="xs" aria-label="size" data={["fit", "full"]} value={scale} onChange={setScale} />
        </>
      }
    >
      <section className="scroll" aria-label="map" tabIndex={0} style={{ maxHeight: "70vh", overflowY: "auto" }}>
        <svg
          width={scale === "fit" ? "100%" : place.width}
          height={scale === "fit" ? undefined : place.height}
          viewBox={`0 0 ${place.width} ${place.height}`}
          style={{ display: "block", maxWidth: place.width, maxHeight: scale === "fit" ? "68vh" : undefined }}
          role="group"
          aria-label={`${shown.nodes.length} services, ${shown.edges.length} calls`}
        >
          {place.wires.map(({ caller, callee, points }) => {
            const edge = edges.get(`${caller}\n${callee}`)!;
            return (
              <Wire
                key={`${caller} ${callee}`}
                edge={edge}
                load={loadAt(edge, times, at)}
                busiest={busiest}
                path={curve(points)}
              />
            );
          })}
          {place.boxes.map((box) => {
            const node = nodes.get(box.name)!;
            return (
              <Box
                key={box.name}
                node={node}
                load={loadAt(node, times, at)}
                box={box}
                onFocus={() => setFocus(focus === box.name ? "" : box.name, true)}
              />
            );
          })}
        </svg>
      </section>
      <Group gap={14} pt={8} wrap="nowrap">
        <Slider
          flex={1}
          size="sm"
          thumbLabel="moment"
          label={(value) => (value >= times.length ? "whole range" : dateTime(times[value] ?? map.end, utc))}
          min={0}
          max={times.length}
          value={at ?? times.length}
          onChange={(value) => setAt(value >= times.length ? null : value)}
        />
        <span className="quiet">a click shows what stands around a service; its name leads to its page</span>
      </Group>
      {!map.is_whole && (
        <div className="warn">There are more services or calls than are told; the map shows the busiest.</div>
      )}
    </Panel>
  );
}

const NONE: Load = { calls: 0, errors: 0, p50_ms: null, p95_ms: null, p99_ms: null, rate: 0, error_share: 0 };

function loadAt(of: MapNode | MapEdge, times: readonly number[], at: number | null): Load {
  if (at === null) return of;
  return of.points?.find(({ start }) => start === times[at]) ?? NONE;
}

/** The service with those it calls and that call it, and how those hang together; all of them without one. */
function near(map: ServiceMap, focus: string): ServiceMap {
  if (!focus) return map;
  const names = new Set([
    focus,
    ...map.edges.flatMap(({ caller, callee }) => (caller === focus ? [callee] : callee === focus ? [caller] : [])),
  ]);
  return {
    ...map,
    nodes: map.nodes.filter(({ name }) => names.has(name)),
    edges: map.edges.filter(({ caller, callee }) => names.has(caller) && names.has(callee)),
  };
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
  onFocus,
}: {
  node: MapNode;
  load: Load;
  box: { x: number; y: number; width: number; height: number };
  onFocus: () => void;
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
        fill="var(--panel)"
        stroke={colourOf(load)}
        strokeWidth={1.5}
        strokeDasharray={node.seen ? undefined : "5 4"}
        onClick={onFocus}
        style={{ cursor: "pointer" }}
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

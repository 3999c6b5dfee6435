import { useMemo } from "react";
import { Link } from "react-router";
import { useServiceMap } from "@/api/services";
import { Nothing, Shown } from "@/components/states";
import { useGoto } from "@/components/time";
import { type Edge, type NodeGraph as Graph, graphOf, graphOfServices, type Node } from "@/model/dashboard/nodegraph";
import { type Box, curve, laidOut } from "@/model/maplayout";
import type { PanelProps } from "./interface";

/** Nodes and what runs between them: of the panel's frames, or of the services where it asks for no others. */
export default function NodeGraph({ panel, frames, span, height }: PanelProps) {
  const graph = useMemo(() => graphOf(frames), [frames]);
  if (graph) return <Drawn graph={graph} label={panel.title || "graph"} height={height} />;
  const asked = panel.targets.some(({ kind, hidden }) => kind === "prometheus" && !hidden);
  if (asked)
    return (
      <Nothing title="This is no graph yet">
        It needs a table with the columns <code>id</code>, or <code>source</code> and <code>target</code>.
        Transformations can name them.
      </Nothing>
    );
  return <Services span={span} label={panel.title || "services"} height={height} />;
}

function Services({ span, label, height }: Pick<PanelProps, "span" | "height"> & { label: string }) {
  const map = useServiceMap(span);
  return (
    <Shown of={map}>
      {(found) =>
        found.nodes.length ? (
          <Drawn graph={graphOfServices(found)} label={label} height={height} />
        ) : (
          <Nothing title="No service yet">
            It draws the calls that traces show, and those services.yml declares.
          </Nothing>
        )
      }
    </Shown>
  );
}

function Drawn({ graph, label, height }: { graph: Graph; label: string; height: number }) {
  const place = useMemo(
    () =>
      laidOut(
        graph.nodes.map(({ id }) => id),
        graph.edges.map(({ source, target }) => ({ caller: source, callee: target })),
      ),
    [graph],
  );
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const edges = new Map(graph.edges.map((edge) => [`${edge.source}\n${edge.target}`, edge]));
  return (
    <svg
      viewBox={`0 0 ${place.width} ${place.height}`}
      style={{ display: "block", width: "100%", maxWidth: place.width * 1.2, maxHeight: height, margin: "0 auto" }}
      role="group"
      aria-label={`${label}: ${graph.nodes.length} nodes, ${graph.edges.length} edges`}
    >
      {place.wires.map(({ caller, callee, points }) => (
        <Wire key={`${caller} ${callee}`} edge={edges.get(`${caller}\n${callee}`)!} path={curve(points)} />
      ))}
      {place.boxes.map((box) => (
        <One key={box.name} node={nodes.get(box.name)!} box={box} />
      ))}
    </svg>
  );
}

function Wire({ edge: { source, target, text, colour, weight }, path }: { edge: Edge; path: string }) {
  return (
    <path d={path} fill="none" stroke={colour || "var(--quiet)"} strokeWidth={1 + 4 * Math.sqrt(weight)} opacity={0.7}>
      <title>{[`${source} → ${target}`, text].filter(Boolean).join(": ")}</title>
    </path>
  );
}

const LETTERS = 26;

function One({ node: { title, text, colour, service }, box }: { node: Node; box: Box }) {
  const goto = useGoto();
  const cut = title.length > LETTERS ? `${title.slice(0, LETTERS - 1)}…` : title;
  const name = (
    <text x={10} y={text ? 18 : 26} fontSize={12.5} fontWeight={600} fill="var(--ink)">
      {cut}
    </text>
  );
  return (
    <g transform={`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}>
      <rect
        width={box.width}
        height={box.height}
        rx={6}
        fill="var(--panel)"
        stroke={colour || "var(--quiet)"}
        strokeWidth={1.5}
      />
      <title>{[title, text].filter(Boolean).join(": ")}</title>
      {service ? <Link to={goto(`/services/${encodeURIComponent(service)}`)}>{name}</Link> : name}
      {text && (
        <text x={10} y={34} fontSize={11} fill="var(--quiet)">
          {text.length > 30 ? `${text.slice(0, 29)}…` : text}
        </text>
      )}
    </g>
  );
}

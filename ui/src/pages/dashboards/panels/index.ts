/**
 * Which component draws a panel of which type. A view is loaded when a dashboard has it; a type that is not here is named
 * on the page as missing. `alone`: it needs no frames (it asks for itself, or shows only its options).
 */

import { type Lazily, lazily } from "@/components/lazily";
import type { PanelProps, PanelView } from "./interface";

interface View {
  readonly view: Lazily<PanelProps>;
  readonly alone?: boolean;
}

const of = (load: () => Promise<{ default: PanelView }>, alone = false): View => ({ view: lazily(load), alone });

// Without a prototype: a panel of type `constructor` is of none of these.
export const VIEWS: Readonly<Record<string, View>> = Object.assign(Object.create(null), {
  timeseries: of(() => import("./TimeSeriesPanel")),
  trend: of(() => import("./TrendPanel")),
  stat: of(() => import("./Stat")),
  gauge: of(() => import("./Gauge")),
  bargauge: of(() => import("./BarGauge")),
  barchart: of(() => import("./BarChart")),
  histogram: of(() => import("./BarChart")),
  xychart: of(() => import("./XyChart")),
  "state-timeline": of(() => import("./States")),
  "status-history": of(() => import("./States")),
  piechart: of(() => import("./PieChart")),
  heatmap: of(() => import("./Heatmap")),
  table: of(() => import("./TablePanel")),
  text: of(() => import("./Text"), true),
  logs: of(() => import("./Logs"), true),
  traces: of(() => import("./Traces"), true),
  nodeGraph: of(() => import("./NodeGraph"), true),
  alertlist: of(() => import("./Lists"), true),
  dashlist: of(() => import("./Lists"), true),
} satisfies Record<string, View>);

export type { PanelProps, PanelView };

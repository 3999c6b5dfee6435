import { useMemo } from "react";
import { Nothing } from "@/components/states";
import { text } from "@/model/dashboard/options";
import { trendOf } from "@/model/dashboard/trend";
import type { PanelProps } from "./interface";
import TimeSeriesPanel from "./TimeSeriesPanel";

/** Numbers over another number: drawn as series are, along what is no time. */
export default function TrendPanel(props: PanelProps) {
  const by = text(props.panel.options.xField);
  const trend = useMemo(() => trendOf(props.frames, by), [props.frames, by]);
  if (typeof trend === "string") return <Nothing title="There is no trend">{trend}</Nothing>;
  return <TimeSeriesPanel {...props} {...trend} marks={[]} dots={[]} together={undefined} />;
}

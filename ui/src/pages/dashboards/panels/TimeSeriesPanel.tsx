import { useCallback, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { Legend } from "@/charts/Legend";
import { type Line, TimeSeries } from "@/charts/TimeSeries";
import { useTime } from "@/components/time";
import { levels, seriesColour } from "@/model/dashboard/display";
import { apart, together as joined } from "@/model/dashboard/frames";
import type { Lead } from "@/model/dashboard/links";
import { at, bool, maybe, num, object, text, texts } from "@/model/dashboard/options";
import { reduced } from "@/model/dashboard/reduce";
import { logOf } from "@/model/dashboard/scale";
import type { Along } from "@/model/dashboard/trend";
import type { FieldConfig } from "@/model/dashboard/types";
import { absolute } from "@/model/timerange";
import type { PanelProps } from "./interface";
import { LegendTable } from "./LegendTable";

const MOST = 250;
const LINE = 20;
const LETTER = 6.8; // pixels

interface Props extends PanelProps {
  /** What they are drawn along, where it is no time. */
  readonly along?: Along;
}

/** Series over time; also graphs of old. */
export default function TimeSeriesPanel({ panel, frames, span, height, marks, dots, leads, together, along }: Props) {
  const { utc, setRange } = useTime();
  const go = useGo();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const { times, lines, all } = useMemo(() => drawn(frames, leads, go), [frames, leads, go]);
  const shown = useMemo(
    () => lines.map((line) => (hidden.has(line.name) ? { ...line, hidden: true } : line)),
    [lines, hidden],
  );
  const config = panel.field;
  const legend = object(panel.options.legend);
  const calcs = texts(legend.calcs);
  const withLegend = bool(legend.showLegend, true) && legend.displayMode !== "hidden";
  const right = withLegend && legend.placement === "right";
  const table = withLegend && (legend.displayMode === "table" || calcs.length > 0);
  const listed = lines.filter(({ name }) => !all.get(name)?.quiet);
  const below =
    !withLegend || right
      ? 0
      : Math.min(table ? (listed.length + 1) * LINE + 6 : LINE * (listed.length > 4 ? 2 : 1) + 6, height * 0.4);
  const longest = Math.min(40, Math.max(0, ...listed.map(({ name }) => name.length)));
  const wanted = longest * LETTER + (table ? 64 * Math.max(1, calcs.length) + 36 : 90);
  const stacked = lines.some(({ stack }) => stack !== "none");
  const percent = frames.some(({ fields }) => fields.some((each) => modeOf(each.config) === "percent"));
  const style = text(at(config.custom, "thresholdsStyle.mode"), "off");
  const names = table ? (
    <LegendTable
      lines={listed}
      calcs={calcs.length ? calcs : ["lastNotNull"]}
      config={config}
      hidden={hidden}
      onChange={setHidden}
    />
  ) : (
    <Legend lines={listed} unit={config.unit} hidden={hidden} onChange={setHidden} />
  );
  return (
    <div
      style={{
        display: "grid",
        gridTemplateColumns: right
          ? `minmax(0, 1fr) minmax(120px, min(${table ? 55 : 45}%, ${wanted}px))`
          : "minmax(0, 1fr)",
        gap: right ? 10 : 0,
      }}
    >
      <TimeSeries
        label={panel.title || "series"}
        times={times}
        lines={shown}
        span={span}
        utc={utc}
        height={Math.max(60, Math.floor(height - below))}
        unit={config.unit}
        decimals={config.decimals}
        min={config.min ?? maybe(config.custom.axisSoftMin)}
        max={config.max}
        stacked={percent ? "percent" : stacked}
        log={logOf(config)}
        levels={
          style === "off"
            ? []
            : levels(config)
                .filter(({ value }) => Number.isFinite(value))
                .map((level) => ({ ...level, fill: style.includes("area") }))
        }
        marks={marks}
        dots={dots}
        together={together}
        tip={
          text(at(panel.options, "tooltip.mode")) === "none"
            ? "none"
            : text(at(panel.options, "tooltip.mode")) === "single"
              ? "single"
              : "multi"
        }
        along={along}
        onZoom={along ? undefined : (to) => setRange(absolute(to))}
      />
      {withLegend && <div style={{ maxHeight: right ? height : below, overflowY: "auto" }}>{names}</div>}
      {lines.length === MOST && (
        <div className="warn">The first {MOST} series are drawn; aggregate to see the others.</div>
      )}
    </div>
  );
}

interface Drawn {
  readonly quiet: boolean; // not in the legend
}

/** Goes where a link leads: to a page here, or beside it. */
function useGo() {
  const navigate = useNavigate();
  return useCallback(
    ({ to, inside }: Lead) => {
      if (inside) void navigate(to);
      else window.open(to, "_blank", "noopener,noreferrer");
    },
    [navigate],
  );
}

function drawn(frames: PanelProps["frames"], leads: PanelProps["leads"], go: (lead: Lead) => void) {
  const { times, columns, of } = joined(frames.flatMap((frame) => (frame.form === "table" ? apart(frame) : [frame])));
  const all = new Map<string, Drawn>();
  const taken = new Map<string, number>();
  const usual = of[0]?.field.config.unit;
  const lines = of.slice(0, MOST).flatMap(({ field, frame, title, times: own }, place): Line[] => {
    const { config } = field;
    const hide = object(config.custom.hideFrom);
    if (bool(hide.viz)) return [];
    const again = taken.get(title) ?? 0;
    taken.set(title, again + 1);
    const name = again ? `${title} (${again + 1})` : title;
    all.set(name, { quiet: bool(hide.legend) });
    const values = treated(columns[place]!, config);
    const onPick =
      config.links.length === 0
        ? undefined
        : (row: number) => {
            const lead = leads({ field, frame, row: own.indexOf(times[row]!) })[0];
            if (lead) go(lead);
          };
    return [{ name, values, colour: seriesColour(config, place, reduced(values)), onPick, ...looks(config, usual) }];
  });
  return { times, lines, all };
}

/** Gaps closed or filled as the field says, and mirrored below zero where it is to be. */
function treated(values: readonly (number | null)[], { custom }: FieldConfig): readonly (number | null)[] {
  const filled = bool(custom.nullAsZero)
    ? values.map((value) => value ?? 0)
    : custom.spanNulls === true
      ? bridged(values)
      : values;
  return custom.transform === "negative-Y" ? filled.map((value) => (value === null ? null : -value)) : filled;
}

function bridged(values: readonly (number | null)[]): readonly (number | null)[] {
  const result = [...values];
  let last = -1;
  values.forEach((value, place) => {
    if (value === null) return;
    const from = last >= 0 ? values[last]! : 0;
    for (let gap = last + 1; last >= 0 && gap < place; gap++)
      result[gap] = from + ((value - from) * (gap - last)) / (place - last);
    last = place;
  });
  return result;
}

/** What is measured in something else than the first line has an axis of its own, if nothing is said of it. */
function looks({ custom, unit }: FieldConfig, usual: string | undefined): Partial<Line> {
  const draw = custom.drawStyle === "bars" || custom.drawStyle === "points" ? custom.drawStyle : "line";
  const step =
    custom.lineInterpolation === "stepAfter"
      ? "after"
      : custom.lineInterpolation === "stepBefore"
        ? "before"
        : undefined;
  const dash =
    at(custom, "lineStyle.fill") === "dash" ? [8, 6] : at(custom, "lineStyle.fill") === "dot" ? [2, 5] : undefined;
  return {
    draw,
    step,
    dash,
    width: num(custom.lineWidth, 1),
    fill: num(custom.fillOpacity, 0) / 100,
    unit,
    axis: custom.axisPlacement === "right" || (unit !== usual && custom.axisPlacement !== "left") ? "right" : "left",
    // Only what is drawn in the same way, along the same axis, can lie on each other.
    stack: ["normal", "percent"].includes(modeOf({ custom }))
      ? `${text(at(custom, "stacking.group"))} ${draw} ${text(custom.axisPlacement)}`
      : "none",
  };
}

function modeOf({ custom }: Pick<FieldConfig, "custom">): string {
  return text(at(custom, "stacking.mode"), "none");
}

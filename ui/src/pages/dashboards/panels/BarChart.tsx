import { useMemo } from "react";
import { Bars } from "@/charts/Bars";
import { useTime } from "@/components/time";
import { barsOf, type Stacking } from "@/model/dashboard/bars";
import { display, stateColour } from "@/model/dashboard/display";
import { histogramOf } from "@/model/dashboard/histogram";
import { at, bool, num, one, text } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";

/** Bars by category, or by how often values occur (histogram). */
export default function BarChart({ panel, frames, height }: PanelProps) {
  const { utc } = useTime();
  const { options, field } = panel;
  const counted = panel.type === "histogram";
  const data = useMemo(
    () => (counted ? histogramOf(frames, options) : barsOf(frames, options, utc)),
    [frames, options, counted, utc],
  );
  const legend = bool(at(options, "legend.showLegend"), true) && data.series.length > 1;
  const direction = text(options.orientation, "auto");
  // Grafana's "auto" is upright; names that would be cut off lie better.
  const longest = Math.max(0, ...data.categories.map((name) => name.length));
  const lying =
    !counted && (direction === "horizontal" || (direction === "auto" && longest > 14 && data.categories.length > 4));
  if (data.categories.length === 0) return <div className="empty">There are no numbers to draw.</div>;
  const single = data.series.length === 1 && !counted ? data.series[0]! : null;
  const byValue = single && !["", "palette-classic"].includes(single.config.colour.mode);
  return (
    <>
      <Bars
        label={panel.title || "bars"}
        data={data}
        height={Math.max(60, height - (legend ? 24 : 2))}
        lying={lying}
        stacking={one<Stacking>(options.stacking, ["none", "normal", "percent"])}
        values={counted ? "never" : one<"auto" | "always" | "never">(options.showValue, ["auto", "always", "never"])}
        fill={num(field.custom.fillOpacity, 80) / 100}
        share={counted ? 0.98 : num(options.groupWidth, 0.75)}
        colourOf={
          byValue
            ? (category) => {
                const value = single.values[category] ?? null;
                return stateColour(value, display(value, single.config).text, single.config);
              }
            : undefined
        }
      />
      {legend && (
        <div className="legend" role="group" aria-label="legend">
          {data.series.map(({ name, colour }) => (
            <span key={name}>
              <i className="dot" style={{ background: colour, marginRight: 6 }} />
              {name}
            </span>
          ))}
        </div>
      )}
    </>
  );
}

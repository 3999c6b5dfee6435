import { useMemo } from "react";
import { Scatter } from "@/charts/Scatter";
import { Nothing } from "@/components/states";
import { cloudsOf } from "@/model/dashboard/clouds";
import { at, bool } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";

const MOST = 5000; // points
const LEGEND = 24;

/** Numbers over numbers, as points: each leads where the links of its field lead. */
export default function XyChart({ panel, frames, height, leads }: PanelProps) {
  const clouds = useMemo(() => cloudsOf(frames, panel.options), [frames, panel.options]);
  const count = clouds.reduce((sum, { points }) => sum + points.length, 0);
  const few =
    count > MOST ? clouds.map((each) => ({ ...each, points: each.points.slice(0, MOST / clouds.length) })) : clouds;
  if (count === 0)
    return (
      <Nothing title="There are no points">
        One answer has to have two numbers in each row: ask for tables, and join them with a transformation.
      </Nothing>
    );
  const legend = bool(at(panel.options, "legend.showLegend"), true) && clouds.length > 1;
  return (
    <>
      <Scatter
        label={panel.title || "points"}
        clouds={few}
        height={Math.max(60, height - (legend ? LEGEND : 2))}
        led={({ y, frame }, row, point) => (
          <Linked spot={{ field: y, frame, row }} leads={leads}>
            {point}
          </Linked>
        )}
      />
      {legend && (
        <div className="legend" role="group" aria-label="legend">
          {clouds.map(({ name, colour }, place) => (
            <span key={`${place} ${name}`}>
              <i className="dot" style={{ background: colour, marginRight: 6 }} />
              {name}
            </span>
          ))}
        </div>
      )}
      {count > MOST && (
        <div className="warn">
          {MOST} of {count} points are drawn; aggregate to see the others.
        </div>
      )}
    </>
  );
}

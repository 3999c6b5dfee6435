import { type ComponentProps, useCallback, useMemo } from "react";
import { Scatter } from "@/charts/Scatter";
import { Nothing } from "@/components/states";
import { cloudsOf, counted, placed, thinned } from "@/model/dashboard/clouds";
import { at, bool } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";

const MOST = 5000; // points
const LEGEND = 24;

/** Numbers over numbers, as points: each leads where the links of its field lead. */
export default function XyChart({ panel, frames, height, leads }: PanelProps) {
  const { clouds, without } = useMemo(() => placed(cloudsOf(frames, panel.options)), [frames, panel.options]);
  const few = useMemo(() => thinned(clouds, MOST), [clouds]);
  const [count, drawn] = [counted(clouds), counted(few)];
  const led = useCallback<ComponentProps<typeof Scatter>["led"]>(
    ({ y, frame }, row, point) => (
      <Linked spot={{ field: y, frame, row }} leads={leads}>
        {point}
      </Linked>
    ),
    [leads],
  );
  const outside = without > 0 && (
    <div className="warn">{without} points at zero or below have no place on an axis of logarithms.</div>
  );
  if (count === 0 && outside) return outside;
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
        led={led}
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
      {outside}
      {drawn < count && (
        <div className="warn">
          {drawn} of {count} points are drawn; aggregate to see the others.
        </div>
      )}
    </>
  );
}

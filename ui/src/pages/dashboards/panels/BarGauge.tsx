import { figures, scale } from "@/model/dashboard/figures";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";
import { NoFigure } from "./NoFigure";

/** A bar for each number, all on one scale. */
export default function BarGauge({ panel, frames, leads }: PanelProps) {
  const all = figures(frames, panel.options);
  if (all.length === 0) return <NoFigure options={panel.options} />;
  return (
    <table className="table bars" aria-label={panel.title || "bars"}>
      <tbody>
        {all.map(({ title, value, shown, colour, config, spot }, at) => {
          const [low, high] = scale(all, config);
          const share = value === null ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low)));
          return (
            <tr key={`${at} ${title}`}>
              <th scope="row" className="cut" title={title}>
                {title}
              </th>
              <td style={{ width: "100%" }}>
                <div className="barrail">
                  <div style={{ width: `${(share * 100).toFixed(1)}%`, background: colour || "var(--accent)" }} />
                </div>
              </td>
              <td className="number">
                <Linked spot={spot} leads={leads}>
                  {shown.text}
                </Linked>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

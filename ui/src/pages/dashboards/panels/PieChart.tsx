import { useElementSize } from "@mantine/hooks";
import { seriesColour } from "@/model/dashboard/display";
import { figures } from "@/model/dashboard/figures";
import { bool, object, texts } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";

/** Parts of a whole, with their names, values and shares. */
export default function PieChart({ panel, frames, height, leads }: PanelProps) {
  const parts = figures(frames, panel.options)
    .map((figure, at) => ({
      ...figure,
      part: Math.max(0, figure.value ?? 0),
      colour: seriesColour(figure.config, at, figure.value),
    }))
    .filter(({ part }) => part > 0);
  const total = parts.reduce((sum, { part }) => sum + part, 0);
  const legend = object(panel.options.legend);
  const values = texts(legend.values).length ? texts(legend.values) : ["percent"];
  const { ref, width } = useElementSize<HTMLDivElement>();
  // Beside it there is room for names only where there is some.
  const below = bool(legend.showLegend, true) && (legend.placement !== "right" || width < 300);
  const size = Math.max(60, Math.min((below ? height - Math.min(parts.length * 22, height * 0.4) : height) - 14, 260));
  const hole = panel.options.pieType === "donut" ? 0.58 : 0;
  let from = 0;
  const slices = parts.map(({ title, part, colour, shown, spot }) => {
    const start = from;
    from += part / total;
    return { title, colour, spot, share: part / total, text: shown.text, path: slice(start, from, hole) };
  });
  if (total === 0) return <div className="empty">All parts are zero.</div>;
  return (
    <div
      ref={ref}
      style={{
        display: "flex",
        flexDirection: below ? "column" : "row",
        gap: below ? 6 : 14,
        alignItems: "center",
        justifyContent: "center",
      }}
    >
      <svg
        viewBox="-1.02 -1.02 2.04 2.04"
        style={{ flex: "none", width: size, maxWidth: below ? "100%" : "55%", maxHeight: size }}
        role="img"
        aria-label={`${panel.title}: ${slices.map(({ title, share }) => `${title} ${(share * 100).toFixed(1)} %`).join(", ")}`}
      >
        {slices.map(({ title, colour, path, text }) => (
          <path key={title} d={path} fill={colour} stroke="var(--panel)" strokeWidth={0.012} fillRule="evenodd">
            <title>{`${title} ${text}`}</title>
          </path>
        ))}
      </svg>
      {bool(legend.showLegend, true) && (
        <div
          role="group"
          aria-label="legend"
          tabIndex={0}
          style={{ minHeight: 0, maxHeight: below ? height - size - 10 : height, overflowY: "auto" }}
        >
          <table className="table" style={{ width: "auto", fontSize: 12 }} aria-label="parts">
            <tbody>
              {slices.map(({ title, colour, share, text, spot }) => (
                <tr key={title}>
                  <td>
                    <i className="dot" style={{ background: colour, marginRight: 6 }} />
                    <Linked spot={spot} leads={leads}>
                      {title}
                    </Linked>
                  </td>
                  {values.includes("value") && <td className="number">{text}</td>}
                  {values.includes("percent") && <td className="number">{(share * 100).toFixed(1)} %</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function slice(from: number, to: number, hole: number): string {
  const point = (share: number, radius: number) =>
    `${(radius * Math.sin(2 * Math.PI * share)).toFixed(5)} ${(-radius * Math.cos(2 * Math.PI * share)).toFixed(5)}`;
  const end = Math.min(to, from + 0.99999); // a whole circle has no end of its own
  const large = end - from > 0.5 ? 1 : 0;
  const outer = `M ${point(from, 1)} A 1 1 0 ${large} 1 ${point(end, 1)}`;
  if (!hole) return `${outer} L 0 0 Z`;
  return `${outer} L ${point(end, hole)} A ${hole} ${hole} 0 ${large} 0 ${point(from, hole)} Z`;
}

import { levels } from "@/model/dashboard/display";
import { type Figure, figures, scale } from "@/model/dashboard/figures";
import { bool } from "@/model/dashboard/options";
import type { PanelProps } from "./interface";
import { Linked } from "./Linked";
import { NoFigure } from "./NoFigure";

const [WIDTH, HEIGHT, RADIUS] = [200, 118, 82];

/** Half circles: how far a number is on its way, with the thresholds around. */
export default function Gauge({ panel, frames, height, leads }: PanelProps) {
  const all = figures(frames, panel.options);
  const marked = bool(panel.options.showThresholdMarkers, true);
  if (all.length === 0) return <NoFigure options={panel.options} />;
  return (
    <div className="stats" style={{ minHeight: height }}>
      {all.map((figure, at) => (
        <Linked key={`${at} ${figure.title}`} spot={figure.spot} leads={leads}>
          <One figure={figure} all={all} marked={marked} height={height} named={all.length > 1} />
        </Linked>
      ))}
    </div>
  );
}

function One({
  figure,
  all,
  marked,
  height,
  named,
}: {
  figure: Figure;
  all: readonly Figure[];
  marked: boolean;
  height: number;
  named: boolean;
}) {
  const { title, value, shown, colour, config } = figure;
  const [low, high] = scale(all, config);
  const share = (of: number) => Math.min(1, Math.max(0, (of - low) / (high - low)));
  const steps = levels({ ...config, min: low, max: high });
  return (
    <figure style={{ margin: 0, textAlign: "center" }}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        style={{ maxHeight: Math.max(60, height - 24), maxWidth: "100%" }}
        role="img"
        aria-label={`${title}: ${shown.text}`}
      >
        <path d={arc(0, 1, RADIUS)} fill="none" stroke="var(--line)" strokeWidth={16} />
        {value !== null && (
          <path d={arc(0, share(value), RADIUS)} fill="none" stroke={colour || "var(--accent)"} strokeWidth={16} />
        )}
        {marked &&
          steps.map((step, at) => (
            <path
              key={step.value}
              d={arc(share(step.value), share(steps[at + 1]?.value ?? high), RADIUS + 12)}
              fill="none"
              stroke={step.colour}
              strokeWidth={4}
            />
          ))}
        <text x={WIDTH / 2} y={HEIGHT - 18} textAnchor="middle" fontSize={25} fontWeight={600} fill="currentColor">
          {shown.text}
        </text>
      </svg>
      {named && <figcaption className="quiet cut">{title}</figcaption>}
    </figure>
  );
}

/** The part of the half circle between two shares of it. */
function arc(from: number, to: number, radius: number): string {
  const point = (share: number) => {
    const angle = Math.PI * (1 - share);
    return `${(WIDTH / 2 + radius * Math.cos(angle)).toFixed(2)} ${(HEIGHT - 14 - radius * Math.sin(angle)).toFixed(2)}`;
  };
  return `M ${point(from)} A ${radius} ${radius} 0 0 1 ${point(Math.max(from, to))}`;
}

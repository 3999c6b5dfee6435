/** A line the size of a word, as SVG: hundreds of them stand in one table. */

interface Props {
  readonly values: readonly (number | null)[];
  readonly label: string;
  readonly width?: number;
  readonly height?: number;
  readonly colour?: string;
  readonly from?: number; // what stands at the bottom; the lowest value where it is undefined
}

export function Spark({ values, label, width = 110, height = 22, colour = "var(--accent)", from = 0 }: Props) {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length < 2)
    return (
      <span
        className="faint"
        role="img"
        aria-label={`${label}: not enough data`}
        style={{ display: "inline-block", width, height }}
      />
    );
  const low = Math.min(from, ...known);
  const high = Math.max(...known, low + Number.MIN_VALUE);
  const x = (at: number) => ((at / (values.length - 1)) * (width - 2) + 1).toFixed(1);
  const y = (value: number) => (height - 2 - ((value - low) / (high - low || 1)) * (height - 4)).toFixed(1);
  const runs = split(values).map((run) => run.map(([at, value]) => `${x(at)},${y(value)}`));
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ display: "block" }}>
      {runs.map((run) => (
        <g key={run[0]}>
          <polygon
            points={`${run[0]!.split(",")[0]},${height - 1} ${run.join(" ")} ${run.at(-1)!.split(",")[0]},${height - 1}`}
            fill={colour}
            opacity={0.13}
          />
          <polyline points={run.join(" ")} fill="none" stroke={colour} strokeWidth={1.2} strokeLinejoin="round" />
        </g>
      ))}
    </svg>
  );
}

/** The stretches without a gap. */
function split(values: readonly (number | null)[]): [number, number][][] {
  const runs: [number, number][][] = [[]];
  values.forEach((value, at) => {
    if (value !== null && Number.isFinite(value)) runs.at(-1)!.push([at, value]);
    else if (runs.at(-1)!.length) runs.push([]);
  });
  return runs.filter((run) => run.length > 0);
}

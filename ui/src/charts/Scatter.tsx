/** Points of two numbers, with lines between them where that is wanted; each says what it is under the pointer. */

import { useElementSize } from "@mantine/hooks";
import { Fragment, memo, type ReactNode, useId } from "react";
import type { Cloud } from "@/model/dashboard/clouds";
import { titleOf } from "@/model/dashboard/frames";
import { scaleOf } from "@/model/dashboard/scale";
import type { Field } from "@/model/dashboard/types";
import { format, tick } from "@/model/units";

interface Props {
  readonly label: string;
  readonly clouds: readonly Cloud[];
  readonly height: number;
  /** A point, leading on where its row leads. */
  readonly led: (cloud: Cloud, row: number, point: ReactNode) => ReactNode;
}

const [LETTER, LINE, GAP, RIGHT] = [6.3, 18, 6, 18];

/** Drawn anew only when what it is given changes: there may be thousands of points. */
export const Scatter = memo(function Scatter({ label, clouds, height, led }: Props) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const ground = useId();
  const { x, y, frame } = clouds[0]!;
  const all = clouds.flatMap(({ points }) => points);
  const upright = axisOf(
    all.map((point) => point.y),
    y,
    height / 44,
  );
  const names = upright.marks.map(upright.shown);
  const left = Math.ceil(Math.max(0, ...names.map((name) => name.length)) * LETTER) + GAP + 4;
  const lying = axisOf(
    all.map((point) => point.x),
    x,
    (width - left) / 90,
  );
  const across = (value: number) => left + lying.share(value) * (width - left - RIGHT);
  const up = (value: number) => height - LINE - 8 - upright.share(value) * (height - LINE - 16);
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg width={width} height={height} style={{ display: "block" }} role="img" aria-label={told(label, clouds)}>
          <g fontSize={11} fill="var(--quiet)" stroke="none">
            {upright.marks.map((mark, at) => (
              <g key={mark}>
                <line x1={left} x2={width} y1={up(mark)} y2={up(mark)} stroke="var(--line)" />
                <text x={left - GAP} y={up(mark) + 4} textAnchor="end">
                  {names[at]}
                </text>
              </g>
            ))}
            {lying.marks.map((mark) => (
              <g key={mark}>
                <line x1={across(mark)} x2={across(mark)} y2={height - LINE} stroke="var(--line)" />
                <text x={across(mark)} y={height - 4} textAnchor="middle">
                  {lying.shown(mark)}
                </text>
              </g>
            ))}
            <text x={width - 2} y={height - LINE - 4} textAnchor="end">
              {titleOf(x, frame)}
            </text>
          </g>
          <clipPath id={ground}>
            <rect x={left - GAP / 2} width={Math.max(0, width - left + GAP / 2)} height={Math.max(0, height - LINE)} />
          </clipPath>
          {clouds.map((cloud, place) => (
            <g key={`${place} ${cloud.name}`} clipPath={`url(#${ground})`}>
              {cloud.shows.line && (
                <polyline
                  points={cloud.points.map((point) => `${across(point.x)},${up(point.y)}`).join(" ")}
                  fill="none"
                  stroke={cloud.colour}
                />
              )}
              {cloud.shows.points &&
                cloud.points.map((point) => (
                  <Fragment key={point.row}>
                    {led(
                      cloud,
                      point.row,
                      <circle
                        cx={across(point.x)}
                        cy={up(point.y)}
                        r={point.width / 2}
                        fill={point.colour}
                        fillOpacity={cloud.shows.fill}
                        stroke={point.colour}
                      >
                        <title>{story(cloud, point.row)}</title>
                      </circle>,
                    )}
                  </Fragment>
                ))}
            </g>
          ))}
        </svg>
      )}
    </div>
  );
});

/** An axis, and what is written at its marks. */
function axisOf(values: readonly number[], { config }: Field, most: number) {
  const { unit, decimals } = config;
  return {
    ...scaleOf(values, config, Math.max(2, Math.floor(most))),
    shown: (mark: number) => (decimals === undefined ? tick(mark, unit) : format(mark, unit, decimals)),
  };
}

/** All that the row of a point says. */
function story({ frame }: Cloud, row: number): string {
  return frame.fields
    .filter(({ kind }) => kind !== "time")
    .map((each) => {
      const value = each.values[row];
      const { unit, decimals } = each.config;
      return `${titleOf(each, frame)}: ${typeof value === "number" ? format(value, unit, decimals) : String(value ?? "")}`;
    })
    .join("\n");
}

function told(label: string, clouds: readonly Cloud[]): string {
  return `${label}: ${clouds.map(({ name, points, x, frame }) => `${points.length} points of ${name} over ${titleOf(x, frame)}`).join(", ")}`;
}

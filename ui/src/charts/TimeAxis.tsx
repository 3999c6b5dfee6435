/** The time below a drawing of SVG. */

import { clockTime, dateTime, type Span, ticks } from "@/model/timerange";

interface Props {
  readonly span: Span;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly utc: boolean;
}

const EVERY = 90; // pixels

export function TimeAxis({ span, left, right, top, utc }: Props) {
  const length = span.end - span.start;
  const name = (at: number) =>
    length > 2 * 86_400 ? dateTime(at, utc).slice(5, 16) : clockTime(at, utc).slice(0, length < 600 ? 8 : 5);
  return (
    <g fontSize={11} fill="var(--quiet)" textAnchor="middle" aria-hidden>
      {ticks(span, Math.floor((right - left) / EVERY)).map((at) => {
        const x = left + ((at - span.start) / length) * (right - left);
        return (
          <text key={at} x={Math.max(left + 16, Math.min(x, right - 16))} y={top + 13}>
            {name(at)}
          </text>
        );
      })}
    </g>
  );
}

import { useElementSize } from "@mantine/hooks";
import { useMemo } from "react";
import { TimeAxis } from "@/charts/TimeAxis";
import { useTime } from "@/components/time";
import { at, bool, num, text } from "@/model/dashboard/options";
import { type StateRow, type Stretch, stateRows, states } from "@/model/dashboard/states";
import { clockTime, dateTime, type Span } from "@/model/timerange";
import type { PanelProps } from "./interface";

const [AXIS, LEAST, LETTER, GAP] = [18, 16, 7, 8];
const MOST_IN_LEGEND = 12;

/** States over time, a row for each series: as stretches (state timeline) or as a box for each time (status history). */
export default function States({ panel, frames, span, height, marks }: PanelProps) {
  const { utc } = useTime();
  const { ref, width } = useElementSize<HTMLDivElement>();
  const { options } = panel;
  const history = panel.type === "status-history";
  const rows = useMemo(
    () => stateRows(frames, span.end, !history && bool(options.mergeValues, true)),
    [frames, span.end, history, options.mergeValues],
  );
  const known = useMemo(() => states(rows), [rows]);
  const legend = bool(at(options, "legend.showLegend"), true) && known.length <= MOST_IN_LEGEND;
  const longest = Math.max(0, ...rows.map(({ title }) => title.length)) * LETTER;
  const left = Math.ceil(Math.min(longest, width * 0.34, 220)) + GAP;
  const tall = Math.max(rows.length * LEAST + AXIS, height - (legend ? 22 : 0) - 4);
  const row = (tall - AXIS) / Math.max(1, rows.length);
  const x = (time: number) =>
    left + ((Math.min(Math.max(time, span.start), span.end) - span.start) / (span.end - span.start)) * (width - left);
  const told = rows.map(({ title, stretches }) => `${title} ${stretches.at(-1)?.text ?? "nothing"}`);
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg
          width={width}
          height={tall}
          style={{ display: "block" }}
          role="img"
          aria-label={`${panel.title || "states"}: at the end ${told.slice(0, 12).join(", ")}`}
        >
          {rows.map((each, place) => (
            <Row
              key={`${place} ${each.title}`}
              row={each}
              x={x}
              span={span}
              left={left}
              top={place * row}
              height={row}
              filled={num(options.rowHeight, 0.9)}
              boxes={history}
              values={text(options.showValue, "auto")}
              utc={utc}
            />
          ))}
          {marks
            .filter((mark) => mark.at > span.start && mark.at < span.end)
            .map((mark, place) => (
              <line
                key={`${place} ${mark.at}`}
                x1={x(mark.at)}
                x2={x(mark.at)}
                y2={tall - AXIS}
                stroke={mark.colour}
                strokeDasharray="4 3"
              >
                <title>{mark.text}</title>
              </line>
            ))}
          <TimeAxis span={span} left={left} right={width} top={tall - AXIS} utc={utc} />
        </svg>
      )}
      {legend && (
        <div className="legend" role="group" aria-label="legend">
          {known.map(({ text: name, colour }) => (
            <span key={`${name} ${colour}`}>
              <i className="dot" style={{ background: colour, marginRight: 6 }} />
              {name}
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

interface RowProps {
  readonly row: StateRow;
  readonly x: (time: number) => number;
  readonly span: Span;
  readonly left: number;
  readonly top: number;
  readonly height: number;
  /** How much of its height a row fills. */
  readonly filled: number;
  readonly boxes: boolean;
  readonly values: string;
  readonly utc: boolean;
}

function Row({ row: { title, stretches }, x, span, left, top, height, filled, boxes, values, utc }: RowProps) {
  const [inner, middle] = [Math.max(6, (height - 2) * Math.min(1, Math.max(0.2, filled))), top + height / 2];
  const letters = Math.floor((left - GAP) / LETTER);
  const shown = stretches.filter(({ from, to }) => to > span.start && from < span.end);
  return (
    <g>
      <text x={left - GAP} y={middle + 4} fontSize={12} fill="var(--ink)" textAnchor="end">
        {title.length > letters ? `${title.slice(0, Math.max(1, letters - 1))}…` : title}
        <title>{title}</title>
      </text>
      {shown.map((stretch) => {
        const [from, to] = [x(stretch.from), x(stretch.to)];
        const wide = Math.max(1, to - from - (boxes ? 1.5 : 0));
        return (
          <g key={stretch.from}>
            <rect
              x={from}
              y={middle - inner / 2}
              width={wide}
              height={inner}
              rx={boxes ? 2 : 0}
              fill={stretch.colour}
              fillOpacity={0.72}
              stroke={boxes ? "none" : "var(--panel)"}
              strokeWidth={0.6}
            >
              <title>{`${title}: ${stretch.text}, ${when(stretch, utc)}`}</title>
            </rect>
            {values !== "never" && inner >= 12 && wide > stretch.text.length * LETTER + 6 && (
              <text
                x={from + wide / 2}
                y={middle + 4}
                fontSize={11.5}
                fill="var(--ink)"
                textAnchor="middle"
                pointerEvents="none"
              >
                {stretch.text}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

function when({ from, to }: Stretch, utc: boolean): string {
  return `${dateTime(from, utc)} to ${clockTime(to, utc)}`;
}

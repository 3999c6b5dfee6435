/**
 * Bars by category: beside each other or stacked, upright or lying. Names that have no room are left out; each bar says
 * what it is of under the pointer.
 */

import { useElementSize } from "@mantine/hooks";
import { axisOf, type Bars as Data, extents, type Stacking } from "@/model/dashboard/bars";
import { display } from "@/model/dashboard/display";
import { NO_FIELD } from "@/model/dashboard/fieldconfig";

interface Props {
  readonly label: string;
  readonly data: Data;
  readonly height: number;
  readonly lying?: boolean;
  readonly stacking?: Stacking;
  readonly values?: "auto" | "always" | "never";
  readonly fill?: number; // opacity, 0 to 1
  /** How much of its place a group of bars takes, 0 to 1. */
  readonly share?: number;
  readonly colourOf?: (category: number, series: number) => string;
}

const [LETTER, LINE, GAP] = [6.3, 18, 6];

export function Bars({
  label,
  data,
  height,
  lying = false,
  stacking = "none",
  values = "auto",
  fill = 0.8,
  share = 0.75,
  colourOf,
}: Props) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const { categories, series } = data;
  const config = series[0]?.config ?? NO_FIELD;
  const of = extents(data, stacking);
  const longest = Math.max(0, ...categories.map((name) => name.length)) * LETTER;
  const marks = axisOf(
    of,
    stacking === "percent" ? { ...config, min: 0, max: 100 } : config,
    Math.max(2, Math.floor(lying ? width / 110 : height / 44)),
  );
  const shown = (value: number) =>
    stacking === "percent" ? `${value} %` : display(value, { ...config, mappings: [] }).text;
  const names = lying ? Math.min(longest, width * 0.4) : Math.max(...marks.map((mark) => shown(mark).length)) * LETTER;
  const left = Math.ceil(names) + GAP + 4;
  const tall = lying ? Math.max(height, categories.length * 14 + LINE) : height;
  const [from, to] = lying ? [left, Math.max(left + 20, width - 34)] : [tall - LINE, 8];
  const [low, high] = [marks[0] ?? 0, marks.at(-1) ?? 1];
  const place = (value: number) =>
    from + ((Math.min(Math.max(value, low), high) - low) / (high - low || 1)) * (to - from);
  const room = (lying ? tall - LINE : width - left) / Math.max(1, categories.length);
  const every = lying ? Math.ceil(13 / room) : Math.max(1, Math.ceil((Math.min(longest, 120) + 10) / room));
  const beside = stacking === "none" ? Math.max(1, series.length) : 1;
  const thick = Math.max(1, (room * share) / beside - (room > 24 ? 1 : 0));
  const written =
    values === "always" || (values === "auto" && stacking === "none" && (lying ? thick >= 11 : thick >= 30));
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg width={width} height={tall} style={{ display: "block" }} role="img" aria-label={told(label, data)}>
          <g fontSize={11} fill="var(--quiet)">
            {marks.map((mark) =>
              lying ? (
                <g key={mark}>
                  <line x1={place(mark)} x2={place(mark)} y2={tall - LINE} stroke="var(--line)" />
                  <text x={place(mark)} y={tall - 4} textAnchor="middle">
                    {shown(mark)}
                  </text>
                </g>
              ) : (
                <g key={mark}>
                  <line x1={left} x2={width} y1={place(mark)} y2={place(mark)} stroke="var(--line)" />
                  <text x={left - GAP} y={place(mark) + 4} textAnchor="end">
                    {shown(mark)}
                  </text>
                </g>
              ),
            )}
          </g>
          {categories.map((name, category) => {
            const start = (lying ? 0 : left) + category * room;
            return (
              <g key={`${category} ${name}`}>
                {category % every === 0 && (
                  <text
                    x={lying ? left - GAP : start + room / 2}
                    y={lying ? start + room / 2 + 4 : tall - 4}
                    fontSize={11.5}
                    fill="var(--ink)"
                    textAnchor={lying ? "end" : "middle"}
                  >
                    {cut(name, Math.floor((lying ? left - GAP : Math.max(room * every, 24) - 8) / LETTER))}
                    <title>{name}</title>
                  </text>
                )}
                {series.map((each, at) => {
                  const bar = of[category]![at];
                  if (!bar) return null;
                  const [a, b] = [place(bar[0]), place(bar[1])];
                  const across =
                    start + (room * (1 - share)) / 2 + (stacking === "none" ? at * ((room * share) / beside) : 0);
                  const [size, edge] = [Math.max(0.5, Math.abs(b - a)), Math.min(a, b)];
                  const value = display(each.values[category] ?? null, each.config).text;
                  return (
                    <g key={each.name}>
                      <rect
                        {...(lying
                          ? { x: edge, y: across, width: size, height: thick }
                          : { x: across, y: edge, width: thick, height: size })}
                        fill={colourOf?.(category, at) ?? each.colour}
                        fillOpacity={fill}
                      >
                        <title>{series.length > 1 ? `${name}, ${each.name}: ${value}` : `${name}: ${value}`}</title>
                      </rect>
                      {written && (
                        <text
                          x={lying ? Math.max(a, b) + 4 : across + thick / 2}
                          y={lying ? across + thick / 2 + 4 : edge - 3}
                          fontSize={11}
                          fill="var(--quiet)"
                          textAnchor={lying ? "start" : "middle"}
                        >
                          {value}
                        </text>
                      )}
                    </g>
                  );
                })}
              </g>
            );
          })}
        </svg>
      )}
    </div>
  );
}

function cut(name: string, letters: number): string {
  return name.length > letters ? `${name.slice(0, Math.max(1, letters - 1))}…` : name;
}

function told(label: string, { categories, series }: Data): string {
  const few = categories.slice(0, 8).map((name, at) => {
    const values = series.slice(0, 4).map(({ values: each, config }) => display(each[at] ?? null, config).text);
    return `${name} ${values.join(" and ")}`;
  });
  const rest = categories.length > 8 ? `, and ${categories.length - 8} more` : "";
  return `${label}: ${few.join(", ")}${rest}`;
}

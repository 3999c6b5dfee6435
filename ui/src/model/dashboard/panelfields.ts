/**
 * What of a panel is changed by form, as a table: where it stands in Grafana's JSON, how it is called and asked for, and which
 * types of panels draw it. An option that no panel here draws is not among them; it stays in the JSON as it was written.
 */

import { SHADE_MODES } from "./display";
import { calcName } from "./reduce";

export type FieldKind =
  | "text"
  | "long"
  | "number"
  | "switch"
  | "choice"
  | "calc" // one calculation, as a list of one
  | "several"
  | "words" // a list of texts
  | "unit"
  | "colour"
  | "thresholds"
  | "mappings";

type Choice = readonly [value: string, label: string];
type Types = readonly string[] | null;

export interface PanelField {
  readonly path: string;
  readonly label: string;
  readonly kind: FieldKind;
  /** The types of panels that draw it; null: all. */
  readonly types: Types;
  readonly choices?: readonly Choice[];
  /** A choice that stands as a number in the JSON. */
  readonly numeric?: boolean;
  /** What holds where nothing is written. */
  readonly usual?: string | number | boolean;
  /** Asked for only where another field has one of these values; of none: where it has any. */
  readonly when?: readonly [path: string, ...values: readonly (string | boolean)[]];
}

const LINES = ["timeseries", "trend"];
const FIGURES = ["stat", "gauge", "bargauge"];
const STATES = ["state-timeline", "status-history"];
const BARS = ["barchart", "histogram"];
const TABLES = ["table", "traces"];
const REDUCED = [...FIGURES, "piechart"];
const NUMBERS = [...LINES, ...FIGURES, ...STATES, ...BARS, "xychart", "piechart", "table"];
const ASKING = [...NUMBERS, "heatmap"];
const TIMED = [...ASKING, "logs", "traces", "nodeGraph"];
const SCALED = [...LINES, ...FIGURES, ...STATES, "barchart", "xychart", "heatmap", "table"];
const LEGENDS = [...LINES, ...BARS, ...STATES, "xychart", "piechart"];

const named = (calcs: string): readonly Choice[] => calcs.split(" ").map((calc) => [calc, calcName(calc)]);
const CALCS = named(
  "lastNotNull last firstNotNull first min max mean median sum count range delta diff diffperc changeCount distinctCount stdDev p50 p90 p95 p99",
);
const SHADES = Object.fromEntries(SHADE_MODES.map((mode) => [mode, `from min to max: ${mode.replace(/^.*-/, "")}`]));

const ask = (kind: FieldKind) => (path: string, label: string, types: Types) => ({ path, label, kind, types });
const [text, long, words, unit] = [ask("text"), ask("long"), ask("words"), ask("unit")];
const number = (path: string, label: string, types: Types, usual?: number): PanelField => ({
  ...ask("number")(path, label, types),
  usual,
});
const onOff = (path: string, label: string, types: Types, usual = false): PanelField => ({
  ...ask("switch")(path, label, types),
  usual,
});
/** One of them; the first is usual. */
function choice(path: string, label: string, types: Types, of: Readonly<Record<string, string>> | string): PanelField {
  const choices: Choice[] = typeof of === "string" ? of.split(" ").map((each) => [each, each]) : Object.entries(of);
  return { ...ask("choice")(path, label, types), choices, usual: choices[0]![0] };
}
const several = (path: string, label: string, types: Types, choices: readonly Choice[]): PanelField => ({
  ...ask("several")(path, label, types),
  choices,
});
const when = (field: PanelField, ...condition: NonNullable<PanelField["when"]>): PanelField => ({
  ...field,
  when: condition,
});

const field = "fieldConfig.defaults";
const custom = `${field}.custom`;
const legend = "options.legend";
const reduce = "options.reduceOptions";
const footer = "options.footer";
const STACKING = { none: "none", normal: "normal", percent: "100 %" };

export const GROUPS: readonly { readonly name: string; readonly fields: readonly PanelField[] }[] = [
  {
    name: "panel",
    fields: [
      text("title", "title", null),
      long("description", "description", null),
      text("repeat", "once for each value of (variable)", null),
      when(choice("repeatDirection", "these stand", null, { h: "beside each other", v: "below each other" }), "repeat"),
      when(number("maxPerRow", "in a line at most", null, 4), "repeat"),
    ],
  },
  {
    name: "values",
    fields: [
      onOff(`${reduce}.values`, "a number for each row", REDUCED),
      when(
        { ...ask("calc")(`${reduce}.calcs`, "calculation", REDUCED), choices: CALCS, usual: "lastNotNull" },
        `${reduce}.values`,
        false,
      ),
      when(number(`${reduce}.limit`, "rows at most", REDUCED, 25), `${reduce}.values`, true),
      text(`${reduce}.fields`, "only fields named (/pattern/)", REDUCED),
      unit(`${field}.unit`, "unit", ASKING),
      number(`${field}.decimals`, "decimals", NUMBERS),
      number(`${field}.min`, "min", SCALED),
      number(`${field}.max`, "max", SCALED),
      text(`${field}.displayName`, "name of the values", NUMBERS),
      text(`${field}.noValue`, "where there is no value", ASKING),
      ask("mappings")(`${field}.mappings`, "values shown as", [...REDUCED, ...STATES, "barchart", "table"]),
    ],
  },
  {
    name: "look",
    fields: [
      choice("options.mode", "written in", ["text"], "markdown html code"),
      long("options.content", "text", ["text"]),
      choice("options.sortOrder", "order", ["logs"], { Descending: "newest first", Ascending: "oldest first" }),
      onOff("options.wrapLogMessage", "wrap long lines", ["logs"]),
      text("options.alertName", "name contains", ["alertlist"]),
      words("options.tags", "with the tags", ["dashlist"]),
      onOff("options.showSearch", "only what a text finds", ["dashlist"]),
      when(text("options.query", "text", ["dashlist"]), "options.showSearch", true),
      number("options.maxItems", "at most", ["alertlist", "dashlist"]),
      choice("options.orientation", "orientation", ["stat", "barchart"], "auto horizontal vertical"),
      choice("options.textMode", "text", ["stat"], {
        auto: "auto",
        value: "value",
        value_and_name: "value and name",
        name: "name",
      }),
      choice("options.colorMode", "colour of", ["stat"], {
        value: "the value",
        background: "the ground",
        none: "nothing",
      }),
      choice("options.graphMode", "its course", ["stat"], { area: "shown", none: "left out" }),
      onOff("options.showPercentChange", "change in percent", ["stat"]),
      onOff("options.showThresholdMarkers", "thresholds around", ["gauge"], true),
      choice("options.stacking", "stacking", ["barchart"], STACKING),
      choice("options.showValue", "values", ["barchart", ...STATES], "auto always never"),
      number("options.groupWidth", "width of groups (0 to 1)", ["barchart"], 0.75),
      number("options.bucketCount", "number of bins", ["histogram"], 30),
      number("options.bucketSize", "size of bins", ["histogram"]),
      number("options.bucketOffset", "bins begin at", ["histogram"], 0),
      onOff("options.combine", "all series together", ["histogram"]),
      number(`${custom}.fillOpacity`, "fill, percent", BARS, 80),
      onOff("options.mergeValues", "join equal states", ["state-timeline"], true),
      number("options.rowHeight", "height of rows (0 to 1)", STATES, 0.9),
      choice("options.pieType", "form", ["piechart"], "pie donut"),
      onOff("options.calculate", "count values into rows", ["heatmap"]),
      choice(`${custom}.show`, "drawn as", ["xychart"], { points: "points", lines: "lines", "points+lines": "both" }),
      number(`${custom}.pointSize.fixed`, "point size", ["xychart"], 5),
      number(`${custom}.fillOpacity`, "fill, percent", ["xychart"], 50),
    ],
  },
  {
    name: "lines",
    fields: [
      choice(`${custom}.drawStyle`, "drawn as", LINES, { line: "lines", bars: "bars", points: "points" }),
      choice(`${custom}.lineInterpolation`, "between points", LINES, {
        linear: "straight",
        stepBefore: "step before",
        stepAfter: "step after",
      }),
      number(`${custom}.lineWidth`, "line width", LINES, 1),
      choice(`${custom}.lineStyle.fill`, "line", LINES, { solid: "solid", dash: "dashes", dot: "dots" }),
      number(`${custom}.fillOpacity`, "fill, percent", LINES, 0),
      choice(`${custom}.stacking.mode`, "stacking", LINES, STACKING),
      onOff(`${custom}.spanNulls`, "connect over gaps", [...LINES, ...STATES]),
      choice(`${custom}.transform`, "values drawn", LINES, { "": "as they are", "negative-Y": "below zero" }),
    ],
  },
  {
    name: "axis",
    fields: [
      text("options.xField", "along the field", ["trend", "barchart"]),
      choice(`${custom}.axisPlacement`, "axis", LINES, "auto left right"),
      number(`${custom}.axisSoftMin`, "from, if values allow it", LINES),
      choice(`${custom}.scaleDistribution.type`, "scale", [...LINES, "xychart"], {
        linear: "linear",
        log: "logarithmic",
      }),
      when(
        { ...choice(`${custom}.scaleDistribution.log`, "of base", [...LINES, "xychart"], "10 2"), numeric: true },
        `${custom}.scaleDistribution.type`,
        "log",
      ),
      unit("options.yAxis.unit", "unit of the axis", ["heatmap"]),
    ],
  },
  {
    name: "legend",
    fields: [
      onOff(`${legend}.showLegend`, "legend", LEGENDS, true),
      when(choice(`${legend}.displayMode`, "as", LINES, "list table"), `${legend}.showLegend`, true),
      when(
        choice(`${legend}.placement`, "stands", [...LINES, "piechart"], { bottom: "below", right: "at the right" }),
        `${legend}.showLegend`,
        true,
      ),
      when(several(`${legend}.calcs`, "with", LINES, CALCS), `${legend}.showLegend`, true),
      when(
        several(
          `${legend}.values`,
          "with",
          ["piechart"],
          [
            ["percent", "percent"],
            ["value", "value"],
          ],
        ),
        `${legend}.showLegend`,
        true,
      ),
      choice("options.tooltip.mode", "under the cursor", LINES, {
        multi: "all series",
        single: "the nearest",
        none: "nothing",
      }),
    ],
  },
  {
    name: "table",
    fields: [
      choice(`${custom}.cellOptions.type`, "cells", TABLES, {
        auto: "text",
        "color-text": "coloured text",
        "color-background": "coloured ground",
        gauge: "gauge",
        "json-view": "JSON",
      }),
      choice(`${custom}.align`, "alignment", TABLES, "auto left right"),
      number(`${custom}.width`, "width of columns, pixels", TABLES),
      onOff(`${footer}.show`, "footer", TABLES),
      when(several(`${footer}.reducer`, "with", TABLES, CALCS), `${footer}.show`, true),
      when(onOff(`${footer}.countRows`, "count rows", TABLES), `${footer}.show`, true),
    ],
  },
  {
    name: "colours",
    fields: [
      {
        ...choice(`${field}.color.mode`, "colours", NUMBERS, {
          thresholds: "by thresholds",
          "palette-classic": "a colour for each",
          fixed: "one colour",
          ...SHADES,
        }),
        usual: undefined, // as the type of panel has it
      },
      when(ask("colour")(`${field}.color.fixedColor`, "colour", NUMBERS), `${field}.color.mode`, "fixed", "shades"),
      choice("options.color.scheme", "colours", ["heatmap"], "Oranges Reds Greens Blues Purples"),
      number("options.color.exponent", "strength (0.1 to 2)", ["heatmap"], 0.5),
      choice(`${custom}.thresholdsStyle.mode`, "thresholds drawn as", LINES, {
        off: "nothing",
        line: "lines",
        area: "areas",
        "line+area": "both",
      }),
      ask("thresholds")(`${field}.thresholds`, "thresholds", [
        ...LINES,
        ...REDUCED,
        ...STATES,
        "barchart",
        "table",
        "xychart",
      ]),
    ],
  },
  {
    name: "time",
    fields: [
      text("timeFrom", "range of its own (2h)", TIMED),
      text("timeShift", "so much earlier (1d)", TIMED),
      onOff("hideTimeOverride", "do not say so", TIMED),
      text("interval", "least step", ASKING),
      number("maxDataPoints", "points at most", ASKING),
    ],
  },
];

export const FIELDS: readonly PanelField[] = GROUPS.flatMap(({ fields }) => fields);

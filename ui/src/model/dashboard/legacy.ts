/**
 * Panels of former types, as panels of today's: `graph`, `singlestat`, the old tables, heatmaps, pies and status panels.
 * What has no counterpart is told in `missing`.
 */

import { bool, list, maybe, num, object, objects, own, text } from "./options";
import type { Json } from "./types";

export function modern(panel: Json): Json {
  switch (panel.type) {
    case "graph":
      return graph(panel);
    case "singlestat":
    case "grafana-singlestat-panel":
      return singlestat(panel);
    case "table":
    case "table-old":
      return panel.styles || panel.type === "table-old" ? oldTable(panel) : panel;
    case "heatmap":
      return panel.dataFormat ? oldHeatmap(panel) : panel;
    case "grafana-piechart-panel":
      return pie(panel);
    case "text":
      return panel.options
        ? panel
        : { ...panel, options: { mode: text(panel.mode, "markdown"), content: text(panel.content) } };
    case "dashlist":
      return panel.options ? panel : { ...panel, options: oldList(panel) };
    case "flant-statusmap-panel":
      return statusMap(panel);
    case "natel-discrete-panel":
      return discrete(panel);
    case "vonage-status-panel":
    case "grafana-polystat-panel":
      return status(panel);
    case "michaeldmoore-multistat-panel":
    case "corpglory-progresslist-panel":
      return { ...panel, type: "bargauge", options: { reduceOptions: { calcs: ["lastNotNull"] } } };
    case "mtanda-histogram-panel":
      return { ...panel, type: "histogram", options: {} };
    case "blackmirror1-singlestat-math-panel":
      return singlestat(panel);
    default:
      return panel.type === undefined ? { ...panel, type: "timeseries" } : panel;
  }
}

function graph(panel: Json): Json {
  const axes = objects(panel.yaxes);
  const left = axes[0] ?? object({ format: list(panel.y_formats)[0] });
  const legend = object(panel.legend);
  const bars = bool(panel.bars) && !bool(panel.lines, true);
  const points = bool(panel.points) && !bool(panel.lines, true);
  const stack = bool(panel.stack) ? (bool(panel.percentage) ? "percent" : "normal") : "none";
  const defaults = {
    unit: text(left.format) || undefined,
    decimals: maybe(panel.decimals) ?? maybe(left.decimals),
    min: maybe(left.min),
    max: maybe(left.max),
    custom: {
      drawStyle: bars ? "bars" : points ? "points" : "line",
      lineWidth: bars ? 1 : num(panel.linewidth, 1),
      fillOpacity: bars ? 100 : num(panel.fill, 1) * 10,
      lineInterpolation: bool(panel.steppedLine) ? "stepAfter" : "linear",
      showPoints: bool(panel.points) ? "always" : "never",
      spanNulls: panel.nullPointMode === "connected",
      nullAsZero: panel.nullPointMode === "null as zero",
      stacking: { mode: stack, group: "A" },
      scaleDistribution: num(left.logBase, 1) > 1 ? { type: "log", log: num(left.logBase, 10) } : { type: "linear" },
      thresholdsStyle: { mode: list(panel.thresholds).length ? "line+area" : "off" },
      axisLabel: text(left.label),
    },
    ...graphThresholds(panel),
  };
  const calcs = ["min", "max", "avg", "current", "total"].filter((each) => bool(legend[each]));
  const mode = object(panel.xaxis).mode;
  const [calc] = list(object(panel.xaxis).values).map((each) => own(CALCS, text(each)) ?? text(each));
  return {
    ...panel,
    type: mode === "series" ? "barchart" : mode === "histogram" ? "histogram" : "timeseries",
    fieldConfig: { defaults, overrides: seriesOverrides(panel, axes[1]) },
    options: {
      legend: {
        showLegend: bool(legend.show, true),
        displayMode: bool(legend.alignAsTable) || calcs.length > 0 ? "table" : "list",
        placement: bool(legend.rightSide) ? "right" : "bottom",
        calcs: calcs.map((each) => ({ avg: "mean", current: "lastNotNull", total: "sum" })[each] ?? each),
      },
      tooltip: { mode: object(panel.tooltip).shared === false ? "single" : "multi" },
      ...(mode === "series" ? { reduce: calc ?? "sum" } : {}),
      ...(mode === "histogram" ? { bucketCount: maybe(object(panel.xaxis).buckets) } : {}),
    },
  };
}

function graphThresholds(panel: Json): Json {
  const steps = objects(panel.thresholds).map(({ value, colorMode, op, fillColor }) => ({
    value: num(value, 0),
    color: { critical: "red", warning: "orange", ok: "green" }[text(colorMode)] ?? text(fillColor, "red"),
    below: op === "lt",
  }));
  if (steps.length === 0) return {};
  return { thresholds: { mode: "absolute", steps: [{ value: null, color: "transparent" }, ...steps] } };
}

/** `seriesOverrides` name series by alias, which may be `/a pattern/`. */
function seriesOverrides(panel: Json, right: Json | undefined): Json[] {
  const colours = Object.entries(object(panel.aliasColors)).map(([alias, color]) => ({ alias, color }));
  return [...colours, ...objects(panel.seriesOverrides)].map((each: Json) => {
    const alias = text(each.alias);
    const property = (id: string, value: unknown) => (value === undefined ? [] : [{ id, value }]);
    return {
      matcher: /^\/.*\/$/.test(alias) ? { id: "byRegexp", options: alias } : { id: "byName", options: alias },
      properties: [
        ...property("color", each.color ? { mode: "fixed", fixedColor: each.color } : undefined),
        ...property("custom.lineWidth", maybe(each.linewidth)),
        ...property("custom.fillOpacity", each.fill === undefined ? undefined : num(each.fill, 0) * 10),
        ...property("custom.drawStyle", each.bars === true ? "bars" : undefined),
        ...property("custom.lineInterpolation", each.steppedLine === true ? "stepAfter" : undefined),
        ...property("custom.lineStyle", each.dashes === true ? { fill: "dash", dash: [10, 10] } : undefined),
        ...property("custom.stacking", each.stack === false ? { mode: "none" } : undefined),
        ...property("custom.hideFrom", each.legend === false ? { legend: true } : undefined),
        ...property("custom.transform", each.transform === "negative-Y" ? "negative-Y" : undefined),
        ...(each.yaxis === 2
          ? [{ id: "custom.axisPlacement", value: "right" }, ...property("unit", text(right?.format) || undefined)]
          : []),
      ],
    };
  });
}

const CALCS: Readonly<Record<string, string>> = {
  avg: "mean",
  current: "lastNotNull",
  total: "sum",
  first: "firstNotNull",
  last_time: "lastNotNull",
  name: "name",
};

function singlestat(panel: Json): Json {
  const gauge = object(panel.gauge);
  const edges = text(panel.thresholds)
    .split(",")
    .flatMap((each) => maybe(each) ?? []);
  const colours = list(panel.colors).map((each) => text(each));
  const steps = [Number.NEGATIVE_INFINITY, ...edges].map((value, at) => ({
    value: at === 0 ? null : value,
    color: colours[at] ?? "text",
  }));
  const coloured = bool(panel.colorValue) || bool(panel.colorBackground) || bool(gauge.show);
  const ranged = panel.mappingType === 2;
  const mapped = ranged
    ? objects(panel.rangeMaps).map(({ from, to, text: shown }) => ({ type: 2, from, to, text: shown }))
    : objects(panel.valueMaps).map(({ value, text: shown }) => ({ type: 1, value, text: shown }));
  const ofTable = objects(panel.targets).some(({ format }) => format === "table");
  const affixes = text(panel.prefix).trim() || text(panel.postfix).trim();
  const calc = own(CALCS, text(panel.valueName, "avg")) ?? text(panel.valueName, "mean");
  return {
    ...panel,
    type: bool(gauge.show) ? "gauge" : "stat",
    fieldConfig: {
      defaults: {
        unit: text(panel.format) || undefined,
        decimals: maybe(panel.decimals),
        noValue: panel.nullText,
        min: bool(gauge.show) ? num(gauge.minValue, 0) : undefined,
        max: bool(gauge.show) ? num(gauge.maxValue, 100) : undefined,
        mappings: mapped,
        thresholds: coloured ? { mode: "absolute", steps } : { steps: [{ value: null, color: "text" }] },
      },
      overrides: [],
    },
    options: {
      // One column of a table; of series nothing is chosen by what was left there.
      reduceOptions: { calcs: [calc], values: false, fields: ofTable ? text(panel.tableColumn) : "" },
      colorMode: bool(panel.colorBackground) ? "background" : bool(panel.colorValue) ? "value" : "none",
      graphMode: bool(object(panel.sparkline).show) ? "area" : "none",
      prefix: text(panel.prefix),
      postfix: text(panel.postfix),
      textMode: calc === "name" ? "name" : affixes ? "value" : "auto",
      showThresholdLabels: bool(gauge.thresholdLabels),
      showThresholdMarkers: bool(gauge.thresholdMarkers, true),
    },
  };
}

/** States by rules of value, range and text, each with a colour. */
function discrete(panel: Json): Json {
  const colours = new Map(objects(panel.colorMaps).map(({ text: name, color }) => [text(name), color]));
  const shown = (name: unknown) => ({ text: text(name), color: colours.get(text(name)) });
  const mappings = [
    ...objects(panel.valueMaps).map(({ value, text: name }) => ({ type: 1, value, ...shown(name) })),
    ...objects(panel.rangeMaps).map(({ from, to, text: name }) => ({ type: 2, from, to, ...shown(name) })),
  ];
  return {
    ...panel,
    type: "state-timeline",
    fieldConfig: {
      defaults: { unit: text(panel.units) || undefined, mappings, color: { mode: "palette-classic" } },
      overrides: [],
    },
    options: { showValue: "auto", legend: { showLegend: bool(panel.showLegend, true) } },
  };
}

/** Its colours are those of a spectrum, or of thresholds. */
function statusMap(panel: Json): Json {
  const steps = objects(object(panel.color).thresholds).map(({ value, color }, at) => ({
    value: at === 0 ? null : num(value, 0),
    color: text(color, "green"),
  }));
  const discrete = object(panel.color).mode === "discrete" && steps.length > 0;
  return {
    ...panel,
    type: "status-history",
    fieldConfig: {
      defaults: discrete ? { thresholds: { mode: "absolute", steps } } : { color: { mode: "continuous-GrYlRd" } },
      overrides: [],
    },
    options: { showValue: "never" },
  };
}

/** Boxes with a number and the colour of its level. */
function status(panel: Json): Json {
  const [first = {}] = objects(panel.targets);
  const stat = object(panel.polystat);
  const named = objects(stat.globalThresholds ?? panel.globalThresholds);
  const edges = named.length
    ? named.map(({ value, color }, at) => ({ value: at === 0 ? null : num(value, 0), color: text(color, "green") }))
    : [
        { value: null, color: "green" },
        ...[
          ["warn", "orange"],
          ["crit", "red"],
        ].flatMap(([name, color]) => {
          const value = maybe(first[name!]);
          return value === undefined ? [] : [{ value, color }];
        }),
      ];
  return {
    ...panel,
    type: "stat",
    fieldConfig: {
      defaults: {
        unit: text(stat.globalUnitFormat) || text(panel.units) || undefined,
        decimals: maybe(stat.globalDecimals),
        thresholds: { mode: "absolute", steps: edges },
      },
      overrides: [],
    },
    options: {
      reduceOptions: { calcs: [own(CALCS, text(stat.globalOperatorName) || "current") ?? "lastNotNull"] },
      colorMode: "background",
      graphMode: "none",
      textMode: "value_and_name",
    },
  };
}

function oldTable(panel: Json): Json {
  const form = text(panel.transform, "table");
  const styles = objects(panel.styles);
  const columns = objects(panel.columns).map(({ value }) => own(CALCS, text(value)) ?? text(value));
  const transformations =
    form === "timeseries_to_rows"
      ? [{ id: "seriesToRows", options: {} }]
      : form === "timeseries_to_columns"
        ? [{ id: "seriesToColumns", options: { byField: "Time" } }]
        : form === "timeseries_aggregations"
          ? [{ id: "reduce", options: { reducers: columns.length ? columns : ["mean"] } }]
          : [{ id: "merge", options: {} }];
  return {
    ...panel,
    type: "table",
    transformations,
    options: { showHeader: bool(panel.showHeader, true) },
    // The first style that fits a column is its style; of overrides the last one has the last word.
    fieldConfig: { defaults: { custom: {} }, overrides: styles.map(styleOverride).toReversed() },
  };
}

function styleOverride(style: Json): Json {
  const pattern = text(style.pattern);
  const steps = list(style.thresholds).flatMap((each) => maybe(each) ?? []);
  const colours = list(style.colors).map((each) => text(each));
  const coloured = text(style.colorMode);
  const property = (id: string, value: unknown) => (value ? [{ id, value }] : []);
  const all = [{ value: null }, ...steps.map((value) => ({ value }))];
  return {
    matcher: /^\/.*\/$/.test(pattern) ? { id: "byRegexp", options: pattern } : { id: "byName", options: pattern },
    properties: [
      ...property("displayName", text(style.alias)),
      ...property("unit", style.type === "number" ? text(style.unit) : ""),
      ...(maybe(style.decimals) === undefined ? [] : [{ id: "decimals", value: style.decimals }]),
      { id: "custom.hidden", value: style.type === "hidden" },
      ...property("custom.align", style.align === "auto" ? "" : text(style.align)),
      ...property(
        "thresholds",
        coloured && { steps: all.map((step, at) => ({ ...step, color: colours[at] ?? "text" })) },
      ),
      ...property("custom.cellOptions", coloured && { type: coloured === "value" ? "color-text" : "color-background" }),
      ...property(
        "mappings",
        list(style.valueMaps).length > 0 &&
          objects(style.valueMaps).map(({ value, text: shown }) => ({ type: 1, value, text: shown })),
      ),
      ...property("links", bool(style.link) && [{ title: text(style.linkTooltip), url: text(style.linkUrl) }]),
    ],
  };
}

function oldHeatmap(panel: Json): Json {
  const y = object(panel.yAxis);
  const colour = object(panel.color);
  return {
    ...panel,
    fieldConfig: { defaults: { unit: text(y.format) || undefined, decimals: maybe(y.decimals) }, overrides: [] },
    options: {
      calculate: panel.dataFormat !== "tsbuckets",
      yAxis: { unit: text(y.format), min: maybe(y.min), max: maybe(y.max) },
      color: {
        scheme: text(colour.colorScheme, "Oranges").replace("interpolate", ""),
        exponent: maybe(colour.exponent),
      },
      legend: { show: bool(object(panel.legend).show) },
    },
  };
}

function pie(panel: Json): Json {
  const shown = object(panel.legend);
  return {
    ...panel,
    type: "piechart",
    fieldConfig: {
      defaults: { unit: text(panel.format) || undefined, decimals: maybe(panel.decimals) },
      overrides: [],
    },
    options: {
      pieType: panel.pieType === "donut" ? "donut" : "pie",
      reduceOptions: { calcs: [own(CALCS, text(panel.valueName, "current")) ?? "lastNotNull"] },
      legend: {
        showLegend: bool(shown.show, true),
        placement: text(panel.legendType).startsWith("Right") ? "right" : "bottom",
        values: [...(bool(shown.values) ? ["value"] : []), ...(bool(shown.percentage) ? ["percent"] : [])],
      },
    },
  };
}

function oldList(panel: Json): Json {
  return {
    showSearch: bool(panel.search),
    showStarred: bool(panel.starred),
    showRecentlyViewed: bool(panel.recent),
    query: text(panel.query),
    tags: list(panel.tags),
    maxItems: num(panel.limit, 10),
  };
}

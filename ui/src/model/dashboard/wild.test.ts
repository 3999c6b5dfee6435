/** Dashboards as the wild has them, of each age: written here in the way of those that people share. */

import { describe, expect, it } from "vitest";
import { interpolate } from "./interpolate";
import { sections } from "./layout";
import { readDashboard } from "./read";
import type { Chosen, Json, Panel } from "./types";
import { inOrder, optionsOf, question } from "./variables";

const chosen = (...values: string[]): Chosen => ({ values, texts: values, all: values.length > 1 });
const every = (panels: readonly Panel[]): Panel[] => panels.flatMap((panel) => [panel, ...every(panel.inside)]);

const AT_14: Json = {
  schemaVersion: 14,
  __inputs: [{ name: "DS_PROMETHEUS", type: "datasource", pluginId: "prometheus" }],
  sharedCrosshair: true,
  rows: [
    {
      title: "CPU $node",
      showTitle: true,
      repeat: "node",
      height: 200,
      panels: [
        {
          type: "graph",
          span: 8,
          datasource: "${DS_PROMETHEUS}",
          yaxes: [{ format: "percent", min: "0" }, {}],
          targets: [{ expr: "cpu", step: 4 }],
        },
        {
          type: "singlestat",
          span: 4,
          valueName: "current",
          sparkline: { show: true },
          gauge: { show: true, maxValue: 8 },
          targets: [{ expr: "load" }],
        },
      ],
    },
    {
      title: "Disks",
      collapse: true,
      panels: [
        {
          type: "table",
          transform: "table",
          styles: [
            {
              pattern: "/.*/",
              type: "number",
              unit: "bytes",
              thresholds: ["1", "2"],
              colors: ["a", "b", "c"],
              colorMode: "cell",
            },
          ],
          targets: [{ expr: "fs", format: "table" }],
        },
      ],
    },
  ],
};
const AT_16: Json = {
  schemaVersion: 16,
  panels: [
    { id: 1, type: "row", title: "Overview", gridPos: { x: 0, y: 0, w: 24, h: 1 } },
    {
      id: 2,
      type: "graph",
      repeat: "node",
      minSpan: 12,
      gridPos: { x: 0, y: 1, w: 12, h: 6 },
      xaxis: { mode: "series", values: ["current"] },
      targets: [{ expr: "a" }],
    },
    {
      id: 3,
      type: "graph",
      repeatPanelId: 2,
      repeatIteration: 1,
      scopedVars: {},
      gridPos: { x: 12, y: 1, w: 12, h: 6 },
    },
    {
      id: 4,
      type: "grafana-piechart-panel",
      gridPos: { x: 0, y: 7, w: 6, h: 6 },
      targets: [{ expr: "a", legendFormat: "{{b}}" }],
    },
    {
      id: 5,
      type: "heatmap",
      dataFormat: "tsbuckets",
      gridPos: { x: 6, y: 7, w: 6, h: 6 },
      targets: [{ expr: "sum by (le) (h_bucket)", format: "heatmap" }],
    },
    {
      id: 6,
      type: "row",
      collapsed: true,
      title: "More",
      gridPos: { x: 0, y: 13, w: 24, h: 1 },
      panels: [
        { id: 7, type: "alertlist", show: "current" },
        { id: 8, type: "dashlist", limit: 5 },
      ],
    },
  ],
};
const AT_27: Json = {
  schemaVersion: 27,
  panels: [
    {
      type: "stat",
      datasource: "$datasource",
      gridPos: { x: 0, y: 0, w: 4, h: 4 },
      fieldConfig: { defaults: { mappings: [{ id: 1, type: 1, value: "1", text: "UP" }] }, overrides: [] },
      targets: [{ expr: "up" }],
    },
    {
      type: "bargauge",
      datasource: null,
      gridPos: { x: 4, y: 0, w: 4, h: 4 },
      targets: [{ expr: "up", instant: true }],
    },
    { type: "timeseries", gridPos: { x: 8, y: 0, w: 4, h: 4 }, targets: [{ expr: "up", exemplar: true }] },
  ],
};
const AT_36: Json = {
  schemaVersion: 36,
  panels: [
    {
      type: "state-timeline",
      datasource: { type: "prometheus", uid: "${ds}" },
      gridPos: { x: 0, y: 0, w: 4, h: 4 },
      targets: [{ expr: "up" }],
    },
    {
      type: "logs",
      datasource: { type: "loki", uid: "${loki}" },
      gridPos: { x: 4, y: 0, w: 4, h: 4 },
      targets: [{ expr: '{a="b"}' }],
    },
    {
      type: "table",
      gridPos: { x: 8, y: 0, w: 4, h: 4 },
      targets: [{ expr: "a", format: "table" }],
      transformations: [{ id: "organize", options: {} }],
    },
  ],
};
const AT_39: Json = {
  schemaVersion: 39,
  panels: [
    {
      type: "barchart",
      gridPos: { x: 0, y: 0, w: 4, h: 4 },
      targets: [{ expr: "a", format: "table", instant: true, range: false }],
    },
    { type: "histogram", gridPos: { x: 4, y: 0, w: 4, h: 4 }, targets: [{ expr: "a" }] },
    { type: "text", gridPos: { x: 8, y: 0, w: 4, h: 4 }, options: { mode: "markdown", content: "# x" } },
  ],
};
const AT_42: Json = {
  ...AT_39,
  schemaVersion: 42,
  preload: false,
  panels: [
    {
      type: "gauge",
      datasource: { type: "prometheus", uid: "$ds" },
      gridPos: { x: 0, y: 0, w: 4, h: 4 },
      targets: [{ expr: "a" }],
    },
  ],
};

describe("dashboards of schema", () => {
  it.each([
    [14, AT_14, ["row", "timeseries", "gauge", "row", "table"]],
    [16, AT_16, ["row", "barchart", "piechart", "heatmap", "row", "alertlist", "dashlist"]],
    [27, AT_27, ["stat", "bargauge", "timeseries"]],
    [36, AT_36, ["state-timeline", "logs", "table"]],
    [39, AT_39, ["barchart", "histogram", "text"]],
    [42, AT_42, ["gauge"]],
  ])("%i are read whole", (_, board, types) => {
    const all = every(readDashboard(board).panels);
    expect(all.map(({ type }) => type)).toEqual(types);
    expect(all.flatMap(({ missing }) => missing)).toEqual([]);
  });

  it("14 repeat a row with its panels", () => {
    const shown = sections(readDashboard(AT_14).panels, { node: chosen("a", "b") });
    expect(shown.map(({ panels }) => panels.map(({ scoped }) => scoped.node!.values[0]))).toEqual([
      ["a", "a"],
      ["b", "b"],
      [],
    ]);
  });

  it("16 repeat panels as wide as they may be, and drop the copies that were saved", () => {
    const [first] = sections(readDashboard(AT_16).panels, { node: chosen("a", "b", "c") });
    const repeated = first!.panels.filter(({ repeat }) => repeat);
    expect(repeated.map(({ place: { x, w } }) => [x, w])).toEqual([
      [0, 12],
      [12, 12],
      [0, 12],
    ]);
  });
});

it("a panel that shows what another one asks, asks it", () => {
  const other = { datasource: { uid: "-- Dashboard --" }, targets: [{ panelId: 1, refId: "A" }] };
  const { panels } = readDashboard({
    panels: [
      { id: 1, type: "stat", targets: [{ expr: "up" }, { expr: "down", hide: true }] },
      { id: 2, type: "table", ...other },
    ],
  });
  expect(panels[1]!.targets.map(({ expr }) => expr)).toEqual(["up"]);
});

it("variables that hang on each other are asked in order, and taken out of what they find", () => {
  const board = readDashboard({
    panels: [],
    templating: {
      list: [
        {
          name: "pod",
          type: "query",
          query: { query: 'label_values(kube_pod_info{node="$node"}, pod)', refId: "x" },
          regex: "/^(?<value>(?<text>shop)-.*)$/",
        },
        {
          name: "node",
          type: "query",
          query: 'query_result(node_uname_info{cluster="$cluster"})',
          regex: '/.*nodename="([^"]+)".*/',
          sort: 1,
        },
        { name: "cluster", type: "query", query: "label_values(cluster)", allValue: ".*", includeAll: true },
        { name: "ds", type: "datasource", query: "prometheus" },
      ],
    },
  });
  const [pod, node] = board.variables;
  expect(inOrder(board.variables).map(({ name }) => name)).toEqual(["cluster", "node", "pod", "ds"]);
  expect(question(node!.query)).toMatchObject({ kind: "result" });
  expect(
    optionsOf(node!, ['node_uname_info{nodename="b"} 1', 'node_uname_info{nodename="a"} 1']).map(({ value }) => value),
  ).toEqual(["a", "b"]);
  expect(optionsOf(pod!, ["shop-1", "cart-1"])).toEqual([{ text: "shop", value: "shop-1" }]);
  const scope = { chosen: { node: chosen("a", "b.c") }, span: { start: 0, end: 3600 }, step: 30, scrape: 15 };
  expect(interpolate('x{node=~"$node"}[$__rate_interval]', scope, "promql")).toBe('x{node=~"(a|b\\\\.c)"}[1m]');
});

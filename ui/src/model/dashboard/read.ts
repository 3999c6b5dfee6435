/**
 * Grafana's JSON, of any schema version that is about (3 to 42), and the plan's YAML form, read into a `Dashboard`.
 *
 * Nothing is refused but what is no dashboard at all: what is not known is kept as it is, and said where it is to be shown.
 */

import { neededBy } from "./expressions";
import { fieldConfig, NO_FIELD, overrides } from "./fieldconfig";
import { modern } from "./legacy";
import { readLink } from "./links";
import { bool, list, maybe, num, object, objects, text, texts } from "./options";
import type { Annotation, Dashboard, Json, Panel, Place, SourceKind, Target, Transformation } from "./types";
import { readVariables } from "./variables";

/** Says in words why `source` is no dashboard. */
export class NoDashboard extends Error {}

export function readDashboard(source: unknown): Dashboard {
  const outer = object(source);
  if (outer.kind === "Dashboard" && object(outer.spec).elements)
    throw new NoDashboard(
      "this is Grafana's schema v2 (kind: Dashboard); it becomes the classic model when it is imported",
    );
  const json = "dashboard" in outer && typeof outer.dashboard === "object" ? object(outer.dashboard) : outer;
  if (!Array.isArray(json.panels) && !Array.isArray(json.rows))
    throw new NoDashboard("a dashboard has `panels` (or, in old ones, `rows`); this has neither");
  const time = object(json.time);
  const sources = variableSources(json);
  return {
    uid: text(json.uid),
    title: text(json.title, "untitled"),
    description: text(json.description),
    tags: texts(json.tags),
    timezone: text(json.timezone),
    refresh: text(json.refresh),
    range: text(time.from) && text(time.to) ? { from: text(time.from), to: text(time.to) } : null,
    panels: shared(placed(panelsOf(json).map((panel, at) => readPanel(panel, at + 1, sources)))),
    variables: readVariables(json),
    annotations: objects(object(json.annotations).list).map(readAnnotation),
    links: objects(json.links).map(readLink),
    together: num(json.graphTooltip, json.sharedCrosshair ? 1 : 0) > 0,
  };
}

/** Panels of old rows (schema below 16) are put below each other, 12 columns made 24. */
export function panelsOf(json: Json): readonly Json[] {
  // Copies that repeats had made when it was saved are made anew.
  const original = (panel: Json) =>
    panel.repeatPanelId === undefined || panel.repeatPanelId === null || text(panel.repeat) !== "";
  if (Array.isArray(json.panels) && json.panels.length > 0) return objects(json.panels).filter(original);
  let y = 0;
  return objects(json.rows).flatMap((row) => {
    const height = Math.max(3, Math.ceil(pixels(row.height, 250) / 38));
    const title = text(row.title);
    const shut = bool(row.collapse);
    const headed = shut || bool(row.showTitle);
    const head = { type: "row", title, collapsed: shut, gridPos: { x: 0, y, w: 24, h: 1 }, repeat: row.repeat ?? null };
    let [x, line] = [0, y + (headed ? 1 : 0)];
    let tallest = 0;
    const panels = objects(row.panels)
      .filter(original)
      .map((panel) => {
        const w = Math.min(24, Math.max(1, Math.round(num(panel.span, 4) * 2)));
        if (x + w > 24) [x, line, tallest] = [0, line + tallest, 0];
        const h = panel.height ? Math.max(3, Math.ceil(pixels(panel.height, 250) / 38)) : height;
        const minSpan = maybe(panel.minSpan); // of twelve columns then
        const made = { ...panel, gridPos: { x, y: line, w, h }, ...(minSpan ? { minSpan: minSpan * 2 } : {}) };
        x += w;
        tallest = Math.max(tallest, h);
        return made;
      });
    y = line + tallest;
    return shut ? [{ ...head, panels }] : headed ? [head, ...panels] : panels;
  });
}

function pixels(value: unknown, usual: number): number {
  return maybe(typeof value === "string" ? value.replace(/px$/, "") : value) ?? usual;
}

/** A panel that shows what another one asks (datasource `-- Dashboard --`) asks the same. */
function shared(panels: readonly Panel[]): readonly Panel[] {
  const all = new Map(panels.flatMap((panel) => [panel, ...panel.inside]).map((panel) => [panel.id, panel]));
  const asking = (panel: Panel): Panel => ({
    ...panel,
    inside: panel.inside.map(asking),
    targets: panel.targets.flatMap((target) => {
      if (target.kind !== "dashboard") return [target];
      const other = all.get(num(target.raw.panelId, -1));
      const needed = neededBy(other?.targets ?? []);
      return (other?.targets ?? []).filter(
        ({ kind, hidden, refId }) => kind !== "dashboard" && (!hidden || needed.has(refId)),
      );
    }),
  });
  return panels.map(asking);
}

/** Panels without a place (the plan's YAML has none) stand three in a line. */
function placed(panels: readonly Panel[]): readonly Panel[] {
  if (panels.some(({ place }) => place.w > 0)) {
    return panels.map((panel) => (panel.place.w > 0 ? panel : { ...panel, place: { ...panel.place, w: 12, h: 8 } }));
  }
  return panels.map((panel, at) => ({ ...panel, place: { x: (at % 3) * 8, y: Math.floor(at / 3) * 8, w: 8, h: 8 } }));
}

/** What variables of type `datasource` choose among: a panel's `${ds}` is of that kind. */
function variableSources(json: Json): ReadonlyMap<string, string> {
  const variables = objects(object(json.templating).list).filter(({ type }) => type === "datasource");
  const inputs = objects(json.__inputs);
  return new Map([
    ...variables.map(({ name, query }) => [text(name), text(query)] as const),
    ...inputs.map(({ name, pluginId }) => [text(name), text(pluginId)] as const),
  ]);
}

const [FARTHEST, TALLEST] = [1_000_000, 1000]; // rows of the grid

/** A whole number from 0 to `most`. */
function whole(value: unknown, usual: number, most: number): number {
  return Math.round(Math.min(most, Math.max(0, num(value, usual))));
}

/** One panel; `id` is its number where it has none. */
export function readPanel(raw: Json, id: number, sources: ReadonlyMap<string, string> = new Map()): Panel {
  const json = modern(raw);
  const grid = object(json.gridPos);
  const kind = sourceKind(json.datasource, sources);
  const rowlike = json.type === "row";
  const place: Place = {
    x: whole(grid.x, 0, 23),
    y: whole(grid.y, 0, FARTHEST),
    w: whole(grid.w, 0, 24),
    h: Math.max(1, whole(grid.h, rowlike ? 1 : 8, TALLEST)),
  };
  const config = object(json.fieldConfig);
  const targets = objects(json.targets).map((target, at) => readTarget(target, at, kind, sources));
  return {
    id: num(json.id, 0) || 1000 + id,
    type: text(json.type, "timeseries"),
    title: text(json.title),
    description: text(json.description),
    place,
    targets,
    options: object(json.options),
    field: config.defaults ? fieldConfig(object(config.defaults)) : NO_FIELD,
    overrides: overrides(config.overrides),
    transformations: objects(json.transformations).map(readTransformation),
    repeat: text(json.repeat)
      ? {
          variable: text(json.repeat),
          down: json.repeatDirection === "v",
          most: num(json.maxPerRow, mostOf(json.minSpan)),
        }
      : null,
    timeFrom: text(json.timeFrom),
    quietTime: bool(json.hideTimeOverride),
    timeShift: text(json.timeShift),
    interval: text(json.interval),
    maxPoints: maybe(json.maxDataPoints) ?? null,
    links: objects(json.links).map(readLink),
    bare: bool(json.transparent),
    shut: bool(json.collapsed),
    inside: rowlike ? objects(json.panels).map((panel, at) => readPanel(panel, id * 100 + at, sources)) : [],
    scoped: {},
    missing: [
      ...texts(json.missing),
      ...(json.libraryPanel ? ["it is a library panel: export the dashboard with its library panels"] : []),
      ...targets.filter(({ kind: of }) => of === "other").map(unknownSource),
    ],
  };
}

/** Before there was `maxPerRow` a repeated panel had a least width. */
function mostOf(minSpan: unknown): number {
  const least = maybe(minSpan);
  return least ? Math.max(1, Math.floor(24 / least)) : 4;
}

function unknownSource({ refId, raw }: Target): string {
  const of = text(object(raw.datasource).type) || text(raw.datasource) || "a source that is not known here";
  return `query ${refId} is for ${of}; metrics (PromQL), logs and traces can be asked here`;
}

function readTransformation(json: Json): Transformation {
  return { id: text(json.id), options: object(json.options), disabled: bool(json.disabled) };
}

const LOGS = [
  "loki",
  "elasticsearch",
  "victoriametrics-logs-datasource",
  "opensearch",
  "grafana-opensearch-datasource",
];
const TRACES = ["tempo", "jaeger", "zipkin"];

/** What kind of data a datasource has, by its type or name; Prometheus' where nothing is said. */
export function sourceKind(source: unknown, sources: ReadonlyMap<string, string> = new Map()): SourceKind {
  const { type, uid } = object(source);
  const name = text(type) || text(uid) || text(source);
  const variable = /^\$\{?(\w+)\}?$/.exec(name)?.[1];
  const word = (variable ? (sources.get(variable) ?? "prometheus") : name).toLowerCase();
  if (!word || word === "default" || word.includes("prom") || word.includes("mimir") || word.includes("victoria")) {
    return word.includes("logs") ? "logs" : "prometheus";
  }
  if (word === "__expr__" || word === "-100") return "expression";
  if (word.includes("mixed")) return "mixed";
  if (word.includes("dashboard")) return "dashboard";
  if (LOGS.some((each) => word.includes(each))) return "logs";
  if (TRACES.some((each) => word.includes(each))) return "traces";
  return word === "datasource" || word === "grafana" || typeof source === "string" ? "prometheus" : "other";
}

function readTarget(json: Json, at: number, ofPanel: SourceKind, sources: ReadonlyMap<string, string>): Target {
  const own = json.datasource ? sourceKind(json.datasource, sources) : ofPanel;
  const expr = text(json.expr) || text(json.query) || text(object(json.query).query);
  const form = json.format === "table" ? "table" : json.format === "heatmap" ? "heatmap" : "series";
  const instant = bool(json.instant);
  return {
    refId: text(json.refId) || String.fromCharCode(65 + (at % 26)),
    kind: own === "mixed" ? "prometheus" : own === "other" && text(json.expr) ? "prometheus" : own,
    expr,
    legend: text(json.legendFormat),
    form,
    instant,
    range: bool(json.range, !instant),
    hidden: bool(json.hide),
    interval: text(json.interval) || text(json.step && String(json.step)),
    exemplars: bool(json.exemplar),
    raw: json,
  };
}

function readAnnotation(json: Json): Annotation {
  const target = object(json.target);
  const expr = text(json.expr) || text(target.expr);
  const builtIn =
    json.builtIn === 1 || object(json.datasource).type === "grafana" || json.datasource === "-- Grafana --";
  const name = text(json.name);
  const own = text(json.aiprism); // ours: "events" or "incidents"
  const logs = sourceKind(json.datasource) === "logs";
  const kind =
    own === "events" || own === "incidents"
      ? own
      : expr
        ? logs
          ? "logs"
          : "prometheus"
        : builtIn
          ? "events"
          : "other";
  const filter = object(json.filter);
  return {
    name: builtIn && !own ? "Changes" : name,
    colour: text(json.iconColor, "blue"),
    kind,
    expr,
    title: text(json.titleFormat),
    text: text(json.textFormat),
    step: text(json.step),
    enabled: bool(json.enable, true),
    hidden: bool(json.hide),
    valueIsTime: bool(json.useValueForTime) || json.useValueForTime === "on",
    panels: filter.ids ? { ids: list(filter.ids).map(Number), exclude: bool(filter.exclude) } : null,
    of: text(json.eventKind) || list(json.tags).map(String).join(" "),
  };
}

/** Links of dashboards, panels and fields: read from Grafana's JSON, and where each leads from a certain value. */

import { USUAL } from "@/model/timerange";
import { display } from "./display";
import { titleOf } from "./frames";
import { interpolate, type Scope } from "./interpolate";
import { bool, text, texts } from "./options";
import type { Cell, DashLink, Field, Frame, Json } from "./types";

/** A link of a dashboard, a panel, or a field; old ones name the dashboard they lead to. */
export function readLink(json: Json): DashLink {
  const slug = text(json.dashboard)
    .toLowerCase()
    .replace(/[^\w]+/g, "-");
  const params = text(json.params);
  const url =
    text(json.url) || text(json.dashUri && `dashboard/${text(json.dashUri)}`) || (slug && `dashboard/db/${slug}`);
  return {
    title:
      text(json.title) ||
      text(json.dashboard) ||
      (json.type === "dashboards" ? texts(json.tags).join(", ") || "dashboards" : text(json.url)),
    url: params && url ? `${url}${url.includes("?") ? "&" : "?"}${params}` : url,
    tooltip: text(json.tooltip),
    tags: texts(json.tags),
    kind: json.type === "dashboards" ? "dashboards" : "link",
    keepTime: bool(json.keepTime),
    keepVariables: bool(json.includeVars),
    blank: bool(json.targetBlank),
    folded: bool(json.asDropdown),
  };
}

/** What a link of a field is about: the value of a row, or a whole series. */
export interface Spot {
  readonly field?: Field;
  readonly frame?: Frame;
  readonly row?: number;
  /** Where it is not that of the row: a calculation over the series. */
  readonly value?: Cell;
}

export interface Lead {
  readonly title: string;
  readonly to: string;
  /** A page of this server's; others are opened beside it. */
  readonly inside: boolean;
}

/** Where `link` leads from `spot`. Grafana's addresses of dashboards become those of the pages here. */
export function leadOf(link: DashLink, scope: Scope, spot: Spot = {}): Lead {
  const address = interpolate(withSpot(link.url, spot, scope, encodeURIComponent), scope, "percentencode");
  const title = interpolate(
    withSpot(link.title, spot, scope, (value) => value),
    scope,
    "text",
  );
  const kept = [...(link.keepTime ? timeOf(scope) : []), ...(link.keepVariables ? variablesOf(scope) : [])];
  return { title: title || "link", ...placeOf(address, kept, scope) };
}

/** The page of a dashboard that `link` names by its tags. */
export function leadTo(uid: string, link: DashLink, scope: Scope): string {
  return placeOf(`/d/${uid}`, link.keepVariables ? variablesOf(scope) : [], scope).to;
}

function placeOf(address: string, kept: readonly string[], scope: Scope): { to: string; inside: boolean } {
  const [, path = "", query = ""] = /^([^?#]*)\??([^#]*)/.exec(address) ?? [];
  const withQuery = (to: string, more: readonly string[]) => {
    const all = [...query.split("&"), ...more].filter(Boolean).join("&");
    return all ? `${to}?${all}` : to;
  };
  // The range of time goes along to every page here, as it does everywhere.
  const own = /(^|&)from=/.test(query) ? [] : timeOf(scope).filter((each) => !kept.includes(each));
  const board = /^\/?d(?:-solo)?\/([\w-]+)(?:\/[^/]*)?$/.exec(path);
  if (board) return { to: withQuery(`/dashboards/${board[1]}`, [...kept, ...own]), inside: true };
  const named = /^\/?dashboard\/(?:db|file)\/([\w-]+?)(?:\.json)?$/.exec(path);
  if (named) return { to: `/dashboards?find=${encodeURIComponent(named[1]!.replaceAll("-", " "))}`, inside: true };
  if (/^\/(?![/\\])/.test(path)) return { to: withQuery(path, [...kept, ...own]), inside: true };
  return { to: /^(https?|mailto):/i.test(path) ? withQuery(path, kept) : "#", inside: false };
}

function timeOf({ range = USUAL }: Scope): string[] {
  const usual = range.from === USUAL.from && range.to === USUAL.to;
  return usual ? [] : [`from=${encodeURIComponent(range.from)}`, `to=${encodeURIComponent(range.to)}`];
}

function variablesOf({ chosen }: Scope): string[] {
  return Object.entries(chosen).flatMap(([name, { values, all }]) =>
    all ? [`var-${name}=$__all`] : values.map((value) => `var-${name}=${encodeURIComponent(value)}`),
  );
}

const OF_SPOT = /\$\{__(value|field|series|data)\.([^}:]+)(?::(\w+))?\}|\$\{?__cell(?:_(\d+))?(?::(\w+))?\}?/g;
const OF_PAGE = /\$\{?__(url_time_range|all_variables)\}?/g;

/** What only a link knows: the value it stands at, its field, its row, the whole query of the page. */
function withSpot(url: string, spot: Spot, scope: Scope, coded: (value: string) => string): string {
  return url
    .replace(OF_SPOT, (whole, of, path, format, column, cellFormat) => {
      const value = of ? spotValue(of, path, spot) : cellValue(spot, column);
      if (value === undefined) return whole;
      return (format ?? cellFormat) === "raw" ? value : coded(value);
    })
    .replace(OF_PAGE, (_, what) =>
      (what === "all_variables"
        ? variablesOf(scope)
        : [`from=${scope.span.start * 1000}`, `to=${scope.span.end * 1000}`]
      ).join("&"),
    );
}

function cellValue(
  { field, frame, row = (field?.values.length ?? 1) - 1 }: Spot,
  column: string | undefined,
): string | undefined {
  const found = column === undefined ? field : frame?.fields[Number(column)];
  return found && plain(found.values[row]);
}

function spotValue(of: string, path: string, spot: Spot): string | undefined {
  const { field, frame, row = (field?.values.length ?? 1) - 1 } = spot;
  const value = spot.value ?? field?.values[row];
  const labels = /^labels(?:\.(.+)|\[["'](.+)["']\])$/.exec(path);
  if (of !== "value" && labels) return field?.labels[(labels[1] ?? labels[2])!] ?? "";
  if (of === "value" && path === "time") {
    const time = frame?.fields.find(({ kind }) => kind === "time")?.values[row];
    return typeof time === "number" ? String(Math.round(time * 1000)) : "";
  }
  if (of === "value" && path === "text") return field ? display(value, field.config).text : "";
  if (of === "value") return plain(value);
  if (of === "field" || of === "series")
    return path === "name" ? (field && frame ? titleOf(field, frame) : "") : undefined;
  const named = /^fields(?:\.([^.[\]]+)|\[["'](.+?)["']\]|\[(\d+)\])/.exec(path);
  if (!named || !frame) return undefined;
  const wanted = named[1] ?? named[2];
  const found = wanted
    ? frame.fields.find((each) => titleOf(each, frame) === wanted || each.name === wanted)
    : frame.fields[Number(named[3])];
  return plain(found?.values[row]);
}

function plain(value: Cell | undefined): string {
  return value === null || value === undefined || Array.isArray(value) ? "" : String(value);
}

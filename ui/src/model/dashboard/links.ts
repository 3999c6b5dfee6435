import { bool, text, texts } from "./options";
import type { DashLink, Json } from "./types";

/** A link of a dashboard, a panel, or a field; old ones name the dashboard they lead to. */
export function readLink(json: Json): DashLink {
  const tags = texts(json.tags);
  return {
    title: text(json.title) || text(json.dashboard) || text(json.type),
    url: text(json.url) || text(json.dashUri),
    tags,
    kind: json.type === "dashboards" ? "dashboards" : "link",
    keepTime: bool(json.keepTime),
    keepVariables: bool(json.includeVars),
  };
}

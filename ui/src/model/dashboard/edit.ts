/** Changes to a panel within the JSON of its dashboard; all that is not changed stays as it was written. */

import { list, object, objects, text } from "./options";
import type { Json } from "./types";

export interface PanelEdit {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly unit: string;
  readonly queries: readonly string[];
}

/** What of each panel can be changed, those in shut rows too. */
export function panelEdits(dashboard: Json): readonly PanelEdit[] {
  return objects(dashboard.panels).flatMap((panel) => [
    ...(panel.type === "row" ? objects(panel.panels).map(edit) : [edit(panel)]),
  ]);
}

function edit(panel: Json): PanelEdit {
  return {
    id: Number(panel.id),
    title: text(panel.title),
    type: text(panel.type),
    unit: text(object(object(panel.fieldConfig).defaults).unit),
    queries: objects(panel.targets).map(({ expr }) => text(expr)),
  };
}

/** `dashboard` with the panel of that number as `next` says. */
export function edited(dashboard: Json, next: PanelEdit): Record<string, unknown> {
  return { ...dashboard, panels: list(dashboard.panels).map((panel) => changed(object(panel), next)) };
}

function changed(panel: Json, next: PanelEdit): Json {
  if (panel.type === "row" && Array.isArray(panel.panels))
    return { ...panel, panels: panel.panels.map((each) => changed(object(each), next)) };
  if (panel.id !== next.id) return panel;
  const before = objects(panel.targets);
  const targets = next.queries.map((expr, at) => ({
    refId: String.fromCharCode(65 + at),
    ...(panel.datasource ? { datasource: panel.datasource } : {}),
    ...before[at],
    expr,
  }));
  const config = object(panel.fieldConfig);
  const { unit: _, ...defaults } = object(config.defaults);
  return {
    ...panel,
    title: next.title,
    type: next.type,
    targets,
    fieldConfig: { overrides: [], ...config, defaults: next.unit ? { ...defaults, unit: next.unit } : defaults },
  };
}

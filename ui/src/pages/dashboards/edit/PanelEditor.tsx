import { Button, Group } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { Boundary } from "@/components/Boundary";
import { Nothing } from "@/components/states";
import { asksOther, editable, faultOfList, panelOf, withPanel } from "@/model/dashboard/edit";
import { originOf } from "@/model/dashboard/layout";
import { object } from "@/model/dashboard/options";
import { readDashboard } from "@/model/dashboard/read";
import type { Json } from "@/model/dashboard/types";
import type { Editing } from "../draft";
import { type Drawing, marksFor } from "../marks";
import { PanelBox } from "../PanelBox";
import { Fields } from "./Fields";
import { JsonBox } from "./JsonBox";
import { Queries } from "./Queries";

const PAUSE_MS = 700;

interface Props extends Omit<Drawing, "dashboard"> {
  readonly id: number;
  readonly editing: Editing;
  readonly back: () => void;
}

/** One panel: how it looks, what it asks, and what of it can be chosen. It is drawn from the text as it stands. */
export function PanelEditor({ id, editing, scope, marks, adhoc, back }: Props) {
  const { json } = editing.draft;
  const panel = useMemo(() => panelOf(json, id), [json, id]);
  const [drawn, run] = useDrawn(json, panel);
  const shown = useMemo(() => originOf(readDashboard(drawn).panels, id), [drawn, id]);
  if (!panel || !shown)
    return (
      <Nothing title={`There is no panel ${id}`}>
        <Button size="compact-xs" variant="default" onClick={back}>
          to the dashboard
        </Button>
      </Nothing>
    );
  const row = panel.type === "row";
  const change = (next: Json, what: string) =>
    editing.change((all) => {
      const made = withPanel(all, next);
      return row ? editable(made) : made; // panels that were written into it have numbers and places, too
    }, what);
  return (
    <div className="paneleditor">
      <div className="stack">
        <Group gap={8}>
          <Button size="compact-xs" variant="default" onClick={back}>
            ← all panels
          </Button>
          <span className="quiet">
            {row ? "row" : "panel"} {id}
          </span>
        </Group>
        {!row && (
          <div className="preview">
            <Boundary of={shown}>
              <PanelBox panel={shown} scope={scope} marks={marksFor(marks, id)} adhoc={adhoc} height={320} acts={[]} />
            </Boundary>
          </div>
        )}
        {!row && shown.type !== "text" && <Queries panel={panel} change={change} run={run} />}
        <More panel={panel} change={change} />
      </div>
      <section aria-label="options">
        <Fields panel={panel} change={change} />
      </section>
    </div>
  );
}

/** What has no form: lists of the panel as JSON, and all of it. */
function More({ panel, change }: { panel: Json; change: (panel: Json, what: string) => void }) {
  const config = object(panel.fieldConfig);
  const lists: readonly (readonly [string, unknown, (value: unknown) => Json])[] = [
    ["transformations", panel.transformations, (value) => ({ ...panel, transformations: value })],
    [
      "overrides",
      config.overrides,
      (value) => ({ ...panel, fieldConfig: { defaults: {}, ...config, overrides: value } }),
    ],
    ["links", panel.links, (value) => ({ ...panel, links: value })],
  ];
  return (
    <div className="jsons">
      {panel.type !== "row" &&
        lists.map(([name, value, made]) => (
          <details key={name}>
            <summary>
              {name} <span className="quiet">{Array.isArray(value) && value.length > 0 ? value.length : "none"}</span>
            </summary>
            <JsonBox
              label={`JSON of ${name}`}
              value={value ?? []}
              faultOf={(written) => faultOfList(written, name)}
              change={(next) => change(made(next), `${panel.id} ${name}`)}
            />
          </details>
        ))}
      <details>
        <summary>JSON of the panel</summary>
        <JsonBox
          label="JSON of the panel"
          value={panel}
          rows={10}
          faultOf={(written) => faultOfPanel(written, panel)}
          change={(next) => change(next as Json, `${panel.id} json`)}
        />
      </details>
    </div>
  );
}

function faultOfPanel(written: string, { id, type }: Json): string {
  const read = JSON.parse(written);
  if (typeof read !== "object" || read === null || Array.isArray(read)) return "an object is wanted: { … }";
  if (read.id !== id) return `the number (id) of the panel stays ${id}`;
  return (read.type === "row") === (type === "row") ? "" : "a row stays a row, and a panel a panel";
}

/** The dashboard as it is drawn: at once where nothing else is asked, otherwise after a pause or when it is `run`. */
function useDrawn(json: Json, panel: Json | undefined): readonly [Json, () => void] {
  const [drawn, draw] = useState({ json, panel });
  const now = panel && drawn.panel ? !asksOther(drawn.panel, panel) : true;
  const shown = now ? json : drawn.json;
  useEffect(() => {
    if (now) {
      draw({ json, panel });
      return;
    }
    const timer = setTimeout(() => draw({ json, panel }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [json, panel, now]);
  return [shown, () => draw({ json, panel })];
}

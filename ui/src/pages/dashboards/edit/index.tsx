/** A dashboard while it is changed: what can be done with all of it, and below its panels, or the editor of one. */

import { Button, Group } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { useState } from "react";
import type { DashboardSummary } from "@/api/dashboards";
import { useUrl } from "@/components/time";
import { added } from "@/model/dashboard/arrange";
import type { Json } from "@/model/dashboard/types";
import type { Editing, Mode } from "../draft";
import type { Drawing } from "../marks";
import { Arranged } from "./Arranged";
import { PanelEditor } from "./PanelEditor";
import { SaveForm } from "./SaveForm";
import { Settings, Whole } from "./Settings";
import { Unreadable, useUnread } from "./unread";
import "./edit.css";

export interface EditProps extends Drawing {
  readonly editing: Editing;
  readonly mode: Mode;
  readonly saved: (as: DashboardSummary) => void;
}

const FORMS = ["settings", "JSON", "save"] as const;
const NEW_PANEL: Json = { type: "timeseries", title: "New panel", targets: [{ refId: "A", expr: "" }] };
const NEW_ROW: Json = { type: "row", title: "New row", collapsed: false, panels: [] };

export default function Edit({ dashboard, editing, mode, saved, ...drawing }: EditProps) {
  useHotkeys([
    ["mod+Z", editing.undo],
    ["mod+shift+Z", editing.redo],
  ]);
  const [form, setForm] = useUrl("form");
  const [unread, tell] = useUnread();
  const [kept, keep] = useState(""); // what stays below the form that saves: a text there cannot be read
  const go = (next: string) => {
    keep(next === "save" && unread.size > 0 ? form : "");
    setForm(next);
  };
  const shown = form === "save" ? kept : form;
  return (
    <Unreadable value={tell}>
      <Bar editing={editing} mode={mode} form={form} setForm={go} />
      {form === "save" && <SaveForm editing={editing} saved={saved} back={() => go("")} unread={unread} />}
      {shown === "settings" && <Settings editing={editing} />}
      {shown === "JSON" && <Whole editing={editing} />}
      {mode.panel === null ? (
        <Arranged dashboard={dashboard} editing={editing} {...drawing} open={mode.open} />
      ) : (
        <PanelEditor key={mode.panel} id={mode.panel} editing={editing} {...drawing} back={mode.arrange} />
      )}
    </Unreadable>
  );
}

interface BarProps extends Pick<EditProps, "editing" | "mode"> {
  readonly form: string;
  readonly setForm: (form: string) => void;
}

function Bar({ editing, mode, form, setForm }: BarProps) {
  const { draft, dirty } = editing;
  const add = (panel: Json) => {
    const [json, id] = added(draft.json, panel);
    editing.change(() => json);
    mode.open(id);
  };
  return (
    <Group gap={6} role="toolbar" aria-label="edit the dashboard">
      <Button size="compact-xs" variant="default" onClick={() => add(NEW_PANEL)}>
        add panel
      </Button>
      <Button size="compact-xs" variant="default" onClick={() => add(NEW_ROW)}>
        add row
      </Button>
      <Button size="compact-xs" variant="default" disabled={draft.past.length === 0} onClick={editing.undo}>
        undo
      </Button>
      <Button size="compact-xs" variant="default" disabled={draft.future.length === 0} onClick={editing.redo}>
        redo
      </Button>
      {FORMS.map((name) => (
        <Button
          key={name}
          size="compact-xs"
          variant={form === name || (name === "save" && dirty) ? "filled" : "default"}
          aria-pressed={form === name}
          onClick={() => setForm(form === name ? "" : name)}
        >
          {name === "save" ? "save …" : name}
        </Button>
      ))}
      {dirty && (
        <Button size="compact-xs" variant="default" onClick={editing.discard}>
          discard
        </Button>
      )}
    </Group>
  );
}

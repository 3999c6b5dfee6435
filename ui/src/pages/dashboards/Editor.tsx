import { Button, Group, Select, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { type DashboardDocument, useSaveDashboard } from "@/api/dashboards";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { edited, type PanelEdit, panelEdits } from "@/model/dashboard/edit";
import { readDashboard } from "@/model/dashboard/read";
import { UNITS } from "@/model/units";
import { VIEWS } from "./panels";

/** Changes a dashboard: a panel's title, type, unit and queries, or all of its JSON; saved as another version. */
export function Editor({ document: newest, close }: { document: DashboardDocument; close: () => void }) {
  const [document] = useState(newest); // what the text was made of: where another was saved meanwhile, the server says so
  const [actor, setActor] = useActor();
  const [text, setText] = useState(() => JSON.stringify(document.dashboard, null, 2));
  const [message, setMessage] = useState("");
  const [picked, pick] = useState<string | null>(null);
  const saving = useSaveDashboard(document.uid);
  const read = parsed(text);
  const panels = read.json ? panelEdits(read.json) : [];
  const panel = panels.find(({ id }) => String(id) === picked);
  const change = (next: PanelEdit) => read.json && setText(JSON.stringify(edited(read.json, next), null, 2));
  const save = () =>
    read.json &&
    saving.mutate(
      { dashboard: read.json, folder: document.folder, by: actor, message, version: document.version },
      { onSuccess: close },
    );
  return (
    <Panel title="Edit" note={document.origin === "saved" ? "" : "what is saved stands in the place of the file"}>
      <div className="grid2">
        <div style={{ display: "grid", gap: 8 }}>
          <Select
            size="xs"
            label="panel"
            placeholder="which panel"
            data={panels.map(({ id, title, type }) => ({
              value: String(id),
              label: `${title || "untitled"} (${type})`,
            }))}
            value={picked}
            onChange={pick}
          />
          {panel && <PanelFields key={picked} panel={panel} change={change} />}
          <TextInput size="xs" label="by" value={actor} onChange={(event) => setActor(event.currentTarget.value)} />
          <TextInput
            size="xs"
            label="what was changed"
            value={message}
            onChange={(event) => setMessage(event.currentTarget.value)}
          />
          {read.fault && <div className="bad">{read.fault}</div>}
          {saving.error && <Fault error={saving.error} />}
          <Group gap={8}>
            <Button size="compact-sm" disabled={!read.json} loading={saving.isPending} onClick={save}>
              save
            </Button>
            <Button size="compact-sm" variant="default" onClick={close}>
              cancel
            </Button>
          </Group>
        </div>
        <Textarea
          label="JSON of the dashboard"
          size="xs"
          autosize
          minRows={16}
          maxRows={28}
          styles={{ input: { fontFamily: "var(--mono)" } }}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          spellCheck={false}
        />
      </div>
    </Panel>
  );
}

function PanelFields({ panel, change }: { panel: PanelEdit; change: (next: PanelEdit) => void }) {
  return (
    <>
      <TextInput
        size="xs"
        label="title"
        value={panel.title}
        onChange={(event) => change({ ...panel, title: event.currentTarget.value })}
      />
      <Select
        size="xs"
        label="type"
        data={[...new Set([...Object.keys(VIEWS), panel.type])]}
        value={panel.type}
        allowDeselect={false}
        onChange={(type) => type && change({ ...panel, type })}
      />
      <Select
        size="xs"
        label="unit"
        searchable
        selectFirstOptionOnChange
        selectFirstOptionOnDropdownOpen // or Mantine forgets what is marked, when the list opens slower than one types
        data={[...new Set([...UNITS, ...(panel.unit ? [panel.unit] : [])])]}
        value={panel.unit || null}
        onChange={(unit) => change({ ...panel, unit: unit ?? "" })}
      />
      {panel.queries.map((query, at) => (
        <Textarea
          key={`query ${at}`}
          size="xs"
          autosize
          label={`query ${String.fromCharCode(65 + at)}`}
          styles={{ input: { fontFamily: "var(--mono)" } }}
          value={query}
          onChange={(event) => change({ ...panel, queries: panel.queries.with(at, event.currentTarget.value) })}
        />
      ))}
      <Button size="compact-xs" variant="default" onClick={() => change({ ...panel, queries: [...panel.queries, ""] })}>
        another query
      </Button>
    </>
  );
}

function parsed(text: string): { json?: Record<string, unknown>; fault?: string } {
  try {
    const json = JSON.parse(text);
    readDashboard(json);
    return { json };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

import { TagsInput, Textarea, TextInput } from "@mantine/core";
import { Panel } from "@/components/Panel";
import { editable, faultOfList } from "@/model/dashboard/edit";
import { object, text, texts } from "@/model/dashboard/options";
import { readDashboard } from "@/model/dashboard/read";
import type { Json } from "@/model/dashboard/types";
import type { Editing } from "../draft";
import { JsonBox } from "./JsonBox";

/** What a dashboard says of itself, and its variables, annotations and links as JSON. */
export function Settings({ editing: { draft, change } }: { editing: Editing }) {
  const { json } = draft;
  const put = (key: string, value: unknown) => change((all) => ({ ...all, [key]: value }), `dashboard ${key}`);
  const lists: readonly (readonly [string, string])[] = [
    ["templating", "variables"],
    ["annotations", "annotations"],
  ];
  return (
    <Panel title="Settings">
      <div className="grid2">
        <div style={{ display: "grid", gap: 8 }}>
          <TextInput
            size="xs"
            label="title of the dashboard"
            value={text(json.title)}
            onChange={(event) => put("title", event.currentTarget.value)}
          />
          <Textarea
            size="xs"
            autosize
            label="description of the dashboard"
            value={text(json.description)}
            onChange={(event) => put("description", event.currentTarget.value)}
          />
          <TagsInput size="xs" label="tags" value={[...texts(json.tags)]} onChange={(tags) => put("tags", tags)} />
        </div>
        <div className="jsons">
          {lists.map(([key, name]) => (
            <JsonBox
              key={key}
              label={`JSON of ${name}`}
              value={object(json[key]).list ?? []}
              faultOf={(written) => faultOfList(written, name)}
              change={(next) => put(key, { ...object(json[key]), list: next })}
            />
          ))}
        </div>
      </div>
    </Panel>
  );
}

/** All of a dashboard as JSON. */
export function Whole({ editing: { draft, change } }: { editing: Editing }) {
  return (
    <Panel title="JSON">
      <JsonBox
        label="JSON of the dashboard"
        value={draft.json}
        rows={16}
        faultOf={faultOfDashboard}
        change={(next) => change(() => editable(next as Json), "dashboard json")}
      />
    </Panel>
  );
}

function faultOfDashboard(written: string): string {
  try {
    readDashboard(JSON.parse(written));
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

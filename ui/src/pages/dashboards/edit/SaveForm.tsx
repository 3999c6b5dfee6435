import { Button, Group, Radio, TextInput } from "@mantine/core";
import { useState } from "react";
import { type DashboardDocument, type DashboardSummary, useImportDashboard, useSaveDashboard } from "@/api/dashboards";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { text } from "@/model/dashboard/options";
import type { Editing } from "../draft";
import type { Unread } from "./unread";

type Into = "database" | "file";

interface Props {
  readonly editing: Editing;
  readonly saved: (as: DashboardSummary) => void;
  readonly back: () => void;
  readonly unread: Unread;
}

/** Keeps the dashboard as it stands: who says so, what was changed, and where it is kept. */
export function SaveForm({ editing, saved, back, unread }: Props) {
  const { of, draft } = editing;
  const [actor, setActor] = useActor();
  const [message, setMessage] = useState("");
  // Saving into the file deletes the versions before it: where there are any, it is chosen.
  const [into, choose] = useState<Into>(of.file && !of.file.refused && of.version === 0 ? "file" : "database");
  const saving = useSaveDashboard(of.uid);
  const adding = useImportDashboard();
  const fresh = of.uid === "";
  const wanted = { dashboard: { ...draft.json }, folder: of.folder, by: actor, message };
  const done = (as: DashboardSummary) => {
    editing.saved(draft.json, as);
    saved(as);
  };
  const save = () =>
    fresh
      ? adding.mutate(wanted, { onSuccess: done })
      : saving.mutate(
          { ...wanted, version: of.version, into, mark: into === "file" ? (of.file?.mark ?? "") : "" },
          { onSuccess: done },
        );
  const error = saving.error ?? adding.error;
  return (
    <Panel title="Save" note={noteOf(of)}>
      <form
        className="fieldrow"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        {of.file && <Where of={of} into={into} choose={choose} />}
        {fresh && (
          <TextInput
            size="xs"
            label="title of the dashboard"
            required
            value={text(draft.json.title)}
            onChange={({ currentTarget: { value } }) =>
              editing.change((json) => ({ ...json, title: value }), "dashboard title")
            }
          />
        )}
        <TextInput size="xs" label="by" value={actor} onChange={(event) => setActor(event.currentTarget.value)} />
        <TextInput
          size="xs"
          label="what was changed"
          style={{ flex: 1, minWidth: 180 }}
          value={message}
          onChange={(event) => setMessage(event.currentTarget.value)}
        />
        {unread.size > 0 && (
          <div className="warn" role="alert" style={{ flexBasis: "100%" }}>
            cannot be read as it stands, and is not saved: {[...new Set(unread.values())].join(", ")}
          </div>
        )}
        <Group gap={8}>
          <Button size="compact-sm" type="submit" loading={saving.isPending || adding.isPending}>
            save
          </Button>
          <Button size="compact-sm" variant="default" onClick={back}>
            not yet
          </Button>
        </Group>
      </form>
      {error && <Fault error={error} />}
    </Panel>
  );
}

function noteOf({ origin, file }: DashboardDocument): string {
  if (file) return "";
  return origin === "shipped" ? "what is saved stands in the place of the one that comes with aiprism" : "";
}

interface WhereProps {
  readonly of: DashboardDocument;
  readonly into: Into;
  readonly choose: (into: Into) => void;
}

const READ = { description: { color: "var(--quiet)" } }; // Mantine's own can hardly be read

/** Into the file, where that is allowed, or beside it. */
function Where({ of: { file, version }, into, choose }: WhereProps) {
  if (!file) return null;
  return (
    <Radio.Group
      size="xs"
      label="kept in"
      style={{ flexBasis: "100%" }}
      value={into}
      onChange={(next) => choose(next as Into)}
    >
      <div style={{ display: "grid", gap: 6, paddingTop: 4 }}>
        <Radio
          size="xs"
          value="file"
          styles={READ}
          label={`the file ${file.name}`}
          disabled={file.refused !== ""}
          description={
            file.refused || (version > 0 ? "its saved versions, which stand in the place of the file, are deleted" : "")
          }
        />
        <Radio
          size="xs"
          value="database"
          styles={READ}
          label="the control database"
          description="it stands in the place of the file until it is deleted there"
        />
      </div>
    </Radio.Group>
  );
}

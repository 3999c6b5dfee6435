import { Button, Group, TextInput } from "@mantine/core";
import { useState } from "react";
import { type DashboardSummary, useImportDashboard, useSaveDashboard } from "@/api/dashboards";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { text } from "@/model/dashboard/options";
import type { Editing } from "../draft";

interface Props {
  readonly editing: Editing;
  readonly saved: (as: DashboardSummary) => void;
  readonly back: () => void;
}

/** Keeps the dashboard as it stands: who says so, what was changed, and where it is kept. */
export function SaveForm({ editing, saved, back }: Props) {
  const { of, draft } = editing;
  const [actor, setActor] = useActor();
  const [message, setMessage] = useState("");
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
      : saving.mutate({ ...wanted, version: of.version }, { onSuccess: done });
  const error = saving.error ?? adding.error;
  return (
    <Panel
      title="Save"
      note={fresh ? "" : of.origin === "saved" ? "" : "what is saved stands in the place of the file"}
    >
      <form
        className="fieldrow"
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
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

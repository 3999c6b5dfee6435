import { Button, Group, Select, Textarea } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { type Update, useChoices, usePreview, useTell, useUpdates } from "@/api/incidentwork";
import { Ago } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault, Nothing, Shown } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";

/** What audiences are told of how it stands: a new update with a look at it before it is sent, and all that were. */
export function Updates({ id }: { id: string }) {
  const choices = useChoices();
  const updates = useUpdates(id);
  return (
    <Panel title="Status updates" note={updates.data?.length ? `${updates.data.length}` : undefined}>
      <Shown of={choices} rows={2}>
        {({ audiences, templates }) =>
          audiences.length > 0 ? (
            <NewUpdate id={id} audiences={audiences.map(({ name }) => name)} templates={templates} />
          ) : (
            <Nothing title="No audiences">Name audiences in war-room.yml (respond.war_room).</Nothing>
          )
        }
      </Shown>
      <Shown of={updates} rows={2}>
        {(told) => (told.length > 0 ? <Log updates={told} /> : null)}
      </Shown>
    </Panel>
  );
}

const BY_STATUS = "as its status";

function NewUpdate({ id, audiences, templates }: { id: string; audiences: string[]; templates: readonly string[] }) {
  const [actor] = useActor();
  const [audience, setAudience] = useState("");
  const [template, setTemplate] = useState(BY_STATUS);
  const [text, setText] = useState("");
  const draft = { audience, template: template === BY_STATUS ? "" : template, text: text.trim() };
  const [settled] = useDebouncedValue(draft, 300);
  const preview = usePreview(id, settled);
  const tell = useTell(id);
  const submit = () =>
    tell.mutate(
      { ...draft, actor },
      {
        onSuccess: () => {
          setText("");
          setAudience("");
          notifications.show({ message: `Update sent to ${audience}.` });
        },
      },
    );
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (audience && actor) submit();
      }}
    >
      <Group gap={6} align="end">
        <Select
          size="xs"
          style={{ flex: "1 1 130px" }}
          aria-label="audience"
          placeholder="audience"
          data={audiences}
          value={audience || null}
          onChange={(to) => setAudience(to ?? "")}
        />
        <Select
          size="xs"
          style={{ flex: "1 1 130px" }}
          aria-label="template"
          data={[BY_STATUS, ...templates]}
          value={template}
          allowDeselect={false}
          disabled={text.trim() !== ""}
          onChange={(to) => setTemplate(to ?? BY_STATUS)}
        />
        <Button size="xs" type="submit" disabled={!audience || !actor} loading={tell.isPending}>
          send
        </Button>
      </Group>
      <Textarea
        size="xs"
        mt={6}
        autosize
        minRows={1}
        maxLength={8000}
        aria-label="words of the update"
        placeholder="your own text, or the template's"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      {audience && preview.data && (
        <blockquote style={{ margin: "6px 0", padding: "2px 10px", borderLeft: "2px solid var(--line)" }}>
          <strong>{preview.data.title}</strong>
          <div style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{preview.data.text}</div>
          <div className="quiet">
            {preview.data.would_tell.length > 0
              ? `goes to ${preview.data.would_tell.map(({ receiver, channel }) => `${receiver} by ${channel}`).join(", ")}`
              : "its receivers have no channel: it is kept, and nobody is sent it"}
            {preview.data.public && "; everybody can read it in the public feed"}
          </div>
        </blockquote>
      )}
      {audience && preview.isError && <Fault error={preview.error} />}
      {tell.isError && <Fault error={tell.error} />}
    </form>
  );
}

/** The communication log. */
function Log({ updates }: { updates: readonly Update[] }) {
  return (
    <Table
      label="updates that were told"
      rows={updates.toReversed()}
      id={({ id }) => String(id)}
      many={30}
      height={260}
      columns={[
        {
          title: "told",
          cell: ({ audience, status, text, author, told }) => (
            <>
              <strong>{audience}</strong> <Tag of={status} /> <span className="quiet">{author}</span>
              <div style={{ overflowWrap: "anywhere" }}>{text}</div>
              {told.map(({ receiver, channel, state, error }) => (
                <div key={`${receiver} ${channel}`} className="quiet">
                  {receiver} by {channel} <Tag of={state} /> {error && <span className="bad">{error}</span>}
                </div>
              ))}
            </>
          ),
        },
        { title: "when", cell: ({ at }) => <Ago at={at} past />, by: ({ at }) => at, number: true },
      ]}
    />
  );
}

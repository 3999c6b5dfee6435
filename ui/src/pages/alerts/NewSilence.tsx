import { Button, Group, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { type Alert, useAlerts } from "@/api/alerts";
import { useMakeSilence } from "@/api/silences";
import { useActor } from "@/components/actor";
import { Labels } from "@/components/Labels";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { Table } from "@/components/Table";
import { Tag } from "@/components/Tag";
import { Untold } from "@/components/Untold";
import { type Matcher, parseMatchers } from "@/model/matchers";
import { sorted } from "@/model/matching";
import { durationSeconds } from "@/model/timerange";

/** A silence before it is made: what it would mute stands below while one writes. */
export function NewSilence({ matchers: given, done }: { matchers: string; done: () => void }) {
  const [text, setText] = useState(given);
  const [length, setLength] = useState("2h");
  const [comment, setComment] = useState("");
  const [actor, setActor] = useActor();
  const make = useMakeSilence();
  const matchers = parseMatchers(text);
  const seconds = durationSeconds(length);
  const wrong = {
    matchers:
      matchers === null
        ? 'such as alertname="Down", service=~"api|web"'
        : matchers.length === 0
          ? "at least one: without any, everything would be muted"
          : "",
    length: seconds ? "" : "such as 2h, 30m, 1d",
    actor: actor.trim() ? "" : "who silences it",
    comment: comment.trim() ? "" : "why, so that the next one knows",
  };
  const submit = () => {
    const now = Date.now();
    make.mutate(
      {
        matchers: matchers ?? [],
        startsAt: new Date(now).toISOString(),
        endsAt: new Date(now + (seconds ?? 0) * 1000).toISOString(),
        createdBy: actor.trim(),
        comment: comment.trim(),
      },
      {
        onSuccess: () => {
          notifications.show({ message: `Silenced for ${length}.` });
          done();
        },
      },
    );
  };
  return (
    <Panel title="New silence">
      <form
        style={{ display: "grid", gap: 8, maxWidth: 760 }}
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Textarea
          size="xs"
          label="matchers"
          autosize
          minRows={1}
          value={text}
          error={text && wrong.matchers}
          onChange={(event) => setText(event.currentTarget.value)}
          styles={{ input: { fontFamily: "var(--mono)" } }}
          autoFocus
        />
        <Group gap={8} grow align="flex-start">
          <TextInput
            size="xs"
            label="duration"
            value={length}
            error={wrong.length}
            onChange={(event) => setLength(event.currentTarget.value)}
          />
          <TextInput
            size="xs"
            label="created by"
            value={actor}
            onChange={(event) => setActor(event.currentTarget.value)}
            placeholder={wrong.actor}
          />
        </Group>
        <TextInput
          size="xs"
          label="comment"
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
          placeholder={wrong.comment}
        />
        {make.isError && <Fault error={make.error} />}
        <Group gap={8}>
          <Button
            size="compact-sm"
            type="submit"
            loading={make.isPending}
            disabled={Object.values(wrong).some(Boolean)}
          >
            silence
          </Button>
          <Button size="compact-sm" variant="subtle" color="gray" onClick={done}>
            cancel
          </Button>
        </Group>
      </form>
      <Muted alerts={useAlerts().data ?? []} matchers={matchers ?? []} />
    </Panel>
  );
}

function Muted({ alerts, matchers }: { alerts: readonly Alert[]; matchers: readonly Matcher[] }) {
  const { fit: muted, untold } = sorted(matchers.length ? alerts : [], matchers);
  return (
    <div style={{ paddingTop: 10 }}>
      <div className="quiet" role="status">
        {muted.length > 0
          ? `It would mute ${muted.length} of ${alerts.length} alerts:`
          : untold === 0 && "It would mute none of the alerts there are now."}
      </div>
      <Untold count={untold} of={`of ${alerts.length} alerts`} what="whether it would mute them; the server decides" />
      {muted.length > 0 && (
        <Table
          label="what it would mute"
          rows={muted}
          id={({ fingerprint }) => fingerprint}
          many={60}
          height={260}
          columns={[
            { title: "state", cell: ({ state }) => <Tag of={state} />, width: "90px" },
            { title: "alert", cell: ({ labels }) => labels.alertname },
            { title: "labels", cell: ({ labels }) => <Labels of={labels} without={["alertname"]} /> },
          ]}
        />
      )}
    </div>
  );
}

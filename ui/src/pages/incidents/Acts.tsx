import { Button, Group, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Incident, say, useIncidentActs, type Word } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Fault } from "@/components/states";

/** What makes sense next, in the order of an incident's life; the state machine refuses the rest. */
const NEXT: Readonly<Record<Incident["status"], readonly Word[]>> = {
  investigating: ["acknowledge", "respond", "identify", "resolve"],
  identified: ["acknowledge", "resolve"],
  monitoring: ["resolve", "reopen"],
  resolved: ["reopen"],
};

/** What a person says of the incident: a word of its life, or a comment. */
export function Acts({ incident }: { incident: Incident }) {
  const [actor, setActor] = useActor();
  const [text, setText] = useState("");
  const acts = useIncidentActs(incident.id);
  const words = NEXT[incident.status].filter((word) => word !== "acknowledge" || incident.acknowledged_at === null);
  const act = (word: Word) => acts.mutate(say(word, actor.trim(), text.trim()), { onSuccess: () => setText("") });
  const nobody = actor.trim() === "";
  return (
    <div>
      <Group gap={6} align="flex-end" role="group" aria-label="say what is done">
        <TextInput
          size="xs"
          w={130}
          label="you are"
          value={actor}
          onChange={(event) => setActor(event.currentTarget.value)}
          placeholder="your name"
        />
        <Textarea
          size="xs"
          style={{ flex: "1 1 260px" }}
          autosize
          minRows={1}
          label="note"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        {words.map((word, at) => (
          <Button
            key={word}
            size="xs"
            variant={at === 0 ? "filled" : "default"}
            disabled={nobody}
            loading={acts.isPending}
            onClick={() => act(word)}
          >
            {word}
          </Button>
        ))}
        <Button
          size="xs"
          variant="default"
          disabled={nobody || !text.trim()}
          loading={acts.isPending}
          onClick={() => act("comment")}
        >
          comment
        </Button>
      </Group>
      {acts.isError && <Fault error={acts.error} />}
    </div>
  );
}

import { Button, Group, Textarea, TextInput } from "@mantine/core";
import { useRef, useState } from "react";
import { type Incident, say, useIncidentActs, type Word } from "@/api/incidents";
import { useActor } from "@/components/actor";
import { Fault } from "@/components/states";
import { WHO } from "@/components/Unnamed";
import { wordsFor } from "@/model/incident";

/** What a person says of the incident: a word of its life, or a comment. */
export function Acts({ incident }: { incident: Incident }) {
  const [actor, setActor] = useActor();
  const [text, setText] = useState("");
  const [asked, setAsked] = useState(false);
  const who = useRef<HTMLInputElement>(null);
  const acts = useIncidentActs(incident.id);
  const nobody = actor.trim() === "";
  // Who is in a hurry presses first: a button that is merely grey would not say what it waits for.
  const act = (word: Word) => {
    setAsked(nobody);
    if (nobody) who.current?.focus();
    else acts.mutate(say(word, actor.trim(), text.trim()), { onSuccess: () => setText("") });
  };
  return (
    <div>
      <Group gap={6} align="flex-end" role="group" aria-label="say what is done">
        <TextInput
          ref={who}
          id={WHO}
          size="xs"
          w={130}
          label="you are"
          value={actor}
          onChange={(event) => setActor(event.currentTarget.value)}
          placeholder="your name"
          error={asked && nobody && "who does it?"}
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
        {wordsFor(incident).map((word, at) => (
          <Button
            key={word}
            size="xs"
            variant={at === 0 ? "filled" : "default"}
            loading={acts.isPending}
            onClick={() => act(word)}
          >
            {word}
          </Button>
        ))}
        <Button
          size="xs"
          variant="default"
          disabled={!text.trim()}
          title={text.trim() ? undefined : "write it under note"}
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

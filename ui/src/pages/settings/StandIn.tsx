import { Button, Group, Select, TextInput } from "@mantine/core";
import { useState } from "react";
import { type Person, useStandIn } from "@/api/oncall";
import { useActor } from "@/components/actor";
import { Fault } from "@/components/states";
import { durationSeconds } from "@/model/timerange";

interface Props {
  readonly schedule: string;
  readonly people: readonly Person[];
  readonly done: () => void;
}

/** Has somebody else be on call from a moment on, for a time. */
export function StandIn({ schedule, people, done }: Props) {
  const [actor, setActor] = useActor();
  const [who, setWho] = useState<string | null>(null);
  const [from, setFrom] = useState("");
  const [lasts, setLasts] = useState("8h");
  const [reason, setReason] = useState("");
  const ask = useStandIn();
  const seconds = durationSeconds(lasts);
  const start = from ? Date.parse(from) / 1000 : Date.now() / 1000;
  const ready = who !== null && seconds !== null && seconds > 0 && Number.isFinite(start);
  const put = () => {
    if (!ready) return;
    const body = { schedule, people: [who], start, end: start + seconds, reason, author: actor };
    ask.mutate(body, { onSuccess: done });
  };
  return (
    <form
      aria-label={`override of ${schedule}`}
      onSubmit={(event) => {
        event.preventDefault();
        put();
      }}
    >
      <Group gap={8} align="flex-end" mb={8}>
        <Select
          size="xs"
          label="who"
          data={people.map(({ id, name }) => ({ value: id, label: name }))}
          value={who}
          onChange={setWho}
        />
        <TextInput
          size="xs"
          type="datetime-local"
          label="from (now)"
          value={from}
          onChange={(event) => setFrom(event.currentTarget.value)}
        />
        <TextInput
          size="xs"
          label="for"
          value={lasts}
          error={seconds === null && "such as 8h or 1d12h"}
          onChange={(event) => setLasts(event.currentTarget.value)}
        />
        <TextInput size="xs" label="why" value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
        <TextInput size="xs" label="asked by" value={actor} onChange={(event) => setActor(event.currentTarget.value)} />
        <Button size="xs" type="submit" disabled={!ready} loading={ask.isPending}>
          put
        </Button>
      </Group>
      {ask.isError && <Fault error={ask.error} />}
    </form>
  );
}

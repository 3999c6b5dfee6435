import { Button, Select, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { memo, useMemo, useState } from "react";
import type { Entry } from "@/api/incidents";
import { pinIn, unpinIn } from "@/api/room";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault } from "@/components/states";
import { Tag } from "@/components/Tag";
import { useTime } from "@/components/time";
import { type EvidenceKind, leadsTo, type Pin, pinnedOf, type Room } from "@/model/room";
import { clockTime, dateTime } from "@/model/timerange";
import { mood } from "../mood";
import { Pinner } from "./Pinner";

/** What is pinned, and a line to pin more. */
export const Pins = memo(function Pins({ id, pins }: { id: string; pins: Room["pins"] }) {
  const [actor] = useActor();
  const unpin = useMutation({ mutationFn: (pin: number) => unpinIn(id, actor, pin) });
  return (
    <div className="room-pins">
      <Panel title="Evidence" note={pins.length ? `${pins.length}` : undefined}>
        {unpin.isError && <Fault error={unpin.error} />}
        {pins.length === 0 && (
          <div className="empty">Nothing is pinned. Pin a message, a line of the timeline, or what you found:</div>
        )}
        <ol className="room-list" aria-label="evidence">
          {pins.map((pin) => (
            <li key={pin.id}>
              <Tag of={pin.evidence === "entry" ? "timeline" : pin.evidence} />
              <div>
                <Words of={pin} />
                <div className="faint">
                  {pin.author} <Clock at={pin.at} />
                </div>
              </div>
              {actor && (
                <Button
                  className="room-act"
                  size="compact-xs"
                  variant="subtle"
                  color="gray"
                  aria-label={`unpin ${pin.text.slice(0, 80)}`}
                  loading={unpin.isPending && unpin.variables === pin.id}
                  onClick={() => unpin.mutate(pin.id)}
                >
                  unpin
                </Button>
              )}
            </li>
          ))}
        </ol>
        {actor && <NewPin id={id} actor={actor} />}
      </Panel>
    </div>
  );
});

function Words({ of: pin }: { of: Pin }) {
  const to = leadsTo(pin);
  const words = ["query", "log", "trace"].includes(pin.evidence) ? <code>{pin.text}</code> : pin.text;
  return (
    <div className="room-words">
      {to ? (
        <a href={to} rel="noreferrer">
          {words}
        </a>
      ) : (
        words
      )}
    </div>
  );
}

const FOUND: readonly EvidenceKind[] = ["link", "query", "log", "trace"];

function NewPin({ id, actor }: { id: string; actor: string }) {
  const [kind, setKind] = useState<EvidenceKind>("link");
  const [text, setText] = useState("");
  const pin = useMutation({
    mutationFn: () => pinIn(id, actor, kind, { text: text.trim() }),
    onSuccess: () => setText(""),
  });
  return (
    <form
      className="room-newpin"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim()) pin.mutate();
      }}
    >
      <Select
        size="xs"
        w={84}
        aria-label="kind of evidence"
        data={FOUND}
        value={kind}
        allowDeselect={false}
        onChange={(to) => setKind((to as EvidenceKind) ?? "link")}
      />
      <TextInput
        size="xs"
        flex={1}
        aria-label="evidence to pin"
        placeholder={
          kind === "trace" ? "a trace id" : kind === "query" ? "PromQL" : kind === "log" ? "a line" : "https://…"
        }
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Button size="xs" variant="default" type="submit" disabled={!text.trim()} loading={pin.isPending}>
        pin
      </Button>
      {pin.isError && <Fault error={pin.error} />}
    </form>
  );
}

/** What happened, newest first: beside a chat one looks for what is new. Nothing of it changes while people talk. */
export const Happened = memo(function Happened({
  id,
  timeline,
  pins,
}: { id: string } & Pick<Room, "timeline" | "pins">) {
  const [actor] = useActor();
  const pinned = useMemo(() => pinnedOf(pins, "entry"), [pins]);
  return (
    <div className="room-story">
      <Panel title="Timeline">
        <ol className="room-list" aria-label="timeline">
          {timeline.toReversed().map((entry) => (
            <OneEntry key={entry.id} id={id} entry={entry} actor={pinned.has(String(entry.id)) ? "" : actor} />
          ))}
        </ol>
      </Panel>
    </div>
  );
});

const OneEntry = memo(function OneEntry({ id, entry, actor }: { id: string; entry: Entry; actor: string }) {
  const words = entry.text || entry.event.replaceAll("_", " ");
  return (
    <li>
      <span className={`dot ${mood(entry.event)}`} />
      <div className="room-words">
        {words}{" "}
        <span className="faint">
          {entry.actor === "automated_system" ? "" : entry.actor} <Clock at={entry.at} />
        </span>
      </div>
      {actor && <Pinner id={id} actor={actor} evidence="entry" of={entry.id} what={entry.text || entry.event} />}
    </li>
  );
});

function Clock({ at }: { at: number }) {
  const { utc } = useTime();
  return (
    <time className="nowrap" dateTime={new Date(at * 1000).toISOString()} title={dateTime(at, utc)}>
      {clockTime(at, utc)}
    </time>
  );
}

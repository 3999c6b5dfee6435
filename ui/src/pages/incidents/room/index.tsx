/** The war room of one incident: what is said, who is there, what is pinned, what happened; live, and after it is over. */

import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { memo } from "react";
import { Link } from "react-router";
import { openRoom, type Presence, useRoom } from "@/api/room";
import { Lasting } from "@/components/Ago";
import { useActor } from "@/components/actor";
import { Panel } from "@/components/Panel";
import { Fault, Loading, Nothing } from "@/components/states";
import { Tag } from "@/components/Tag";
import { useGoto, useUrl } from "@/components/time";
import { useTitle } from "@/components/title";
import { holder } from "@/model/incident";
import type { Room } from "@/model/room";
import { Elsewhere } from "../Elsewhere";
import { Chat } from "./Chat";
import { Happened, Pins } from "./Side";
import "./room.css";

const PARTS = ["chat", "timeline", "evidence"];

export default function WarRoom({ id }: { id: string }) {
  const followed = useRoom(id);
  const [part, setPart] = useUrl("part", "chat");
  const { room, presence, error, absent, enter, older } = followed;
  if (absent) return <Absent id={id} error={error} onOpened={enter} />;
  if (!room) return error ? <Fault error={error} /> : <Loading rows={12} />;
  return (
    <div className="room" data-part={part}>
      <Head incident={room.incident} channel={room.channel} presence={presence} />
      {/* On a telephone one part is shown at a time. */}
      <div className="room-parts">
        <SegmentedControl
          size="xs"
          fullWidth
          aria-label="part of the room"
          data={PARTS}
          value={part}
          onChange={setPart}
        />
      </div>
      <Chat id={id} room={room} older={older} />
      <div className="room-side">
        <Pins id={id} pins={room.pins} />
        <Happened id={id} timeline={room.timeline} pins={room.pins} />
      </div>
    </div>
  );
}

/** An incident of a lower tier has no room by itself. */
function Absent({ id, error, onOpened }: { id: string; error: unknown; onOpened: () => void }) {
  const goto = useGoto();
  const [actor, setActor] = useActor();
  const opening = useMutation({ mutationFn: () => openRoom(id, actor.trim()), onSuccess: onOpened });
  return (
    <Panel title="War room">
      <Nothing title="There is none yet">
        {error instanceof Error ? error.message : ""} One opens by itself with an incident of P0, or of the tiers in
        war-room.yml. <Link to={goto(`/incidents/${id}`)}>The incident</Link>
      </Nothing>
      <form
        style={{ display: "flex", gap: 6, alignItems: "end" }}
        onSubmit={(event) => {
          event.preventDefault();
          if (actor.trim()) opening.mutate();
        }}
      >
        <TextInput
          size="xs"
          label="you are"
          placeholder="your name"
          value={actor}
          onChange={(event) => setActor(event.currentTarget.value)}
        />
        <Button size="xs" type="submit" disabled={!actor.trim()} loading={opening.isPending}>
          open one
        </Button>
      </form>
      {opening.isError && <Fault error={opening.error} />}
    </Panel>
  );
}

const WORDS: Readonly<Record<Presence, readonly [string, string]>> = {
  live: ["good", "live"],
  connecting: ["warn", "connecting"],
  away: ["warn", "connecting again"],
};

type Told = Pick<Room, "incident" | "channel"> & { readonly presence: Presence };

const Head = memo(function Head({ incident, channel, presence }: Told) {
  const goto = useGoto();
  useTitle(`${incident.priority} ${incident.title} · war room`);
  const [kind, word] = WORDS[presence];
  return (
    <header className="room-head">
      <Tag of={incident.priority} />
      <h2 className="cut" title={incident.title}>
        <Link to={goto(`/incidents/${incident.id}`)}>{incident.title}</Link>
      </h2>
      <Tag of={incident.status} />
      <span className="quiet nowrap hide-small">
        {incident.resolved_at ? "lasted" : "for"} <Lasting from={incident.created_at} until={incident.resolved_at} />
        {holder(incident) && ` · ${holder(incident)} takes care`}
      </span>
      {channel && <Elsewhere channel={channel} />}
      <span className="room-presence quiet nowrap" role="status">
        <span className={`dot ${kind}`} /> {word}
      </span>
    </header>
  );
});

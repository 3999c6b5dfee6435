import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { memo, useCallback, useRef } from "react";
import { leaveRoom } from "@/api/room";
import { useActor } from "@/components/actor";
import { useTime } from "@/components/time";
import type { Room } from "@/model/room";
import { clockTime } from "@/model/timerange";
import { Compose } from "./Compose";
import { Face } from "./Face";
import { Lines, type Place } from "./Lines";

/** What is said, and the box to say something. */
export function Chat({ id, room, older }: { id: string; room: Room; older: () => Promise<void> }) {
  const place = useRef<Place>(null);
  const toEnd = useCallback(() => place.current?.toEnd(), []);
  return (
    <section className="panel room-chat" aria-label="chat">
      <People id={id} participants={room.participants} />
      <Lines ref={place} id={id} lines={room.lines} whole={room.whole} pins={room.pins} older={older} />
      <Compose id={id} commands={room.commands} onSaid={toEnd} />
    </section>
  );
}

const People = memo(function People({ id, participants }: { id: string } & Pick<Room, "participants">) {
  const { utc } = useTime();
  const [actor] = useActor();
  const leaving = useMutation({ mutationFn: () => leaveRoom(id, actor) });
  return (
    <div className="room-people" role="group" aria-label="who is here">
      {participants.length === 0 && "Nobody is here yet. Who writes is here."}
      {participants.map(({ name, since }) => (
        <span key={name} className="room-person" title={`${name}, since ${clockTime(since, utc)}`}>
          <Face name={name} /> <span className="cut">{name}</span>
        </span>
      ))}
      {participants.some(({ name }) => name === actor) && (
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          ml="auto"
          loading={leaving.isPending}
          onClick={() => leaving.mutate()}
        >
          leave
        </Button>
      )}
    </div>
  );
});

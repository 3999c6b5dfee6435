import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Fragment, useLayoutEffect, useRef, useState } from "react";
import { leaveRoom } from "@/api/room";
import { useActor } from "@/components/actor";
import { Fault, Nothing } from "@/components/states";
import { useTime } from "@/components/time";
import { follows, type Line, letters, type Room } from "@/model/room";
import { clockTime, dateTime } from "@/model/timerange";
import { Compose } from "./Compose";
import { Pinner } from "./Pinner";

const AT_END = 60; // pixels from the end of the list that still are its end

/** What is said, and the box to say something. It stays at its end unless one has scrolled away from there. */
export function Chat({ id, room, older }: { id: string; room: Room; older: () => Promise<void> }) {
  const { utc } = useTime();
  const list = useRef<HTMLDivElement>(null);
  const [missed, setMissed] = useState(false);
  const reading = useRef(false); // scrolled away from the end
  const before = useRef<number | null>(null); // what stood below the top when older lines were asked for
  const earlier = useMutation({
    mutationFn: older,
    onMutate: () => {
      const box = list.current!;
      before.current = box.scrollHeight - box.scrollTop;
    },
  });
  const toEnd = () => {
    const box = list.current;
    if (box) box.scrollTop = box.scrollHeight;
    reading.current = false;
    setMissed(false);
  };
  const first = room.lines[0]?.id;
  const last = room.lines.at(-1)?.id;
  useLayoutEffect(() => {
    if (before.current === null || !list.current) return;
    list.current.scrollTop = list.current.scrollHeight - before.current;
    before.current = null;
  }, [first]);
  useLayoutEffect(() => {
    if (!reading.current) toEnd();
    else setMissed(true);
  }, [last]);
  return (
    <section className="panel room-chat" aria-label="chat">
      <People id={id} room={room} />
      <div
        ref={list}
        className="room-lines"
        role="log"
        aria-label="what was said"
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          reading.current = scrollHeight - scrollTop - clientHeight > AT_END;
          if (!reading.current) setMissed(false);
        }}
      >
        <ol className="room-list">
          {!room.whole && (
            <li className="room-older">
              <Button size="compact-xs" variant="subtle" loading={earlier.isPending} onClick={() => earlier.mutate()}>
                earlier messages
              </Button>
            </li>
          )}
          {room.lines.length === 0 && (
            <li>
              <Nothing title="Nothing has been said yet">A slash shows what can be asked for.</Nothing>
            </li>
          )}
          {room.lines.map((line, at) => {
            const previous = room.lines[at - 1];
            const day = dateTime(line.at, utc).slice(0, 10);
            const fresh = !previous || dateTime(previous.at, utc).slice(0, 10) !== day;
            return (
              <Fragment key={line.id}>
                {fresh && <li className="room-day">{day}</li>}
                <OneLine id={id} room={room} line={line} under={!fresh && follows(line, previous)} />
              </Fragment>
            );
          })}
        </ol>
      </div>
      {missed && (
        <Button className="room-newest" size="compact-xs" radius="xl" onClick={toEnd}>
          new messages below
        </Button>
      )}
      {earlier.isError && <Fault error={earlier.error} />}
      <Compose id={id} commands={room.commands} onSaid={toEnd} />
    </section>
  );
}

function OneLine({ id, room, line, under }: { id: string; room: Room; line: Line; under: boolean }) {
  const { utc } = useTime();
  const when = (
    <time className="faint nowrap" dateTime={new Date(line.at * 1000).toISOString()} title={dateTime(line.at, utc)}>
      {clockTime(line.at, utc).slice(0, 5)}
    </time>
  );
  if (line.kind === "answered")
    return (
      <li className={`room-line answer ${line.data.done ? "" : "refused"}`}>
        <span className="room-words">{line.text}</span>
      </li>
    );
  if (line.kind !== "said")
    return (
      <li className="room-line quiet">
        <span className="room-words">
          {happening(line)} {when}
        </span>
      </li>
    );
  return (
    <li className={under ? "room-line" : "room-line first"}>
      {!under && <Face name={line.author} />}
      {!under && (
        <span className="room-who">
          <b>{line.author}</b> {when}
        </span>
      )}
      <span className={line.text.startsWith("/") ? "room-words mono info" : "room-words"}>{line.text}</span>
      <Pinner id={id} room={room} evidence="message" of={line.id} what={line.text} />
    </li>
  );
}

function happening({ kind, author, text }: Line): string {
  const short = text.length > 90 ? `${text.slice(0, 89)}…` : text;
  if (kind === "pinned") return `${author} pinned “${short}”`;
  return kind === "unpinned" ? `${author} took away “${short}”` : text;
}

function People({ id, room }: { id: string; room: Room }) {
  const { utc } = useTime();
  const [actor] = useActor();
  const leaving = useMutation({ mutationFn: () => leaveRoom(id, actor) });
  return (
    <div className="room-people" role="group" aria-label="who is here">
      {room.participants.length === 0 && "Nobody is here yet. Who writes is here."}
      {room.participants.map(({ name, since }) => (
        <span key={name} className="room-person" title={`${name}, since ${clockTime(since, utc)}`}>
          <Face name={name} /> <span className="cut">{name}</span>
        </span>
      ))}
      {room.participants.some(({ name }) => name === actor) && (
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
}

function Face({ name }: { name: string }) {
  return (
    <span className="room-face" aria-hidden>
      {letters(name)}
    </span>
  );
}

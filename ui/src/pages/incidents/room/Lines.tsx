/**
 * What was said, as lines of which only those in sight are drawn: a long night has thousands, and each new one would lay out all of
 * them. The list stays at its end unless one has scrolled away from there.
 */

import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, type Ref, useEffect, useImperativeHandle, useMemo, useRef, useState } from "react";
import { useActor } from "@/components/actor";
import { Fault, Nothing } from "@/components/states";
import { useTime } from "@/components/time";
import { answers, arranged, happening, type Line, pinnedOf, type Room } from "@/model/room";
import { clockTime, dateTime } from "@/model/timerange";
import { Face } from "./Face";
import { Pinner } from "./Pinner";

const AT_END = 60; // pixels from the end of the list that still are its end
const ROW = 32; // pixels of a line that nobody has seen yet
const EARLIER = 28; // pixels of what asks for earlier lines

/** Where one is in the list. */
export interface Place {
  readonly toEnd: () => void;
}

interface Props extends Pick<Room, "lines" | "whole" | "pins"> {
  readonly id: string;
  readonly older: () => Promise<void>;
  readonly ref: Ref<Place>;
}

export const Lines = memo(function Lines({ id, lines, whole, pins, older, ref }: Props) {
  const { utc } = useTime();
  const [actor] = useActor();
  const rows = useMemo(() => arranged(lines, (at) => dateTime(at, utc).slice(0, 10)), [lines, utc]);
  const pinned = useMemo(() => pinnedOf(pins, "message"), [pins]);
  const box = useRef<HTMLDivElement>(null);
  const above = whole ? 0 : EARLIER;
  const list = useVirtualizer<HTMLDivElement, HTMLLIElement>({
    count: rows.length,
    scrollMargin: above,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    getItemKey: (at) => rows[at]!.line.id,
    overscan: 12,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: AT_END,
  });
  const [reading, setReading] = useState(false); // scrolled away from the end
  const [missed, setMissed] = useState(false);
  const last = lines.at(-1)?.id;
  useEffect(() => list.scrollToEnd(), []);
  useEffect(() => setMissed(reading), [last]); // who begins to read above has missed nothing yet
  const toEnd = () => {
    list.scrollToEnd();
    setReading(false);
    setMissed(false);
  };
  useImperativeHandle(ref, () => ({ toEnd }));
  const earlier = useMutation({ mutationFn: older });
  const items = list.getVirtualItems();
  return (
    <>
      <div
        ref={box}
        className="room-lines"
        role="log"
        aria-label="what was said"
        aria-live={reading ? "off" : "polite"} // what one scrolls to is no news
        tabIndex={0}
        onScroll={() => {
          const away = !list.isAtEnd();
          setReading(away);
          if (!away) setMissed(false);
        }}
      >
        {lines.length === 0 && (
          <Nothing title="Nothing has been said yet">A slash shows what can be asked for.</Nothing>
        )}
        {!whole && (
          <div className="room-older" style={{ height: EARLIER }}>
            <Button size="compact-xs" variant="subtle" loading={earlier.isPending} onClick={() => earlier.mutate()}>
              earlier messages
            </Button>
          </div>
        )}
        <ol
          className="room-list"
          style={{ height: list.getTotalSize(), paddingTop: (items[0]?.start ?? above) - above }}
        >
          {items.map(({ index, key }) => {
            const { line, day, under } = rows[index]!;
            return (
              <li key={key} ref={list.measureElement} data-index={index}>
                {day && <div className="room-day">{day}</div>}
                <OneLine id={id} line={line} under={under} utc={utc} actor={pinned.has(String(line.id)) ? "" : actor} />
              </li>
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
    </>
  );
});

interface Drawn {
  readonly id: string;
  readonly line: Line;
  readonly under: boolean;
  readonly utc: boolean;
  /** Who may pin it; nobody what is pinned. */
  readonly actor: string;
}

/** Drawn once, however often the list moves or grows. */
const OneLine = memo(function OneLine({ id, line, under, utc, actor }: Drawn) {
  const when = (
    <time className="faint nowrap" dateTime={new Date(line.at * 1000).toISOString()} title={dateTime(line.at, utc)}>
      {clockTime(line.at, utc).slice(0, 5)}
    </time>
  );
  if (line.kind === "answered")
    return (
      <div className={`room-line answer ${line.data.done ? "" : "refused"}`}>
        <span className="room-words">{line.text}</span>
      </div>
    );
  if (line.kind !== "said")
    return (
      <div className="room-line quiet">
        <span className="room-words">
          {happening(line)} {when}
        </span>
      </div>
    );
  return (
    <div className={under ? "room-line" : "room-line first"}>
      {!under && <Face name={line.author} />}
      {!under && (
        <span className="room-who">
          <b>{line.author}</b> {when}
        </span>
      )}
      {answers(line) && <span className="room-answers faint cut">↳ {answers(line)}</span>}
      <span className={line.text.startsWith("/") ? "room-words mono info" : "room-words"}>{line.text}</span>
      {actor && <Pinner id={id} actor={actor} evidence="message" of={line.id} what={line.text} />}
    </div>
  );
});

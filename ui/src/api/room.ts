/**
 * War rooms: one is read, then followed over a stream of its own for as long as its page is open.
 *
 * The stream connects again by itself and names the last event it had, so nothing is missed and little comes twice; one that is
 * refused (the server was restarted into another place) is begun anew by reading the room.
 */

import { useCallback, useEffect, useReducer, useState } from "react";
import {
  type EvidenceKind,
  entered,
  heard,
  type Line,
  type News,
  PORTION,
  type Room,
  type ToldRoom,
  withOlder,
} from "@/model/room";
import { ApiError, address, get, post, remove } from "./http";

const ROOM = "/aiprism/v1/incidents/{incident_id}/room";
const AGAIN = 3000;

export type Presence = "connecting" | "live" | "away";

type Happened =
  | { readonly what: "entered"; readonly told: ToldRoom }
  | { readonly what: "news"; readonly news: readonly News[] }
  | { readonly what: "older"; readonly lines: readonly Line[] };

function next(room: Room | null, happened: Happened): Room | null {
  if (happened.what === "entered") return entered(happened.told);
  if (!room) return room;
  return happened.what === "older" ? withOlder(room, happened.lines) : happened.news.reduce(heard, room);
}

export interface Followed {
  readonly room: Room | null;
  readonly presence: Presence;
  /** There is no such room: it can be opened. */
  readonly absent: boolean;
  readonly error: unknown;
  readonly enter: () => void;
  readonly older: () => Promise<void>;
}

/** The room of an incident as it is now, and from now on. */
export function useRoom(id: string): Followed {
  const [room, happen] = useReducer(next, null);
  const [presence, setPresence] = useState<Presence>("connecting");
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const enter = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    const gone = new AbortController();
    void follow(id, gone.signal, happen, setPresence, setError);
    return () => gone.abort();
  }, [id, turn]);
  const first = room?.lines[0]?.id;
  const older = useCallback(async () => {
    const query = { before: first ?? 0, limit: PORTION };
    const found = await get(`${ROOM}/messages`, { path: { incident_id: id }, query });
    happen({ what: "older", lines: (found as { messages: readonly Line[] }).messages });
  }, [id, first]);
  return { room, presence, error, absent: error instanceof ApiError && error.status === 404, enter, older };
}

/** Reads the room and then hears of it, until `gone`. */
async function follow(
  id: string,
  gone: AbortSignal,
  happen: (happened: Happened) => void,
  setPresence: (presence: Presence) => void,
  setError: (error: unknown) => void,
): Promise<void> {
  const again = () => {
    if (gone.aborted) return;
    setPresence("away");
    setTimeout(() => void follow(id, gone, happen, setPresence, setError), AGAIN);
  };
  let told: ToldRoom;
  try {
    told = (await get(ROOM, { path: { incident_id: id }, signal: gone })) as ToldRoom;
  } catch (error) {
    if (gone.aborted) return;
    setError(error);
    if (!(error instanceof ApiError && error.status === 404)) again();
    return;
  }
  setError(null);
  happen({ what: "entered", told });
  const source = new EventSource(address(`${ROOM}/events`, { incident_id: id }, { after: told.place }));
  gone.addEventListener("abort", () => source.close());
  source.onopen = () => setPresence("live");
  source.onerror = () => {
    if (gone.aborted) return;
    setPresence("away");
    if (source.readyState === EventSource.CLOSED) again(); // refused: it would not come again by itself
  };
  const tell = gathered((news) => happen({ what: "news", news }), gone);
  source.addEventListener("line", ({ data }) => tell({ kind: "line", line: JSON.parse(data) }));
  source.addEventListener("timeline", ({ data }) => tell({ kind: "timeline", entry: JSON.parse(data) }));
  source.addEventListener("incident", ({ data }) => tell({ kind: "incident", incident: JSON.parse(data) }));
}

/** Tells what comes within a moment at once: a backlog is hundreds of events, and is drawn one time. */
function gathered(tell: (news: readonly News[]) => void, gone: AbortSignal): (news: News) => void {
  let waiting: News[] = [];
  return (news) => {
    if (waiting.push(news) > 1) return;
    // No frame of the screen: a tab nobody looks at has none, and its backlog would grow.
    setTimeout(() => {
      const due = waiting;
      waiting = [];
      if (!gone.aborted) tell(due);
    }, 16);
  };
}

const at = (id: string) => ({ incident_id: id });

export const openRoom = (id: string, actor: string) => post(`${ROOM}/open`, { path: at(id), body: { actor } });
export const sayIn = (id: string, actor: string, text: string) =>
  post(`${ROOM}/messages`, { path: at(id), body: { actor, text } });
export const leaveRoom = (id: string, actor: string) => post(`${ROOM}/leave`, { path: at(id), body: { actor } });
export const pinIn = (id: string, actor: string, evidence: EvidenceKind, what: { ref?: string; text?: string }) =>
  post(`${ROOM}/pins`, { path: at(id), body: { actor, evidence, ref: "", text: "", url: "", ...what } });
export const unpinIn = (id: string, actor: string, pin: number) =>
  remove(`${ROOM}/pins/{pin_id}`, { path: { ...at(id), pin_id: pin }, query: { actor } });

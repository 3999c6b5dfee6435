/**
 * A war room as its page holds it: what was said, who is in it, what is pinned, what happened.
 *
 * In: the room as the server tells it, then its news one by one; out: the room after them. News may come twice, as after a
 * connection was lost, and change nothing then. Listening is left to `api/room`, drawing to the page.
 */

import type { Entry, IncidentStatus, Priority } from "@/api/incidents";

export type LineKind = "said" | "answered" | "joined" | "left" | "pinned" | "unpinned" | "edited" | "deleted" | "full";
export type EvidenceKind = "entry" | "message" | "query" | "log" | "trace" | "link";

export interface Line {
  readonly id: number;
  readonly at: number;
  readonly kind: LineKind;
  readonly author: string;
  readonly text: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Pin {
  readonly id: number;
  readonly at: number;
  readonly author: string;
  readonly evidence: EvidenceKind;
  readonly text: string;
  readonly ref: string;
  readonly url: string;
}

export interface Subject {
  readonly id: string;
  readonly title: string;
  readonly priority: Priority;
  readonly status: IncidentStatus;
  readonly created_at: number;
  readonly resolved_at: number | null;
  readonly acknowledged_by: string | null;
  readonly assignee: string;
}

export interface CommandOffer {
  readonly usage: string;
  readonly does: string;
}

/** The room's channel elsewhere; without a `url` it is not made yet, and `error` says what keeps it from being made. */
export interface Channel {
  readonly kind: string;
  readonly name: string;
  readonly url: string;
  readonly error: string;
}

/** As the server tells it. */
export interface ToldRoom {
  readonly incident: Subject;
  readonly participants: readonly { readonly name: string; readonly since: number }[];
  readonly pins: readonly Pin[];
  readonly messages: readonly Line[];
  readonly timeline: readonly Entry[];
  readonly place: string;
  readonly commands: readonly CommandOffer[];
  readonly channel: Channel | null;
}

export interface Room extends Omit<ToldRoom, "messages" | "place"> {
  readonly lines: readonly Line[];
  /** Whether the first line there ever was is among them. */
  readonly whole: boolean;
}

export type News =
  | { readonly kind: "line"; readonly line: Line }
  | { readonly kind: "timeline"; readonly entry: Entry }
  | { readonly kind: "incident"; readonly incident: Subject };

/** Lines that are asked for at once. */
export const PORTION = 200;
const MOST = 2000; // that a page holds
const MOST_HAPPENED = 500; // lines of the timeline; all of them stand on the page of the incident

/** The room as somebody finds it who comes in. */
export function entered({ messages, place: _, ...rest }: ToldRoom): Room {
  return { ...rest, lines: messages, whole: messages.length < PORTION };
}

/** The room after news. */
export function heard(room: Room, news: News): Room {
  if (news.kind === "incident") return { ...room, incident: news.incident };
  if (news.kind === "timeline") return { ...room, timeline: withOne(room.timeline, news.entry).slice(-MOST_HAPPENED) };
  const { line } = news;
  if (room.lines.some(({ id }) => id === line.id)) return room;
  const lines = withOne(room.lines, line);
  const kept = { ...room, lines: lines.slice(-MOST), whole: room.whole && lines.length <= MOST };
  return { ...kept, participants: present(room.participants, line), pins: pinned(room.pins, line) };
}

/** The room with a portion of lines from before those it has. */
export function withOlder(room: Room, older: readonly Line[]): Room {
  const first = room.lines[0]?.id ?? Number.POSITIVE_INFINITY;
  return {
    ...room,
    lines: [...older.filter(({ id }) => id < first), ...room.lines],
    whole: older.length < PORTION,
  };
}

function withOne<T extends { readonly id: number }>(all: readonly T[], one: T): readonly T[] {
  if (one.id > (all.at(-1)?.id ?? -1)) return [...all, one];
  if (all.some(({ id }) => id === one.id)) return all;
  return [...all, one].toSorted((a, b) => a.id - b.id);
}

function present(all: Room["participants"], { kind, author, at }: Line): Room["participants"] {
  const others = all.filter(({ name }) => name !== author);
  if (kind === "left") return others;
  return kind === "joined" && others.length === all.length ? [...all, { name: author, since: at }] : all;
}

function pinned(all: readonly Pin[], { id, at, author, kind, text, data }: Line): readonly Pin[] {
  if (kind === "unpinned") return all.filter((pin) => pin.id !== data.pin);
  const number = typeof data.pin === "number" ? data.pin : id;
  if (kind !== "pinned" || all.some((pin) => pin.id === number)) return all;
  const word = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value) : "");
  const evidence = word(data.evidence) as EvidenceKind;
  return [...all, { id: number, at, author, text, evidence, ref: word(data.ref), url: word(data.url) }];
}

/** The things of a kind that are pinned, by their ids. */
export function pinnedOf(pins: readonly Pin[], evidence: EvidenceKind): ReadonlySet<string> {
  return new Set(pins.filter((pin) => pin.evidence === evidence).map(({ ref }) => ref));
}

/** What a line tells that nobody said. */
export function happening({ kind, author, text, data }: Line): string {
  if (kind === "pinned") return `${author} pinned “${short(text)}”`;
  if (kind === "unpinned") return `${author} took away “${short(text)}”`;
  if (kind === "edited") return `${author} changed “${short(String(data.was ?? ""))}” to “${text}”`;
  return kind === "deleted" ? `what ${author} had said was deleted in Slack: “${short(text)}”` : text;
}

/** What a line answers, if it is part of a thread: who said what there, or that it is in one. */
export function answers({ data }: Line): string {
  const to = data.reply_to as { readonly author: string; readonly text: string } | undefined;
  if (to) return `${to.author}: ${short(to.text)}`;
  return data.thread ? "in a thread" : "";
}

const short = (text: string) => (text.length > 90 ? `${text.slice(0, 89)}…` : text);

const ONE_BREATH = 5 * 60; // seconds within which what one person says stands under one name

/** Whether a line stands under the name of the one before it. */
export function follows(line: Line, before: Line | undefined): boolean {
  return (
    line.kind === "said" &&
    before?.kind === "said" &&
    before.author === line.author &&
    line.at - before.at < ONE_BREATH &&
    line.at >= before.at
  );
}

/** A line and what stands above it: the day where that begins, else nothing; `under` the name of the one before it. */
export interface Row {
  readonly line: Line;
  readonly day: string;
  readonly under: boolean;
}

const QUARTER = 900; // seconds of an hour's quarter: in every zone a day begins with one

/** Lines as they stand below each other, `dayOf` telling the day of a moment; it is asked once for all of a quarter of an hour. */
export function arranged(lines: readonly Line[], dayOf: (at: number) => string): readonly Row[] {
  let before: Line | undefined;
  let day = "";
  return lines.map((line) => {
    const isSoon = before && Math.floor(before.at / QUARTER) === Math.floor(line.at / QUARTER);
    const today = isSoon ? day : dayOf(line.at);
    const row = { line, day: today === day ? "" : today, under: today === day && follows(line, before) };
    before = line;
    day = today;
    return row;
  });
}

/** The commands that what is typed may become; none once it holds a space, or says a slash. */
export function offered(commands: readonly CommandOffer[], typed: string): readonly CommandOffer[] {
  return /^\/[a-z]*$/.test(typed) ? commands.filter(({ usage }) => usage.startsWith(typed)) : [];
}

/** Two letters of a name, for its face. */
export function letters(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const [first = "", last = ""] = [words[0], words.at(-1)];
  return (words.length > 1 ? first.slice(0, 1) + last.slice(0, 1) : first.slice(0, 2)).toUpperCase();
}

/** The address of evidence where one can be gone to safely; what people write may be anything. */
export function safeAddress(url: string): string | null {
  return /^(https?:\/\/|\/(?![/\\]))/.test(url) ? url : null;
}

/** Where a pin leads: to what its address names, or to what its own words say. */
export function leadsTo({ evidence, text, url }: Pin): string | null {
  const words = text.trim();
  if (safeAddress(url)) return url;
  if (evidence === "query") return `/explore/metrics?q=${encodeURIComponent(words)}`;
  return evidence === "trace" || evidence === "link" ? addressIn(words) : null;
}

/** The address that words are, or the page of the trace whose id they are. */
export function addressIn(words: string): string | null {
  if (/^[0-9a-f]{32}$/i.test(words.trim())) return `/explore/traces/${words.trim().toLowerCase()}`;
  return safeAddress(words.trim());
}

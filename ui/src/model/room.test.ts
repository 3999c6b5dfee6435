import { expect, test } from "vitest";
import {
  answers,
  arranged,
  entered,
  follows,
  happening,
  heard,
  type Line,
  type LineKind,
  leadsTo,
  letters,
  offered,
  type Pin,
  PORTION,
  pinnedOf,
  type Room,
  safeAddress,
  type ToldRoom,
  withOlder,
} from "./room";

const line = (id: number, kind: LineKind = "said", author = "ann", rest: Partial<Line> = {}): Line => ({
  id,
  at: 100 + id,
  kind,
  author,
  text: `line ${id}`,
  data: {},
  ...rest,
});
const told = (messages: readonly Line[] = []): ToldRoom => ({
  incident: {
    id: "INC_1",
    title: "slow",
    priority: "P0",
    status: "investigating",
    created_at: 0,
    resolved_at: null,
    acknowledged_by: null,
    assignee: "",
  },
  participants: [],
  pins: [],
  messages,
  timeline: [],
  place: "0.0",
  channel: null,
  commands: [
    { usage: "/ack [words]", does: "" },
    { usage: "/approve [RUNBOOK]", does: "" },
    { usage: "/who", does: "" },
  ],
});
const after = (...lines: readonly Line[]): Room =>
  lines.reduce((room, each) => heard(room, { kind: "line", line: each }), entered(told()));

test("news that come twice, or late, leave the room as it would be without", () => {
  const once = after(
    line(1),
    line(2, "joined"),
    line(3, "pinned", "ann", { data: { evidence: "log", ref: "", url: "" } }),
  );
  const twice = after(
    line(1),
    line(3, "pinned", "ann", { data: { evidence: "log", ref: "", url: "" } }),
    line(2, "joined"),
    line(2, "joined"),
    line(3, "pinned", "ann", { data: { evidence: "log", ref: "", url: "" } }),
  );
  expect(twice).toEqual(once);
  expect(once.lines.map(({ id }) => id)).toEqual([1, 2, 3]);
});

test("people come and go", () => {
  const names = (...lines: readonly Line[]) => after(...lines).participants.map(({ name }) => name);
  expect(names(line(1, "joined", "ann"), line(2, "joined", "bob"))).toEqual(["ann", "bob"]);
  expect(names(line(1, "joined", "ann"), line(2, "joined", "bob"), line(3, "left", "ann"))).toEqual(["bob"]);
});

test("what is pinned is known by the number of the evidence, wherever it was pinned", () => {
  const pin = line(9, "pinned", "ann", { data: { evidence: "link", ref: "", url: "", pin: 3 } });
  const room = after(pin, pin);
  expect(room.pins.map(({ id }) => id)).toEqual([3]);
  expect(heard(room, { kind: "line", line: line(10, "unpinned", "bob", { data: { pin: 3 } }) }).pins).toEqual([]);
});

test("what is pinned is known by its line, and goes by it", () => {
  const pin = line(4, "pinned", "ann", { data: { evidence: "message", ref: "2", url: "" } });
  const room = after(line(2), pin);
  expect([pinnedOf(room.pins, "message"), pinnedOf(room.pins, "entry")]).toEqual([new Set(["2"]), new Set()]);
  expect(heard(room, { kind: "line", line: line(5, "unpinned", "bob", { data: { pin: 4 } }) }).pins).toEqual([]);
});

test("lines from before stand before, each once, until the first there was", () => {
  const full = Array.from({ length: PORTION }, (_, at) => line(at + 300));
  const room = entered(told(full));
  expect(room.whole).toBe(false);
  const older = withOlder(room, [line(298), line(299), line(300)]);
  expect([older.lines.length, older.lines[0]!.id, older.whole]).toEqual([PORTION + 2, 298, true]);
});

test("a page holds so many lines and no more", () => {
  const long = Array.from({ length: 2100 }, (_, at) => line(at + 1)).reduce(
    (room, each) => heard(room, { kind: "line", line: each }),
    entered(told()),
  );
  expect([long.lines.length, long.lines[0]!.id, long.whole]).toEqual([2000, 101, false]);
});

test("of a timeline that a storm writes, the last lines are held", () => {
  const entry = (id: number) => ({ id, at: id, event: "comment", actor: "ann", text: "", data: {} });
  const room = Array.from({ length: 600 }, (_, at) => entry(at + 1)).reduce(
    (before, each) => heard(before, { kind: "timeline", entry: each }),
    entered(told()),
  );
  expect([room.timeline.length, room.timeline[0]!.id, room.timeline.at(-1)!.id]).toEqual([500, 101, 600]);
});

test.each([
  [line(2), line(1), true],
  [line(2, "said", "bob"), line(1), false],
  [line(2, "said", "ann", { at: 500 }), line(1), false],
  [line(2, "answered"), line(1), false],
  [line(2), undefined, false],
])("what one says in one breath stands under one name", (one, before, expected) => {
  expect(follows(one, before)).toBe(expected);
});

test("a day stands above its first line, and a name above what is said in one breath", () => {
  const at = (id: number, moment: number) => line(id, "said", "ann", { at: moment });
  const rows = arranged(
    [at(1, 86_390), at(2, 86_399), at(3, 86_401), at(4, 86_402)],
    (moment) => `day ${Math.floor(moment / 86_400)}`,
  );
  expect(rows.map(({ line: { id }, day, under }) => [id, day, under])).toEqual([
    [1, "day 0", false],
    [2, "", true],
    [3, "day 1", false],
    [4, "", true],
  ]);
});

test("a line of news leaves all else of the room as it was, so that none of it is drawn anew", () => {
  const room = after(line(1), line(2, "pinned", "ann", { data: { evidence: "log" } }));
  const next = heard(room, { kind: "line", line: line(3) });
  expect([next.pins === room.pins, next.timeline === room.timeline, next.participants === room.participants]).toEqual([
    true,
    true,
    true,
  ]);
  expect(next.lines.slice(0, 2).every((each, index) => each === room.lines[index])).toBe(true);
});

test.each([
  ["/", ["/ack [words]", "/approve [RUNBOOK]", "/who"]],
  ["/a", ["/ack [words]", "/approve [RUNBOOK]"]],
  ["/ack seen", []],
  ["//", []],
  ["ack", []],
])("%s offers", (typed, expected) => {
  expect(offered(told().commands, typed).map(({ usage }) => usage)).toEqual(expected);
});

test.each([
  ["ann", "AN"],
  ["ann lee", "AL"],
  ["a.b-c", "AC"],
  ["", ""],
])("the letters of %s", (name, expected) => {
  expect(letters(name)).toBe(expected);
});

test.each([
  ["https://x.example/1", true],
  ["/explore/traces/1", true],
  ["//evil.example", false],
  ["/\\evil.example", false],
  ["javascript:alert(1)", false],
  ["", false],
])("whether %s is gone to", (url, expected) => {
  expect(safeAddress(url) !== null).toBe(expected);
});

test.each([
  [{ evidence: "trace", text: "A".repeat(32) }, `/explore/traces/${"a".repeat(32)}`],
  [{ evidence: "trace", text: "that trace" }, null],
  [{ evidence: "query", text: 'up{job="a"}' }, "/explore/metrics?q=up%7Bjob%3D%22a%22%7D"],
  [{ evidence: "link", text: "https://x.example" }, "https://x.example"],
  [{ evidence: "link", text: "javascript:alert(1)" }, null],
  [{ evidence: "message", text: "https://x.example" }, null],
  [{ evidence: "log", text: "oom", url: "/explore/logs?q=oom" }, "/explore/logs?q=oom"],
] as const)("%o leads to %s", (pin, expected) => {
  expect(leadsTo({ id: 1, at: 0, author: "ann", ref: "", url: "", ...pin } as Pin)).toBe(expected);
});

test.each([
  [line(1, "joined", "ann", { text: "ann joined, as INC_2 goes on here" }), "ann joined, as INC_2 goes on here"],
  [line(1, "pinned", "ann", { text: "x".repeat(100) }), `ann pinned “${"x".repeat(89)}…”`],
  [line(1, "edited", "cid", { text: "the disk", data: { was: "the pool" } }), "cid changed “the pool” to “the disk”"],
  [line(1, "deleted", "cid", { text: "the pool" }), "what cid had said was deleted in Slack: “the pool”"],
  [line(1, "full", "automated_system", { text: "the room is full" }), "the room is full"],
])("what nobody said is told in a sentence", (happened, sentence) => {
  expect(happening(happened)).toBe(sentence);
});

test.each([
  [{}, ""],
  [{ thread: "1.0" }, "in a thread"],
  [{ thread: "1.0", reply_to: { line: 1, author: "ann", text: "is it the pool?" } }, "ann: is it the pool?"],
])("an answer in a thread says what it answers", (data, to) => {
  expect(answers(line(2, "said", "cid", { data }))).toBe(to);
});

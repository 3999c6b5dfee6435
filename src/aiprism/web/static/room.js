// The war room of one incident: what is said, who is there, what is pinned, what happened; live, and after it is over.

import { ask, clock, duration, el, fill, moment, tag } from "/static/dom.js";

const KINDS = {
  investigating: "bad", identified: "warn", monitoring: "info", resolved: "good", P0: "bad", P1: "bad", P2: "warn",
};
const GRIM = /^(incident_created|alert_joined|alert_refired|reopened|escalated|.*_overdue|target_missed|.*_failed|nobody_.*)$/;
const GLAD = /^(resolved|monitoring|alert_cleared|runbook_succeeded|identified)$/;
const OURS = /^(war_room_opened|evidence_pinned|comment|acknowledged|responded|status_update|.*_update_.*)$/;
const SAME_MINUTES = 5 * 60; // what one person says within them stands under one name
const MOST = 2000; // lines that the page holds

const $ = (id) => document.getElementById(id);
const INCIDENT = decodeURIComponent(location.pathname.split("/").at(-2));
const BASE = `/aiprism/v1/incidents/${encodeURIComponent(INCIDENT)}/room`;
const room = { incident: null, lines: new Map(), events: new Map(), pins: new Map(), people: new Map(), place: "", oldest: 0, whole: false };

// ---- reading ---------------------------------------------------------------------------------------------------------

async function enter() {
  try {
    const found = await ask(BASE);
    for (const name of ["lines", "events", "pins", "people"]) room[name].clear();
    room.incident = found.incident;
    room.place = found.place;
    for (const line of found.messages) room.lines.set(line.id, line);
    for (const entry of found.timeline) room.events.set(entry.id, entry);
    for (const pin of found.pins) room.pins.set(pin.id, pin);
    for (const person of found.participants) room.people.set(person.name, person.since);
    room.oldest = found.messages[0]?.id ?? 0;
    room.whole = found.messages.length < 200;
    offer(found.commands);
    show();
    toEnd();
    follow();
  } catch (error) {
    const absent = error.status === 404;
    complain(absent ? `${error.message}` : `The room cannot be read: ${error.message}. Trying again…`);
    presence("bad", absent ? "no room" : "no answer");
    if (absent) fill($("lines"), opening());
    else setTimeout(enter, 3000);
  }
}

// An incident of a lower tier has no room by itself.
function opening() {
  return el("li", { class: "empty" }, el("p", {}, "This incident has no war room yet."), el("button", { type: "button", onclick: async () => {
    if (await send("POST", "/open", {})) { complain(""); enter(); }
  } }, "Open one"));
}

function follow() {
  const source = new EventSource(`${BASE}/events?after=${encodeURIComponent(room.place)}`);
  source.onopen = () => presence("good", "live");
  source.onerror = () => {
    presence("warn", "connecting…");
    if (source.readyState === EventSource.CLOSED) setTimeout(enter, 3000); // refused: it would not come again by itself
  };
  source.addEventListener("line", (event) => took(JSON.parse(event.data)));
  source.addEventListener("timeline", (event) => {
    const entry = JSON.parse(event.data);
    room.events.set(entry.id, entry);
    soon(showTimeline);
  });
  source.addEventListener("incident", (event) => {
    room.incident = JSON.parse(event.data);
    soon(showHead);
  });
}

function took(line) {
  if (room.lines.has(line.id)) return;
  room.lines.set(line.id, line);
  if (room.lines.size > MOST) room.lines.delete(room.lines.keys().next().value);
  if (line.kind === "joined") room.people.set(line.author, line.at);
  if (line.kind === "left") room.people.delete(line.author);
  if (line.kind === "pinned") room.pins.set(line.id, { ...line, ...line.data });
  if (line.kind === "unpinned") room.pins.delete(line.data.pin);
  soon(showPeople);
  soon(showPins);
  soon(showLines);
}

// A backlog comes as hundreds of events: it is drawn once.
const waiting = new Set();
function soon(draw) {
  if (!waiting.size) requestAnimationFrame(() => { const due = [...waiting]; waiting.clear(); due.forEach((each) => each()); });
  waiting.add(draw);
}

async function older() {
  const { messages } = await ask(`${BASE}/messages?before=${room.oldest}&limit=200`);
  const known = [...room.lines.values()];
  room.lines.clear();
  for (const line of [...messages, ...known]) room.lines.set(line.id, line);
  room.oldest = messages[0]?.id ?? room.oldest;
  room.whole = messages.length < 200;
  const list = $("lines"), below = list.scrollHeight - list.scrollTop;
  showLines({ keep: true });
  list.scrollTop = list.scrollHeight - below;
}

// ---- showing ---------------------------------------------------------------------------------------------------------

function show() {
  showHead();
  showPeople();
  showLines({ keep: true });
  showPins();
  showTimeline();
}

function showHead() {
  const incident = room.incident;
  const end = incident.resolved_at ?? Date.now() / 1000;
  fill($("tags"), tag(incident.priority, KINDS[incident.priority]), tag(incident.status, KINDS[incident.status]));
  $("title").textContent = incident.title;
  $("title").title = incident.title;
  const by = incident.acknowledged_by ? ` · ${incident.acknowledged_by} takes care` : "";
  $("facts").textContent = `${incident.resolved_at ? "lasted" : "for"} ${duration(Math.max(1, Math.round(end - incident.created_at)))}${by}`;
  document.title = `${incident.priority} ${incident.title} · war room`;
}

function showPeople() {
  const people = [...room.people.keys()];
  const me = $("actor").value.trim();
  fill($("people"),
    people.length ? people.map((name) => el("span", { class: "person", title: `${name}, since ${clock(room.people.get(name))}` }, face(name), el("span", {}, name)))
      : "Nobody is here yet. Who writes is here.",
    room.people.has(me) ? el("button", { type: "button", class: "leave", onclick: () => send("POST", "/leave", {}) }, "Leave") : null);
}

function showLines({ keep = false } = {}) {
  const list = $("lines");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const nodes = [];
  let last = null;
  for (const line of room.lines.values()) {
    if (!last || day(last.at) !== day(line.at)) nodes.push(el("li", { class: "day" }, day(line.at)));
    nodes.push(drawn(line, last));
    last = line;
  }
  if (!nodes.length) nodes.push(el("li", { class: "empty" }, "Nothing has been said yet. / shows what can be asked for."));
  if (!room.whole && room.lines.size) nodes.unshift(el("li", {}, el("button", { type: "button", class: "older", onclick: () => older().catch((error) => complain(error.message)) }, "Earlier messages")));
  fill(list, nodes);
  if (keep) return;
  if (atEnd) toEnd();
  else $("newest").hidden = false;
}

function drawn(line, before) {
  const when = el("time", { datetime: new Date(line.at * 1000).toISOString(), title: moment(line.at) }, clock(line.at).slice(0, 5));
  if (line.kind === "answered") return el("li", { class: `line answer ${line.data.done ? "" : "bad"}` }, el("span", { class: "words" }, line.text));
  if (line.kind !== "said") return el("li", { class: "line event" }, el("span", { class: "words" }, event(line), " ", when));
  const follows = before?.kind === "said" && before.author === line.author && line.at - before.at < SAME_MINUTES;
  const words = el("span", { class: line.text.startsWith("/") ? "words command" : "words" }, line.text);
  const act = pinner("message", line.id);
  if (follows) return el("li", { class: "line" }, words, act);
  return el("li", { class: "line first" }, face(line.author), el("span", { class: "head" }, el("b", {}, line.author), when), words, act);
}

function event(line) {
  if (line.kind === "pinned") return `${line.author} pinned “${short(line.text)}”`;
  if (line.kind === "unpinned") return `${line.author} took away “${short(line.text)}”`;
  return line.text;
}

function showPins() {
  const pins = [...room.pins.values()];
  $("pin-count").textContent = pins.length || "";
  fill($("pins"), pins.length ? pins.map((pin) => el("li", { class: pin.evidence },
    tag(pin.evidence === "entry" ? "timeline" : pin.evidence),
    el("span", { class: "text" }, web(pin.url) ? el("a", { href: pin.url, rel: "noreferrer" }, pin.text) : pin.text),
    el("button", { type: "button", class: "act", title: "Take it away", onclick: () => send("DELETE", `/pins/${pin.id}`) }, "unpin"),
    el("span", { class: "by" }, `${pin.author}, ${clock(pin.at)}`))) : el("li", { class: "none" }, "Nothing is pinned. Pin a message or a line of the timeline, or write /pin."));
}

function showTimeline() {
  const entries = [...room.events.values()].reverse();
  fill($("timeline"), entries.map((entry) => el("li", {},
    el("time", { datetime: new Date(entry.at * 1000).toISOString(), title: moment(entry.at) }, clock(entry.at)),
    el("span", { class: `mark ${mood(entry.event)}` }),
    el("span", { class: "said" }, entry.text || entry.event, el("span", { class: "word" }, entry.actor === "automated_system" ? entry.event.replaceAll("_", " ") : entry.actor)),
    pinner("entry", entry.id))));
}

function pinner(evidence, ref) {
  if ([...room.pins.values()].some((pin) => pin.evidence === evidence && pin.ref === String(ref))) return null;
  return el("button", { type: "button", class: "act", title: "Pin this as evidence", onclick: () => send("POST", "/pins", { evidence, ref: String(ref) }) }, "pin");
}

const mood = (word) => (GRIM.test(word) ? "bad" : GLAD.test(word) ? "good" : OURS.test(word) ? "info" : "");
const day = (at) => moment(at).slice(0, 10);
const short = (text) => (text.length > 90 ? `${text.slice(0, 89)}…` : text);
const web = (url) => /^(https?:\/\/|\/(?![/\\]))/.test(url ?? "");

function face(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = (words.length > 1 ? words[0][0] + words.at(-1)[0] : name.slice(0, 2)).toUpperCase();
  const hue = [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 8, 7);
  return el("span", { class: `face hue-${hue}`, "aria-hidden": "true" }, letters);
}

function presence(kind, words) {
  $("state").querySelector(".dot").className = `dot ${kind}`;
  $("state").lastElementChild.textContent = words;
}

function complain(text) {
  $("complaint").textContent = text;
  $("complaint").hidden = !text;
}

function toEnd() {
  $("lines").scrollTop = $("lines").scrollHeight;
  $("newest").hidden = true;
}

// ---- doing -----------------------------------------------------------------------------------------------------------

async function send(method, path, body) {
  const actor = $("actor").value.trim();
  if (!actor) {
    complain("Say who you are first.");
    part("chat");
    $("actor").focus();
    return false;
  }
  const asked = method === "DELETE" ? `${path}?actor=${encodeURIComponent(actor)}` : path;
  const content = method === "DELETE" ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify({ actor, ...body }) };
  try {
    const answer = await fetch(`${BASE}${asked}`, { method, ...content });
    if (answer.ok) {
      complain("");
      return true;
    }
    complain((await answer.json().catch(() => null))?.error?.message ?? `the server answered HTTP ${answer.status}`);
  } catch {
    complain("The server does not answer; what you wrote is still here.");
  }
  return false;
}

$("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const box = $("text"), text = box.value.trim();
  if (!text) return;
  const button = event.submitter ?? $("compose").querySelector("button");
  button.disabled = true;
  if (await send("POST", "/messages", { text })) {
    box.value = "";
    grow();
    toEnd();
  }
  button.disabled = false;
  box.focus();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("compose").requestSubmit();
  }
  if (event.key === "Escape") $("offers").hidden = true;
});

function grow() {
  const box = $("text");
  box.rows = Math.min(8, box.value.split("\n").length);
  const word = /^\/[a-z]*$/.test(box.value) ? box.value : null;
  for (const item of $("offers").children) item.hidden = word === null || !item.dataset.usage.startsWith(word);
  $("offers").hidden = word === null || [...$("offers").children].every((item) => item.hidden);
}
$("text").addEventListener("input", grow);

function offer(commands) {
  fill($("offers"), commands.map(({ usage, does }) => el("li", { "data-usage": usage }, el("button", { type: "button", onclick: () => {
    $("text").value = `${usage.split(" ")[0]} `;
    $("offers").hidden = true;
    $("text").focus();
  } }, el("code", {}, usage), el("span", {}, does)))));
}

$("lines").addEventListener("scroll", () => {
  const list = $("lines");
  if (list.scrollHeight - list.scrollTop - list.clientHeight < 20) $("newest").hidden = true;
});
$("newest").addEventListener("click", toEnd);

function part(name) {
  document.body.dataset.part = name;
  for (const button of document.querySelectorAll(".parts button")) button.setAttribute("aria-pressed", button.dataset.part === name);
}
for (const button of document.querySelectorAll(".parts button")) button.addEventListener("click", () => part(button.dataset.part));

// The name is kept in this browser only.
$("actor").value = localStorage.getItem("aiprism.actor") ?? "";
$("actor").addEventListener("change", () => {
  localStorage.setItem("aiprism.actor", $("actor").value.trim());
  showPeople();
});

setInterval(() => room.incident && !document.hidden && showHead(), 10000);
enter();

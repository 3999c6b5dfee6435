"""War rooms as rows: opened for the incidents whose tier has one, and the lines people and machines write in them.

In: a desk, so that a room and its incident are written together or not at all. Out: rows, and rooms folded from them.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from aiprism.respond import warroom
from aiprism.respond.desk import Batch, Desk
from aiprism.respond.incident import MACHINE
from aiprism.respond.warroom import Kind, Line, Room
from aiprism.store import incidents as incident_store
from aiprism.store import roomchannels
from aiprism.store import warroom as store

OPENED = "war_room_opened"  # on the timeline
_OF_PINS = {"pinned": Kind.PINNED, "unpinned": Kind.UNPINNED}
SLACK = "slack"  # the kind of a channel


def open_wanted(batch: Batch, desk: Desk) -> Batch:
    """The stage that opens a room for each incident whose tier has one, once, as soon as it is of that tier."""
    # What nothing happened to may not be kept yet, and what belongs to it cannot be kept before it.
    changed = (key for key, change in batch.changes.items() if change.entries)
    wanted = [key for key in changed if batch.changes[key].incident.priority in desk.policy.rooms.tiers]
    known = store.having_rooms(desk.connection, wanted) if wanted else set()
    for key in wanted:
        if key not in known:
            priority = batch.changes[key].incident.priority.value
            open_room(desk, key, MACHINE, f"war room opened: the incident is {priority}")
    return batch


def bring_people(batch: Batch, desk: Desk) -> Batch:
    """The stage that has whoever is in the room of an incident that was taken in come into the room where it goes on; that one is
    opened where there was none."""
    for key, change in batch.changes.items():
        before = change.before.work.absorbed if change.before else ()
        taken = [each for each in change.incident.work.absorbed if each not in before]
        if change.incident.work.merged_into or not taken:  # of what was taken in itself all comes to where that goes on
            continue
        theirs = store.having_rooms(desk.connection, taken)
        if theirs and not store.having_rooms(desk.connection, [key]):
            names = ", ".join(each for each in taken if each in theirs)
            open_room(desk, key, MACHINE, f"war room opened: that of {names} goes on here")
        for each in (name for name in taken if name in theirs):
            room = folded(desk.connection, key)
            for who in folded(desk.connection, each).present:
                come_in(desk, key, who, room, f", as {each} goes on here")
    return batch


def tell_pins(batch: Batch, desk: Desk) -> Batch:
    """The stage that has the rooms of incidents hear what was pinned on them, or taken away."""
    said = {
        key: [entry for entry in change.entries if entry.event in _OF_PINS] for key, change in batch.changes.items()
    }
    for key in store.having_rooms(desk.connection, [key for key, entries in said.items() if entries]):
        for entry in said[key]:
            told = {name: entry.data[name] for name in ("evidence", "ref", "url") if name in entry.data}
            data = {**told, "pin": int(str(entry.data["id"])[1:])}
            write(desk, key, Line(desk.now, _OF_PINS[entry.event], entry.actor, str(entry.data["what"]), data))
    return batch


def open_room(desk: Desk, incident_id: str, actor: str, text: str) -> None:
    """Open a room for an incident that has none, and put that on its timeline."""
    store.put_rooms(desk.connection, [{"incident_id": incident_id, "opened_at": desk.now, "opened_by": actor}])
    entry = {"incident_id": incident_id, "at": desk.now, "event": OPENED, "actor": actor, "text": text, "data": {}}
    incident_store.append_events(desk.connection, [entry])
    desk.made_work = True


def write(desk: Desk, incident_id: str, line: Line) -> Line:
    """The line as it is kept, below the others."""
    row = {
        "incident_id": incident_id, "at": line.at, "kind": line.kind.value, "author": line.author, "text": line.text,
        "data": dict(line.data),
    }  # fmt: skip
    return replace(line, id=store.append_line(desk.connection, row))


def admit(desk: Desk, incident_id: str, author: str) -> None:
    """Return when somebody may write one more line in a room now; TooMany otherwise."""
    since = store.lines_since(desk.connection, incident_id, warroom.lately(desk.now))
    warroom.admitted(author, since, store.count_lines(desk.connection, incident_id))


def come_in(desk: Desk, incident_id: str, actor: str, room: Room, why: str = "") -> None:
    """Note that somebody is there, unless it is known."""
    if actor not in room.present:
        write(desk, incident_id, Line(desk.now, Kind.JOINED, actor, f"{actor} joined{why}"))


def folded(connection: Connection, incident_id: str) -> Room:
    """The room as it stands."""
    kinds = [kind.value for kind in warroom.SHAPING]
    return warroom.folded(map(line_of, store.line_rows(connection, incident_id, kinds=kinds)))


def channel_of(connection: Connection, incident_id: str) -> dict[str, object] | None:
    """The channel that the room has in Slack, as it is told; None when it has none."""
    row = roomchannels.of_incident(connection, incident_id, SLACK)
    return {name: row[name] for name in ("kind", "name", "url", "stage", "error")} if row else None


def line_of(row: store.LineRow) -> Line:
    """The line of a row."""
    return Line(row["at"], Kind(row["kind"]), row["author"], row["text"], row["data"], row["id"])

"""The war rooms of incidents: opened, written in, read, followed.

In: what people say and pin. Out: rows in the control database, written at the desk so that a room and its incident agree, and
a bell for those who follow. A room outlives its incident: it is read as long as the incident is kept. What a line means is
decided in `warroom`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from aiprism.errors import AiprismError, BadInput, Conflict, NotFound, Refused
from aiprism.respond import journal, warroom
from aiprism.respond.bell import Bell
from aiprism.respond.desk import Desk
from aiprism.respond.incident import MACHINE, Evidence, Pin, Pinned, Unpinned
from aiprism.respond.pipeline import Respond
from aiprism.respond.remediate import Remediation
from aiprism.respond.roomkeeping import admit, channel_of, come_in, folded, line_of, open_room, write
from aiprism.respond.roomplan import STATUSES
from aiprism.respond.runs import WAITING
from aiprism.respond.updates import Updates, Wanted
from aiprism.respond.warroom import Command, Kind, Line, Place, Room
from aiprism.store import incidents as incident_store
from aiprism.store import warroom as store

SHOWN = 200  # lines of the room, and of the timeline, that are given at once


@dataclass(frozen=True, slots=True)
class News:
    """What is new after a place, and the place after it."""

    lines: list[dict[str, Any]]
    timeline: list[dict[str, Any]]
    place: Place
    incident: dict[str, Any] | None = None  # as it stands, when its timeline has gone on


class Rooms:
    """Every war room there is, and what people do there."""

    def __init__(self, respond: Respond, remediation: Remediation) -> None:
        self._respond, self._remediation = respond, remediation
        self._updates = Updates(respond)
        self._bells: set[Bell] = set()
        respond.on_work(self._ring)

    # -- reading ---------------------------------------------------------------------------------------------------

    def read(self, incident_id: str) -> dict[str, Any]:
        """The room as somebody finds it who comes in; NotFound when there is no such incident, or it has no room."""
        with self._respond.reading() as connection:
            incident = _incident(connection, incident_id)
            opened = _room(connection, incident_id)
            room, place = folded(connection, incident_id), _end(connection, incident_id)
            lines = store.line_rows(connection, incident_id, last=SHOWN)
            events = store.last_events(connection, incident_id, SHOWN)
            channel, work = channel_of(connection, incident_id), journal.work_of(connection, incident_id)
        return {
            "incident": incident,
            "opened_at": opened["opened_at"],
            "opened_by": opened["opened_by"],
            "participants": [{"name": name, "since": since} for name, since in room.present.items()],
            "pins": [pinned(pin) for pin in work.pins],
            "messages": [told(line) for line in lines],
            "timeline": [_event(event) for event in events],
            "place": str(place),
            "channel": channel,
            "commands": [{"usage": each.usage, "does": each.does} for each in warroom.COMMANDS.values()],
        }

    def messages(
        self, incident_id: str, *, before: int = 0, after: int = 0, limit: int = SHOWN
    ) -> list[dict[str, Any]]:
        """Lines of the room in their order: the last before one, or the first after one."""
        with self._respond.reading() as connection:
            _room(connection, incident_id)
            if after:
                return [told(line) for line in store.lines_after(connection, incident_id, after, limit)]
            return [told(line) for line in store.line_rows(connection, incident_id, before=before, last=limit)]

    def end(self, incident_id: str) -> Place:
        """The place of who has read everything; NotFound when there is no such room."""
        with self._respond.reading() as connection:
            _room(connection, incident_id)
            return _end(connection, incident_id)

    def news(self, incident_id: str, place: Place) -> News:
        """What came after a place, at most so much as is given at once."""
        with self._respond.reading() as connection:
            lines = store.lines_after(connection, incident_id, place.line, SHOWN)
            events = store.events_after(connection, incident_id, place.event, SHOWN)
            after = Place(lines[-1]["id"] if lines else place.line, events[-1]["id"] if events else place.event)
            incident = _incident(connection, incident_id) if events else None
        return News([told(line) for line in lines], [_event(event) for event in events], after, incident)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Bell]:
        """A bell that is rung when a room may have something new, as long as this lasts."""
        bell = Bell()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    def _ring(self) -> None:
        for bell in tuple(self._bells):
            bell.ring()

    # -- doing -----------------------------------------------------------------------------------------------------

    def open(self, incident_id: str, actor: str) -> None:
        """Have a room for an incident of whatever tier; one that there is stays."""
        with self._respond.desk() as desk:
            journal.work_of(desk.connection, incident_id)  # that there is one
            if store.room_row(desk.connection, incident_id) is None:
                open_room(desk, incident_id, actor, f"war room opened by {actor}")
        self._ring()

    def join(self, incident_id: str, actor: str) -> None:
        """Somebody comes in; who is in the room already stays."""
        with self._writing(incident_id, actor) as (desk, room):
            come_in(desk, incident_id, actor, room)

    def leave(self, incident_id: str, actor: str) -> None:
        """Somebody goes."""
        with self._writing(incident_id, actor) as (desk, room):
            if actor in room.present:
                write(desk, incident_id, Line(desk.now, Kind.LEFT, actor, f"{actor} left"))

    def say(self, incident_id: str, actor: str, text: str) -> dict[str, Any]:
        """A message, from somebody who is in the room from then on. A command is said, and then happens: the line that answers
        it stands below. BadInput for a command that there is not, TooMany from who is too fast."""
        if not text.strip():
            raise BadInput("a message says something")
        asked = warroom.command(text)
        with self._writing(incident_id, actor) as (desk, room):
            come_in(desk, incident_id, actor, room)
            said = Line(desk.now, Kind.SAID, actor, text if asked else text.removeprefix("/"))
            line = write(desk, incident_id, said)
        if asked:
            self._answer(incident_id, actor, asked, line.id)
        return told(line)

    def pin(self, incident_id: str, actor: str, evidence: Evidence, *, text: str, ref: str, url: str) -> dict[str, Any]:
        """Pin evidence on the incident, as it is now; what is pinned already stays as it is. Lines are named by their id."""
        with self._writing(incident_id, actor) as (desk, _):
            known = journal.work_of(desk.connection, incident_id).pins
            found = text or next((pin.what for pin in known if ref and pin.is_of("", evidence, ref)), "")
            found = found or _referred(desk.connection, incident_id, evidence, ref)
            after = desk.happen(incident_id, Pinned(actor, found, "", evidence, ref, url))
        return pinned(next(pin for pin in after.work.pins if pin.is_of(found, evidence, ref)))

    def unpin(self, incident_id: str, actor: str, pin: int) -> None:
        """Take evidence away; NotFound when it is not pinned."""
        with self._writing(incident_id, actor) as (desk, _):
            desk.happen(incident_id, Unpinned(actor, f"E{pin}"))

    # -- commands --------------------------------------------------------------------------------------------------

    def _answer(self, incident_id: str, actor: str, asked: Command, line: int) -> None:
        """Let a command happen, and say what became of it."""
        try:
            text, done = self._done(incident_id, actor, asked), True
        except Refused as error:
            text, done = str(error), False
        except AiprismError as error:  # what is said stands there: it must not look as if it was done
            text, done = f"this could not be done: {error}", False
        with self._respond.desk() as desk:
            data = {"command": asked.name, "line": line, "done": done}
            write(desk, incident_id, Line(desk.now, Kind.ANSWERED, MACHINE, text, data))
        self._ring()

    def _done(self, incident_id: str, actor: str, asked: Command) -> str:
        offer = warroom.COMMANDS[asked.name]
        if offer.event is not None:
            after = self._respond.happen(incident_id, offer.event(actor, asked.words))
            return f"done; the incident is {after.status.value}"
        return self._deeds[asked.name](incident_id, actor, asked.words)

    @property
    def _deeds(self) -> Mapping[str, Callable[[str, str, str], str]]:
        return {
            "pin": self._pin_words,
            "approve": self._approve,
            "refuse": self._refuse,
            "run": self._run,
            "status": self._status,
            "who": self._who,
            "help": lambda *_: "\n".join(f"{each.usage}: {each.does}" for each in warroom.COMMANDS.values()),
        }

    def _pin_words(self, incident_id: str, actor: str, words: str) -> str:
        self.pin(incident_id, actor, Evidence.LINK, text=words, ref="", url="")
        return "pinned"

    def _approve(self, incident_id: str, actor: str, words: str) -> str:
        run = self._waiting(incident_id, words)
        self._remediation.approve(run["id"], actor)
        return f"approved: {run['runbook']}"

    def _refuse(self, incident_id: str, actor: str, words: str) -> str:
        run = self._waiting(incident_id, words)
        self._remediation.refuse(run["id"], actor)
        return f"refused: {run['runbook']}"

    def _run(self, incident_id: str, actor: str, words: str) -> str:
        runbook, _, reason = words.partition(" ")
        self._remediation.start(incident_id, runbook, actor, reason.strip() or "asked for in the war room")
        return f"called for: {runbook}"

    def _status(self, incident_id: str, actor: str, words: str) -> str:
        audience, _, said = words.partition(" ")
        first, _, rest = said.strip().partition(" ")
        status, text = (first, rest.strip()) if first in STATUSES else ("", said.strip())
        update = self._updates.post(incident_id, actor, Wanted(audience, status, text))
        to = ", ".join(dict.fromkeys(each["receiver"] for each in update["told"]))
        return f"{audience} {'is' if to else 'would be'} told{f' by {to}' if to else ''}: {update['text']}"

    def _waiting(self, incident_id: str, runbook: str) -> incident_store.RunRow:
        with self._respond.reading() as connection:
            holder = journal.current_id(connection, incident_id)  # which took over the runs of one that it took in
            runs = [run for run in incident_store.run_rows(connection, [holder]) if run["state"] == WAITING]
        meant = [run for run in runs if runbook in ("", run["runbook"])]
        if len(meant) == 1:
            return meant[0]
        waiting = ", ".join(dict.fromkeys(run["runbook"] for run in runs)) or "none"
        raise Conflict(f"{len(meant) or 'no'} runbooks wait for approval that this means; waiting: {waiting}")

    def _who(self, incident_id: str, _actor: str, _words: str) -> str:
        with self._respond.reading() as connection:
            present = folded(connection, incident_id).present
        return f"in the room: {', '.join(present) or 'nobody'}"

    # -- inside ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, incident_id: str, actor: str) -> Iterator[tuple[Desk, Room]]:
        """The desk and the room, for somebody who may write in it now."""
        with self._respond.desk() as desk:
            _room(desk.connection, incident_id)
            admit(desk, incident_id, actor)
            yield desk, folded(desk.connection, incident_id)
        self._ring()


def _referred(connection: Connection, incident_id: str, evidence: Evidence, ref: str) -> str:
    """What the line says that is to be pinned; NotFound when there is none of that id."""
    number = int(ref) if ref.isascii() and ref.isdigit() and len(ref) < 19 else 0
    if evidence is Evidence.ENTRY:
        entry = store.event_row(connection, incident_id, number) if number else None
        if entry is None:
            raise NotFound(f"the timeline of incident {incident_id!r} has no line {ref[:40]!r}")
        return f"{entry['event'].replace('_', ' ')}: {entry['text']}"
    if evidence is Evidence.MESSAGE:
        line = store.line_row(connection, incident_id, number) if number else None
        if line is None:
            raise NotFound(f"the room of incident {incident_id!r} has no line {ref[:40]!r}")
        return f"{line['author']}: {line['text']}"
    return ""


def _room(connection: Connection, incident_id: str) -> store.RoomRow:
    found = store.room_row(connection, incident_id)
    if found is None:
        raise NotFound(f"incident {incident_id!r} has no war room; POST …/{incident_id}/room/open opens one")
    return found


def _end(connection: Connection, incident_id: str) -> Place:
    lines = store.line_rows(connection, incident_id, last=1)
    events = store.last_events(connection, incident_id, 1)
    return Place(lines[0]["id"] if lines else 0, events[0]["id"] if events else 0)


# -- as it is told ---------------------------------------------------------------------------------------------------


def told(line: Line | store.LineRow) -> dict[str, Any]:
    """A line as JSON."""
    if not isinstance(line, Line):
        line = line_of(line)
    return {
        "id": line.id, "at": line.at, "kind": line.kind.value, "author": line.author, "text": line.text,
        "data": dict(line.data),
    }  # fmt: skip


def pinned(pin: Pin) -> dict[str, Any]:
    """A pin as JSON: its id is the number of the evidence."""
    return {
        "id": int(pin.id[1:]), "at": pin.at, "author": pin.by, "evidence": pin.evidence,
        "text": f"{pin.what}: {pin.text}" if pin.text else pin.what, "ref": pin.ref, "url": pin.url,
    }  # fmt: skip


def _event(row: incident_store.EventRow) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "incident_id"}


def _incident(connection: Connection, incident_id: str) -> dict[str, Any]:
    """What the head of a room shows; without the alerts, of which a storm has thousands."""
    found = incident_store.incident_rows(connection, ids=[incident_id])
    if not found:
        raise NotFound(f"no incident {incident_id!r}")
    shown = {name: value for name, value in found[0].items() if name not in ("progress", "due_at", "labels")}
    return {**shown, "assignee": journal.work_of(connection, incident_id).assignee}

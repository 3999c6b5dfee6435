"""What people do in a room's channel in Slack, as the room hears it: it is said there, once, and stays on record.

In: what `slackevents` understood, at a desk. Out: lines of the room, and what two signs ask for: `eyes` on the channel's first
message acknowledges the incident, `pushpin` pins a message. What was changed or deleted there is a line of its own; the line
that was said before stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from aiprism.errors import Conflict
from aiprism.respond import warroom
from aiprism.respond.channels.post import cut
from aiprism.respond.desk import Desk
from aiprism.respond.hearing import outdated
from aiprism.respond.incident import MACHINE, Acknowledged, Event, Evidence, Pinned
from aiprism.respond.roomkeeping import SLACK, admit, come_in, folded, write
from aiprism.respond.roomtelling import FROM, REPLY
from aiprism.respond.slackevents import EYES, PUSHPIN, Changed, Deleted, Reacted, Told, Written
from aiprism.respond.warroom import Kind, Line
from aiprism.store import hooks as hook_store
from aiprism.store import roomchannels
from aiprism.store import warroom as store

_REMEMBERED = 7 * 86_400.0  # seconds in which what is told again is known
_QUOTED = 90  # characters of a line that another speaks of


def hears(connection: Connection, channel: str) -> bool:
    """Whether that channel in Slack is one of a room."""
    return roomchannels.of_channel(connection, SLACK, channel) is not None


def hear(desk: Desk, told: Told, name: str) -> str:
    """Have the room of a channel in Slack hear what was done there, once; what became of it, in a word: done, unchanged, refused,
    repeated, outdated, unknown, or full. `name` is what whoever did it is called there. TooMany when the room is written in too
    fast."""
    row = roomchannels.of_channel(desk.connection, SLACK, told.channel)
    if row is None:
        return "unknown"
    if not isinstance(told, Reacted) and _full(desk, row["incident_id"]):
        return "full"
    if not hook_store.remember(desk.connection, told.id, desk.now, "", row["incident_id"], desk.now - _REMEMBERED):
        return "repeated"
    author = _known(desk, row, told.user) or f"{name} (Slack)"
    match told:
        case Reacted():
            return _signed(desk, row, told, author)
        case Deleted():
            return _deleted(desk, row["incident_id"], told)
        case Changed():
            return _changed(desk, row["incident_id"], told, author)
        case Written():
            return _said(desk, row["incident_id"], told, author)
    return "unchanged"


def _full(desk: Desk, incident_id: str) -> bool:
    """Whether the room takes no more lines. Nobody in Slack sees a refusal, and Slack closes a door that goes on refusing: so it is
    said once, in the room, from where the channel hears of it."""
    if not warroom.is_full(store.count_lines(desk.connection, incident_id)):
        return False
    if not store.line_rows(desk.connection, incident_id, kinds=[Kind.FULL.value], last=1):
        text = (
            f"the room is full: it holds {warroom.MOST_LINES} lines. What is written in Slack from now on is not heard here; "
            "what is to be kept goes on the timeline, as a comment on the incident"
        )
        write(desk, incident_id, Line(desk.now, Kind.FULL, MACHINE, text))
        desk.made_work = True
    return True


def _said(desk: Desk, incident_id: str, told: Written, author: str) -> str:
    admit(desk, incident_id, author)
    come_in(desk, incident_id, author, folded(desk.connection, incident_id))
    answered = store.lines_of(desk.connection, incident_id, told.thread) if told.thread else []
    of_thread = {"thread": told.thread} if told.thread else {}
    reply = {REPLY: _quoting(answered[-1], answered[0]["id"])} if answered else {}
    data = {**_origin(told), **of_thread, **reply}
    text = cut(told.text, warroom.MOST_CHARACTERS)
    return _written(desk, incident_id, Line(desk.now, Kind.SAID, author, text, data))


def _changed(desk: Desk, incident_id: str, told: Changed, author: str) -> str:
    lines = store.lines_of(desk.connection, incident_id, told.ts)
    if not lines:  # a change of what was not heard is heard as what it is now
        return _said(desk, incident_id, told, author)
    first, last = lines[0], lines[-1]
    text = cut(told.text, warroom.MOST_CHARACTERS)
    if text == last["text"] or last["kind"] == Kind.DELETED.value:  # told in another order than it was done
        return "unchanged"
    admit(desk, incident_id, first["author"])
    data = {**_origin(told), "line": first["id"], "was": cut(last["text"], _QUOTED)}
    return _written(desk, incident_id, Line(desk.now, Kind.EDITED, first["author"], text, data))


def _deleted(desk: Desk, incident_id: str, told: Deleted) -> str:
    """Slack does not tell who took it away: its author, or somebody who may do that."""
    lines = store.lines_of(desk.connection, incident_id, told.ts)
    if not lines or lines[-1]["kind"] == Kind.DELETED.value:
        return "unchanged"
    first = lines[0]
    data = {FROM: SLACK, "ts": told.ts, "line": first["id"]}
    return _written(
        desk, incident_id, Line(desk.now, Kind.DELETED, first["author"], cut(lines[-1]["text"], _QUOTED), data)
    )


def _signed(desk: Desk, row: roomchannels.ChannelRow, told: Reacted, author: str) -> str:
    """A sign that slips onto a line of talk must not end the calling of people: only on the first message it acknowledges."""
    event: Event | None = None
    if told.sign == EYES and told.ts == row["progress"].get("head"):
        if outdated(desk.incident(row["incident_id"]), told.at):
            return "outdated"
        event = Acknowledged(author, f"acknowledged by {author}")
    elif told.sign == PUSHPIN and (lines := store.lines_of(desk.connection, row["incident_id"], told.ts)):
        what = f"{lines[0]['author']}: {lines[-1]['text']}"
        event = Pinned(author, what, "", Evidence.MESSAGE, str(lines[0]["id"]))
    if event is None:
        return "unchanged"
    try:
        desk.happen(row["incident_id"], event)
    except Conflict:  # it is over, or as much is pinned as there may be
        return "refused"
    desk.made_work = True
    return "done"


def _written(desk: Desk, incident_id: str, line: Line) -> str:
    write(desk, incident_id, line)
    desk.made_work = True
    return "done"


def _origin(told: Told) -> Mapping[str, object]:
    return {FROM: SLACK, "user": told.user, "ts": told.ts}


def _quoting(line: store.LineRow, first: int) -> Mapping[str, object]:
    return {"line": first, "author": line["author"], "text": cut(line["text"], _QUOTED)}


def _known(desk: Desk, row: roomchannels.ChannelRow, user: str) -> str:
    """Whom oncall.yml knows under the address that this user was found by; empty where nobody was."""
    known: dict[str, str] = row["progress"].get("people", {})
    address = next((address for address, found in known.items() if found == user), "")
    return next((each.id for each in desk.policy.periods.rota.people.values() if address and each.email == address), "")

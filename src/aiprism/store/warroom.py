"""Statements on the control database for war rooms: which incidents have one, and the lines written in it.

In and out go rows inside a transaction the caller began. What a line means is known in `aiprism.respond.warroom`. Ids grow in
the order of commits, because whoever writes holds the desk: who has read up to an id has missed nothing before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.incidents import EventRow
from aiprism.store.records import incident_events, war_room_lines, war_rooms


class RoomRow(TypedDict):
    incident_id: str
    opened_at: float
    opened_by: str


class LineRow(TypedDict):
    id: int
    incident_id: str
    at: float
    kind: str
    author: str
    text: str
    data: dict[str, Any]


def put_rooms(connection: Connection, rows: Sequence[RoomRow]) -> None:
    """Keep that these incidents have a room."""
    if rows:
        connection.execute(sa.insert(war_rooms), [dict(row) for row in rows])


def room_row(connection: Connection, incident_id: str) -> RoomRow | None:
    """The room of an incident, if it has one."""
    row = connection.execute(sa.select(war_rooms).where(war_rooms.c.incident_id == incident_id)).mappings().first()
    return cast("RoomRow", dict(row)) if row else None


def having_rooms(connection: Connection, incident_ids: Sequence[str]) -> set[str]:
    """Those of these incidents that have a room."""
    found: set[str] = set()
    for start in range(0, len(incident_ids), 500):
        portion = incident_ids[start : start + 500]
        found.update(connection.scalars(sa.select(war_rooms.c.incident_id).where(war_rooms.c.incident_id.in_(portion))))
    return found


def append_line(connection: Connection, row: Mapping[str, object]) -> int:
    """Write a line below the others; its id. There is no statement that changes or removes one."""
    made = sa.insert(war_room_lines).values(**row).returning(war_room_lines.c.id)
    return int(connection.execute(made).scalar_one())


def line_rows(
    connection: Connection, incident_id: str, *, before: int = 0, kinds: Sequence[str] = (), last: int = 0
) -> list[LineRow]:
    """The lines of a room in their order: before an id, of these kinds, and of those the `last` ones (0: all)."""
    table = war_room_lines
    query = sa.select(table).where(table.c.incident_id == incident_id)
    query = query.where(table.c.id < before) if before else query
    query = query.where(table.c.kind.in_(kinds)) if kinds else query
    if not last:
        return _lines(connection, query.order_by(table.c.id))
    return _lines(connection, query.order_by(table.c.id.desc()).limit(last))[::-1]


def lines_after(
    connection: Connection, incident_id: str, after: int, limit: int, kinds: Sequence[str] = ()
) -> list[LineRow]:
    """The first lines after an id, of these kinds."""
    table = war_room_lines
    query = sa.select(table).where(table.c.incident_id == incident_id, table.c.id > after)
    query = query.where(table.c.kind.in_(kinds)) if kinds else query
    return _lines(connection, query.order_by(table.c.id).limit(limit))


def line_row(connection: Connection, incident_id: str, line_id: int) -> LineRow | None:
    """One line of a room."""
    found = lines_after(connection, incident_id, line_id - 1, 1)
    return found[0] if found and found[0]["id"] == line_id else None


def lines_of(connection: Connection, incident_id: str, ts: str) -> list[LineRow]:
    """The lines of a room about one message of its channel in Slack, by its name there, in their order."""
    table = war_room_lines
    query = sa.select(table).where(table.c.incident_id == incident_id, table.c.data["ts"].as_string() == ts)
    return _lines(connection, query.order_by(table.c.id))


def lines_since(connection: Connection, incident_id: str, since: float) -> dict[str, int]:
    """How many lines each author has written since then."""
    table = war_room_lines
    query = sa.select(table.c.author, sa.func.count()).where(table.c.incident_id == incident_id, table.c.at > since)
    return {row[0]: row[1] for row in connection.execute(query.group_by(table.c.author))}


def count_lines(connection: Connection, incident_id: str) -> int:
    """How many lines a room has."""
    query = sa.select(sa.func.count()).where(war_room_lines.c.incident_id == incident_id)
    return int(connection.scalar(query) or 0)


def events_after(
    connection: Connection, incident_id: str, after: int, limit: int, kinds: Sequence[str] = ()
) -> list[EventRow]:
    """The first lines of a timeline after an id, of these kinds."""
    table = incident_events
    query = sa.select(table).where(table.c.incident_id == incident_id, table.c.id > after)
    query = query.where(table.c.event.in_(kinds)) if kinds else query
    rows = connection.execute(query.order_by(table.c.id).limit(limit)).mappings()
    return [cast("EventRow", dict(row)) for row in rows]


def last_events(connection: Connection, incident_id: str, most: int) -> list[EventRow]:
    """The last lines of a timeline, in their order."""
    table = incident_events
    query = sa.select(table).where(table.c.incident_id == incident_id).order_by(table.c.id.desc()).limit(most)
    return [cast("EventRow", dict(row)) for row in connection.execute(query).mappings()][::-1]


def event_row(connection: Connection, incident_id: str, event_id: int) -> EventRow | None:
    """One line of a timeline."""
    found = events_after(connection, incident_id, event_id - 1, 1)
    return found[0] if found and found[0]["id"] == event_id else None


def _lines(connection: Connection, query: sa.Select[Any]) -> list[LineRow]:
    return [cast("LineRow", dict(row)) for row in connection.execute(query).mappings()]

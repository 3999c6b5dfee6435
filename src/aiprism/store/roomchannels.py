"""Statements on the control database for the channels that war rooms have elsewhere: which rooms want one, how far each is.

In and out go rows inside a transaction the caller began. What a row means is known in `aiprism.respond.roomchannel`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import incidents, war_room_channels, war_rooms


class ChannelRow(TypedDict):
    incident_id: str
    kind: str
    stage: str
    channel: str
    name: str
    url: str
    line: int
    event: int
    error: str
    next_at: float
    progress: dict[str, Any]


def lacking(connection: Connection, kind: str, priorities: Collection[str]) -> list[str]:
    """The open incidents of these priorities (of any, when none are given) whose room has no channel of that kind."""
    table = war_room_channels
    has_one = sa.and_(table.c.incident_id == war_rooms.c.incident_id, table.c.kind == kind)
    query = (
        sa.select(war_rooms.c.incident_id)
        .join(incidents, incidents.c.id == war_rooms.c.incident_id)
        .outerjoin(table, has_one)
        .where(table.c.incident_id.is_(None), incidents.c.status != "resolved")
        .order_by(war_rooms.c.opened_at)
    )
    query = query.where(incidents.c.priority.in_(sorted(priorities))) if priorities else query
    return list(connection.scalars(query))


def living(connection: Connection, kind: str, over: Collection[str], since: float) -> list[ChannelRow]:
    """The channels in no stage of `over` whose incident is open, or was resolved after `since`."""
    table = war_room_channels
    lasting = sa.or_(incidents.c.status != "resolved", incidents.c.resolved_at >= since)
    query = sa.select(table).join(incidents, incidents.c.id == table.c.incident_id)
    query = query.where(table.c.kind == kind, table.c.stage.not_in(sorted(over)), lasting)
    return _rows(connection, query.order_by(table.c.incident_id))


def of_incident(connection: Connection, incident_id: str, kind: str) -> ChannelRow | None:
    """The channel of that kind that an incident's room has."""
    table = war_room_channels
    return next(
        iter(_rows(connection, sa.select(table).where(table.c.incident_id == incident_id, table.c.kind == kind))), None
    )


def of_incidents(connection: Connection, incident_ids: Sequence[str], kind: str) -> list[ChannelRow]:
    """The channels of that kind that the rooms of these incidents have, in the order of the incidents' ids."""
    table, found = war_room_channels, list[ChannelRow]()
    for start in range(0, len(incident_ids), 500):
        portion = incident_ids[start : start + 500]
        query = sa.select(table).where(table.c.incident_id.in_(portion), table.c.kind == kind)
        found += _rows(connection, query.order_by(table.c.incident_id))
    return found


def of_channel(connection: Connection, kind: str, channel: str) -> ChannelRow | None:
    """The row of a channel by its id elsewhere."""
    table = war_room_channels
    query = sa.select(table).where(table.c.kind == kind, table.c.channel == channel)
    return next(iter(_rows(connection, query)), None)


def begin(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep a channel that there was not."""
    connection.execute(sa.insert(war_room_channels).values(**row))


def save(connection: Connection, row: Mapping[str, Any]) -> None:
    """Lay a row over the one that is kept; nothing where its incident is forgotten."""
    table = war_room_channels
    mine = (table.c.incident_id == row["incident_id"], table.c.kind == row["kind"])
    connection.execute(sa.update(table).where(*mine).values(**row))


def _rows(connection: Connection, query: sa.Select[Any]) -> list[ChannelRow]:
    return [cast("ChannelRow", dict(row)) for row in connection.execute(query).mappings()]

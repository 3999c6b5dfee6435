"""Statements on the control database for status updates: what was told of an incident to which audience.

In and out go rows inside a transaction the caller began. Whether they arrived is known to the outbox: their letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import status_updates


class UpdateRow(TypedDict):
    id: int
    incident_id: str
    at: float
    author: str
    audience: str
    status: str
    title: str
    text: str
    public: bool


def append(connection: Connection, row: Mapping[str, object]) -> int:
    """Keep an update; its id. There is no statement that changes or removes one."""
    made = sa.insert(status_updates).values(**row).returning(status_updates.c.id)
    return int(connection.execute(made).scalar_one())


def of_incident(connection: Connection, incident_id: str) -> list[UpdateRow]:
    """The updates on an incident, in their order."""
    query = sa.select(status_updates).where(status_updates.c.incident_id == incident_id)
    rows = connection.execute(query.order_by(status_updates.c.id)).mappings()
    return [cast("UpdateRow", dict(row)) for row in rows]


def public(connection: Connection, limit: int) -> list[UpdateRow]:
    """The last updates that everybody may read, newest first."""
    query = sa.select(status_updates).where(status_updates.c.public).order_by(status_updates.c.id.desc()).limit(limit)
    return [cast("UpdateRow", dict(row)) for row in connection.execute(query).mappings()]

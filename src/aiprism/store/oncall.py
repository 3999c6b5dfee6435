"""Statements on the control database about who is on call: overrides that people asked for.

In and out go rows as the TypedDict below, inside a transaction the caller began. What a row means is known in
`aiprism.respond.oncall`.
"""

from __future__ import annotations

from typing import TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import oncall_overrides, upsert


class OverrideRow(TypedDict):
    id: str
    schedule: str
    people: list[str]
    start: float
    end: float
    reason: str
    author: str
    created_at: float


def put_override(connection: Connection, row: OverrideRow) -> None:
    """Insert an override, or lay it over the one of its id."""
    upsert(connection, oncall_overrides, [row])


def override_rows(
    connection: Connection, *, override_id: str = "", ends_after: float | None = None
) -> list[OverrideRow]:
    """The overrides, of that id or that are not over by then, in the order of their making."""
    table = oncall_overrides
    query = sa.select(table).order_by(table.c.created_at, table.c.id)
    if override_id:
        query = query.where(table.c.id == override_id)
    if ends_after is not None:
        query = query.where(table.c.end > ends_after)
    return cast("list[OverrideRow]", [dict(row) for row in connection.execute(query).mappings()])


def drop_override(connection: Connection, override_id: str) -> None:
    """Forget this one."""
    connection.execute(sa.delete(oncall_overrides).where(oncall_overrides.c.id == override_id))


def drop_overrides(connection: Connection, before: float) -> None:
    """Forget what was over before then."""
    connection.execute(sa.delete(oncall_overrides).where(oncall_overrides.c.end <= before))

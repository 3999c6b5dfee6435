"""How receivers have been reached: what the outbox knows of each of their integrations.

In: a connection of the control database and how far to look back. Out: counts, and what became of the last letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.incidents import Address
from aiprism.store.records import notifications


@dataclass(frozen=True, slots=True)
class Last:
    """The letter that was written last: `state` is pending, sent or failed; `error` says why it is not sent."""

    event: str
    state: str
    error: str
    at: float  # when it was sent, or else written
    attempts: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Letters to one integration by what became of them."""

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    last: Last | None = None


def reached(connection: Connection, since: float) -> Mapping[Address, Reached]:
    """Of every integration that letters were written to since then."""
    table = notifications
    where = (table.c.receiver, table.c.channel, table.c.integration)
    counted = sa.select(*where, table.c.state, sa.func.count().label("letters")).where(table.c.created_at >= since)
    found: dict[Address, Reached] = {}
    for row in connection.execute(counted.group_by(*where, table.c.state)):
        address = Address(row.receiver, row.channel, row.integration)
        count = {{"sent": "sent", "failed": "failed"}.get(row.state, "waiting"): row.letters}
        found[address] = replace(found.get(address, Reached()), **count)
    newest = sa.select(*where, sa.func.max(table.c.created_at).label("newest")).where(table.c.created_at >= since)
    heads = newest.group_by(*where).subquery()
    letters = sa.select(table).join(
        heads,
        sa.and_(*(table.c[each.name] == heads.c[each.name] for each in where), table.c.created_at == heads.c.newest),
    )
    for row in connection.execute(letters):
        address = Address(row.receiver, row.channel, row.integration)
        at = row.created_at if row.sent_at is None else row.sent_at
        found[address] = replace(found[address], last=Last(row.event, row.state, row.error, at, row.attempts))
    return found

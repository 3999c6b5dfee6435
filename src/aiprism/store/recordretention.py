"""How long the control database remembers: what is over for long enough leaves it.

In: open `Records` and a time. Out: rows gone, counted. An incident takes its alerts, timeline, notifications and runbook
runs with it. What is still open, still to be sent or still in force stays however old it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from aiprism.store.records import Records, control_commands, incidents, notifications, runbook_runs

# Rows of one transaction: nobody waits for longer than it takes to delete them and what belongs to them.
SLICE = 200


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`rows` of `table` have left, beside what belonged to them."""

    table: str
    rows: int


def forget(records: Records, before: float) -> Iterator[Forgotten]:
    """Delete what was over before then; yields after each slice."""
    for table, is_over in (
        (incidents, (incidents.c.status == "resolved") & (incidents.c.resolved_at < before)),
        (notifications, _alone(notifications) & _done(notifications) & (notifications.c.created_at < before)),
        (runbook_runs, _alone(runbook_runs) & (runbook_runs.c.finished_at < before)),
        (control_commands, sa.func.coalesce(control_commands.c.revoked_at, control_commands.c.expires_at) < before),
    ):
        while gone := _slice(records, table, is_over):
            yield Forgotten(table.name, gone)


def _slice(records: Records, table: sa.Table, is_over: sa.ColumnElement[bool]) -> int:
    # Looked for where nobody has to wait: it reads the whole table, mostly to find nothing.
    with records.reading() as connection:
        ids = list(connection.scalars(sa.select(table.c.id).where(is_over).limit(SLICE)))
    if not ids:
        return 0
    with records.begin() as connection:
        return connection.execute(table.delete().where(table.c.id.in_(ids), is_over)).rowcount


def _alone(table: sa.Table) -> sa.ColumnElement[bool]:
    """Of no incident: what belongs to one leaves with it."""
    return table.c.incident_id.is_(None)


def _done(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.state != "pending"

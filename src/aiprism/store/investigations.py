"""Statements on the control database for investigations: what is asked for, what is under way, what was found.

In and out go rows inside a transaction the caller began. What is found is known in `aiprism.learn`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import incident_events, incidents, investigations, runbook_runs

WAITING, RUNNING, DONE, FAILED, SKIPPED = "waiting", "running", "done", "failed", "skipped"
# The events of a timeline that ask for an investigation.
ASKING: Mapping[str, str] = {"incident_created": "opened", "escalated": "escalated", "reopened": "reopened"}
# And this one, when it is of before the incident and told so many seconds after one ended: what was known by then that one has
# read, although the timeline may tell it a look later. Pipelines tell of a deployment when it is over, or a minute after.
CHANGE, _LATER = "change", 20.0


class InvestigationRow(TypedDict):
    incident_id: str
    number: int
    state: str
    reason: str
    actor: str
    asked_at: float
    started_at: float | None
    finished_at: float | None
    conclusion: str
    findings: Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """An investigation that is asked for; `number` is None when there is no row of it yet."""

    incident_id: str
    number: int | None
    priority: str
    asked_at: float
    reason: str


def wanted(connection: Connection, since: float) -> list[Wanted]:
    """All that are asked for: rows that wait, and incidents whose timeline asks since then and has not been answered."""
    table, events = investigations, incident_events
    rows = connection.execute(
        sa.select(table.c.incident_id, table.c.number, incidents.c.priority, table.c.asked_at, table.c.reason)
        .join(incidents, incidents.c.id == table.c.incident_id)
        .where(table.c.state == WAITING)
    )
    waiting = [Wanted(*row) for row in rows]
    begun = (
        sa.select(
            table.c.incident_id,
            sa.func.max(table.c.asked_at).label("at"),
            sa.func.max(table.c.finished_at).label("end"),
        )
        .group_by(table.c.incident_id)
        .subquery()
    )
    told_late = sa.and_(
        events.c.event == CHANGE, events.c.at > begun.c.end + _LATER,
        events.c.data["ts"].as_float() <= incidents.c.created_at,
    )  # fmt: skip
    asks = connection.execute(
        sa.select(events.c.incident_id, incidents.c.priority, events.c.at, events.c.event)
        .join(incidents, incidents.c.id == events.c.incident_id)
        .outerjoin(begun, begun.c.incident_id == events.c.incident_id)
        .where(
            sa.or_(events.c.event.in_(ASKING), told_late), events.c.at >= since,
            sa.or_(begun.c.at.is_(None), events.c.at > begun.c.at), incidents.c.updated_at >= since,
        )
        .order_by(events.c.id)
    )  # fmt: skip
    # The last word of an incident asks for one investigation; one that waits already answers it.
    named = {each.incident_id for each in waiting}
    last = {
        id_: Wanted(id_, None, priority, at, ASKING.get(event, "a change was told"))
        for id_, priority, at, event in asks
        if id_ not in named
    }
    return [*waiting, *last.values()]


def ask(connection: Connection, incident_id: str, reason: str, actor: str, now: float) -> int:
    """Ask for one; its number. One that waits already is that one."""
    table = investigations
    query = sa.select(table.c.number).where(table.c.incident_id == incident_id, table.c.state == WAITING)
    known = connection.scalar(query)
    if known is not None:
        return int(known)
    return _add(connection, incident_id, state=WAITING, reason=reason, actor=actor, asked_at=now)


def begin(connection: Connection, which: Wanted, actor: str, now: float) -> int:
    """It is under way from now on; its number."""
    if which.number is None:
        return _add(
            connection, which.incident_id, state=RUNNING, reason=which.reason, actor=actor, asked_at=which.asked_at,
            started_at=now,
        )  # fmt: skip
    _change(connection, which.incident_id, which.number, state=RUNNING, started_at=now)
    return which.number


def skip(connection: Connection, which: Wanted, actor: str, now: float, why: str) -> None:
    """It will not be done."""
    number = begin(connection, which, actor, now)
    _change(connection, which.incident_id, number, state=SKIPPED, finished_at=now, conclusion=why)


def finish(
    connection: Connection, incident_id: str, number: int, now: float, state: str, conclusion: str, findings: object
) -> None:
    """It is over, with what was found."""
    _change(
        connection, incident_id, number, state=state, finished_at=now, conclusion=conclusion, findings=findings
    )  # fmt: skip


def again(connection: Connection) -> int:
    """Those that were under way wait again; how many that were."""
    table = investigations
    return connection.execute(sa.update(table).where(table.c.state == RUNNING).values(state=WAITING)).rowcount


def read(connection: Connection, incident_id: str, number: int | None = None) -> InvestigationRow | None:
    """That one, or the last one that is done, or else the last one; None when there is none."""
    table = investigations
    query = sa.select(table).where(table.c.incident_id == incident_id)
    if number is not None:
        query = query.where(table.c.number == number)
    query = query.order_by((table.c.state == DONE).desc(), table.c.number.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return cast("InvestigationRow", dict(row)) if row else None


def listed(connection: Connection, incident_id: str) -> list[dict[str, Any]]:
    """All of an incident, the last one first, without what they found."""
    table = investigations
    columns = [column for column in table.c if column.name not in ("incident_id", "findings")]
    query = sa.select(*columns).where(table.c.incident_id == incident_id).order_by(table.c.number.desc())
    return [dict(row) for row in connection.execute(query).mappings()]


def repairs(connection: Connection, incident_ids: Sequence[str], succeeded: str) -> dict[str, list[str]]:
    """By incident the runbooks that repaired it, in the order they ended."""
    table, found = runbook_runs, dict[str, list[str]]()
    query = (
        sa.select(table.c.incident_id, table.c.runbook)
        .where(table.c.incident_id.in_(incident_ids), table.c.state == succeeded)
        .order_by(table.c.finished_at)
    )
    for incident_id, runbook in connection.execute(query):
        found.setdefault(incident_id, []).append(runbook)
    return found


def _add(connection: Connection, incident_id: str, **values: object) -> int:
    table = investigations
    last = connection.scalar(sa.select(sa.func.max(table.c.number)).where(table.c.incident_id == incident_id))
    number = int(last or 0) + 1
    row = {"started_at": None, "finished_at": None, "conclusion": "", "findings": None, **values}
    connection.execute(sa.insert(table), [{"incident_id": incident_id, "number": number, **row}])
    return number


def _change(connection: Connection, incident_id: str, number: int, **values: object) -> None:
    table = investigations
    where = (table.c.incident_id == incident_id) & (table.c.number == number)
    connection.execute(sa.update(table).where(where).values(**values))

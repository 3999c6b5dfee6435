"""Statements on the control database for what other tools told us: which of it we know, and what it was about."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import hook_events, incidents, notifications


def subject_of(connection: Connection, subject: str, theirs: str) -> str | None:
    """The incident that is called `subject` here or by letters of ours, or `theirs` there; None when there is none."""
    asked = [
        sa.select(incidents.c.id).where(incidents.c.id == subject),
        sa.select(notifications.c.incident_id)
        .where(notifications.c.dedup_key == subject, notifications.c.incident_id.is_not(None))
        .order_by(notifications.c.created_at.desc())
        .limit(1),
    ]
    by_name = sa.select(hook_events.c.incident_id).where(
        hook_events.c.theirs == theirs, hook_events.c.incident_id.is_not(None)
    )
    asked = [*(asked if subject else ()), *([by_name.order_by(hook_events.c.at.desc()).limit(1)] if theirs else ())]
    return next((found for query in asked if (found := connection.scalar(query)) is not None), None)


def remember(
    connection: Connection, event_id: str, at: float, theirs: str, incident_id: str | None, before: float
) -> bool:
    """Note an event, and forget those of `before`; False when it is known already."""
    known = sa.select(hook_events.c.id).where(hook_events.c.id == event_id)
    if connection.scalar(known) is not None:
        return False
    connection.execute(sa.delete(hook_events).where(hook_events.c.at < before))
    row = {"id": event_id, "at": at, "theirs": theirs, "incident_id": incident_id}
    connection.execute(sa.insert(hook_events), [row])
    return True

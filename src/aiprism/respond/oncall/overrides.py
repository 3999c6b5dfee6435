"""Overrides of schedules that people ask for while aiprism runs: asked for, kept, ended.

In: an open connection and the rota. Out: rows in the control database, and the rota with them in force. What an override
does to a schedule is decided in `schedule`.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from aiprism.errors import BadInput, NotFound
from aiprism.respond.oncall.rota import Rota
from aiprism.respond.oncall.schedule import DAY, Override
from aiprism.store import oncall as store

KEPT = 400 * DAY  # who looks back sees who was on call
_LONGEST = 366 * DAY


def in_force(connection: Connection, rota: Rota, since: float) -> Rota:
    """The rota with the overrides that were not over by then; itself where it has no schedules to override."""
    if not rota.schedules:
        return rota
    rows = store.override_rows(connection, ends_after=since)
    return rota.with_overrides(_override(row) for row in rows) if rows else rota


def put(connection: Connection, rota: Rota, wanted: Override) -> Override:
    """Keep an override, which has an id of its own; NotFound or BadInput when it cannot be."""
    if wanted.schedule not in rota.schedules:
        raise NotFound(f"there is no schedule {wanted.schedule!r}; known: {', '.join(rota.schedules) or 'none'}")
    unknown = [name for name in wanted.people if name not in rota.people]
    if unknown or not wanted.people:
        what = f"nobody is called {unknown[0]!r}" if unknown else "an override needs people: who is on call instead"
        raise BadInput(f"{what}; known: {', '.join(rota.people)}")
    if wanted.end <= wanted.start or wanted.end <= wanted.created_at:
        raise BadInput("the override is over before it begins: `end` must be after `start`, and in the future")
    if wanted.end - wanted.start > _LONGEST:
        raise BadInput("an override lasts a year at most; change oncall.yml for longer")
    store.put_override(connection, _row(wanted))
    return wanted


def end(connection: Connection, override_id: str, now: float) -> Override:
    """Have an override hold no longer: one that has begun ends now, one to come is forgotten. NotFound when there is none."""
    rows = store.override_rows(connection, override_id=override_id)
    if not rows:
        raise NotFound(f"no override {override_id!r}")
    before = _override(rows[0])
    if before.end <= now:
        return before
    after = replace(before, end=max(now, before.start))
    if after.start < after.end:
        store.put_override(connection, _row(after))
    else:
        store.drop_override(connection, override_id)
    return after


def _row(override: Override) -> store.OverrideRow:
    return {
        "id": override.id,
        "schedule": override.schedule,
        "people": list(override.people),
        "start": override.start,
        "end": override.end,
        "reason": override.reason,
        "author": override.author,
        "created_at": override.created_at,
    }


def _override(row: store.OverrideRow) -> Override:
    return Override(
        row["schedule"],
        tuple(row["people"]),
        row["start"],
        row["end"],
        row["id"],
        row["reason"],
        row["author"],
        row["created_at"],
    )

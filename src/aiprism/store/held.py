"""Statements on the control database about what is held back: maintenance windows, alerts that flap, and notifications
nobody got.

In and out go rows as the TypedDicts below, inside a transaction the caller began. What a row means is known in
`aiprism.respond`: `maintenance`, `held`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import aggregation_groups, alert_flaps, held_notifications, maintenance_windows, upsert

_PORTION = 500  # SQLite bounds the values of one statement


class WindowRow(TypedDict):
    id: str
    name: str
    matchers: list[dict[str, Any]]
    start: str
    end: str | None
    duration: float
    zone: str
    recurrence: str
    comment: str
    author: str
    created_at: float
    ended_at: float | None


class HeldRow(TypedDict):
    id: str
    group_id: str
    fingerprint: str
    labels: dict[str, str]
    receiver: str
    route: str
    stage: str
    reason: str
    since: float
    until: float | None


class FlapRow(TypedDict):
    fingerprint: str
    firing: bool
    changes: list[float]
    changed_at: float
    since: float | None
    until: float | None
    count: int


# -- maintenance windows ---------------------------------------------------------------------------------------------


def put_window(connection: Connection, row: WindowRow) -> None:
    """Insert a window, or lay it over the one of its id."""
    upsert(connection, maintenance_windows, [row])


def window_rows(connection: Connection) -> list[WindowRow]:
    """Every window that was asked for, in the order of their making."""
    return cast("list[WindowRow]", [dict(row) for row in connection.execute(_WINDOWS).mappings()])


# Made once: each batch of alerts asks.
_WINDOWS = sa.select(maintenance_windows).order_by(maintenance_windows.c.created_at, maintenance_windows.c.id)


def drop_windows(connection: Connection, ids: Sequence[str]) -> None:
    """Forget these."""
    connection.execute(sa.delete(maintenance_windows).where(maintenance_windows.c.id.in_(ids)))


# -- alerts that flap ------------------------------------------------------------------------------------------------


def put_flaps(connection: Connection, rows: Sequence[FlapRow]) -> None:
    """Note how these alerts come and go."""
    upsert(connection, alert_flaps, rows)


def flap_rows(connection: Connection, fingerprints: Sequence[str]) -> list[FlapRow]:
    """What is noted of these alerts."""
    table = alert_flaps
    found: list[dict[str, Any]] = []
    for at in range(0, len(fingerprints), _PORTION):
        query = sa.select(table).where(table.c.fingerprint.in_(fingerprints[at : at + _PORTION]))
        found += [dict(row) for row in connection.execute(query).mappings()]
    return cast("list[FlapRow]", found)


def flapping_rows(connection: Connection, *, rested_by: float | None = None) -> list[FlapRow]:
    """The alerts that flap, or those of them that have come to rest by then."""
    table = alert_flaps
    flaps = table.c.until.is_not(None) if rested_by is None else table.c.until <= rested_by
    return cast("list[FlapRow]", [dict(row) for row in connection.execute(sa.select(table).where(flaps)).mappings()])


def next_rest(connection: Connection) -> float | None:
    """When the next alert that flaps has come to rest."""
    return cast("float | None", connection.execute(sa.select(sa.func.min(alert_flaps.c.until))).scalar())


def drop_flaps(connection: Connection, before: float) -> None:
    """Forget alerts that do not flap and have not changed since then."""
    table = alert_flaps
    connection.execute(sa.delete(table).where(table.c.until.is_(None), table.c.changed_at <= before))


# -- what is held back -----------------------------------------------------------------------------------------------


def held_now(connection: Connection, group_ids: Iterable[str]) -> list[HeldRow]:
    """What is held back of these groups."""
    table, wanted = held_notifications, list(group_ids)
    found: list[dict[str, Any]] = []
    for at in range(0, len(wanted), _PORTION):
        query = sa.select(table).where(table.c.group_id.in_(wanted[at : at + _PORTION]), table.c.until.is_(None))
        found += [dict(row) for row in connection.execute(query).mappings()]
    return cast("list[HeldRow]", found)


def put_held(connection: Connection, rows: Sequence[HeldRow]) -> None:
    """Note that these are held back."""
    upsert(connection, held_notifications, rows)


def let_go(connection: Connection, ids: Sequence[str], at: float) -> None:
    """Note that these are held back no longer."""
    table = held_notifications
    for begin in range(0, len(ids), _PORTION):
        connection.execute(sa.update(table).where(table.c.id.in_(ids[begin : begin + _PORTION])).values(until=at))


def let_go_of_gone(connection: Connection, at: float) -> None:
    """Nothing is held back of groups that are no more."""
    table = held_notifications
    there = sa.select(aggregation_groups.c.id)
    gone = sa.and_(table.c.until.is_(None), table.c.group_id.not_in(there))
    connection.execute(sa.update(table).where(gone).values(until=at))


def held_rows(
    connection: Connection, *, past: bool = False, stage: str = "", receiver: str = "", limit: int | None = None
) -> list[HeldRow]:
    """What is held back, or was: the newest first, at most `limit` if there is one."""
    table = held_notifications
    query = sa.select(table).where(table.c.until.is_not(None) if past else table.c.until.is_(None))
    if stage:
        query = query.where(table.c.stage == stage)
    if receiver:
        query = query.where(table.c.receiver == receiver)
    query = query.order_by((table.c.until if past else table.c.since).desc(), table.c.id).limit(limit)
    return cast("list[HeldRow]", [dict(row) for row in connection.execute(query).mappings()])


def drop_held(connection: Connection, before: float, most: int) -> None:
    """Forget what was let go before then, and beyond the `most` that were let go last."""
    table = held_notifications
    connection.execute(sa.delete(table).where(table.c.until <= before))
    past = sa.select(table.c.until).where(table.c.until.is_not(None)).order_by(table.c.until.desc())
    edge = connection.execute(past.offset(most).limit(1)).scalar()
    if edge is not None:
        connection.execute(sa.delete(table).where(table.c.until <= edge))

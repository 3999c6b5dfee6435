"""Statements on the control database for the way of an alert to its receivers: alerts, silences, groups, what was told.

In and out go rows as the TypedDicts below, inside a transaction the caller began. What a row means is known in
`aiprism.respond`: `known`, `silences`, `group`, `notify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.incidents import Address, NotificationRow
from aiprism.store.records import (
    aggregation_groups,
    alerts,
    group_members,
    having,
    notification_log,
    notifications,
    silences,
    upsert,
)

_PORTION = 500  # SQLite bounds the values of one statement


class AlertRow(TypedDict):
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float | None
    updated_at: float
    presumed: bool
    source: str
    value: float
    open: bool


class SilenceRow(TypedDict):
    id: str
    matchers: list[dict[str, Any]]
    starts_at: float
    ends_at: float
    updated_at: float
    created_by: str
    comment: str


class GroupRow(TypedDict):
    id: str
    route: str
    key: str
    labels: dict[str, str]
    next_at: float
    flushed: bool
    late: bool


class LogRow(TypedDict):
    group_key: str
    receiver: str
    channel: str
    integration: int
    firing: list[str]
    resolved: list[str]
    at: float
    expires_at: float


class Member(NamedTuple):
    """An alert in a group."""

    group_id: str
    fingerprint: str


# -- alerts ----------------------------------------------------------------------------------------------------------


def put_alerts(connection: Connection, rows: Sequence[AlertRow]) -> None:
    """Insert these alerts, or lay them over what is there."""
    upsert(connection, alerts, rows)


def alert_rows(connection: Connection, fingerprints: Sequence[str]) -> list[AlertRow]:
    """Those of these alerts that are known."""
    return cast("list[AlertRow]", _rows_of(connection, alerts, alerts.c.fingerprint, fingerprints))


def unfinished_alerts(
    connection: Connection, now: float, *, having: Sequence[Mapping[str, str]] | None = None
) -> list[AlertRow]:
    """Every alert that is not over at `now`, or those of them that have all labels of one of `having`."""
    lasting = sa.or_(alerts.c.ends_at.is_(None), alerts.c.ends_at > now)
    query = sa.select(alerts).where(lasting)
    if having is not None:
        query = query.where(sa.or_(sa.false(), *(_labelled(labels) for labels in having)))
    return cast("list[AlertRow]", _rows(connection, query))


def _labelled(labels: Mapping[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(sa.true(), *(alerts.c.labels[name].as_string() == value for name, value in labels.items()))


def ended_alerts(connection: Connection, now: float) -> list[AlertRow]:
    """Alerts that ended by themselves by `now` and whose incidents do not know it yet."""
    query = sa.select(alerts).where(alerts.c.open.is_(True), alerts.c.ends_at <= now)
    return cast("list[AlertRow]", _rows(connection, query))


def close_alerts(connection: Connection, fingerprints: Sequence[str]) -> None:
    """Note that their incidents know that they are over."""
    for portion in _portions(fingerprints):
        connection.execute(sa.update(alerts).where(alerts.c.fingerprint.in_(portion)).values(open=False))


def next_end(connection: Connection) -> float | None:
    """When the next alert ends by itself."""
    query = sa.select(sa.func.min(alerts.c.ends_at)).where(alerts.c.open.is_(True))
    return cast("float | None", connection.execute(query).scalar())


def drop_ended_alerts(connection: Connection, before: float) -> None:
    """Forget alerts that were over at `before` and are in no group."""
    grouped = sa.select(group_members.c.fingerprint)
    gone = sa.and_(alerts.c.ends_at <= before, alerts.c.open.is_(False), alerts.c.fingerprint.not_in(grouped))
    connection.execute(sa.delete(alerts).where(gone))


# -- silences --------------------------------------------------------------------------------------------------------


def put_silence(connection: Connection, row: SilenceRow) -> None:
    """Insert a silence, or lay it over the one of its id."""
    upsert(connection, silences, [row])


# Made once: each batch of alerts asks.
_NOT_OVER = sa.select(silences).where(silences.c.ends_at > sa.bindparam("now"))


def silence_rows(connection: Connection, ids: Sequence[str] | None = None) -> list[SilenceRow]:
    """Silences: all, or those of these ids that there are."""
    query = sa.select(silences)
    return cast("list[SilenceRow]", _rows(connection, query if ids is None else query.where(silences.c.id.in_(ids))))


def silences_not_over(connection: Connection, at: float) -> list[SilenceRow]:
    """The silences that hold at a moment or will."""
    return cast("list[SilenceRow]", _rows(connection, _NOT_OVER, {"now": at}))


def drop_silences(connection: Connection, before: float) -> None:
    """Forget silences that were over at `before`."""
    connection.execute(sa.delete(silences).where(silences.c.ends_at <= before))


# -- groups ----------------------------------------------------------------------------------------------------------


def put_groups(connection: Connection, rows: Sequence[GroupRow]) -> None:
    """Insert these groups, or lay them over what is there."""
    upsert(connection, aggregation_groups, rows)


def group_rows(connection: Connection, ids: Sequence[str] | None = None) -> list[GroupRow]:
    """Groups: all, or those of these ids that there are."""
    table = aggregation_groups
    if ids is None:
        return cast("list[GroupRow]", _rows(connection, sa.select(table)))
    return cast("list[GroupRow]", _rows_of(connection, table, table.c.id, ids))


def due_groups(connection: Connection, now: float) -> list[GroupRow]:
    """The groups that are to be looked at by `now`."""
    table = aggregation_groups
    query = sa.select(table).where(table.c.next_at <= now).order_by(table.c.next_at, table.c.id)
    return cast("list[GroupRow]", _rows(connection, query))


def next_group(connection: Connection) -> float | None:
    """When the next group is due."""
    return cast("float | None", connection.execute(sa.select(sa.func.min(aggregation_groups.c.next_at))).scalar())


def hasten_groups(connection: Connection, fingerprints: Sequence[str], at: float) -> None:
    """Groups of these alerts that wait for their next interval are looked at by then."""
    table = aggregation_groups
    for portion in _portions(fingerprints):
        theirs = sa.select(group_members.c.group_id).where(group_members.c.fingerprint.in_(portion))
        waiting = sa.and_(table.c.id.in_(theirs), table.c.flushed.is_(True), table.c.next_at > at)
        connection.execute(sa.update(table).where(waiting).values(next_at=at))


def drop_groups(connection: Connection, ids: Sequence[str]) -> None:
    """Remove groups, with what is said of their members."""
    for portion in _portions(ids):
        connection.execute(sa.delete(aggregation_groups).where(aggregation_groups.c.id.in_(portion)))


def drop_empty_groups(connection: Connection) -> None:
    """Remove the groups in which no alert is."""
    occupied = sa.select(group_members.c.group_id)
    connection.execute(sa.delete(aggregation_groups).where(aggregation_groups.c.id.not_in(occupied)))


def join(connection: Connection, members: Iterable[Member]) -> None:
    """These alerts are in these groups."""
    upsert(connection, group_members, [member._asdict() for member in members])


def leave(connection: Connection, members: Iterable[Member]) -> None:
    """These alerts are not in these groups any more."""
    table = group_members
    rows = [{"of": member.group_id, "who": member.fingerprint} for member in members]
    if rows:
        here = sa.and_(table.c.group_id == sa.bindparam("of"), table.c.fingerprint == sa.bindparam("who"))
        connection.execute(sa.delete(table).where(here), rows)


def members(connection: Connection, group_ids: Sequence[str] | None = None) -> list[Member]:
    """Which alerts are in these groups, or in all."""
    table = group_members
    if group_ids is None:
        return [Member(row["group_id"], row["fingerprint"]) for row in _rows(connection, sa.select(table))]
    return [
        Member(row["group_id"], row["fingerprint"]) for row in _rows_of(connection, table, table.c.group_id, group_ids)
    ]


# -- what was told ---------------------------------------------------------------------------------------------------


def log_rows(connection: Connection, group_keys: Sequence[str], now: float) -> list[LogRow]:
    """What each integration was last told of these groups, unless that is forgotten."""
    table = notification_log
    rows = _rows_of(connection, table, table.c.group_key, sorted(set(group_keys)))
    return cast("list[LogRow]", [row for row in rows if row["expires_at"] > now])


def put_log(connection: Connection, rows: Sequence[LogRow]) -> None:
    """Note what was told."""
    upsert(connection, notification_log, rows)


def drop_log(connection: Connection, now: float) -> None:
    """Forget what is old."""
    connection.execute(sa.delete(notification_log).where(notification_log.c.expires_at <= now))


# -- notifications of groups -----------------------------------------------------------------------------------------


def pending_letters(connection: Connection, group_ids: Sequence[str]) -> list[NotificationRow]:
    """What is still to be sent of these groups."""
    table = notifications
    waiting = table.c.state == "pending"
    return cast("list[NotificationRow]", _rows_of(connection, table, table.c.group_id, group_ids, waiting))


def untold(connection: Connection, group_id: str, since: float) -> bool:
    """Whether anything of a group that was written at `since` or later was not delivered."""
    table = notifications
    of_group = sa.and_(table.c.group_id == group_id, table.c.created_at >= since, table.c.state != "sent")
    return bool(connection.execute(sa.select(sa.exists().where(of_group))).scalar())


def give_up(connection: Connection, letter_ids: Sequence[str], reason: str) -> None:
    """These are not tried any more."""
    table = notifications
    for portion in _portions(letter_ids):
        here = sa.and_(table.c.id.in_(portion), table.c.state == "pending")
        error = sa.case((table.c.error == "", reason), else_=table.c.error)
        connection.execute(sa.update(table).where(here).values(state="failed", next_at=None, error=error))


def put_letters(connection: Connection, rows: Sequence[NotificationRow]) -> None:
    """Put these into the outbox; one that is there already is tried anew."""
    upsert(connection, notifications, rows)


def release(connection: Connection, group_ids: Sequence[str], at: float) -> bool:
    """Groups that were put off are looked at again at `at`, unless something of them is still to be sent; whether any is."""
    groups, letters = aggregation_groups, notifications
    waits = sa.exists().where(letters.c.group_id == groups.c.id, letters.c.state == "pending")
    released = 0
    for portion in _portions(group_ids):
        here = sa.and_(groups.c.id.in_(portion), groups.c.late.is_(True), sa.not_(waits))
        released += connection.execute(sa.update(groups).where(here).values(next_at=at)).rowcount
    return released > 0


def address_of(row: NotificationRow) -> Address:
    """Which integration a notification goes to."""
    return Address(row["receiver"], row["channel"], row["integration"])


# -- inside ----------------------------------------------------------------------------------------------------------


def _rows(
    connection: Connection, query: sa.Select[Any], bound: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query, bound).mappings()]


def _rows_of(
    connection: Connection,
    table: sa.Table,
    key: sa.Column[Any],
    wanted: Sequence[str],
    only: sa.ColumnElement[bool] | None = None,
) -> list[dict[str, Any]]:
    query = having(table, key) if only is None else having(table, key).where(only)
    return [
        dict(row) for portion in _portions(wanted) for row in connection.execute(query, {"wanted": portion}).mappings()
    ]


def _portions(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + _PORTION] for at in range(0, len(values), _PORTION))

"""Statements on the control database for daily digests: episodes of alerts, and how far digests have told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import alert_episodes, digests, upsert

_PORTION = 500  # SQLite bounds the values of one statement


class EpisodeRow(TypedDict):
    """An alert from its firing to its end, which is None while it fires, and when we heard of the one and the other."""

    fingerprint: str
    starts_at: float
    ends_at: float | None
    heard_at: float
    closed_at: float | None
    tier: str
    name: str
    service: str
    summary: str


class DigestRow(TypedDict):
    """`since` is when episodes began to be kept, `told_until` how far they were told, `day` the date of the last digest."""

    tier: str
    since: float
    told_until: float
    day: str


def put_episodes(connection: Connection, rows: Sequence[EpisodeRow]) -> None:
    """Insert these episodes, or lay them over what is there."""
    upsert(connection, alert_episodes, rows)


def lasting_episodes(connection: Connection, fingerprints: Sequence[str]) -> dict[str, EpisodeRow]:
    """Those of these alerts that fire, by fingerprint."""
    table, found = alert_episodes, {}
    for at in range(0, len(fingerprints), _PORTION):
        portion = fingerprints[at : at + _PORTION]
        query = sa.select(table).where(table.c.fingerprint.in_(portion), table.c.ends_at.is_(None))
        found.update({row["fingerprint"]: cast("EpisodeRow", dict(row)) for row in _mappings(connection, query)})
    return found


def episodes_during(connection: Connection, tier: str, start: float, end: float) -> list[EpisodeRow]:
    """The episodes of a tier that we knew of by `end` and did not know to be over at `start`, in the order they began."""
    table = alert_episodes
    lasting = sa.or_(table.c.closed_at.is_(None), table.c.closed_at > start)
    query = sa.select(table).where(table.c.tier == tier, table.c.heard_at <= end, lasting)
    ordered = query.order_by(table.c.starts_at, table.c.fingerprint)
    return [cast("EpisodeRow", dict(row)) for row in _mappings(connection, ordered)]


def firings(connection: Connection, tier: str, start: float, end: float) -> int:
    """Of how many episodes of a tier we heard after `start`, until `end`."""
    table = alert_episodes
    began = sa.and_(table.c.tier == tier, table.c.heard_at > start, table.c.heard_at <= end)
    return int(connection.scalar(sa.select(sa.func.count()).where(began)) or 0)


def drop_episodes(connection: Connection, before: float) -> None:
    """Forget what was over before then."""
    connection.execute(sa.delete(alert_episodes).where(alert_episodes.c.closed_at < before))


def digest_rows(connection: Connection) -> dict[str, DigestRow]:
    """How far each tier was told of."""
    return {row["tier"]: cast("DigestRow", dict(row)) for row in _mappings(connection, sa.select(digests))}


def put_digest(connection: Connection, row: DigestRow) -> None:
    """Note how far a tier was told of."""
    upsert(connection, digests, [row])


def drop_digests(connection: Connection, tiers: Iterable[str]) -> None:
    """Forget tiers that have no digest any more, with what was kept for theirs."""
    gone = list(tiers)
    connection.execute(sa.delete(digests).where(digests.c.tier.in_(gone)))
    connection.execute(sa.delete(alert_episodes).where(alert_episodes.c.tier.in_(gone)))


def _mappings(connection: Connection, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
    return connection.execute(query).mappings().all()

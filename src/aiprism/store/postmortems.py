"""Statements on the control database for postmortems: versions that only grow in number, and packed evidence.

In and out go rows inside a transaction the caller began. What a document says, and what is packed, is known in
`aiprism.learn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from aiprism.store.records import incidents, postmortem_evidence, postmortems


class PostmortemRow(TypedDict):
    incident_id: str
    version: int
    at: float
    author: str
    title: str
    text: str
    evidence: int
    errors: list[str]


def add(connection: Connection, row: PostmortemRow, packed: bytes | None = None) -> None:
    """Keep a version, and the evidence that was frozen for it. There is no statement that changes or removes one."""
    connection.execute(sa.insert(postmortems), [dict(row)])
    if packed is not None:
        kept = {"incident_id": row["incident_id"], "version": row["version"], "packed": packed}
        connection.execute(sa.insert(postmortem_evidence), [kept])


def version(connection: Connection, incident_id: str, number: int | None = None) -> PostmortemRow | None:
    """That version of a postmortem, or the last one; None when there is none."""
    table = postmortems
    query = sa.select(table).where(table.c.incident_id == incident_id).order_by(table.c.version.desc()).limit(1)
    if number is not None:
        query = query.where(table.c.version == number)
    row = connection.execute(query).mappings().first()
    return cast("PostmortemRow", dict(row)) if row else None


def versions(connection: Connection, incident_id: str) -> list[tuple[int, float, str]]:
    """(version, time, author) of every version, the last one first."""
    table = postmortems
    query = sa.select(table.c.version, table.c.at, table.c.author).where(table.c.incident_id == incident_id)
    return [(row.version, row.at, row.author) for row in connection.execute(query.order_by(table.c.version.desc()))]


def evidence(connection: Connection, incident_id: str, number: int) -> bytes | None:
    """What was packed for that version."""
    table = postmortem_evidence
    query = sa.select(table.c.packed).where(table.c.incident_id == incident_id, table.c.version == number)
    return cast("bytes | None", connection.scalar(query))


def errors(connection: Connection, incident_ids: Sequence[str]) -> dict[str, list[str]]:
    """By incident: the error patterns that its postmortem knows."""
    table, found = postmortems, dict[str, list[str]]()
    for start in range(0, len(incident_ids), 500):
        portion = incident_ids[start : start + 500]
        query = sa.select(table.c.incident_id, table.c.errors).where(table.c.incident_id.in_(portion))
        found.update({row.incident_id: row.errors for row in connection.execute(query.order_by(table.c.version))})
    return found


def wanting(connection: Connection, since: float, machine: str) -> list[str]:
    """The incidents that were resolved since then and have no postmortem of it, first resolved first. One that people have
    worked on is not wanted anew; one that goes on as part of another is told of there."""
    last = sa.select(
        postmortems.c.incident_id,
        postmortems.c.at,
        postmortems.c.author,
        sa.func.row_number()
        .over(partition_by=postmortems.c.incident_id, order_by=postmortems.c.version.desc())
        .label("place"),
    ).subquery()
    stale = sa.or_(last.c.incident_id.is_(None), sa.and_(last.c.author == machine, last.c.at < incidents.c.resolved_at))
    query = (
        sa.select(incidents.c.id)
        .outerjoin(last, sa.and_(last.c.incident_id == incidents.c.id, last.c.place == 1))
        .where(incidents.c.status == "resolved", incidents.c.resolved_at >= since, stale)
        .where(incidents.c.merged_into.is_(None))
        .order_by(incidents.c.resolved_at, incidents.c.id)
    )
    return list(connection.scalars(query))

"""Statements on the control database for dashboards that were saved or imported: versions that only grow in number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from aiprism.errors import Conflict, LimitExceeded, NotFound
from aiprism.model.dashboards import Dashboard
from aiprism.store.records import Records, dashboards

MOST = 2000
KEPT = 100  # versions of each; older ones are forgotten


class Dashboards:
    """Saved dashboards by uid. Every call blocks for milliseconds."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def all(self) -> Sequence[Dashboard]:
        """The last version of each."""
        last = sa.select(dashboards.c.uid, sa.func.max(dashboards.c.version).label("version")).group_by(
            dashboards.c.uid
        )
        newest = last.subquery()
        joined = sa.select(dashboards).join(
            newest, sa.and_(dashboards.c.uid == newest.c.uid, dashboards.c.version == newest.c.version)
        )
        with self._records.reading() as connection:
            return [_of(row) for row in connection.execute(joined).mappings()]

    def find(self, uid: str, version: int | None = None) -> Dashboard | None:
        """That version, or the last one; None when there is none."""
        with self._records.reading() as connection:
            return _found(connection, uid, version)

    def versions(self, uid: str) -> Sequence[Dashboard]:
        """Every version that is kept, the last one first."""
        query = sa.select(dashboards).where(dashboards.c.uid == uid).order_by(dashboards.c.version.desc())
        with self._records.reading() as connection:
            return [_of(row) for row in connection.execute(query).mappings()]

    def put(self, dashboard: Dashboard, before: int, now: float) -> Dashboard:
        """Keep `dashboard` after version `before` (0: there is none yet); Conflict when another has come since."""
        with self._records.begin(alone="dashboards") as connection:
            kept = _found(connection, dashboard.uid)
            version = kept.version if kept else 0
            if version != before:
                raise moved_on(dashboard.uid, version, before)
            if not kept and _count(connection) >= MOST:
                raise LimitExceeded(f"there are {MOST} saved dashboards, which is as many as there may be; delete some")
            made = replace(dashboard, version=version + 1, at=now, origin="saved")
            connection.execute(sa.insert(dashboards), [_row(made)])
            connection.execute(
                sa.delete(dashboards).where(dashboards.c.uid == made.uid, dashboards.c.version <= made.version - KEPT)
            )
        return made

    def delete(self, uid: str, before: int | None = None) -> None:
        """Forget all versions; NotFound when there is none, Conflict when the last one is not version `before`, if that is said."""
        with self._records.begin(alone="dashboards") as connection:
            kept = _found(connection, uid)
            if before is not None and kept and kept.version != before:
                raise moved_on(uid, kept.version, before)
            if not connection.execute(sa.delete(dashboards).where(dashboards.c.uid == uid)).rowcount:
                raise NotFound(f"there is no saved dashboard {uid!r}; one that is a file is deleted where the file is")


def moved_on(uid: str, version: int, before: int) -> Conflict:
    """What is said to who changed version `before` where there is another by now."""
    return Conflict(
        f"the dashboard {uid!r} is at version {version}, not {before}: somebody has saved it; read it again",
        details={"version": version},
    )


def _found(connection: Connection, uid: str, version: int | None = None) -> Dashboard | None:
    query = sa.select(dashboards).where(dashboards.c.uid == uid).order_by(dashboards.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(dashboards.c.version == version)
    row = connection.execute(query).mappings().first()
    return _of(row) if row else None


def _count(connection: Connection) -> int:
    return connection.execute(sa.select(sa.func.count(sa.distinct(dashboards.c.uid)))).scalar_one()


def _row(dashboard: Dashboard) -> dict[str, object]:
    row = asdict(dashboard)
    del row["origin"]
    return {**row, "tags": list(dashboard.tags), "document": dict(dashboard.document)}


def _of(row: RowMapping) -> Dashboard:
    return Dashboard(**{**row, "tags": tuple(row["tags"])})

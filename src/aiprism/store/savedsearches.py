"""Statements on the control database for saved searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from aiprism.errors import Conflict, LimitExceeded, NotFound
from aiprism.model.savedsearches import SavedSearch
from aiprism.model.signals import Signal
from aiprism.store.records import Records, saved_searches

MOST = 1000


class SavedSearches:
    """Saved searches by name. Every call blocks for milliseconds."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def all(self) -> Sequence[SavedSearch]:
        """Every one, by name."""
        with self._records.reading() as connection:
            rows = connection.execute(sa.select(saved_searches).order_by(saved_searches.c.name)).mappings()
            return [_of(row) for row in rows]

    def find(self, name: str) -> SavedSearch | None:
        """The search of that name; None when there is none."""
        with self._records.reading() as connection:
            return _found(connection, name)

    def get(self, name: str) -> SavedSearch:
        """The search of that name; NotFound when there is none."""
        with self._records.reading() as connection:
            return _kept(connection, name)

    def add(self, search: SavedSearch, now: float) -> SavedSearch:
        """Keep a new one; Conflict when the name is taken, LimitExceeded when there are as many as there may be."""
        made = replace(search, version=1, created_at=now, updated_at=now)
        with self._records.begin(alone=_LOCK) as connection:
            if _found(connection, search.name):
                raise Conflict(f"there is a search {search.name!r} already; change it, or take another name")
            if connection.execute(sa.select(sa.func.count()).select_from(saved_searches)).scalar_one() >= MOST:
                raise LimitExceeded(f"there are {MOST} saved searches, which is as many as there may be; delete some")
            connection.execute(sa.insert(saved_searches), [_row(made)])
        return made

    def change(self, search: SavedSearch, now: float) -> SavedSearch:
        """Put `search` in the place of its `version`; NotFound when there is none, Conflict when it has changed since."""
        with self._records.begin(alone=_LOCK) as connection:
            kept = _unchanged(connection, search.name, search.version)
            changed = replace(search, version=kept.version + 1, created_at=kept.created_at, updated_at=now)
            connection.execute(
                sa.update(saved_searches).where(saved_searches.c.name == search.name).values(**_row(changed))
            )
        return changed

    def delete(self, name: str, version: int | None = None) -> None:
        """Forget one, in whichever version or only in this; NotFound, or Conflict when it has changed since."""
        with self._records.begin(alone=_LOCK) as connection:
            _unchanged(connection, name, version)
            connection.execute(sa.delete(saved_searches).where(saved_searches.c.name == name))


_LOCK = "saved_searches"


def _found(connection: Connection, name: str) -> SavedSearch | None:
    row = connection.execute(sa.select(saved_searches).where(saved_searches.c.name == name)).mappings().first()
    return _of(row) if row else None


def _kept(connection: Connection, name: str) -> SavedSearch:
    found = _found(connection, name)
    if found is None:
        raise NotFound(f"there is no saved search {name!r}")
    return found


def _unchanged(connection: Connection, name: str, version: int | None) -> SavedSearch:
    kept = _kept(connection, name)
    if version not in (None, kept.version):
        raise Conflict(
            f"the search {name!r} is at version {kept.version}, not {version}: somebody has changed it; read it again",
            details={"version": kept.version},
        )
    return kept


def _row(search: SavedSearch) -> dict[str, object]:
    return {**asdict(search), "signal": search.signal.value, "columns": list(search.columns)}


def _of(row: RowMapping) -> SavedSearch:
    return SavedSearch(**{**row, "signal": Signal(row["signal"]), "columns": tuple(row["columns"])})

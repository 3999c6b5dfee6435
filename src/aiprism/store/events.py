"""Change events: kept once by id, found by time, kind and service.

In: frozen `ChangeEvent`s. Out: the same, newest first. Blocking; run in the engine's pool.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

_ROW = pa.schema(
    {
        "id": pa.string(),
        "ts": pa.timestamp("ms"),
        "kind": pa.string(),
        "service": pa.string(),
        "title": pa.string(),
        "text": pa.string(),
        "attributes": pa.map_(pa.string(), pa.string()),
        "source": pa.string(),
    }
)

_WANTED = """
ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND (empty({kinds:Array(String)}) OR kind IN {kinds:Array(String)})
    AND (empty({services:Array(String)}) OR service IN {services:Array(String)})
"""

# An event that was sent again has other rows, which need not lie in the range: those of its last words count. FINAL would
# read all columns of the whole table; by the projection `by_time` only rows of the range are read, and of others their ids.
_FOUND = f"""
SELECT id, toUnixTimestamp64Milli(ts) / 1000 AS at, kind, service, title, text, attributes, source
FROM events
WHERE {_WANTED} AND (id, seen) IN
(
    SELECT id, max(seen) FROM events WHERE id IN (SELECT id FROM events WHERE {_WANTED}) GROUP BY id
)
ORDER BY ts DESC, id
LIMIT 1 BY id
LIMIT {{limit:UInt32}}
"""

# How far back the newest rows reach.
_REACH = f"""
SELECT count(), toUnixTimestamp64Milli(min(ts)) FROM
(
    SELECT ts FROM events WHERE {_WANTED} ORDER BY ts DESC LIMIT {{most:UInt32}}
)
"""

_KNOWN = "SELECT id, toUnixTimestamp64Milli(ts) / 1000 FROM events FINAL WHERE id IN {ids:Array(String)}"


class EventStore:
    """The change events of one tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, events: Sequence[ChangeEvent]) -> None:
        """Store `events`; those whose id is there already take the place of what was there."""
        latest = {each.id: each for each in events}  # one INSERT has one time: of two with an id the last one counts
        rows = [
            {**asdict(each), "ts": round(each.ts * 1000), "attributes": list(each.attributes.items())}
            for each in latest.values()
        ]
        # Said again after something else, the same words count again: no INSERT is taken for a repeated one.
        self._engine.insert_arrow("events", pa.Table.from_pylist(rows, schema=_ROW), token=uuid.uuid4().hex)

    def times(self, ids: Sequence[str]) -> dict[str, float]:
        """When those of `ids` that are stored happened."""
        return {str(key): float(at) for key, at in self._engine.query(_KNOWN, {"ids": list(ids)})} if ids else {}

    def search(
        self, window: TimeRange, *, kinds: Sequence[str] = (), services: Sequence[str] = (), limit: int = 1000
    ) -> Sequence[ChangeEvent]:
        """Events in `window`, both ends included, of these kinds and services (none named: of all), newest first."""
        bound = {"start": window.start_ms, "end": window.end_ms, "kinds": list(kinds), "services": list(services)}
        most = 2 * limit  # rows, as some may have been said otherwise since
        while True:
            [[rows, since]] = self._engine.query(_REACH, {**bound, "most": most})
            whole = rows < most
            near = bound if whole else {**bound, "start": int(since)}
            found = self._engine.records(_FOUND, {**near, "limit": limit})
            if whole or len(found) == limit:
                return [ChangeEvent(ts=row.pop("at"), **row) for row in found]
            most *= 8

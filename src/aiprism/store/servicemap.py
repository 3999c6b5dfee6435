"""Services and their calls by what they are called in `services.yml`: how they did, and since when they are seen.

In: a window, the names that stand for others. Out: frozen values of model/servicemap.py, all of whole minutes and from
the rollups. Names are replaced in the statement, because quantiles of two names cannot be merged afterwards. Blocking; run
in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from aiprism.model.servicemap import CallLoad, Load, SeenCall, SeenService, ServiceLoad
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

MINUTE = 60
_LAST_TIME = (1 << 32) // MINUTE * MINUTE  # that a DateTime holds
_ALL = 1 << 40  # a step that is longer than any window

_WITHIN = "minute >= fromUnixTimestamp({begin:Int64}) AND minute < fromUnixTimestamp({until:Int64})"
_START = "intDiv(toUnixTimestamp(minute), {step:Int64}) * {step:Int64} AS start"
_QUANTILES = "quantilesTDigestMerge(0.5, 0.95, 0.99)(duration) AS seconds"
_ANSWERED = "kind IN ('server', 'consumer')"


def _known_as(column: str) -> str:
    return f"transform(toString({column}), {{aliases:Array(String)}}, {{names:Array(String)}}, toString({column}))"


# The table is read with FINAL: see edges.py. Calls among the names of one service are none.
_CALLS = f"""
SELECT * FROM
(
    SELECT minute, {_known_as("caller")} AS calling, {_known_as("callee")} AS called, toString(connection) AS connection,
        virtual, system, calls, errors, duration
    FROM service_edges_1m FINAL
    WHERE {_WITHIN} AND calls > 0
)
WHERE calling != called
"""

_CALL_LOADS = f"""
SELECT {_START}, calling AS caller, called AS callee, connection, min(virtual) AS virtual_, max(system) AS system_,
    sum(calls) AS calls_, sum(errors) AS errors_, {_QUANTILES}
FROM ({_CALLS})
GROUP BY start, caller, callee, connection
ORDER BY start, caller, callee, connection
LIMIT {{limit:UInt32}}
"""

# What sends no spans is known by the calls it got.
_CALLEE_LOADS = f"""
SELECT {_START}, called AS service, sum(calls) AS calls_, sum(errors) AS errors_, {_QUANTILES}
FROM ({_CALLS})
WHERE virtual
GROUP BY start, service
ORDER BY start, service
LIMIT {{limit:UInt32}}
"""

_SERVICE_LOADS = f"""
SELECT {_START}, {_known_as("service")} AS named, sum(spans) AS calls_, sum(errors) AS errors_, {_QUANTILES}
FROM span_red_1m
WHERE {_WITHIN} AND {_ANSWERED} AND service != ''
GROUP BY start, named
ORDER BY start, named
LIMIT {{limit:UInt32}}
"""

_SEEN_CALLS = f"""
SELECT caller, callee, toString(connection) AS connection, min(virtual) AS virtual_, max(toString(system)) AS system_,
    sum(calls) AS calls_, sum(errors) AS errors_, toUnixTimestamp(min(minute)) AS first, toUnixTimestamp(max(minute)) AS last
FROM service_edges_1m FINAL
WHERE {_WITHIN} AND calls > 0
GROUP BY caller, callee, connection
ORDER BY caller, callee, connection
LIMIT {{limit:UInt32}}
"""

_SEEN_SERVICES = f"""
SELECT service, signal, sum(items), toUnixTimestamp(min(minute)), toUnixTimestamp(max(minute)) FROM
(
    SELECT toString(service) AS service, 'traces' AS signal, spans AS items, minute FROM span_red_1m WHERE {_WITHIN}
    UNION ALL
    SELECT toString(service), 'logs', lines, minute FROM log_patterns_1m WHERE {_WITHIN}
)
WHERE service != ''
GROUP BY service, signal
ORDER BY service, signal
LIMIT {{limit:UInt32}}
"""


def whole_minutes(window: TimeRange) -> tuple[int, int]:
    """The minutes a window touches: the beginning of the first, and the end of the last."""
    begin = min(max(int(window.start // MINUTE * MINUTE), 0), _LAST_TIME)
    return begin, min(max(int(window.end // MINUTE * MINUTE) + MINUTE, 0), _LAST_TIME)


class ServiceMapStore:
    """Services and calls of one tenant; at most `limit` rows an answer."""

    def __init__(self, engine: Engine, *, limit: int = 100_000) -> None:
        self._engine, self._limit = engine, limit

    def call_loads(self, window: TimeRange, names: Mapping[str, str], step: int = 0) -> Sequence[CallLoad]:
        """Calls between services, one row for each `step` seconds with calls, or one for all of the window with 0."""
        return [
            CallLoad(
                row["start"], row["caller"], row["callee"], row["connection"], bool(row["virtual_"]), row["system_"],
                _load(row),
            )
            for row in self._loads(_CALL_LOADS, window, names, step)
        ]  # fmt: skip

    def service_loads(self, window: TimeRange, names: Mapping[str, str], step: int = 0) -> Sequence[ServiceLoad]:
        """Requests that services answered, in rows as those of `call_loads`."""
        rows = self._loads(_SERVICE_LOADS, window, names, step)
        return [ServiceLoad(row["start"], row["named"], _load(row)) for row in rows]

    def callee_loads(self, window: TimeRange, names: Mapping[str, str], step: int = 0) -> Sequence[ServiceLoad]:
        """Calls that were made of what sends no spans, in rows as those of `call_loads`."""
        rows = self._loads(_CALLEE_LOADS, window, names, step)
        return [ServiceLoad(row["start"], row["service"], _load(row)) for row in rows]

    def seen_services(self, window: TimeRange) -> Sequence[SeenService]:
        """The services that sent spans or log records, by the names they sent."""
        return [SeenService(*row) for row in self._engine.query(_SEEN_SERVICES, self._bound(window))]

    def seen_calls(self, window: TimeRange) -> Sequence[SeenCall]:
        """Who called whom, by the names that were sent; without latency, so that weeks are read in little time."""
        rows = self._engine.query(_SEEN_CALLS, self._bound(window))
        return [SeenCall(caller, callee, how, bool(virtual), *rest) for caller, callee, how, virtual, *rest in rows]

    def _loads(self, statement: str, window: TimeRange, names: Mapping[str, str], step: int) -> list[dict[str, Any]]:
        known = names or {"": ""}  # `transform` needs one
        bound = {"step": step or _ALL, "aliases": list(known), "names": list(known.values())}
        rows = [dict(row) for row in self._engine.records(statement, {**self._bound(window), **bound})]
        return rows if step else [{**row, "start": whole_minutes(window)[0]} for row in rows]

    def _bound(self, window: TimeRange) -> dict[str, object]:
        begin, until = whole_minutes(window)
        return {"begin": begin, "until": until, "limit": self._limit}


def _load(row: Mapping[str, Any]) -> Load:
    # The digest holds 32-bit numbers: what they have beyond microseconds is noise.
    quantiles = (round(each * 1000, 3) if isfinite(each) else None for each in row["seconds"])
    return Load(row["calls_"], row["errors_"], *quantiles)

"""What one service has sent, under all its names: its operations, latest errors, log levels and patterns.

In: the names, a window. Out: frozen values, most telling first. Blocking; run in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from aiprism.model.servicemap import Load
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.store.servicemap import whole_minutes

_WITHIN = "minute >= fromUnixTimestamp({begin:Int64}) AND minute < fromUnixTimestamp({until:Int64})"
_OF_SERVICE = "service IN {services:Array(String)}"

# Requests come before what a service does on its own.
_OPERATIONS = f"""
SELECT operation, kind, sum(spans) AS calls, sum(errors) AS failed,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(duration) AS seconds
FROM span_red_1m
WHERE {_OF_SERVICE} AND {_WITHIN}
GROUP BY operation, kind
ORDER BY kind IN ('server', 'consumer') DESC, calls DESC, operation, kind
LIMIT {{limit:UInt32}}
"""

# Times are as fine as the column: see edges.py for what ClickHouse makes of whole seconds.
_ERRORS = f"""
SELECT lower(hex(trace_id)), lower(hex(span_id)), name, toString(kind), toUnixTimestamp64Nano(start) AS at, duration_ns,
    status_message
FROM spans
WHERE {_OF_SERVICE} AND status = 'error'
    AND start >= fromUnixTimestamp64Nano({{begin:Int64}} * 1000000000, 'UTC')
    AND start < fromUnixTimestamp64Nano({{until:Int64}} * 1000000000, 'UTC')
ORDER BY at DESC
LIMIT {{limit:UInt32}}
"""

_LEVELS = f"""
SELECT level, sum(lines) AS records FROM log_patterns_1m
WHERE {_OF_SERVICE} AND {_WITHIN}
GROUP BY level ORDER BY records DESC, level
"""

_PATTERNS = f"""
SELECT toString(pattern_id) AS id, any(pattern), level, sum(lines) AS records, any(example) FROM log_patterns_1m
WHERE {_OF_SERVICE} AND {_WITHIN}
GROUP BY id, level
ORDER BY records DESC, id, level
LIMIT {{limit:UInt32}}
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does, and how it went."""

    name: str
    kind: str
    load: Load


@dataclass(frozen=True, slots=True)
class Failure:
    """A span that has failed."""

    trace_id: str
    span_id: str
    name: str
    kind: str
    start_ns: int
    duration_ns: int
    status_message: str

    @property
    def span(self) -> TimeRange:
        """When it was."""
        return TimeRange(self.start_ns / 1e9, (self.start_ns + self.duration_ns) / 1e9)


@dataclass(frozen=True, slots=True)
class Lines:
    """A pattern of log lines of one level."""

    pattern_id: str  # of 64 bits: more than a number of JSON is sure to hold
    pattern: str
    level: str
    lines: int
    example: str


class ServicePage:
    """What is read of one service in one window."""

    def __init__(self, engine: Engine, services: Sequence[str], window: TimeRange) -> None:
        begin, until = whole_minutes(window)
        self._engine, self._bound = engine, {"services": list(services), "begin": begin, "until": until}

    def operations(self, limit: int = 50) -> Sequence[Operation]:
        """Requests by operation, those it answers first, the most frequent first."""
        rows = self._engine.query(_OPERATIONS, {**self._bound, "limit": limit})
        return [Operation(name, kind, _load(calls, failed, seconds)) for name, kind, calls, failed, seconds in rows]

    def failures(self, limit: int = 20) -> Sequence[Failure]:
        """The spans that failed last."""
        return [Failure(*row) for row in self._engine.query(_ERRORS, {**self._bound, "limit": limit})]

    def levels(self) -> Sequence[tuple[str, int]]:
        """Log records by level, the most frequent first."""
        return [(str(level), int(records)) for level, records in self._engine.query(_LEVELS, self._bound)]

    def patterns(self, limit: int = 10) -> Sequence[Lines]:
        """The most frequent patterns of log lines."""
        return [Lines(*row) for row in self._engine.query(_PATTERNS, {**self._bound, "limit": limit})]


def _load(calls: int, errors: int, seconds: Sequence[float]) -> Load:
    return Load(calls, errors, *(round(each * 1000, 3) if isfinite(each) else None for each in seconds))

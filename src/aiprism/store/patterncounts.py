"""Reading what was counted of log patterns when their lines were stored, and some lines of each.

In: a window. Out: frozen values of model/logs.py. Counts come from `log_patterns_1m` alone, whatever number of lines they
stand for; lines come from the few minutes that the counts point to. What patterns make one statement is told by
`detect/logstatements.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiprism.model.logs import PatternCount, PatternLine
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

_MINUTE = 60

# Names of columns that an output is named after too are qualified, or they would mean the output.
_COUNTS = """
SELECT
    pattern_id, any(log_patterns_1m.pattern) AS pattern, service, level, sum(log_patterns_1m.lines) AS lines,
    toUnixTimestamp(min(minute)) AS first_seen, toUnixTimestamp(max(minute)) AS last_seen, any(log_patterns_1m.example) AS example,
    sumMap(
        [toUInt32(intDiv(toUnixTimestamp(minute) - {begin:Int64}, {step:Int64}))], [log_patterns_1m.lines]
    ) AS counts
FROM log_patterns_1m
WHERE minute >= fromUnixTimestamp({begin:Int64}) AND minute <= fromUnixTimestamp({end:Int64})
  AND ({service:String} = '' OR service = {service:String})
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
  AND (empty({levels:Array(String)}) OR has({levels:Array(String)}, level))
GROUP BY service, level, pattern_id
ORDER BY lines DESC, service, level, pattern_id
LIMIT {limit:UInt32}
"""

_MINUTES = """
SELECT toUnixTimestamp(minute) AS at, sum(lines) FROM log_patterns_1m
WHERE minute >= fromUnixTimestamp({begin:Int64}) AND minute <= fromUnixTimestamp({end:Int64})
  AND ({service:String} = '' OR service = {service:String})
GROUP BY at ORDER BY at
"""

_LINES = """
SELECT
    pattern_id, toUnixTimestamp64Nano(ts) AS ts_ns, service, level, body,
    if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id))) AS trace_id
FROM logs
WHERE (service, toUnixTimestamp(toStartOfMinute(ts))) IN (
    SELECT arrayJoin(arrayZip({services:Array(String)}, {minutes:Array(UInt32)}))
) AND has({services:Array(String)}, service)
  AND ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64} + 1)
  AND has({patterns:Array(UInt64)}, pattern_id)
ORDER BY ts DESC
LIMIT {each:UInt32} BY pattern_id
"""


_BEGUN = """
SELECT service, toUnixTimestamp(min(minute)) FROM log_patterns_1m
WHERE minute >= fromUnixTimestamp({since:Int64}) AND has({services:Array(String)}, service)
GROUP BY service
"""


_FIRST = """
SELECT service, pattern_id, toUnixTimestamp64Nano(min(ts)) FROM logs
WHERE ts >= fromUnixTimestamp({minute:Int64}) AND ts < fromUnixTimestamp({minute:Int64} + 60)
  AND has({patterns:Array(UInt64)}, pattern_id)
GROUP BY service, pattern_id
"""


# A number and a unit of time. Minutes and hours are not looked for: they are rather settings than what something took.
SECONDS: Mapping[str, float] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "msec": 1e-3, "millis": 1e-3, "milliseconds": 1e-3,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
}  # fmt: skip
_DURATION = rf"(?:^|[^0-9A-Za-z.])([0-9]+(?:[.][0-9]+)?) ?({'|'.join(SECONDS)})(?:[^0-9A-Za-z]|$)"

_DURATIONS = """
WITH
    extractGroups(body, {expression:String}) AS found,
    toFloat64OrZero(found[1]) * transform(found[2], {units:Array(String)}, {seconds:Array(Float64)}, 0.) AS seconds,
    quantiles(0.5, 0.95)(seconds) AS middle
SELECT
    pattern_id, intDiv(toUnixTimestamp(toStartOfMinute(ts)) - {begin:Int64}, {step:Int64}) AS number, count(),
    middle[1], middle[2], max(seconds)
FROM logs
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64} + 1)
  AND has({patterns:Array(UInt64)}, pattern_id) AND cityHash64(ts, body) % {one_of:UInt32} = 0 AND notEmpty(found)
GROUP BY pattern_id, number
ORDER BY pattern_id, number
"""


def pattern_counts(
    engine: Engine,
    window: TimeRange,
    *,
    step: int = _MINUTE,
    service: str = "",
    services: Collection[str] = (),
    levels: Sequence[str] = (),
    limit: int = 5000,
) -> Sequence[PatternCount]:
    """Patterns of the lines in `window`, most frequent first, with their lines in each step of `step` seconds (whole minutes)
    from the minute on in which the window begins; of one service, of some, or of all."""
    rows = engine.records(
        _COUNTS,
        {
            "begin": begin_of(window),
            "end": int(window.end),
            "step": step,
            "service": service,
            "services": list(services),
            "levels": [level.upper() for level in levels],
            "limit": limit,
        },
    )
    return [PatternCount(**{**row, "counts": tuple(zip(*row["counts"], strict=True))}) for row in rows]


def lines_by_minute(engine: Engine, window: TimeRange, *, service: str = "") -> Mapping[int, int]:
    """How many lines each minute of `window` has, by its beginning; of all services or of one."""
    rows = engine.query(_MINUTES, {"begin": begin_of(window), "end": int(window.end), "service": service})
    return {int(minute): int(lines) for minute, lines in rows}


@dataclass(frozen=True, slots=True)
class Durations:
    """The durations that lines of a pattern tell in one step, of which every `share`-th line was read; seconds."""

    pattern_id: int
    step: int
    lines: int
    p50: float
    p95: float
    longest: float


def pattern_durations(
    engine: Engine, window: TimeRange, patterns: Collection[int], *, step: int, one_of: int = 1
) -> Sequence[Durations]:
    """The first duration in each line of these patterns ("took 17 ms"), summed up by step; of one line of so many."""
    if not patterns:
        return []
    rows = engine.query(
        _DURATIONS,
        {
            "begin": begin_of(window),
            "step": step,
            "start": window.start_ms,
            "end": window.end_ms,
            "patterns": list(patterns),
            "one_of": one_of,
            "expression": _DURATION,
            "units": list(SECONDS),
            "seconds": list(SECONDS.values()),
        },
    )
    return [Durations(*row) for row in rows]


def begun(engine: Engine, services: Collection[str], since: float) -> Mapping[str, int]:
    """The first minute of each of these services from `since` on, in Unix seconds."""
    rows = engine.query(_BEGUN, {"services": sorted(services), "since": int(since)})
    return {str(service): int(minute) for service, minute in rows}


def first_lines(engine: Engine, patterns: Collection[int], minute: int) -> Mapping[tuple[str, int], float]:
    """When each service first wrote these patterns within a minute: (service, pattern id) → Unix seconds."""
    if not patterns:
        return {}
    rows = engine.query(_FIRST, {"patterns": list(patterns), "minute": minute})
    return {(str(service), int(pattern)): ts_ns / 1e9 for service, pattern, ts_ns in rows}


def begin_of(window: TimeRange) -> int:
    """The minute in which a window begins, where its first step does."""
    return int(window.start) // _MINUTE * _MINUTE


def pattern_lines(
    engine: Engine, window: TimeRange, patterns: Collection[int], places: Collection[tuple[str, int]], *, each: int
) -> Sequence[PatternLine]:
    """Lines of the patterns that were written at `places` (service, minute), the newest first, `each` of a pattern at most."""
    if not patterns or not places:
        return []
    services, minutes = zip(*sorted(places), strict=True)
    rows = engine.query(
        _LINES,
        {
            "start": window.start_ms,
            "end": window.end_ms,
            "patterns": list(patterns),
            "services": list(services),
            "minutes": list(minutes),
            "each": each,
        },
    )
    return [PatternLine(*row) for row in rows]

"""Who calls whom: joins the spans of both sides of each call into `service_edges_1m`, and reads it.

In: minutes of spans that are over, and minutes that got spans later. Out: one row a minute, caller, callee and kind of
connection. Both sides of a call come in different requests, so that no view on an INSERT could join them. What is
counted is a function of the stored spans alone, whatever way and order they came in:

    a SERVER span whose parent lies in another service      a call of that service, in the minute it was answered
    a CONSUMER span, for its parent and each of its links   a message of that service, in the minute it was taken
    a CLIENT or PRODUCER span that nobody's span answers    a call of what it names, in the minute it was made

Both sides of a call lie in the same or neighbouring minutes; a message may have waited for up to an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from aiprism.model.spans import ServiceEdge
from aiprism.model.timerange import TimeRange
from aiprism.store import usage
from aiprism.store.engine import Engine
from aiprism.store.schema import change
from aiprism.store.tracesample import THINNED

log = structlog.get_logger()

JOINED = "edges_joined"  # a mark: Unix seconds up to which minutes are joined
SPANS_FROM = "spans_from"  # a mark: before this whole days of spans may be gone
MINUTE = 60
# A minute is joined this long after its end, when its neighbour is over and stored, too. It must exceed the 30 seconds
# after which `spans_late` takes notes by more than an INSERT can take (120 s).
GRACE = 180
# Late spans rarely come alone: wait until a minute has been quiet for this long.
QUIET = 300
# A message is looked for among those sent this much earlier.
REACH = 3600
# A store that had spans before it had edges is joined from this far back on.
BACK = 86_400
# Spans of one slice: about half a second of one core, 80 MB. Traces are cut by their ids, which the sort key follows.
SLICE = 500_000
_LATE_MINUTES = 1000  # that one run takes up
# Of the virtual nodes a service calls in one minute and slice, these many of the most called have their own edges.
MOST_VIRTUAL = 300
OTHERS = "(others)"
# A note from so far ahead was taken before the clock was set back; nobody waits until it is that late again.
AHEAD = 3600

_NONE = "toFixedString('', 8)"


def _from(expression: str) -> str:
    # Nanoseconds as `start` has them: compared with whole seconds, ClickHouse 26.9 reads `start < 12:01:00` as
    # `start <= 12:00:59` when it leaves out parts, and with it a part that begins at 12:00:59.5.
    return f"fromUnixTimestamp64Nano(({expression}) * 1000000000, 'UTC')"


# Of one minute, with its neighbours, and with the messages it may have waited for.
_WITHIN, _AROUND, _BEFORE = (
    f"start >= {_from(f'{{minute:Int64}} - {before}')} AND start < {_from(f'{{minute:Int64}} + {after}')}"
    for before, after in ((0, MINUTE), (MINUTE, 2 * MINUTE), (REACH, 2 * MINUTE))
)
_NEIGHBOUR = _from(f"{{minute:Int64}} - {MINUTE}")
# A slice of the traces: from one id up to, not including, another.
_SHARE = (
    "trace_id >= toFixedString(unhex({low:String}), 16) "
    "AND ({high:String} = '' OR trace_id < toFixedString(unhex({high:String}), 16))"
)


def _named(*keys: str) -> str:
    """SQL: the first of these attributes that says something."""
    return "coalesce(" + ", ".join(f"nullIf(attributes['{key}'], '')" for key in keys) + ", '')"


# What a span without an answer says of whom it called (OpenTelemetry's semantic conventions, the present and former names).
_DATABASE, _QUEUE, _MODEL = (
    _named("db.system.name", "db.system"),
    _named("messaging.system"),
    _named("gen_ai.provider.name", "gen_ai.system"),
)
_SYSTEM = f"coalesce(nullIf({_DATABASE}, ''), nullIf({_QUEUE}, ''), {_MODEL})"
_PEER = _named(
    "peer.service",
    "server.address",
    "net.peer.name",
    "db.system.name",
    "db.system",
    "messaging.system",
    "gen_ai.provider.name",
    "gen_ai.system",
    "rpc.service",
)
_CONNECTION = f"multiIf(kind = 'producer' OR {_QUEUE} != '', 'messaging', {_DATABASE} != '', 'database', 'request')"

# A sender that waited too long for an answer sends its spans again, and both are stored. They are the same in all that is
# read here, so any of them stands for it; the two sides that share an id (Zipkin) differ in service or kind.
_ONE = "LIMIT 1 BY ask.trace_id, ask.span_id, ask.service, ask.kind"
_ONE_PAIR = f"{_ONE}, answer.trace_id, answer.span_id, answer.service"
# What a call failed by and how long it took: a client knows more than who answered.
_CALL = """
    answer.status = 'error' OR (ask.kind = 'client' AND ask.status = 'error') AS failed,
    if(ask.kind = 'client', ask.duration_ns, answer.duration_ns) AS took_ns
"""


def _joining(*, asks: str, answers: str, on: str, connection: str, unanswered: str) -> str:
    """The statement that writes the edges of a minute: of spans that ask (a condition) and those that answer them (a query),
    and of those that nobody answers (a condition). Whoever calls each address by itself would make an edge of each call, so
    that of the virtual nodes of a caller all but the most called are one."""
    return f"""
INSERT INTO service_edges_1m
    (minute, caller, callee, connection, virtual, system, slice, calls, errors, duration, version)
SELECT minute, caller, node, connection, virtual, if(node = '{OTHERS}', '', system) AS node_system, {{slice:UInt16}},
    sum(count), sum(failures), quantilesTDigestMergeState(0.5, 0.95, 0.99)(took), {{version:UInt64}}
FROM
(
    SELECT *, if(virtual AND row_number() OVER most_called > {MOST_VIRTUAL}, '{OTHERS}', callee) AS node
    FROM
    (
        SELECT minute, caller, callee, connection, virtual, system,
            count() AS count, countIf(failed) AS failures, quantilesTDigestState(0.5, 0.95, 0.99)(took_ns / 1e9) AS took
        FROM
        (
            SELECT toStartOfMinute(answer.start) AS minute, ask.service AS caller, answer.service AS callee,
                {connection} AS connection, false AS virtual, '' AS system, {_CALL}
            FROM (SELECT trace_id, span_id, service, kind, status, duration_ns FROM spans WHERE {asks}) AS ask
            INNER JOIN ({answers}) AS answer ON {on}
            WHERE ask.service != answer.service
            {_ONE_PAIR}
            UNION ALL
            SELECT toStartOfMinute(ask.start) AS minute, ask.service AS caller, {_PEER} AS callee, {_CONNECTION} AS connection,
                true AS virtual, {_SYSTEM} AS system, ask.status = 'error' AS failed, ask.duration_ns AS took_ns
            FROM
            (
                SELECT trace_id, span_id, kind, service, start, status, duration_ns, attributes FROM spans
                WHERE {_WITHIN} AND {unanswered}
            ) AS ask
            WHERE callee != ''
            {_ONE}
        )
        GROUP BY minute, caller, callee, connection, virtual, system
    )
    WINDOW most_called AS (PARTITION BY minute, caller, virtual ORDER BY count DESC, callee, connection, system)
)
GROUP BY minute, caller, node, connection, virtual, node_system
SETTINGS max_threads = 1, join_algorithm = 'hash'
"""


_CALLS = _joining(
    asks=f"{_AROUND} AND {_SHARE}",
    answers=f"""
        SELECT trace_id, span_id, parent_span_id, service, start, status, duration_ns FROM spans
        WHERE {_WITHIN} AND {_SHARE} AND kind = 'server' AND parent_span_id != {_NONE}
    """,
    on="ask.trace_id = answer.trace_id AND ask.span_id = answer.parent_span_id",
    connection="if(ask.kind = 'producer', 'messaging', 'request')",
    unanswered=f"""
        {_SHARE} AND kind = 'client' AND cityHash64(trace_id, span_id) NOT IN
        (
            SELECT cityHash64(trace_id, parent_span_id) FROM spans
            WHERE {_AROUND} AND {_SHARE} AND kind IN ('server', 'client', 'producer', 'consumer')
                AND parent_span_id != {_NONE}
        )
    """,
)

# The spans that a consumer names as senders of what it took.
_TAKEN = f"""arrayJoin(arrayDistinct(arrayConcat(
    if(parent_span_id = {_NONE}, [], [(trace_id, parent_span_id)]), arrayZip(link_trace_id, link_span_id))))"""

# Links lead from one trace into another, so messages are not cut into slices, and from one shard to another: GLOBAL.
_MESSAGES = _joining(
    asks=f"{_BEFORE} AND (kind = 'producer' OR start >= {_NEIGHBOUR})",
    answers=f"""
        SELECT {_TAKEN} AS taken, trace_id, span_id, service, start, status, duration_ns FROM spans
        WHERE {_WITHIN} AND kind = 'consumer'
    """,
    on="ask.trace_id = answer.taken.1 AND ask.span_id = answer.taken.2",
    connection="'messaging'",
    unanswered=f"""
        kind = 'producer' AND cityHash64(trace_id, span_id) GLOBAL NOT IN
        (
            SELECT cityHash64(taken.1, taken.2)
            FROM (SELECT {_TAKEN} AS taken FROM spans WHERE {_AROUND} AND kind IN ('consumer', 'server'))
        )
    """,
)

# An edge that was there and is no more: what its clients called has turned out to send spans.
_GONE = """
INSERT INTO service_edges_1m (minute, caller, callee, connection, virtual, system, slice, version)
SELECT minute, caller, callee, connection, virtual, system, slice, {version:UInt64}
FROM
(
    SELECT * FROM service_edges_1m FINAL WHERE minute = fromUnixTimestamp({minute:Int64})
)
WHERE version < {version:UInt64} AND calls > 0
"""

# When a minute is joined; after all that is there, also when the clock has been set back.
_VERSION = """
SELECT greatest(toUnixTimestamp64Micro(now64(6)), toInt64(max(version)) + 1) FROM service_edges_1m
WHERE minute = fromUnixTimestamp({minute:Int64})
"""

_EXTENT = f"""
SELECT count(), countIf(kind IN ('producer', 'consumer')), arrayMap(id -> hex(id), arraySort(groupArraySample(1000, 1)(trace_id)))
FROM spans WHERE {_WITHIN}
"""

_PENDING = """
SELECT toUnixTimestamp(minute) AS at, max(produced) FROM spans_late
WHERE minute < fromUnixTimestamp({joined:Int64})
GROUP BY minute HAVING max(seen) <= {until:DateTime64(6, 'UTC')} OR max(seen) > {ahead:DateTime64(6, 'UTC')}
ORDER BY at LIMIT {most:UInt32}
"""

_FORGET = """ALTER TABLE spans_late DELETE
WHERE minute IN (SELECT toDateTime(arrayJoin({minutes:Array(Int64)}), 'UTC'))
    AND (seen <= {until:DateTime64(6, 'UTC')} OR seen > {ahead:DateTime64(6, 'UTC')})
SETTINGS mutations_sync = 2"""

# Minutes in which messages were taken that had been sent in some others. GLOBAL: links lead from one shard to another.
_TAKEN_LATER = f"""
SELECT DISTINCT toUnixTimestamp(minute) FROM
(
    SELECT toStartOfMinute(start) AS minute, {_TAKEN} AS taken FROM spans
    WHERE start >= {_from("{begin:Int64}")} AND start < {_from(f"{{until:Int64}} + {REACH}")}
        AND kind = 'consumer'
)
WHERE cityHash64(taken.1, taken.2) GLOBAL IN
(
    SELECT cityHash64(trace_id, span_id) FROM spans
    WHERE start >= {_from("{begin:Int64}")} AND start < {_from("{until:Int64}")}
        AND kind = 'producer' AND toUnixTimestamp(toStartOfMinute(start)) IN {{minutes:Array(Int64)}}
)
"""

_READ = """
SELECT
    intDiv(toUnixTimestamp(minute), {step:Int64}) * {step:Int64} AS start, caller, callee, toString(connection) AS connection,
    virtual, system, sum(service_edges_1m.calls) AS calls, sum(service_edges_1m.errors) AS errors,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(duration) AS seconds
FROM service_edges_1m FINAL
WHERE minute >= fromUnixTimestamp({begin:Int64}) AND minute < fromUnixTimestamp({until:Int64})
    AND service_edges_1m.calls > 0
GROUP BY start, caller, callee, connection, virtual, system
ORDER BY start, caller, callee, connection, virtual, system
LIMIT {limit:UInt32}
"""


_FIRST = "SELECT toUnixTimestamp(min(minute)) FROM service_edges_1m"
_LAST_TIME = (1 << 32) // MINUTE * MINUTE  # that a DateTime holds: what is beyond comes round as the past


def service_edges(engine: Engine, window: TimeRange, *, step: int = 0, limit: int = 100_000) -> Sequence[ServiceEdge]:
    """The edges of the minutes that `window` touches, by caller and callee; one row for each `step` seconds (whole minutes,
    counted from 1970) in which there were calls, or, with 0, one for all of the window from the first minute that is known on."""
    [[first]] = engine.query(_FIRST)
    begin = min(max(int(window.start // MINUTE * MINUTE), first), _LAST_TIME)
    until = min(max(int(window.end // MINUTE * MINUTE) + MINUTE, 0), _LAST_TIME)
    rows = engine.records(_READ, {"begin": begin, "until": until, "step": step or 1 << 40, "limit": limit})
    return [_edge(row, row["start"] if step else begin) for row in rows]


def joined_until(engine: Engine) -> int:
    """Unix seconds up to which calls are known; 0 before the first was joined."""
    return usage.Marks(engine).get(JOINED) or 0


def _edge(row: Mapping[str, Any], start: int) -> ServiceEdge:
    # The digest holds 32-bit numbers: what they have beyond microseconds is noise.
    p50, p95, p99 = (round(each * 1000, 3) for each in row["seconds"])
    values = {key: value for key, value in row.items() if key != "seconds"}
    return ServiceEdge(**{**values, "start": start, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99})


class _Extent(NamedTuple):
    """How many spans a minute has, how many of them send or take messages, and a sorted sample of the trace ids, hex."""

    spans: int
    messages: int
    ids: Sequence[str]


class EdgeJoin:
    """Keeps `service_edges_1m` up with `spans`. `quiet` is how long late spans must have been stored."""

    def __init__(self, engine: Engine, *, quiet: float = QUIET, slice_spans: int = SLICE) -> None:
        self._engine, self._quiet, self._slice = engine, quiet, slice_spans
        self._marks = usage.Marks(engine)

    def advance(self, now: float) -> Iterator[None]:
        """Join the minutes that are over; yields after each slice. Where the clock was set back, minutes come again."""
        target = int(now - GRACE) // MINUTE * MINUTE
        marks = self._marks.all()
        joined, last = marks.get(JOINED), max(target, _whole_from(marks))
        if joined is not None and joined > last:
            joined = last
            self._marks.set(JOINED, joined)
        minute = self._next(joined, now)
        while minute is not None and minute < target:
            if extent := self._extent(minute):
                yield from self._join(minute, extent)
                minute += MINUTE
                self._marks.set(JOINED, minute)
            else:
                minute = self._next(minute + MINUTE, now)

    def redo(self) -> Iterator[None]:
        """Join again the minutes that got spans too late, and those whose calls these spans are part of."""
        marks = self._marks.all()
        [[until, ahead]] = self._engine.query(
            "SELECT now64(6, 'UTC') - toIntervalMillisecond({quiet:Int64}), now64(6, 'UTC') + toIntervalSecond({ahead:Int64})",
            {"quiet": round(self._quiet * 1000), "ahead": AHEAD},
        )
        bound = {"joined": marks.get(JOINED, 0), "until": until, "ahead": ahead, "most": _LATE_MINUTES}
        pending = {int(minute): bool(produced) for minute, produced in self._engine.query(_PENDING, bound)}
        if not pending:
            return
        touched = {minute + beside for minute in pending for beside in (-MINUTE, 0, MINUTE)}
        touched |= self._taken_later([minute for minute, produced in pending.items() if produced])
        for minute in sorted(touched):
            if _whole_from(marks) <= minute < marks.get(JOINED, 0):
                yield from self._join(minute, self._extent(minute))
        change(self._engine, _FORGET, {"minutes": list(pending), "until": until, "ahead": ahead})
        log.info("housekeeping.edges_joined_again", minutes=len(pending))
        yield

    def _join(self, minute: int, extent: _Extent | None) -> Iterator[None]:
        [[version]] = self._engine.query(_VERSION, {"minute": minute})
        bound = {"minute": minute, "version": version}
        parts = cut(extent.ids, -(-extent.spans // self._slice)) if extent else ()
        for number, (low, high) in enumerate(parts, 1):
            self._engine.command(_CALLS, {**bound, "slice": number, "low": low, "high": high})
            yield
        if extent and extent.messages:
            self._engine.command(_MESSAGES, {**bound, "slice": 0})
            yield
        self._engine.command(_GONE, bound)

    def _extent(self, minute: int) -> _Extent | None:
        """What a minute holds, None when that is nothing."""
        [row] = self._engine.query(_EXTENT, {"minute": minute})
        return _Extent(*row) if row[0] else None

    def _taken_later(self, minutes: Sequence[int]) -> set[int]:
        """The minutes in which messages sent in `minutes` were taken."""
        if not minutes:
            return set()
        bound = {"begin": min(minutes), "until": max(minutes) + MINUTE, "minutes": list(minutes)}
        return {int(minute) for (minute,) in self._engine.query(_TAKEN_LATER, bound)}

    def _next(self, at: int | None, now: float) -> int | None:
        """The first minute from `at` on that may have spans, None when there is none."""
        since = int(now - BACK) if at is None else at
        first = usage.first_after(self._engine, "spans", since - 1)
        return None if first is None else max(first // MINUTE * MINUTE, since // MINUTE * MINUTE)


def _whole_from(marks: Mapping[str, int]) -> int:
    """Where spans have left or were thinned, the edges know more than what is left: the first minute that is whole."""
    return max(marks.get(SPANS_FROM, 0), marks.get(THINNED, 0)) + REACH


def cut(ids: Sequence[str], parts: int) -> Sequence[tuple[str, str]]:
    """All trace ids as `parts` spans of about as many, by a sorted sample of them; ids are hex, the last span is open."""
    edges = sorted({ids[len(ids) * part // parts] for part in range(1, parts)}) if parts > 1 else []
    lows = ["00" * 16, *edges]
    return list(zip(lows, [*edges, ""], strict=True))

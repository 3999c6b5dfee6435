"""Reading spans: a trace by id, a search for traces (`tracesearch`), how services do.

In: ids, a `TraceSearch`, a window. Out: frozen values of model/spans.py. Blocking; run in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.errors import BadInput
from aiprism.model.spans import ServiceHealth, Span, SpanEvent, TraceSummary
from aiprism.model.timerange import TimeRange
from aiprism.store.archive import Archive, reading
from aiprism.store.engine import Engine
from aiprism.store.otlpexport import SPAN_COLUMNS, traces_request
from aiprism.store.tracesearch import TracePage, TraceSearch, trace_page

_SPAN_COLUMNS = """
    lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS parent_span_id,
    service, name, toString(kind) AS kind, toUnixTimestamp64Nano(start) AS start_ns, duration_ns,
    toString(status) AS status, status_message, attributes, resource,
    arrayMap(ts -> toUnixTimestamp64Nano(ts), event_time) AS event_ns, event_name, event_attributes
"""

# The index names the services and minutes a trace lies in: with them the sort key leads to its few granules. The minutes
# are said by themselves, because ClickHouse does not conclude them from the start.
_TRACE = """
WITH (
    SELECT (min(start), max(end), groupUniqArrayArray(services)) FROM trace_index WHERE trace_id = unhex({{trace_id:String}})
) AS lies
SELECT {columns}
FROM spans
WHERE spans.trace_id = unhex({{trace_id:String}})
  AND spans.service IN (SELECT arrayJoin(lies.3))
  AND spans.start BETWEEN lies.1 - toIntervalSecond(1) AND lies.2 + toIntervalSecond(1)
  AND toStartOfMinute(spans.start) BETWEEN toStartOfMinute(lies.1 - toIntervalSecond(1))
      AND toStartOfMinute(lies.2 + toIntervalSecond(1))
ORDER BY start_ns
LIMIT {{limit:UInt32}}
"""

# In the archive there is no index: the days asked for are read.
_ARCHIVED_TRACE = """
SELECT {columns}
FROM spans
WHERE spans.trace_id = unhex({{trace_id:String}})
  AND spans.start BETWEEN fromUnixTimestamp64Milli({{start:Int64}}) AND fromUnixTimestamp64Milli({{end:Int64}})
ORDER BY start_ns
LIMIT {{limit:UInt32}}
"""

# Several traces at once, each within the time the index has of it.
_TRACES = """
WITH lies AS (
    SELECT trace_id, min(start) AS first, max(end) AS last, groupUniqArrayArray(services) AS names
    FROM trace_index WHERE trace_id IN (SELECT unhex(arrayJoin({{ids:Array(String)}}))) GROUP BY trace_id
)
SELECT {columns}
FROM spans
WHERE spans.trace_id IN (SELECT trace_id FROM lies)
  AND spans.service IN (SELECT arrayJoin(names) FROM lies)
  AND spans.start BETWEEN (SELECT min(first) FROM lies) - toIntervalSecond(1) AND (SELECT max(last) FROM lies) + toIntervalSecond(1)
  AND toStartOfMinute(spans.start) BETWEEN toStartOfMinute((SELECT min(first) FROM lies) - toIntervalSecond(1))
      AND toStartOfMinute((SELECT max(last) FROM lies) + toIntervalSecond(1))
ORDER BY start_ns
LIMIT {{limit:UInt32}}
"""

# An operation is a name of a service and the kind of its spans.
_OPERATIONS = """
SELECT DISTINCT operation, kind
FROM span_red_1m
WHERE minute >= toStartOfMinute(fromUnixTimestamp64Milli({start:Int64})) AND service = {service:String}
ORDER BY operation, kind
LIMIT {limit:UInt32}
"""
_SERVICE_NAMES = """
SELECT DISTINCT service
FROM span_red_1m
WHERE minute >= toStartOfMinute(fromUnixTimestamp64Milli({start:Int64})) AND service != ''
ORDER BY service
"""

# Requests a service answered: its server and consumer spans.
_SERVICES = """
SELECT
    service, count() / {seconds:Float64} AS rate, countIf(status = 'error') / count() AS error_share,
    quantileTDigest(0.5)(duration_ns) / 1e6 AS p50_ms, quantileTDigest(0.95)(duration_ns) / 1e6 AS p95_ms,
    toUnixTimestamp64Milli(max(start)) / 1000 AS last_seen
FROM spans
WHERE start >= fromUnixTimestamp64Milli({start:Int64}) AND start < fromUnixTimestamp64Milli({end:Int64} + 1)
  AND kind IN ('server', 'consumer')
GROUP BY service
ORDER BY service
"""

# The same of whole minutes, from the rollup: a day of it is read in the time a minute of spans takes.
_SERVICES_BY_MINUTE = """
SELECT
    service, sum(span_red_1m.spans) / {seconds:Float64} AS rate,
    sum(errors) / sum(span_red_1m.spans) AS error_share,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(duration) AS seconds_of,
    seconds_of[1] * 1000 AS p50_ms, seconds_of[2] * 1000 AS p95_ms,
    toUnixTimestamp(max(minute)) AS last_seen
FROM span_red_1m
WHERE minute BETWEEN toStartOfMinute(fromUnixTimestamp64Milli({start:Int64})) AND fromUnixTimestamp64Milli({end:Int64})
  AND kind IN ('server', 'consumer')
GROUP BY service
ORDER BY service
"""

# Windows from this length on are answered by whole minutes.
_BY_MINUTE_SECONDS = 600


class SpanStore:
    """Spans of one tenant."""

    def __init__(self, engine: Engine, archive: Archive | None = None) -> None:
        self._engine, self._archive = engine, archive

    def trace(self, trace_id: str, *, limit: int = 20_000) -> Sequence[Span]:
        """The spans of a trace in order of their start, the first `limit`; empty when there is none.

        BadInput when the id is no id.
        """
        return [_span(row) for row in self._rows(trace_id, _SPAN_COLUMNS, limit)]

    def archived_trace(self, trace_id: str, days: TimeRange, *, limit: int = 20_000) -> Sequence[Span]:
        """As `trace`, with what the archive has of `days`; BadInput when there is no archive."""
        relation, bound = reading(self._archive).relation("spans", days.start, days.end)
        statement = _ARCHIVED_TRACE.format(columns=_SPAN_COLUMNS).replace("FROM spans", f"FROM {relation}", 1)
        asked = {"trace_id": _checked(trace_id), "limit": limit, "start": days.start_ms, "end": days.end_ms}
        return [_span(row) for row in self._engine.records(statement, {**bound, **asked})]

    def export(self, trace_id: str, *, limit: int = 20_000) -> ExportTraceServiceRequest:
        """The trace as it was sent, in OTLP; without any span when there is none. BadInput when the id is no id."""
        return traces_request(self._rows(trace_id, SPAN_COLUMNS, limit))

    def exported(self, trace_ids: Sequence[str], *, limit: int = 100_000) -> ExportTraceServiceRequest:
        """Several traces as they were sent, at most `limit` spans of all of them; those that are none are left out."""
        ids = [_checked(trace_id) for trace_id in trace_ids]
        asked = {"ids": ids, "limit": limit}
        return traces_request(self._engine.records(_TRACES.format(columns=SPAN_COLUMNS), asked) if ids else ())

    def traces(self, trace_ids: Sequence[str], *, limit: int = 100_000) -> Mapping[str, Sequence[Span]]:
        """The spans of several traces by their ids, at most `limit` of all of them; those that are none are left out."""
        ids = [_checked(trace_id) for trace_id in trace_ids]
        found: dict[str, list[Span]] = {}
        for row in (
            self._engine.records(_TRACES.format(columns=_SPAN_COLUMNS), {"ids": ids, "limit": limit}) if ids else ()
        ):
            found.setdefault(row["trace_id"], []).append(_span(row))
        return found

    def names(self, since: float) -> Sequence[str]:
        """The services that have sent spans since then, in order."""
        return [str(service) for (service,) in self._engine.query(_SERVICE_NAMES, {"start": round(since * 1000)})]

    def operations(self, service: str, since: float, *, limit: int = 10_000) -> Sequence[tuple[str, str]]:
        """(name, kind) of the operations of a service since then, in order."""
        rows = self._engine.query(_OPERATIONS, {"start": round(since * 1000), "service": service, "limit": limit})
        return [(str(name), str(kind)) for name, kind in rows]

    def _rows(self, trace_id: str, columns: str, limit: int) -> Sequence[Mapping[str, Any]]:
        asked = {"trace_id": _checked(trace_id), "limit": limit}
        return self._engine.records(_TRACE.format(columns=columns), asked)

    def search(self, wanted: TraceSearch) -> Sequence[TraceSummary]:
        """Traces that fit, in their order; see `tracesearch`."""
        return self.page(wanted).traces

    def page(self, wanted: TraceSearch) -> TracePage:
        """As many traces as are wanted, in their order, and where to go on."""
        return trace_page(self._engine, wanted)

    def services(self, window: TimeRange) -> Sequence[ServiceHealth]:
        """Rate, errors and latency of each service that answered requests in `window`; of long ones by whole minutes."""
        by_minute = window.end - window.start >= _BY_MINUTE_SECONDS
        start = window.start // 60 * 60 if by_minute else window.start
        rows = self._engine.records(
            _SERVICES_BY_MINUTE if by_minute else _SERVICES,
            {"start": window.start_ms, "end": window.end_ms, "seconds": max(window.end - start, 0.001)},
        )
        return [ServiceHealth(**{key: row[key] for key in row if key != "seconds_of"}) for row in rows]


def _checked(trace_id: str) -> str:
    identifier = trace_id.strip().lower()
    if len(identifier) != 32 or any(digit not in "0123456789abcdef" for digit in identifier):
        raise BadInput(f"{trace_id!r} is not a trace id: 32 hexadecimal digits")
    return identifier


def _span(row: Mapping[str, Any]) -> Span:
    events = zip(row["event_ns"], row["event_name"], row["event_attributes"], strict=True)
    rest = {key: value for key, value in row.items() if not key.startswith("event_")}
    return Span(**rest, events=tuple(SpanEvent(*event) for event in events))

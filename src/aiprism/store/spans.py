"""Reading spans: a trace by id, a search for traces, how services do.

In: ids, a `TraceSearch`, a window. Out: frozen values of model/spans.py. Blocking; run in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiprism.errors import BadInput
from aiprism.model.spans import ServiceHealth, Span, SpanEvent, TraceSummary
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

_SPAN_COLUMNS = """
    lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS parent_span_id,
    service, name, toString(kind) AS kind, toUnixTimestamp64Nano(start) AS start_ns, duration_ns,
    toString(status) AS status, status_message, attributes, resource,
    arrayMap(ts -> toUnixTimestamp64Nano(ts), event_time) AS event_ns, event_name, event_attributes
"""

# The index names the minutes a trace lies in, so that only their partitions are read.
_TRACE = f"""
WITH (
    SELECT (min(start), max(end)) FROM trace_index WHERE trace_id = unhex({{trace_id:String}})
) AS lies
SELECT {_SPAN_COLUMNS}
FROM spans
WHERE spans.trace_id = unhex({{trace_id:String}})
  AND spans.start BETWEEN lies.1 - toIntervalSecond(1) AND lies.2 + toIntervalSecond(1)
ORDER BY start_ns
LIMIT {{limit:UInt32}}
"""

_SEARCH = """
SELECT
    lower(hex(trace_id)) AS trace_id, max(root_service) AS root_service, max(root_name) AS root_name,
    toUnixTimestamp64Nano(min(start)) AS start_ns,
    toUnixTimestamp64Nano(max(end)) - toUnixTimestamp64Nano(min(start)) AS duration_ns,
    sum(spans) AS spans, sum(errors) AS errors, groupUniqArrayArray(services) AS services
FROM trace_index
WHERE trace_index.trace_id IN (
    SELECT DISTINCT trace_id FROM spans
    WHERE start BETWEEN fromUnixTimestamp64Milli({start:Int64}) AND fromUnixTimestamp64Milli({end:Int64})
      AND ({service:String} = '' OR service = {service:String})
      AND ({operation:String} = '' OR name = {operation:String})
      AND ({errors_only:Bool} = 0 OR status = 'error')
      AND duration_ns >= {min_duration_ns:UInt64}
      AND arrayAll(
          (key, value) -> mapContainsKey(attributes, key) AND attributes[key] = value,
          {keys:Array(String)}, {values:Array(String)})
)
GROUP BY trace_id
ORDER BY start_ns DESC
LIMIT {limit:UInt32}
"""

# Requests a service answered: its server and consumer spans.
_SERVICES = """
SELECT
    service, count() / {seconds:Float64} AS rate, countIf(status = 'error') / count() AS error_share,
    quantileTDigest(0.5)(duration_ns) / 1e6 AS p50_ms, quantileTDigest(0.95)(duration_ns) / 1e6 AS p95_ms,
    toUnixTimestamp64Milli(max(start)) / 1000 AS last_seen
FROM spans
WHERE start BETWEEN fromUnixTimestamp64Milli({start:Int64}) AND fromUnixTimestamp64Milli({end:Int64})
  AND kind IN ('server', 'consumer')
GROUP BY service
ORDER BY service
"""


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """What a search for traces asks: every condition must hold in one span of the trace."""

    span: TimeRange
    service: str = ""
    operation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    min_duration: float = 0.0
    errors_only: bool = False
    limit: int = 50


class SpanStore:
    """Spans of one tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def trace(self, trace_id: str, *, limit: int = 20_000) -> Sequence[Span]:
        """The spans of a trace in order of their start; empty when there is none. BadInput when the id is no id."""
        identifier = trace_id.strip().lower()
        if len(identifier) != 32 or any(digit not in "0123456789abcdef" for digit in identifier):
            raise BadInput(f"{trace_id!r} is not a trace id: 32 hexadecimal digits")
        rows = self._engine.records(_TRACE, {"trace_id": identifier, "limit": limit})
        return [_span(row) for row in rows]

    def search(self, wanted: TraceSearch) -> Sequence[TraceSummary]:
        """Traces that fit, newest first."""
        rows = self._engine.records(
            _SEARCH,
            {
                "start": wanted.span.start_ms,
                "end": wanted.span.end_ms,
                "service": wanted.service,
                "operation": wanted.operation,
                "errors_only": wanted.errors_only,
                "min_duration_ns": round(wanted.min_duration * 1e9),
                "keys": [key for key, _ in wanted.attributes],
                "values": [value for _, value in wanted.attributes],
                "limit": wanted.limit,
            },
        )
        return [TraceSummary(**{**row, "services": tuple(sorted(row["services"]))}) for row in rows]

    def services(self, window: TimeRange) -> Sequence[ServiceHealth]:
        """Rate, errors and latency of each service that answered requests in `window`."""
        seconds = max(window.end - window.start, 0.001)
        rows = self._engine.records(_SERVICES, {"start": window.start_ms, "end": window.end_ms, "seconds": seconds})
        return [ServiceHealth(**row) for row in rows]


def _span(row: Mapping[str, Any]) -> Span:
    events = zip(row["event_ns"], row["event_name"], row["event_attributes"], strict=True)
    rest = {key: value for key, value in row.items() if not key.startswith("event_")}
    return Span(**rest, events=tuple(SpanEvent(*event) for event in events))

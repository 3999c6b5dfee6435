"""Reading logs: a search over records, and the patterns counted at insert.

In: a `LogSearch` or a window. Out: frozen values of model/logs.py. Blocking; run in the engine's pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiprism.model.logs import LogPattern, LogRecord
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine

# Columns that an output column is named after are qualified, or WHERE would mean the output.
_SEARCH = """
SELECT
    toUnixTimestamp64Nano(ts) AS ts_ns, service, level, body,
    if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id))) AS trace_id,
    if(logs.span_id = toFixedString('', 8), '', lower(hex(logs.span_id))) AS span_id,
    attributes, resource
FROM logs
WHERE ts BETWEEN fromUnixTimestamp64Milli({start:Int64}) AND fromUnixTimestamp64Milli({end:Int64})
  AND ({service:String} = '' OR service = {service:String})
  AND (empty({levels:Array(String)}) OR has({levels:Array(String)}, level))
  AND ({text:String} = '' OR positionCaseInsensitiveUTF8(body, {text:String}) > 0)
  AND ({trace_id:String} = '' OR logs.trace_id = toFixedString(unhex({trace_id:String}), 16))
ORDER BY ts DESC
LIMIT {limit:UInt32}
"""

_PATTERNS = """
SELECT
    any(pattern) AS pattern, service, level, sum(lines) AS lines,
    toUnixTimestamp(min(minute)) AS first_seen, toUnixTimestamp(max(minute)) AS last_seen, any(example) AS example
FROM log_patterns_1m
WHERE minute BETWEEN toStartOfMinute(fromUnixTimestamp64Milli({start:Int64})) AND fromUnixTimestamp64Milli({end:Int64})
  AND ({service:String} = '' OR service = {service:String})
GROUP BY service, level, pattern_id
ORDER BY lines DESC
LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class LogSearch:
    """What a search for records asks; empty fields ask nothing. `text` is a case-insensitive substring of the body."""

    span: TimeRange
    service: str = ""
    levels: tuple[str, ...] = ()
    text: str = ""
    trace_id: str = ""
    limit: int = 100


class LogStore:
    """Logs of one tenant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def search(self, wanted: LogSearch) -> Sequence[LogRecord]:
        """Records that fit, newest first."""
        rows = self._engine.records(
            _SEARCH,
            {
                "start": wanted.span.start_ms,
                "end": wanted.span.end_ms,
                "service": wanted.service,
                "levels": [level.upper() for level in wanted.levels],
                "text": wanted.text,
                "trace_id": wanted.trace_id,
                "limit": wanted.limit,
            },
        )
        return [LogRecord(**row) for row in rows]

    def patterns(self, window: TimeRange, *, service: str = "", limit: int = 100) -> Sequence[LogPattern]:
        """Patterns of the lines in `window`, most frequent first; counted by whole minutes."""
        rows = self._engine.records(
            _PATTERNS, {"start": window.start_ms, "end": window.end_ms, "service": service, "limit": limit}
        )
        return [LogPattern(**row) for row in rows]

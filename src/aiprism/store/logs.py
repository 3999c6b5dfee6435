"""Reading logs: a search over records, and the patterns counted at insert.

In: a `LogSearch` or a window. Out: frozen values of model/logs.py. Blocking; run in the engine's pool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.model.logs import LogPattern, LogRecord
from aiprism.model.timerange import TimeRange
from aiprism.store.archive import Archive, reading
from aiprism.store.engine import Engine
from aiprism.store.otlpexport import LOG_COLUMNS, logs_request

# Columns that an output column is named after are qualified, or WHERE would mean the output.
_FOUND = """
FROM logs
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64} + 1)
  AND ({service:String} = '' OR service = {service:String})
  AND (empty({levels:Array(String)}) OR has({levels:Array(String)}, level))
  AND ({text:String} = '' OR positionCaseInsensitiveUTF8(body, {text:String}) > 0)
  AND ({trace_id:String} = '' OR logs.trace_id = toFixedString(unhex({trace_id:String}), 16))
"""

_COLUMNS = """
    toUnixTimestamp64Nano(ts) AS ts_ns, service, level, body,
    if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id))) AS trace_id,
    if(logs.span_id = toFixedString('', 8), '', lower(hex(logs.span_id))) AS span_id,
    attributes, resource, toString(body_kind) AS body_kind
"""

# Whoever looks for a part of a line looks for the words in it, and those the text index finds: a LIKE of one word of four
# letters or more is answered from its dictionary.
_WORD = re.compile(r"[A-Za-z0-9]{4,}")
_MOST_WORDS = 8

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
    archived: bool = False  # in the archive, too


class LogStore:
    """Logs of one tenant."""

    def __init__(self, engine: Engine, archive: Archive | None = None) -> None:
        self._engine, self._archive = engine, archive

    def search(self, wanted: LogSearch) -> Sequence[LogRecord]:
        """Records that fit, newest first."""
        return [LogRecord(**row) for row in self._rows(wanted, _COLUMNS)]

    def export(self, wanted: LogSearch) -> ExportLogsServiceRequest:
        """Records that fit, as they were sent, in OTLP."""
        return logs_request(self._rows(wanted, LOG_COLUMNS))

    def _rows(self, wanted: LogSearch, columns: str) -> list[dict[str, Any]]:
        words = [word.lower() for word in _WORD.findall(wanted.text)[:_MOST_WORDS]]
        hints = "".join(f"  AND body ILIKE {{word{at}:String}}\n" for at in range(len(words)))
        relation: str = "logs"
        bound: Mapping[str, object] = {}
        if wanted.archived:
            relation, bound = reading(self._archive).relation("logs", wanted.span.start, wanted.span.end)
        found = _FOUND.replace("FROM logs", f"FROM {relation}", 1)
        return self._engine.records(
            f"SELECT {columns} {found} {hints} ORDER BY ts DESC LIMIT {{limit:UInt32}}",
            {
                "start": wanted.span.start_ms,
                "end": wanted.span.end_ms,
                "service": wanted.service,
                "levels": [level.upper() for level in wanted.levels],
                "text": wanted.text,
                "trace_id": wanted.trace_id,
                "limit": wanted.limit,
                **bound,
                **{f"word{at}": f"%{word}%" for at, word in enumerate(words)},
            },
        )

    def patterns(self, window: TimeRange, *, service: str = "", limit: int = 100) -> Sequence[LogPattern]:
        """Patterns of the lines in `window`, most frequent first; counted by whole minutes."""
        rows = self._engine.records(
            _PATTERNS, {"start": window.start_ms, "end": window.end_ms, "service": service, "limit": limit}
        )
        return [LogPattern(**row) for row in rows]

"""Reading logs: a search over records, and what it finds counted in several ways. Patterns are in `patterncounts`.

In: a `LogSearch` or a window. Out: frozen values of model/logs.py. Blocking; run in the engine's pool.

The newest records are wanted nearly always, so time is searched from its end in windows that grow, each apart from the one
before, until enough is found: what is common is found in the last minutes, and what is rare by the text index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput
from aiprism.model.logs import LogRecord
from aiprism.model.search import ANYTHING, Condition
from aiprism.model.timerange import TimeRange
from aiprism.store.archive import Archive, reading
from aiprism.store.engine import Engine
from aiprism.store.logsearch import field, where, words_in
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
# Records of one moment have an order of their own, so that a page can end between two of them: equal ties are equal records.
_TIE = "cityHash64(service, level, body, logs.trace_id, logs.span_id, attributes, resource_json)"
# Seconds. From 10 s on a common word with a field took three windows, and twice the time (bench/explore/logs.py).
_FIRST_WINDOW = 60.0
_GROWTH = 8.0
_MOST_BUCKETS = 500
# Where a field is looked for last (JSON, key=value pairs) is looked at only in records that have it nowhere before: by itself
# ClickHouse computes every place of every record, which takes three times as long.
_LAZILY = "SETTINGS short_circuit_function_evaluation = 'force_enable'"

_COLUMNS = """
    toUnixTimestamp64Nano(ts) AS ts_ns, service, level, body,
    if(logs.trace_id = toFixedString('', 16), '', lower(hex(logs.trace_id))) AS trace_id,
    if(logs.span_id = toFixedString('', 8), '', lower(hex(logs.span_id))) AS span_id,
    attributes, resource, toString(body_kind) AS body_kind
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: at the moment and tie of its last record, after so many records that have both."""

    ts_ns: int
    tie: int
    seen: int

    def __str__(self) -> str:
        return f"{self.ts_ns:x}-{self.tie:x}-{self.seen}"

    @classmethod
    def of(cls, text: str) -> Cursor:
        """A cursor as `str` wrote it."""
        found = re.fullmatch(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})-(\d{1,9})", text)
        if not found:
            raise BadInput(f"cursor={text!r} is none: take the one of the page before")
        return cls(int(found[1], 16), int(found[2], 16), int(found[3]))


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
    asked: Condition = ANYTHING
    oldest_first: bool = False
    after: Cursor | None = None  # the page before this one ended there


@dataclass(frozen=True, slots=True)
class Page:
    """Records of a search, and where the next page begins; None when there is none."""

    records: Sequence[LogRecord]
    after: Cursor | None


class LogStore:
    """Logs of one tenant."""

    def __init__(self, engine: Engine, archive: Archive | None = None) -> None:
        self._engine, self._archive = engine, archive

    def search(self, wanted: LogSearch) -> Sequence[LogRecord]:
        """Records that fit, newest first unless the oldest are wanted."""
        return self.page(wanted).records

    def page(self, wanted: LogSearch) -> Page:
        """As many records as are wanted, and where to go on. Records that arrive meanwhile move none from page to page."""
        rows = self._rows(wanted, f"{_COLUMNS}, {_TIE} AS tie")
        if not rows:
            return Page([], None)
        last = (rows[-1]["ts_ns"], rows[-1]["tie"])
        seen = sum((row["ts_ns"], row["tie"]) == last for row in rows)
        before = wanted.after
        if before and (before.ts_ns, before.tie) == last:
            seen += before.seen
        records = [LogRecord(**{name: value for name, value in row.items() if name != "tie"}) for row in rows]
        return Page(records, Cursor(*last, seen) if len(rows) == wanted.limit else None)

    def export(self, wanted: LogSearch) -> ExportLogsServiceRequest:
        """Records that fit, as they were sent, in OTLP."""
        return logs_request(self._rows(wanted, LOG_COLUMNS))

    def histogram(self, wanted: LogSearch, step: float) -> Sequence[tuple[float, str, int]]:
        """(beginning of the bucket of `step` seconds in Unix seconds, level, records) in order of time."""
        if not wanted.span.end - wanted.span.start <= step * _MOST_BUCKETS:
            raise BadInput(f"step={step:g}: more than {_MOST_BUCKETS} buckets; take a longer step")
        rows = self._counted(
            wanted,
            "intDiv(toUnixTimestamp64Milli(ts), {step:Int64}) * {step:Int64} / 1000 AS at, level, count()",
            "GROUP BY at, level ORDER BY at, level",
            {"step": max(1, round(step * 1000))},
        )
        return [(float(at), str(level), int(records)) for at, level, records in rows]

    def facet(self, wanted: LogSearch, name: str) -> Sequence[tuple[str, int]]:
        """The most frequent values of a field among the records that fit, at most `limit`, with their counts."""
        value = field(name)
        rows = self._counted(
            wanted,
            f"{value.sql} AS value, count() AS records",
            "GROUP BY value HAVING isNotNull(value) AND value != '' ORDER BY records DESC, value LIMIT {limit:UInt32}",
            value.bound,
        )
        return [(str(found), int(records)) for found, records in rows]

    def count(self, wanted: LogSearch) -> int:
        """How many records fit."""
        [[records]] = self._counted(wanted, "count()", "", {})
        return int(records)

    def around(self, ts_ns: int, service: str, lines: int) -> tuple[Sequence[LogRecord], Sequence[LogRecord]]:
        """The records of a service before the moment `ts_ns` and from it on, `lines` of each, both in order of time."""
        at = ts_ns / 1e9
        before = LogSearch(TimeRange(at - _AROUND, at), service, limit=lines, after=Cursor(ts_ns, 0, 0))
        later = LogSearch(TimeRange(at - 0.001, at + _AROUND), service, limit=lines, oldest_first=True)
        later = replace(later, after=Cursor(ts_ns, 0, 0))
        return tuple(reversed(self.search(before))), self.search(later)

    def _counted(
        self, wanted: LogSearch, columns: str, behind: str, bound: Mapping[str, object]
    ) -> Sequence[Sequence[Any]]:
        found, parameters = self._found(wanted)
        return self._engine.query(f"SELECT {columns} {found} {behind} {_LAZILY}", {**parameters, **bound})

    def _rows(self, wanted: LogSearch, columns: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        order = "ASC" if wanted.oldest_first else "DESC"
        after, span = wanted.after, wanted.span
        # Those that were shown are skipped while they are in the range at all, in the first window.
        skipped = after.seen if after and span.start_ms <= after.ts_ns // 1_000_000 <= span.end_ms else 0
        for window in _windows(wanted):
            found, bound = self._found(replace(wanted, span=window))
            some = self._engine.records(
                f"SELECT {columns} {found} {_behind(wanted)} ORDER BY ts {order}, {_TIE} {order} "
                f"LIMIT {{limit:UInt32}} OFFSET {{skipped:UInt32}} {_LAZILY}",
                {**bound, "limit": wanted.limit - len(rows), "skipped": skipped},
            )
            rows += some
            skipped = 0
            if len(rows) >= wanted.limit:
                break
        return rows

    def _found(self, wanted: LogSearch) -> tuple[str, Mapping[str, object]]:
        """What stands after the columns, and its parameters."""
        words = words_in(wanted.text)  # whoever looks for a part of a line looks for the words in it
        hints = "".join(f"  AND body ILIKE {{word{at}:String}}\n" for at in range(len(words)))
        relation: str = "logs"
        bound: Mapping[str, object] = {}
        if wanted.archived:
            relation, bound = reading(self._archive).relation("logs", wanted.span.start, wanted.span.end)
        asked = where(wanted.asked, indexed=relation == "logs")
        after = wanted.after
        return f"{_FOUND.replace('FROM logs', f'FROM {relation}', 1)} {hints} AND {asked.sql}", {
            "start": wanted.span.start_ms,
            "end": wanted.span.end_ms,
            "service": wanted.service,
            "levels": [level.upper() for level in wanted.levels],
            "text": wanted.text,
            "trace_id": wanted.trace_id,
            "limit": wanted.limit,
            "after_ns": after.ts_ns if after else 0,
            "after_tie": after.tie if after else 0,
            **bound,
            **asked.bound,
            **{f"word{at}": f"%{word}%" for at, word in enumerate(words)},
        }


_AROUND = 86_400.0  # seconds in which neighbours of a record are looked for


def _behind(wanted: LogSearch) -> str:
    """The records that no page before has shown."""
    if wanted.after is None:
        return ""
    sign = ">" if wanted.oldest_first else "<"
    moment = "fromUnixTimestamp64Nano({after_ns:Int64})"
    return f"AND (ts {sign} {moment} OR (ts = {moment} AND {_TIE} {sign}= {{after_tie:UInt64}}))"


def _windows(wanted: LogSearch) -> Iterator[TimeRange]:
    """The time that is left to search, in parts that grow from where one begins; whole milliseconds, none in two parts."""
    first, last = wanted.span.start_ms, wanted.span.end_ms
    at = wanted.after.ts_ns // 1_000_000 if wanted.after else None
    width = round(_FIRST_WINDOW * 1000)
    if wanted.oldest_first:
        begin = first if at is None else max(first, at)
        while begin <= last:
            yield TimeRange(begin / 1000, min(last, begin + width) / 1000)
            begin, width = begin + width + 1, round(width * _GROWTH)
    else:
        end = last if at is None else min(last, at)
        while end >= first:
            yield TimeRange(max(first, end - width) / 1000, end / 1000)
            end, width = end - width - 1, round(width * _GROWTH)

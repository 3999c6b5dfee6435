"""Searching traces: those of which one span meets every condition, page by page.

In: a `TraceSearch`. Out: a `TracePage` of summaries. Blocking; run in the engine's pool.

By time, a trace stands where the latest of its spans that fit began, and time is searched from its end in windows that grow until
a page is full: what is common is found in the last seconds. Spans never change, so pages hold still: what comes in
meanwhile stands before the first page, and the root of a trace, which is sent last and began first, moves nothing. By
duration, a trace stands by the longest of its spans that fit, of the whole range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiprism.errors import BadInput
from aiprism.model.search import ANYTHING, All, Between, Condition, Is
from aiprism.model.search import Any as OneOf
from aiprism.model.spans import TraceSummary
from aiprism.model.timerange import TimeRange
from aiprism.store.conditionsql import Where
from aiprism.store.engine import Engine
from aiprism.store.spansearch import where

_FIRST_WINDOW = 60 * 10**9
_GROWTH = 16
# A condition on attributes is looked at where the cheap ones hold only.
LAZILY = "SETTINGS short_circuit_function_evaluation = 'force_enable'"

# The sort key has the minute, which ClickHouse does not conclude from the start: said as well, it leads to the few granules of
# a service and a time. Of what a DateTime cannot hold (before 1970, after 2106) it would be another minute: there it is not said.
_WITHIN = """
FROM spans
WHERE spans.start >= fromUnixTimestamp64Nano({begin:Int64}) AND spans.start < fromUnixTimestamp64Nano({end:Int64})
    AND ({any_minute:Bool} OR toStartOfMinute(spans.start) BETWEEN
        toStartOfMinute(fromUnixTimestamp64Nano({begin:Int64})) AND toStartOfMinute(fromUnixTimestamp64Nano({end:Int64})))
    AND [asked]
"""
_LAST_MINUTE_NS = (1 << 32) * 10**9
_FITTING = f"""
SELECT lower(hex(spans.trace_id)) AS id, [key] AS place
{_WITHIN}
GROUP BY spans.trace_id
HAVING {{whole:Bool}} OR (place, id) < ({{place:Int64}}, {{id:String}})
ORDER BY place DESC, id DESC
LIMIT {{limit:UInt32}}
{LAZILY}
"""
_KEYS = {"time": "toUnixTimestamp64Nano(max(spans.start))", "duration": "toInt64(max(spans.duration_ns))"}

# Of some traces those that fit already after a moment.
_FITTING_LATER = f"""
SELECT DISTINCT lower(hex(spans.trace_id))
{_WITHIN}
    AND spans.trace_id IN (SELECT toFixedString(unhex(arrayJoin({{ids:Array(String)}})), 16))
{LAZILY}
"""
# Which of some traces go on after a moment, and until when. Without their services, which take most of the time to read.
_LONGER = """
SELECT lower(hex(trace_index.trace_id)), toUnixTimestamp64Nano(max(end)) AS until
FROM trace_index
WHERE trace_index.trace_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16))
GROUP BY trace_index.trace_id
HAVING until >= {end:Int64}
"""
_SUMMARIES = """
SELECT
    lower(hex(trace_index.trace_id)) AS trace_id, max(root_service) AS root_service, max(root_name) AS root_name,
    toUnixTimestamp64Nano(min(start)) AS start_ns,
    toUnixTimestamp64Nano(max(end)) - toUnixTimestamp64Nano(min(start)) AS duration_ns,
    sum(spans) AS spans, sum(errors) AS errors, arraySort(groupUniqArrayArray(services)) AS services
FROM trace_index
WHERE trace_index.trace_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 16))
GROUP BY trace_index.trace_id
"""


@dataclass(frozen=True, slots=True)
class TraceCursor:
    """Where a page ended: at the trace `trace_id`, whose place was `place` (nanoseconds: a moment, or a duration)."""

    place: int
    trace_id: str

    def __str__(self) -> str:
        return f"{self.place:x}-{self.trace_id}"

    @classmethod
    def of(cls, text: str) -> TraceCursor:
        """A cursor as `str` wrote it."""
        found = re.fullmatch(r"([0-7]?[0-9a-f]{1,15})-([0-9a-f]{32})", text)
        if not found:
            raise BadInput(f"cursor={text!r} is none: take the one of the page before")
        return cls(int(found[1], 16), found[2])


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """What a search for traces asks: every condition must hold in one span of the trace. Attributes are those of the span or
    of what it is from (its resource). Durations are seconds, of the span; 0 asks nothing."""

    span: TimeRange
    service: str = ""
    operation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    min_duration: float = 0.0
    errors_only: bool = False
    limit: int = 50
    max_duration: float = 0.0
    kind: str = ""
    asked: Condition = ANYTHING
    status: str = ""
    order: Literal["time", "duration"] = "time"
    after: TraceCursor | None = None  # the page before this one ended there
    ended_from: float = 0.0  # Unix seconds: the span ended then or later

    @property
    def condition(self) -> Condition:
        """All that is asked of a span, but its time."""
        parts: list[Condition] = [
            Is(name, value)
            for name, value in (
                ("service", self.service),
                ("operation", self.operation),
                ("kind", self.kind),
                ("status", "error" if self.errors_only else ""),
                ("status", self.status),
            )
            if value
        ]
        least, most = (
            str(round(seconds * 1e9)) if seconds else None for seconds in (self.min_duration, self.max_duration)
        )
        if least or most:
            parts.append(Between("duration", least, most))
        parts += [
            OneOf((Is(f"attributes.{key}", value), Is(f"resource.{key}", value))) for key, value in self.attributes
        ]
        return All((*parts, self.asked)) if parts else self.asked


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces of a search, and where the next page begins; None when there is none."""

    traces: Sequence[TraceSummary]
    after: TraceCursor | None


def trace_page(engine: Engine, wanted: TraceSearch) -> TracePage:
    """As many traces as are wanted, and where to go on."""
    ids, after = trace_ids(engine, wanted)
    return TracePage(summaries(engine, ids), after)


def trace_ids(engine: Engine, wanted: TraceSearch) -> tuple[Sequence[str], TraceCursor | None]:
    """The ids of such a page."""
    ids: list[str] = []
    after = wanted.after
    for begin, end in _windows(wanted):
        is_full = True
        while is_full:  # of what was found some may have been shown already
            left = wanted.limit - len(ids)
            rows = _fitting(engine, wanted, begin, end, after, left)
            is_full = len(rows) == left
            if rows:
                after = TraceCursor(rows[-1]["place"], rows[-1]["id"])
                ids += _not_shown(engine, wanted, [row["id"] for row in rows], end)
            if len(ids) == wanted.limit:
                return ids, after
    return ids, None


def summaries(engine: Engine, ids: Sequence[str]) -> Sequence[TraceSummary]:
    """What a search tells of traces, in the order of their ids."""
    rows = engine.records(_SUMMARIES, {"ids": list(ids)}) if ids else ()
    by_id = {row["trace_id"]: TraceSummary(**{**row, "services": tuple(row["services"])}) for row in rows}
    return [by_id[each] for each in ids if each in by_id]


def within(wanted: TraceSearch) -> tuple[str, Mapping[str, object]]:
    """SQL from FROM on: the spans that fit, and what is bound in it."""
    asked = _where(wanted)
    begin, end = _range_ns(wanted)
    return _WITHIN.replace("[asked]", asked.sql), {**asked.bound, **_between(begin, end)}


def _where(wanted: TraceSearch) -> Where:
    asked = where(wanted.condition)
    if not wanted.ended_from:
        return asked
    ended = "toUnixTimestamp64Nano(spans.start) + toInt64(spans.duration_ns) >= {ended:Int64}"
    return Where(f"{ended} AND {asked.sql}", {**asked.bound, "ended": round(wanted.ended_from * 1e9)})


def _fitting(
    engine: Engine, wanted: TraceSearch, begin: int, end: int, after: TraceCursor | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    asked = _where(wanted)
    statement = _FITTING.replace("[asked]", asked.sql).replace("[key]", _KEYS[wanted.order])
    bound = {"whole": after is None, "place": after.place if after else 0, "id": after.trace_id if after else ""}
    return engine.records(statement, {**asked.bound, **bound, **_between(begin, end), "limit": limit})


def _not_shown(engine: Engine, wanted: TraceSearch, ids: Sequence[str], end: int) -> Sequence[str]:
    """The traces that do not fit already in the time from `end` on, where they were shown."""
    last = _range_ns(wanted)[1]
    longer = engine.query(_LONGER, {"ids": ids, "end": end}) if end < last else ()
    if not longer:
        return ids
    asked = _where(wanted)
    until = min(last, max(int(until) for _, until in longer) + 1)
    bound = {**asked.bound, **_between(end, until), "ids": [trace_id for trace_id, _ in longer]}
    shown = {str(trace_id) for (trace_id,) in engine.query(_FITTING_LATER.replace("[asked]", asked.sql), bound)}
    return [each for each in ids if each not in shown]


def _between(begin: int, end: int) -> Mapping[str, object]:
    return {"begin": begin, "end": end, "any_minute": not 0 <= begin <= end < _LAST_MINUTE_NS}


def _range_ns(wanted: TraceSearch) -> tuple[int, int]:
    return wanted.span.start_ms * 10**6, (wanted.span.end_ms + 1) * 10**6


def _windows(wanted: TraceSearch) -> Iterator[tuple[int, int]]:
    """The time to search in parts that grow, from its end or from where the page before ended; from, up to (excluded)."""
    first, end = _range_ns(wanted)
    if wanted.order == "duration" or wanted.ended_from:
        yield first, end
        return
    if wanted.after:
        end = min(end, wanted.after.place + 1)
    width = _FIRST_WINDOW
    while end > first:
        yield max(first, end - width), end
        end, width = end - width, width * _GROWTH

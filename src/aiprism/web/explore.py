"""Traces over our own API: what the UI, the CLI and scripts read. Logs are in `logs`, services in `services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request

from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.model.timerange import TimeRange, duration_seconds
from aiprism.query.lucene import SPANS, condition
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.spans import SpanStore, TraceSearch
from aiprism.web import links
from aiprism.web.turns import Turns

STAGE = "query.explore"
SECONDS = 120.0  # what one answer may take
T = TypeVar("T")

MAX_SPANS = 20_000  # of one trace in one answer
MAX_SECONDS = 9e9  # the year 2255: what DateTime64 of nanoseconds can hold

Limit = Annotated[int, Query(ge=1, le=10_000, description="most rows of the answer")]
Start = Annotated[float | None, Query(description="Unix seconds; default one hour before the end")]
InArchive = Annotated[bool, Query(description="search the archived days of the range, too")]
End = Annotated[float | None, Query(description="Unix seconds; default now")]


Answering = Callable[[Request, Callable[[], T]], Awaitable[T]]


def router(
    engine: Engine,
    clock: Clock,
    archive: Archive | None = None,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
) -> APIRouter:
    """GET traces, traces/{id} below /aiprism/v1. An answer may take so many
    seconds, and ends when its client hangs up."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["explore"])
    spans, logs = SpanStore(engine, archive), LogStore(engine, archive)
    answer = answering(turns or Turns(engine), seconds)
    _serve_traces(routes, clock, spans, logs, answer)
    return routes


def answering(turns: Turns, seconds: float) -> Answering[Any]:
    """How a door answers: at once, in so many seconds, as long as its client listens."""

    async def answer(request: Request, compute: Callable[[], T]) -> T:
        return await turns.at_once(request, lambda question: compute(), seconds, stage=STAGE)

    return answer


def _serve_traces(routes: APIRouter, clock: Clock, spans: SpanStore, logs: LogStore, answer: Answering[Any]) -> None:
    @routes.get("/traces", summary="Traces of which one span meets every condition, newest first")
    async def traces(
        request: Request,
        start: Start = None,
        end: End = None,
        query: Annotated[str, Query(description="in Lucene's syntax, as status:error duration:>2s")] = "",
        service: str = "",
        operation: str = "",
        min_duration: Annotated[str, Query(description="like 250ms or 2s")] = "0",
        errors: bool = False,
        attribute: Annotated[list[str] | None, Query(description="key=value, may be repeated")] = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        wanted = TraceSearch(
            span=range_of(clock, start, end),
            service=service,
            operation=operation,
            attributes=tuple(_pair(text) for text in attribute or ()),
            min_duration=duration_seconds(min_duration),
            errors_only=errors,
            limit=limit,
            asked=condition(query, SPANS),
        )
        return {"traces": [asdict(each) for each in await answer(request, lambda: spans.search(wanted))]}

    @routes.get("/traces/{trace_id}", summary="Every span of one trace, and the log records written within it")
    async def trace(
        request: Request, trace_id: str, archive: InArchive = False, start: Start = None, end: End = None
    ) -> dict[str, Any]:
        if archive:
            days = TimeRange(start or 0.0, clock.now() if end is None else end)
            found = await answer(request, lambda: spans.archived_trace(trace_id, days, limit=MAX_SPANS + 1))
        else:
            found = await answer(request, lambda: spans.trace(trace_id, limit=MAX_SPANS + 1))
        if not found:
            raise NotFound(f"no trace {trace_id}")
        found, is_whole = found[:MAX_SPANS], len(found) <= MAX_SPANS
        first, last = found[0].start_ns / 1e9, max(each.start_ns + each.duration_ns for each in found) / 1e9
        lines = LogSearch(TimeRange(first - 60, last + 60), trace_id=trace_id.lower(), limit=1000, archived=archive)
        records = await answer(request, lambda: logs.search(lines))
        return {
            "trace_id": trace_id.lower(),
            "is_whole": is_whole,  # False: the trace has more spans than are told here
            "spans": [links.told(each) for each in found],
            "logs": [links.told(each) for each in reversed(records)],
        }


def range_of(clock: Clock, start: float | None, end: float | None) -> TimeRange:
    """What a request means that may leave out both: the last hour."""
    until = clock.now() if end is None else end
    since = until - 3600 if start is None else start
    if not -MAX_SECONDS < since <= until < MAX_SECONDS and not since > until:
        raise BadInput(f"start {since} and end {until} are no times: Unix seconds are expected")
    if since > until:
        raise BadInput(f"start {since} lies after end {until}")
    return TimeRange(since, until)


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise BadInput(f"attribute={text!r}: write attribute=key=value")
    return key, value

"""Traces over our own API: searched, told as one, compared, counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from aiprism.clock import Clock
from aiprism.errors import BadInput, NotFound
from aiprism.model.logs import LogRecord
from aiprism.model.signals import Signal
from aiprism.model.spans import Span, TraceSummary
from aiprism.model.timerange import TimeRange, duration_seconds
from aiprism.query import saved
from aiprism.query.lucene import SPANS, condition
from aiprism.query.tracecompare import compared
from aiprism.query.traceexplain import Counted, reasons, spent
from aiprism.query.traces import Story, story
from aiprism.store.engine import Engine
from aiprism.store.exemplars import Measured, measured_in
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceCursor, TraceSearch, summaries, trace_ids
from aiprism.store.tracestats import SAMPLED, counted, heatmap, red, sides
from aiprism.web import links
from aiprism.web.asking import (
    Answering,
    End,
    InArchive,
    Limit,
    Repeated,
    Start,
    check_attributes,
    meant,
    nice_step,
    range_of,
)
from aiprism.web.following import Followed, Streams, followed
from aiprism.web.prometheus import sent

MAX_SPANS = 20_000  # of one trace in one answer
MAX_EXEMPLARS = 100  # of one trace in one answer
AROUND_EXEMPLAR = 900.0  # seconds: what its series did before and after a value is what one wants to see
MOST_TAILS = 32  # at a time
LONGEST_FOLLOWED = 900.0  # seconds: a span that took longer is not followed
_FOLLOWED = 1_000  # traces of the last half minute that are known apart
_BUCKETS, _MOST_BUCKETS = 60, 500
_LEAST_STEP = 0.001
_READ = 50  # slow traces, and others, that are read whole to see where their time goes
Kind = Literal["", "internal", "server", "client", "producer", "consumer", "unspecified"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request looks for, before it is known which time it is."""

    start: float | None
    end: float | None
    search: TraceSearch

    def at(self, clock: Clock) -> TraceSearch:
        """The search; without times, over the last hour."""
        return replace(self.search, span=range_of(clock, self.start, self.end))


def asked_of(
    start: Start = None,
    end: End = None,
    query: Annotated[str, Query(description="in Lucene's syntax, as status:error duration:>2s")] = "",
    service: str = "",
    operation: str = "",
    kind: Annotated[Kind, Query()] = "",
    status: Annotated[Literal["", "unset", "ok", "error"], Query()] = "",
    min_duration: Annotated[str, Query(description="of the span, like 250ms or 2s")] = "0",
    max_duration: Annotated[str, Query(description="of the span")] = "0",
    errors: bool = False,
    attribute: Annotated[list[str] | None, Query(description="key=value, may be repeated")] = None,
) -> Asked:
    """The parameters that every door takes."""
    check_attributes("attribute", len(attribute or ()))
    search = TraceSearch(
        span=TimeRange(0, 0),
        service=service,
        operation=operation,
        attributes=tuple(_pair(text) for text in attribute or ()),
        min_duration=duration_seconds(min_duration),
        max_duration=duration_seconds(max_duration),
        errors_only=errors,
        kind=kind,
        status=status,
        asked=condition(query, SPANS),
    )
    return Asked(start, end, search)


Wanted = Annotated[Asked, Depends(asked_of)]
Settle = Callable[[Asked], Awaitable[TraceSearch]]


def settling(clock: Clock, find: saved.Find) -> Settle:
    """How it becomes known what a request looks for: when now is, and what saved searches ask."""

    async def settle(asked: Asked) -> TraceSearch:
        wanted = asked.at(clock)
        return replace(wanted, asked=await meant(wanted.asked, find, Signal.TRACES))

    return settle


def serve_traces(
    routes: APIRouter,
    engine: Engine,
    clock: Clock,
    spans: SpanStore,
    logs: LogStore,
    answer: Answering[Any],
    find: saved.Find = lambda name: None,
) -> None:
    """Adds GET traces, traces/{id} and traces/compare, tail, aggregate, heatmap and explain to the routes."""
    settle = settling(clock, find)
    _serve_search(routes, settle, spans, answer)
    _serve_tail(routes, engine, clock, settle, answer)
    _serve_counts(routes, engine, clock, settle, spans, answer)
    _serve_one(routes, engine, clock, spans, logs, answer)


def _serve_search(routes: APIRouter, settle: Settle, spans: SpanStore, answer: Answering[Any]) -> None:

    @routes.get("/traces", summary="Traces of which one span meets every condition, page by page")
    async def traces(
        request: Request,
        asked: Wanted,
        order: Annotated[
            Literal["time", "duration"], Query(description="newest or longest first, by the span that fits")
        ] = "time",
        cursor: Annotated[str, Query(description="`cursor` of the page before")] = "",
        limit: Limit = 50,
    ) -> dict[str, Any]:
        after = TraceCursor.of(cursor) if cursor else None
        wanted = replace(await settle(asked), order=order, after=after, limit=limit)
        page = await answer(request, lambda: spans.page(wanted))
        return {
            "traces": [_summary(each) for each in page.traces],
            "cursor": str(page.after) if page.after else None,
            "complete": page.after is None,
        }

    @routes.get(
        "/traces/compare", summary="Where two traces differ: what is missing, added, failed, slower or faster in b"
    )
    async def compare(request: Request, a: str, b: str) -> dict[str, Any]:
        def understood(trace_id: str) -> Story:
            found = spans.trace(trace_id, limit=MAX_SPANS)
            if not found:
                raise NotFound(f"no trace {trace_id}")
            return story(found)

        rows = await answer(request, lambda: compared(understood(a), understood(b)))
        return {
            "a": a.lower(),
            "b": b.lower(),
            "paths": [asdict(each) | {"slower_ns": each.slower_ns} for each in rows],
        }


def _serve_tail(routes: APIRouter, engine: Engine, clock: Clock, settle: Settle, answer: Answering[Any]) -> None:
    tails = Streams("tails", MOST_TAILS)

    @routes.get(
        "/traces/tail", summary="Traces as soon as one of their spans fits, as server-sent events",
        response_class=StreamingResponse,
    )  # fmt: skip
    async def tail(request: Request, asked: Wanted) -> StreamingResponse:
        events = followed(
            followed_traces(engine, await settle(asked)), asked.start, clock, lambda work: answer(request, work)
        )
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(await tails.begun(events), media_type="text/event-stream", headers=headers)


def followed_traces(engine: Engine, wanted: TraceSearch) -> Followed[str]:
    """An event `trace` for each trace of which a span fits that has ended in the time: spans come in when they end."""

    def look(span: TimeRange, most: int) -> Sequence[str]:
        begun = TimeRange(span.start - LONGEST_FOLLOWED, span.end)
        return trace_ids(engine, replace(wanted, span=begun, ended_from=max(span.start, 1e-9), limit=most))[0]

    return Followed(
        event="trace",
        plural="traces",
        look=look,
        key=lambda trace_id: trace_id,
        tell=lambda ids: [_summary(each) for each in summaries(engine, ids)],
        window=_FOLLOWED,
    )


def _summary(each: TraceSummary) -> dict[str, Any]:
    return asdict(each) | {"has_root": bool(each.root_service)}


def _serve_counts(
    routes: APIRouter, engine: Engine, clock: Clock, settle: Settle, spans: SpanStore, answer: Answering[Any]
) -> None:
    repeated = Repeated(clock)

    @routes.get("/traces/aggregate", summary="Rate, errors and durations of services or operations, by time")
    async def aggregate(
        request: Request,
        start: Start = None,
        end: End = None,
        service: str = "",
        operation: str = "",
        kind: Annotated[
            list[Kind] | None, Query(description="may be repeated; of services server and consumer")
        ] = None,
        by: Literal["service", "operation"] = "service",
        step: Annotated[int, Query(ge=0, le=31_622_400, multiple_of=60, description="seconds; 0: one row each")] = 60,
        limit: Limit = 10_000,
    ) -> dict[str, Any]:
        span = range_of(clock, start, end)
        by_operation = by == "operation"
        kinds = [each for each in kind or ([] if by_operation else ["server", "consumer"]) if each]

        def read() -> Sequence[Mapping[str, Any]]:
            return red(
                engine, span, service=service, operation=operation, kinds=kinds, step=step,
                by_operation=by_operation, limit=limit + 1,
            )  # fmt: skip

        question = (start, end, service, operation, *kinds, by, step, limit)
        found = await repeated.answer(question, lambda: answer(request, read))
        return {"step": step, "rows": found[:limit], "is_whole": len(found) <= limit}

    @routes.get("/traces/heatmap", summary="Spans that fit, by time and by their duration in half doublings")
    async def by_duration(
        request: Request,
        asked: Wanted,
        step: Annotated[float, Query(ge=0, le=31_622_400, allow_inf_nan=False, description="seconds; 0: a 60th")] = 0,
    ) -> dict[str, Any]:
        wanted = await settle(asked)
        length = wanted.span.end - wanted.span.start
        width = step or nice_step(length / _BUCKETS)
        if width < _LEAST_STEP:
            raise BadInput(f"step={width:g}: a step is {_LEAST_STEP:g} s at least")
        if length > width * _MOST_BUCKETS:
            raise BadInput(f"step={width:g}: more than {_MOST_BUCKETS} buckets; take a longer step")
        return {"step": width, "cells": await answer(request, lambda: heatmap(engine, wanted, width))}

    @routes.get("/traces/explain", summary="Which values of attributes tell slow (or failed) traces from the others")
    async def explain(
        request: Request,
        asked: Wanted,
        failed: Annotated[bool, Query(description="explain failed traces instead of slow ones")] = False,
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> dict[str, Any]:
        """`min_duration` says from when on a trace is slow; all else says which traces are compared."""
        wanted = await settle(asked)
        least = wanted.min_duration
        if not least and not failed:
            raise BadInput("min_duration is needed: say from when on a trace is slow, or failed=true")
        if failed and (wanted.errors_only or wanted.status):
            raise BadInput("failed=true compares failed traces with the others: leave out errors and status")
        wanted = replace(wanted, min_duration=0.0 if not failed else least)

        def compute() -> dict[str, Any]:
            found = sides(engine, wanted, least_ns=round(least * 1e9), failed=failed)
            operations, values = counted(engine, found, failed=failed)
            slow, other = len(found.slow_ids), len(found.other_ids)
            told = reasons(
                [Counted(**row) for row in operations], [Counted(**row) for row in values], slow, other, limit=limit
            )
            slow_ids, other_ids = found.slow_ids[:_READ], found.other_ids[:_READ]
            read = spans.traces([*slow_ids, *other_ids])
            took, usual = ([story(read[each]) for each in ids if each in read] for ids in (slow_ids, other_ids))
            return {
                "operations": [asdict(each) for each in spent(took, usual)],
                "slow": found.slow,
                "other": found.other,
                "sampled": {"slow": slow, "other": other, "most": SAMPLED},
                "reasons": [asdict(each) for each in told],
            }

        return await answer(request, compute)  # type: ignore[no-any-return]


def _serve_one(
    routes: APIRouter, engine: Engine, clock: Clock, spans: SpanStore, logs: LogStore, answer: Answering[Any]
) -> None:
    @routes.get(
        "/traces/{trace_id}", summary="Every span of one trace, the log records and the exemplars written within it",
        response_class=JSONResponse,
    )  # fmt: skip
    async def trace(
        request: Request, trace_id: str, archive: InArchive = False, start: Start = None, end: End = None
    ) -> Response:
        trace_id = trace_id.strip().lower()
        days = TimeRange(start or 0.0, clock.now() if end is None else end) if archive else None

        def whole() -> bytes | None:
            if days:
                found = spans.archived_trace(trace_id, days, limit=MAX_SPANS + 1)
            else:
                found = spans.trace(trace_id, limit=MAX_SPANS + 1)
            if not found:
                return None
            found, is_whole = found[:MAX_SPANS], len(found) <= MAX_SPANS
            first, last = found[0].start_ns / 1e9, max(each.start_ns + each.duration_ns for each in found) / 1e9
            around = TimeRange(first - links.AROUND, last + links.AROUND)
            lines = LogSearch(around, trace_id=trace_id, limit=1000, archived=archive)
            records = list(reversed(logs.search(lines)))
            examples = measured_in(engine, trace_id, around, limit=MAX_EXEMPLARS)
            return orjson.dumps(
                {
                    "trace_id": trace_id,
                    "is_whole": is_whole,  # False: the trace has more spans than are told here
                    "spans": [links.told(each) for each in found],
                    "logs": [links.told(each) for each in records],
                    "exemplars": [_example(each) for each in examples],
                    "analysis": told(story(found), found, records),
                }
            )

        # Also told beside the event loop: of five thousand spans, that takes a quarter of a second.
        body = await answer(request, whole)
        if body is None:
            raise NotFound(f"no trace {trace_id}")
        return await sent(request, body)


def _example(each: Measured) -> dict[str, Any]:
    at = each.ts_ms / 1000
    around = TimeRange(at - AROUND_EXEMPLAR, at + AROUND_EXEMPLAR)
    return {
        "series": each.series,
        "value": each.value,
        "ts": at,
        "span_id": each.span_id,
        "labels": each.labels,
        "links": dict(links.of_series(each.series, around)),
    }


def told(understood: Story, spans: Sequence[Span], records: Sequence[LogRecord]) -> Mapping[str, Any]:
    """What a trace says, with `at` the index of a span in `spans` and `logs` those of its records."""
    at = {id(span): number for number, span in enumerate(spans)}
    within: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        within.setdefault(record.span_id, []).append(number)
    return {
        "nodes": [
            {
                "at": at[id(node.span)],
                "span_id": node.span.span_id,
                "parent": node.parent,
                "depth": node.depth,
                "self_ns": node.self_ns,
                "critical_ns": node.critical_ns,
                "skew_ns": node.skew_ns,
                "is_orphan": node.is_orphan,
                "in_cycle": node.in_cycle,
                "logs": within.get(node.span.span_id, []),
            }
            for node in understood.nodes
        ],
        "root": understood.root,
        "roots": understood.roots,
        "critical_path": [asdict(each) for each in understood.critical_path],
        "failures": [asdict(each) for each in understood.failures],
        "repeated_spans": understood.repeated,
    }


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise BadInput(f"attribute={text!r}: write attribute=key=value")
    return key, value

"""Log records over our own API: searched and counted; followed by `logtail`, taken away in bulk by `logexport`.

Every door takes the same search: `query` in Lucene's syntax beside `service`, `level`, `trace_id` and `q` (part of the line).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from aiprism.clock import Clock
from aiprism.detect import loghints
from aiprism.detect.loganalysis import LogAnalysis
from aiprism.detect.logsecurity import LogSecurity
from aiprism.model.signals import Signal
from aiprism.model.timerange import TimeRange
from aiprism.query import saved
from aiprism.query.lucene import condition
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.logs import Cursor, LogSearch, LogStore
from aiprism.web import links, logpatterns, logreport
from aiprism.web.asking import SECONDS, Answering, End, InArchive, Limit, Start, answering, meant, nice_step, range_of
from aiprism.web.following import Streams, followed
from aiprism.web.logexport import FORMATS, exported
from aiprism.web.logtail import followed_records
from aiprism.web.prometheus import sent
from aiprism.web.turns import Turns

MOST_EXPORTED = 1_000_000  # records of one export
MOST_EXPORTS, MOST_TAILS = 4, 32  # at a time
_BUCKETS = 60
_LAST_NS = 8_999_900_000 * 10**9  # a day before what the store can hold


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request looks for, before it is known which time it is."""

    start: float | None
    end: float | None
    search: LogSearch

    def at(self, clock: Clock) -> LogSearch:
        """The search; without times, over the last hour."""
        return replace(self.search, span=range_of(clock, self.start, self.end))


def asked(
    start: Start = None,
    end: End = None,
    query: Annotated[str, Query(description='in Lucene\'s syntax, as level:ERROR service:api "timed out"')] = "",
    service: str = "",
    level: Annotated[list[str] | None, Query(description="may be repeated")] = None,
    q: Annotated[str, Query(description="case-insensitive part of the line")] = "",
    trace_id: Annotated[str, Query(pattern="^([0-9a-fA-F]{32})?$")] = "",
    archive: InArchive = False,
) -> Asked:
    """The parameters that every door takes."""
    search = LogSearch(TimeRange(0, 0), service, tuple(level or ()), q, trace_id.lower(), archived=archive)
    return Asked(start, end, replace(search, asked=condition(query)))


Wanted = Annotated[Asked, Depends(asked)]
Settle = Callable[[Asked], Awaitable[LogSearch]]


def settling(clock: Clock, find: saved.Find) -> Settle:
    """How it becomes known what a request looks for: when now is, and what saved searches ask."""

    async def settle(asked: Asked) -> LogSearch:
        wanted = asked.at(clock)
        return replace(wanted, asked=await meant(wanted.asked, find, Signal.LOGS))

    return settle


def router(
    engine: Engine,
    clock: Clock,
    archive: Archive | None = None,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
    find: saved.Find = lambda name: None,
    analysis: LogAnalysis | None = None,
) -> APIRouter:
    """GET logs, and histogram, facets, context, patterns, report, export, tail below it, below /aiprism/v1. An answer may take
    so many seconds, and ends when its client hangs up; `find` is asked for saved searches."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["logs"])
    settle = settling(clock, find)
    logs = LogStore(engine, archive)
    answer = answering(turns or Turns(engine), seconds)
    exports, tails = Streams("exports", MOST_EXPORTS), Streams("tails", MOST_TAILS)

    _serve_records(routes, settle, logs, answer)
    _serve_counts(routes, settle, logs, answer)
    logpatterns.serve(routes, engine, clock, answer)
    logreport.serve(
        routes,
        analysis or LogAnalysis(engine, loghints.load(None), slow=1.0, security=LogSecurity(engine).events),
        clock,
        answer,
    )

    @routes.get("/logs/export", summary="Every record that fits, as a file", response_class=StreamingResponse)
    async def export(
        request: Request,
        asked: Wanted,
        format: Annotated[Literal["ndjson", "csv", "parquet"], Query()] = "ndjson",  # noqa: A002 - its name in the URL
        limit: Annotated[int, Query(ge=1, le=MOST_EXPORTED)] = 100_000,
    ) -> StreamingResponse:
        written = FORMATS[format]()
        parts = exported(logs, replace(await settle(asked), limit=limit), written, lambda work: answer(request, work))
        headers = {"Content-Disposition": f'attachment; filename="logs.{format}"'}
        return StreamingResponse(await exports.begun(parts), media_type=written.kind, headers=headers)

    @routes.get(
        "/logs/tail", summary="Records as they come in, as server-sent events", response_class=StreamingResponse
    )
    async def tail(request: Request, asked: Wanted) -> StreamingResponse:
        wanted = await settle(asked)
        events = followed(followed_records(logs, wanted), asked.start, clock, lambda work: answer(request, work))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(await tails.begun(events), media_type="text/event-stream", headers=headers)

    return routes


def _serve_records(routes: APIRouter, settle: Settle, logs: LogStore, answer: Answering[Any]) -> None:
    @routes.get("/logs", summary="Log records, newest first, page by page", response_class=JSONResponse)
    async def search(
        request: Request,
        asked: Wanted,
        limit: Limit = 100,
        order: Literal["newest", "oldest"] = "newest",
        cursor: Annotated[str, Query(description="`cursor` of the page before")] = "",
    ) -> Response:
        after = Cursor.of(cursor) if cursor else None
        wanted = replace(await settle(asked), limit=limit, oldest_first=order == "oldest", after=after)

        def told() -> bytes:  # beside the event loop: a page may have ten thousand records
            page = logs.page(wanted)
            records = [links.told(each) for each in page.records]
            return orjson.dumps({"logs": records, "cursor": str(page.after) if page.after else None})

        return await sent(request, await answer(request, told))

    @routes.get("/logs/context", summary="The records of a service before and after a moment")
    async def context(
        request: Request,
        ts_ns: Annotated[int, Query(ge=0, le=_LAST_NS, description="`ts_ns` of a record")],
        service: str = "",
        lines: Annotated[int, Query(ge=1, le=500)] = 10,
    ) -> dict[str, Any]:
        before, later = await answer(request, lambda: logs.around(ts_ns, service, lines))
        return {"before": [links.told(each) for each in before], "from": [links.told(each) for each in later]}


def _serve_counts(routes: APIRouter, settle: Settle, logs: LogStore, answer: Answering[Any]) -> None:
    @routes.get("/logs/histogram", summary="Records that fit, by time and level")
    async def histogram(
        request: Request,
        asked: Wanted,
        step: Annotated[
            float,
            Query(ge=0, le=31_622_400, allow_inf_nan=False, description="seconds; 0: a 60th of the range, rounded"),
        ] = 0,
    ) -> dict[str, Any]:
        wanted = await settle(asked)
        width = step or nice_step((wanted.span.end - wanted.span.start) / _BUCKETS)
        found = await answer(request, lambda: logs.histogram(wanted, width))
        return {"step": width, "buckets": [{"at": at, "level": level, "records": n} for at, level, n in found]}

    @routes.get("/logs/facets", summary="The most frequent values of fields among the records that fit")
    async def facets(
        request: Request,
        asked: Wanted,
        field: Annotated[list[str], Query(min_length=1, max_length=20, description="may be repeated")],
        limit: Annotated[int, Query(ge=1, le=1000, description="values of each field")] = 10,
    ) -> dict[str, Any]:
        wanted = replace(await settle(asked), limit=limit)
        told = await answer(request, lambda: {name: logs.facet(wanted, name) for name in field})
        return {
            "facets": {
                name: [{"value": value, "records": records} for value, records in values]
                for name, values in told.items()
            },
            "records": await answer(request, lambda: logs.count(wanted)),
        }

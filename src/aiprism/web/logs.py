"""Log records over our own API: searched, counted, followed, taken away in bulk.

Every door takes the same search: `query` in Lucene's syntax beside `service`, `level`, `trace_id` and `q` (part of the line).
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from aiprism.clock import Clock
from aiprism.model.logs import LogRecord
from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import condition
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.logs import Cursor, LogSearch, LogStore
from aiprism.web.explore import SECONDS, Answering, End, InArchive, Limit, Start, answering, range_of
from aiprism.web.turns import Turns

MOST_EXPORTED = 1_000_000  # records of one export
_EXPORT_PAGE = 5_000
_BUCKETS = 60
# Of a tail: how often it looks, how late records may come, how many are told at a time, when it says that it is there.
_LOOK, _LATE, _AT_ONCE, _HEARTBEAT = 0.4, 30.0, 500, 15.0
_COLUMNS = ("time", "level", "service", "body", "trace_id", "span_id", "attributes", "resource")


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


def router(
    engine: Engine,
    clock: Clock,
    archive: Archive | None = None,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
) -> APIRouter:
    """GET logs, logs/histogram, logs/facets, logs/context, logs/patterns, logs/export, logs/tail below /aiprism/v1. An answer
    may take so many seconds, and ends when its client hangs up."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["logs"])
    logs = LogStore(engine, archive)
    answer = answering(turns or Turns(engine), seconds)

    _serve_records(routes, clock, logs, answer)
    _serve_counts(routes, clock, logs, answer)

    @routes.get("/logs/export", summary="Every record that fits, as a file", response_class=StreamingResponse)
    async def export(
        asked: Wanted,
        format: Annotated[Literal["ndjson", "csv", "parquet"], Query()] = "ndjson",  # noqa: A002 - its name in the URL
        limit: Annotated[int, Query(ge=1, le=MOST_EXPORTED)] = 100_000,
    ) -> StreamingResponse:
        kind, written = _FORMATS[format]
        pages = _pages(engine, logs, replace(asked.at(clock), limit=min(limit, _EXPORT_PAGE)), limit)
        headers = {"Content-Disposition": f'attachment; filename="logs.{format}"'}
        return StreamingResponse(written(pages), media_type=kind, headers=headers)

    @routes.get(
        "/logs/tail", summary="Records as they come in, as server-sent events", response_class=StreamingResponse
    )
    async def tail(asked: Wanted) -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_tail(engine, clock, logs, asked), media_type="text/event-stream", headers=headers)

    return routes


def _serve_records(routes: APIRouter, clock: Clock, logs: LogStore, answer: Answering[Any]) -> None:
    @routes.get("/logs", summary="Log records, newest first, page by page")
    async def search(
        request: Request,
        asked: Wanted,
        limit: Limit = 100,
        order: Literal["newest", "oldest"] = "newest",
        cursor: Annotated[str, Query(description="`cursor` of the page before")] = "",
    ) -> dict[str, Any]:
        after = Cursor.of(cursor) if cursor else None
        wanted = replace(asked.at(clock), limit=limit, oldest_first=order == "oldest", after=after)
        page = await answer(request, lambda: logs.page(wanted))
        return {"logs": [asdict(each) for each in page.records], "cursor": str(page.after) if page.after else None}

    @routes.get("/logs/context", summary="The records of a service before and after a moment")
    async def context(
        request: Request,
        ts_ns: Annotated[int, Query(ge=0, lt=2**63, description="`ts_ns` of a record")],
        service: str = "",
        lines: Annotated[int, Query(ge=1, le=500)] = 10,
    ) -> dict[str, Any]:
        before, later = await answer(request, lambda: logs.around(ts_ns, service, lines))
        return {"before": [asdict(each) for each in before], "from": [asdict(each) for each in later]}


def _serve_counts(routes: APIRouter, clock: Clock, logs: LogStore, answer: Answering[Any]) -> None:
    @routes.get("/logs/histogram", summary="Records that fit, by time and level")
    async def histogram(
        request: Request,
        asked: Wanted,
        step: Annotated[float, Query(ge=0, description="seconds; 0: a 60th of the range, rounded")] = 0,
    ) -> dict[str, Any]:
        wanted = asked.at(clock)
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
        wanted = replace(asked.at(clock), limit=limit)
        told = await answer(request, lambda: {name: logs.facet(wanted, name) for name in field})
        return {
            "facets": {
                name: [{"value": value, "records": records} for value, records in values]
                for name, values in told.items()
            },
            "records": await answer(request, lambda: logs.count(wanted)),
        }

    @routes.get("/logs/patterns", summary="Patterns of the log lines, most frequent first")
    async def log_patterns(
        request: Request, start: Start = None, end: End = None, service: str = "", limit: Limit = 100
    ) -> dict[str, Any]:
        span = range_of(clock, start, end)
        found = await answer(request, lambda: logs.patterns(span, service=service, limit=limit))
        return {"patterns": [asdict(each) for each in found]}


def nice_step(seconds: float) -> float:
    """The next step that people count in.

    >>> nice_step(61), nice_step(0.3), nice_step(4000)
    (120, 1, 7200)
    """
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
    return next((step for step in steps if step >= seconds), -(-seconds // 86_400) * 86_400)


# -- taken away --------------------------------------------------------------------------------------------------------

Pages = AsyncIterator[Sequence[LogRecord]]


async def _pages(engine: Engine, logs: LogStore, wanted: LogSearch, limit: int) -> Pages:
    while limit > 0:
        page = await engine.run(logs.page, replace(wanted, limit=min(wanted.limit, limit)))
        yield page.records
        if page.after is None:
            return
        limit -= len(page.records)
        wanted = replace(wanted, after=page.after)


def _row(record: LogRecord) -> dict[str, Any]:
    seconds, rest = divmod(record.ts_ns, 10**9)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
    return {"time": time, **{name: value for name, value in asdict(record).items() if name in _COLUMNS}}


async def _as_ndjson(pages: Pages) -> AsyncIterator[bytes]:
    async for records in pages:
        yield "".join(json.dumps(_row(each), ensure_ascii=False) + "\n" for each in records).encode()


async def _as_csv(pages: Pages) -> AsyncIterator[bytes]:
    yield (",".join(_COLUMNS) + "\r\n").encode()
    async for records in pages:
        text = io.StringIO()
        csv.writer(text).writerows(_cells(_row(each)) for each in records)
        yield text.getvalue().encode()


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = (row[name] for name in _COLUMNS)
    return [cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells]


_TEXTS = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [("time", pa.timestamp("ns", "UTC"))]
    + [(name, _TEXTS if name in ("attributes", "resource") else pa.string()) for name in _COLUMNS[1:]]
)


async def _as_parquet(pages: Pages) -> AsyncIterator[bytes]:
    sink = _Sink()
    with pq.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer:
        async for records in pages:
            rows = [_row(each) | {"time": each.ts_ns} for each in records]
            columns = {
                name: [list(row[name].items()) if isinstance(row[name], dict) else row[name] for row in rows]
                for name in _COLUMNS
            }
            writer.write_table(pa.table(columns, schema=_SCHEMA))
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What a writer appends to, and a sender takes from its front."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + len(self._waiting)

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        some = bytes(self._waiting)
        self._taken += len(some)
        self._waiting.clear()
        return some


_FORMATS: Mapping[str, tuple[str, Callable[[Pages], AsyncIterator[bytes]]]] = {
    "ndjson": ("application/x-ndjson", _as_ndjson),
    "csv": ("text/csv; charset=utf-8", _as_csv),
    "parquet": ("application/vnd.apache.parquet", _as_parquet),
}


# -- followed ----------------------------------------------------------------------------------------------------------


async def _tail(engine: Engine, clock: Clock, logs: LogStore, asked: Asked) -> AsyncIterator[bytes]:
    """Records that fit, as they become visible: one event each, oldest first. `dropped` says that there were more.

    Those that are there already are told from `start` on, when the request names one.
    """
    wanted = replace(asked.at(clock), limit=_AT_ONCE + 1)
    told: Counter[tuple[object, ...]] = Counter()
    first = clock.now() - _LATE if asked.start is None else asked.start
    silent, heard = asked.start is None, clock.now()
    yield b": following\n\n"
    while True:
        now = clock.now()
        recent = replace(wanted, span=TimeRange(min(first, now), now + _LATE))
        fresh, told = unseen(await engine.run(logs.search, recent), told)
        first = now - _LATE
        if not silent:
            for event in _events(fresh):
                heard = now
                yield event
        if now - heard >= _HEARTBEAT:
            heard = now
            yield b": still here\n\n"
        silent = False
        await clock.sleep(_LOOK)


def _events(fresh: Sequence[LogRecord]) -> Iterator[bytes]:
    if len(fresh) > _AT_ONCE:
        yield f'event: dropped\ndata: {{"why": "more than {_AT_ONCE} records at once; narrow the search"}}\n\n'.encode()
    for record in reversed(fresh[:_AT_ONCE]):
        yield f"event: log\ndata: {json.dumps(asdict(record), ensure_ascii=False)}\n\n".encode()


def unseen(
    records: Sequence[LogRecord], told: Counter[tuple[object, ...]]
) -> tuple[list[LogRecord], Counter[tuple[object, ...]]]:
    """The records that were not told before, and all that now were. Equal records are as many as there are."""
    now: Counter[tuple[object, ...]] = Counter()
    fresh = []
    for record in records:
        key = (record.ts_ns, record.service, record.body, record.span_id)
        now[key] += 1
        if now[key] > told[key]:
            fresh.append(record)
    return fresh, now

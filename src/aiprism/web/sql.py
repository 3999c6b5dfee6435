"""SQL over HTTP, read-only: what there is to ask, and the answer to one query. Decode, call, encode; `store.sqlanswer` decides."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.config import QueryConfig
from aiprism.errors import BadInput, Forbidden
from aiprism.store import sqlanswer, sqlcatalogue
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.store.sqlfunctions import named
from aiprism.web.prometheus import sent
from aiprism.web.turns import Turns

STAGE = "query.sql"
_HOUR = 3600.0
_POINTS = 120  # of a range when no step is asked for
_LAST = 4_102_444_800.0  # 2100


class Wanted(BaseModel):
    """One query; `{from:DateTime64}`, `{to:DateTime64}` and `{step:UInt32}` in it are the times beside it, in Unix seconds."""

    query: str = Field(max_length=100_000, description="one SELECT, EXPLAIN SELECT, DESCRIBE or SHOW TABLES")
    start: float | None = Field(default=None, alias="from", ge=0, le=_LAST, description="an hour before `to`")
    end: float | None = Field(default=None, alias="to", ge=0, le=_LAST, description="now")
    step: float | None = Field(default=None, gt=0, le=_LAST, description="seconds; a 120th of the range")
    limit: int | None = Field(default=None, ge=1, description="most rows; query.sql_rows at most")


def router(engine: Engine, clock: Clock, turns: Turns, config: QueryConfig) -> APIRouter:
    """GET and POST /aiprism/v1/sql."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["queries"])
    # Half of the turns at most: ClickHouse cannot end a function that is at work, and dashboards are not to wait for it.
    places = asyncio.Semaphore(max(1, config.concurrency // 2))

    @routes.get("/sql", summary="Tables, columns, functions and limits of SQL, and queries to begin with")
    async def there_is() -> dict[str, Any]:
        _check_on(config)
        found = await engine.run(sqlcatalogue.tables, engine)
        return {
            "tables": [asdict(each) for each in found],
            "functions": named(),
            "examples": [asdict(each) for each in sqlcatalogue.EXAMPLES],
            "limits": {
                "rows": config.sql_rows,
                "read_rows": config.sql_read_rows,
                "memory_bytes": config.sql_memory_bytes,
                "seconds": config.sql_timeout,
            },
        }

    @routes.post("/sql", summary="The answer to one read-only query in ClickHouse's SQL", response_class=JSONResponse)
    async def ask(wanted: Wanted, request: Request) -> Response:
        _check_on(config)
        asked = _asked(wanted, clock.now())
        limits = sqlanswer.Limits(
            min(wanted.limit or config.sql_rows, config.sql_rows), config.sql_read_rows, config.sql_memory_bytes
        )

        def told(question: Question) -> bytes:  # beside the event loop: an answer may have a million values
            return orjson.dumps(_told(sqlanswer.answer(engine, asked, limits), limits))

        body = await turns.answer(request, told, config.sql_timeout, stage=STAGE, among=places)
        return await sent(request, body)

    return routes


def _told(found: sqlanswer.Found, limits: sqlanswer.Limits) -> dict[str, Any]:
    return {
        "columns": [{"name": name, "type": kind} for name, kind in zip(found.names, found.types, strict=True)],
        "rows": found.rows,
        "truncated": found.cut,
        "limit": limits.rows,
        "seconds": round(found.seconds, 6),
        "sql": found.sql,
    }


def _check_on(config: QueryConfig) -> None:
    if not config.sql:
        raise Forbidden("SQL is switched off here (query.sql)")


def _asked(wanted: Wanted, now: float) -> sqlanswer.Asked:
    end = now if wanted.end is None else wanted.end
    start = max(0.0, end - _HOUR) if wanted.start is None else wanted.start
    if start >= end:
        raise BadInput("the range is empty: `from` is not before `to`")
    step = wanted.step or max(1.0, round((end - start) / _POINTS))
    return sqlanswer.Asked(wanted.query, start, end, step)

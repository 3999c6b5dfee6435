"""Traces over our own API; logs are in `logs`, services in `services`."""

from __future__ import annotations

from fastapi import APIRouter

from aiprism.clock import Clock
from aiprism.query import saved
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.logs import LogStore
from aiprism.store.spans import SpanStore
from aiprism.web.asking import SECONDS, answering
from aiprism.web.traces import serve_traces
from aiprism.web.turns import Turns


def router(
    engine: Engine,
    clock: Clock,
    archive: Archive | None = None,
    *,
    turns: Turns | None = None,
    seconds: float = SECONDS,
    find: saved.Find = lambda name: None,
) -> APIRouter:
    """GET what `traces` serves below /aiprism/v1. An answer may take so many seconds, and ends when its client hangs up;
    `find` is asked for saved searches."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["explore"])
    spans, logs = SpanStore(engine, archive), LogStore(engine, archive)
    serve_traces(routes, engine, clock, spans, logs, answering(turns or Turns(engine), seconds), find)
    return routes

"""Maintenance windows and what is held back, over HTTP. Decode, call, encode; `respond` decides."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.respond.known import alert_fingerprint
from aiprism.respond.matcher import parsed
from aiprism.respond.mute import held, holding
from aiprism.respond.mute.held import Held
from aiprism.respond.mute.maintenance import described, window
from aiprism.respond.responder import Responder


class Wanted(BaseModel):
    """The window somebody asks for. Without `start` it begins now."""

    name: str = Field(min_length=1, max_length=200)
    matchers: list[str] = Field(min_length=1, max_length=100)
    start: str = ""
    end: str = ""
    duration: str = ""
    recurrence: str = Field(default="", max_length=500)
    zone: str = "UTC"
    comment: str = Field(default="", max_length=10_000)
    author: str = Field(default="", max_length=200)


State = Literal["held", "past"]


def router(responder: Responder, clock: Clock, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> APIRouter:
    """The routes under /aiprism/v1/maintenance, and /aiprism/v1/suppressed."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["maintenance"])

    @routes.get("/maintenance", summary="Maintenance windows: of maintenance.yml, and those that people asked for")
    async def listed() -> dict[str, Any]:
        return {"windows": await asyncio.to_thread(_windows, responder, clock.now())}

    @routes.post("/maintenance", status_code=201, summary="Plan maintenance")
    async def put(wanted: Wanted) -> dict[str, object]:
        # A recurrence is tried out, which may take a moment.
        asked = await asyncio.to_thread(
            window,
            wanted.name,
            tuple(each for text in wanted.matchers for each in parsed(text)),
            wanted.start or datetime.fromtimestamp(clock.now(), UTC).isoformat(),
            **wanted.model_dump(include={"end", "duration", "recurrence", "zone", "comment", "author"}),
            id=new_id(),
        )
        kept = await asyncio.to_thread(responder.pipeline.put_window, asked)
        return described(kept, clock.now())

    @routes.delete("/maintenance/{window_id}", summary="End a maintenance window now, by id or name")
    async def end(window_id: str) -> dict[str, object]:
        ended = await asyncio.to_thread(responder.pipeline.end_window, window_id)
        return described(ended, clock.now())

    @routes.get("/suppressed", summary="Notifications that nobody gets, or got, with the stage that holds them")
    async def suppressed(
        state: State = "held", stage: str = "", receiver: str = "", limit: int = Query(1000, ge=1, le=10_000)
    ) -> dict[str, Any]:
        found = await asyncio.to_thread(_suppressed, responder, state, stage, receiver, limit)
        return {"suppressed": [_held(each) for each in found]}

    return routes


def _windows(responder: Responder, now: float) -> list[dict[str, object]]:
    with responder.records.reading() as connection:
        found = holding.windows(connection, responder.policy.planned)
    return [described(each, now) for each in found]


def _suppressed(responder: Responder, state: State, stage: str, receiver: str, limit: int) -> list[Held]:
    with responder.records.reading() as connection:
        if state == "past":
            return held.past(connection, stage=stage, receiver=receiver, limit=limit)
        found = held.current(connection, responder.pipeline.holding(connection))
    return [each for each in found if stage in ("", each.stage) and receiver in ("", each.receiver)][:limit]


def _held(each: Held) -> dict[str, Any]:
    return {
        "alert": each.labels.get("alertname", ""),
        "labels": each.labels.to_dict(),
        "fingerprint": alert_fingerprint(each.labels),
        "receiver": each.receiver,
        "route": each.route,
        "stage": each.stage,
        "reason": each.reason,
        "since": each.since,
        "until": each.until,
    }

"""Runbooks over HTTP: which there are, how they do, which would run. Decode, call, encode; `respond.shelf` tells."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from aiprism.clock import Clock
from aiprism.model.alerts import Priority
from aiprism.respond import runbook, shelf
from aiprism.respond.responder import Responder


class Question(BaseModel):
    """An alert that might fire."""

    labels: dict[str, str] = Field(min_length=1, max_length=100)
    priority: Literal["P0", "P1", "P2", "P3"] | None = None


def router(responder: Responder, clock: Clock) -> APIRouter:
    """The routes under /aiprism/v1/runbooks."""
    routes = APIRouter(prefix="/aiprism/v1/runbooks", tags=["runbooks"])

    @routes.get("", summary="Every runbook: what it answers, its last runs, how many of 30 days succeeded")
    async def listed() -> dict[str, Any]:
        def look() -> list[dict[str, Any]]:
            with responder.records.reading() as connection:
                return shelf.listed(connection, responder.policy, clock.now())

        return {"runbooks": await asyncio.to_thread(look)}

    @routes.get("/schema", summary="JSON Schema of runbook files, for editors")
    async def schema() -> dict[str, Any]:
        return dict(runbook.SCHEMA)

    @routes.post("/test", summary="Which runbooks an alert with these labels calls for; nothing runs")
    async def test(question: Question) -> dict[str, Any]:
        priority = Priority(question.priority) if question.priority else None
        return shelf.rehearsed(responder.policy, question.labels, priority, clock.now())

    @routes.get("/{name}", summary="One runbook: match, guards, steps, verification, last runs")
    async def one(name: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            with responder.records.reading() as connection:
                return shelf.one(connection, responder.policy, name, clock.now())

        return await asyncio.to_thread(look)

    return routes

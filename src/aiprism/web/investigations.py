"""Investigations of incidents over HTTP: read, and asked for. Decode, call, encode."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from aiprism.learn.investigations import Investigations


class Asking(BaseModel):
    """Who wants it to be investigated again."""

    model_config = ConfigDict(extra="forbid")

    actor: str = Field(min_length=1, max_length=200)


def router(investigations: Investigations) -> APIRouter:
    """The routes under /aiprism/v1/incidents/{id}."""
    routes = APIRouter(prefix="/aiprism/v1/incidents/{incident_id}", tags=["incidents"])

    @routes.get("/investigation", summary="What an investigation found: the last one, or that of a number")
    async def one(incident_id: str, number: int | None = Query(None, ge=1)) -> dict[str, Any]:
        return await asyncio.to_thread(investigations.read, incident_id, number)

    @routes.post("/investigation", status_code=202, summary="Have the incident investigated again")
    async def ask(incident_id: str, asking: Asking) -> dict[str, Any]:
        number = await asyncio.to_thread(investigations.ask, incident_id, asking.actor)
        return {"incident_id": incident_id, "number": number, "state": "waiting"}

    return routes

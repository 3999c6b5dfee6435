"""Backups over our own API: the running server takes them, because no second process may enter its data directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from aiprism.errors import Conflict
from aiprism.store.backup import Manifest


class BackupRequest(BaseModel):
    """Where to: a directory of the machine the server runs on, or s3://bucket/prefix; new or empty."""

    directory: str = Field(min_length=1, max_length=4096)


def router(take: Callable[[str], Manifest], known: Callable[..., Any]) -> APIRouter:
    """POST backup below /aiprism/v1, for whoever is `known`; one at a time."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["storage"])
    busy = asyncio.Lock()

    @routes.post("/backup", dependencies=[Depends(known)], summary="Back everything up into a new directory or bucket")
    async def backup(request: BackupRequest) -> dict[str, Any]:
        if busy.locked():
            raise Conflict("a backup is under way; wait until it is done")
        async with busy:
            return asdict(await asyncio.to_thread(take, request.directory))

    return routes

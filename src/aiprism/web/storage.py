"""What is stored, over our own API: tables, their retention, and how far housekeeping has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from aiprism.store import retention, usage
from aiprism.store.archive import Archive
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping


def router(engine: Engine, housekeeping: Housekeeping, archive: Archive | None) -> APIRouter:
    """GET storage and archive below /aiprism/v1."""
    routes = APIRouter(prefix="/aiprism/v1", tags=["storage"])

    @routes.get("/storage", summary="Rows, bytes, compression, times and retention of every table")
    async def storage(partitions: bool = False) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            found, kept = usage.partitions(engine), retention.rules(housekeeping.config)
            tables = [
                {**asdict(each), "retention_seconds": kept[each.table].seconds if each.table in kept else None}
                for each in usage.by_table(found)
            ]
            answer: dict[str, Any] = {
                "database": engine.database,
                "free_bytes": housekeeping.free_bytes(),
                "tables": tables,
                "housekeeping": dict(usage.Marks(engine).all()),
            }
            if partitions:
                answer["partitions"] = [asdict(each) for each in found]
            return answer

        return await engine.run(read)

    @routes.get("/archive", summary="The days of logs and traces in the archive")
    async def archived(table: str = "") -> dict[str, Any]:
        found = await engine.run(archive.listed, table) if archive else []
        return {"archive": [asdict(each) for each in found]}

    return routes

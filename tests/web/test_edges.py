"""The service map over our API, as the documentation shows it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from aiprism.clock import FakeClock
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from aiprism.web import routes, services
from tests.store.test_edges import AT, Sent, drain, store

PAGE = (
    (Path(__file__).parents[2] / "docs" / "service-map.md").read_text(encoding="utf-8").partition("## Edges alone")[2]
)


def answer(engine: Engine, path: str) -> httpx.Response:
    async def nothing() -> None:
        return None

    async def run() -> httpx.Response:
        app = routes.build([services.router(engine, FakeClock(AT + 600))], Telemetry(), checks={}, reload=nothing)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(run())


def test_the_example_of_the_documentation_is_what_is_answered(engine: Engine) -> None:
    database = {"db.system.name": "postgresql", "server.address": "db"}
    for trace, failed in ((1, False), (2, True)):
        store(engine, Sent(1, "gateway", "client", trace=trace))
        store(engine, Sent(2, "orders", "server", parent=1, trace=trace, failed=failed))
    store(engine, Sent(3, "orders", "client", parent=2, attributes=database))
    drain(EdgeJoin(engine).advance(AT + 600))
    path = PAGE.partition("http://127.0.0.1:9090")[2].partition("'")[0]
    assert answer(engine, path).json() == json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    [first, _] = answer(engine, "/aiprism/v1/services/edges").json()["edges"]
    assert (first["caller"], first["calls"]) == ("gateway", 2)
    assert answer(engine, "/aiprism/v1/services/edges?limit=1").json()["is_whole"] is False


def test_a_step_that_is_no_whole_minute_is_refused(engine: Engine) -> None:
    refused = answer(engine, "/aiprism/v1/services/edges?step=90")
    assert (refused.status_code, "step" in refused.text) == (400, True)
    assert answer(engine, "/aiprism/v1/services/edges?start=5&end=1").status_code == 400

"""The topology is there at once, as last seen; a look that fails leaves it as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiprism.clock import FakeClock
from aiprism.learn.survey import EVERY, STAGE, Survey
from aiprism.services import Catalogue, Service
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from tests.store.test_edges import AT, Sent, drain, store

NOW = AT + 600.0


def calls(engine: Engine, callee: str, *, at: float = 0.0, first: int = 1) -> None:
    """Twenty calls of it by web."""
    for trace in range(first, first + 20):
        store(
            engine,
            Sent(1, "web", "client", trace=trace, at=at),
            Sent(2, callee, "server", parent=1, trace=trace, at=at),
        )


def test_before_the_first_look_it_is_what_is_declared(engine: Engine) -> None:
    known = Catalogue([Service("shop", dependencies=("db",)), Service("db")])
    survey = Survey(engine, lambda: known, FakeClock(NOW))
    assert (survey.related("shop", "db"), survey.related("web", "shop")) == (True, False)
    assert list(survey.latest.edges) == [("shop", "db")]


def test_another_catalogue_holds_at_once(engine: Engine) -> None:
    calls(engine, "shop-v2")
    drain(EdgeJoin(engine).advance(NOW))
    known = [Catalogue()]
    survey = Survey(engine, lambda: known[0], FakeClock(NOW))
    before = survey.refresh()
    assert set(before.nodes) == {"web", "shop-v2"}
    assert survey.refresh() is before  # nothing is new
    known[0] = Catalogue([Service("shop", aliases=("shop-v2",))])
    assert (set(survey.latest.nodes), survey.latest.version) == ({"web", "shop"}, before.version + 1)
    assert survey.related("web", "shop-v2")


def test_it_is_looked_again_and_again_whatever_happens(engine: Engine) -> None:
    clock, telemetry = FakeClock(NOW), Telemetry()
    survey = Survey(engine, Catalogue, clock, telemetry)

    def looked() -> float:
        return float(telemetry.registry.get_sample_value("aiprism_items_passed_total", {"stage": STAGE}) or 0)

    def failed() -> float:
        labels = {"stage": STAGE, "reason": "failed"}
        return float(telemetry.registry.get_sample_value("aiprism_items_dropped_total", labels) or 0)

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                await clock.advance(EVERY / 4)
                await asyncio.sleep(0.01)

    async def run() -> None:
        await survey.start()
        await until(lambda: looked() >= 1)
        calls(engine, "shop")
        drain(EdgeJoin(engine).advance(NOW))
        engine.command("RENAME TABLE service_edges_1m TO hidden")
        try:
            await until(lambda: failed() >= 1)
        finally:
            engine.command("RENAME TABLE hidden TO service_edges_1m")
        before = looked()
        await until(lambda: looked() > before + 1)
        assert survey.related("web", "shop")
        await survey.stop()

    asyncio.run(run())

"""The clock that tests set by hand."""

from __future__ import annotations

import asyncio

from aiprism.clock import FakeClock


def test_who_was_cancelled_sleeps_no_longer():
    async def told() -> tuple[int, int]:
        clock = FakeClock()
        sleepers = [asyncio.create_task(clock.sleep(seconds)) for seconds in (5, 15)]
        await asyncio.sleep(0)
        before = clock.sleeping
        sleepers[0].cancel()
        await asyncio.gather(sleepers[0], return_exceptions=True)
        after = clock.sleeping
        await clock.advance(15)
        await sleepers[1]
        return before, after

    assert asyncio.run(told()) == (2, 1)

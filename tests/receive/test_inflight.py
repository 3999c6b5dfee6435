"""The memory of all requests under way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.errors import Unavailable
from aiprism.receive.inflight import InFlight
from aiprism.telemetry import Telemetry


def test_what_is_over_the_budget_is_refused_by_name_and_may_come_again() -> None:
    budget = InFlight(100, Telemetry())
    with budget.lease() as one, budget.lease() as two:
        one.grow(80)
        with pytest.raises(Unavailable, match=r"80 bytes, over 100 \(ingest\.in_flight_bytes\)") as refused:
            two.grow(30)
        assert refused.value.retry_after
        two.grow(20)
    with budget.lease() as three:
        three.grow(100)
    assert budget.held == 0


def test_a_request_alone_is_let_in_however_large() -> None:
    budget = InFlight(100, Telemetry())
    with budget.lease() as large:
        large.grow(60)
        large.grow(60)
        with budget.lease() as small, pytest.raises(Unavailable):
            small.grow(1)


def test_a_request_that_fails_gives_everything_back() -> None:
    budget = InFlight(100, Telemetry())

    def fails() -> None:
        with budget.lease() as lease:
            lease.grow(50)
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        fails()
    assert budget.held == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-60, 90)), max_size=80))
def test_several_requests_never_hold_more_than_the_budget(steps: list[tuple[int, int]]) -> None:
    budget = InFlight(100, Telemetry())
    leases = [next(budget.lease().gen) for _ in range(5)]
    for at, size in steps:
        if size < 0:
            leases[at].shrink(min(-size, leases[at].size))
            continue
        try:
            leases[at].grow(size)
        except Unavailable:
            continue
        alone = sum(bool(lease.size) for lease in leases) == 1
        assert budget.held == sum(lease.size for lease in leases)
        assert budget.held <= 100 or alone


def test_who_waits_for_room_gets_it_or_is_told_after_its_patience() -> None:
    async def run() -> None:
        clock, budget = FakeClock(), InFlight(100, Telemetry())
        with budget.lease() as one, budget.lease() as two:
            one.grow(80)
            waiting = asyncio.create_task(two.grow_patiently(30, clock, 10))
            await clock.advance(0)
            await clock.advance(5)
            assert not waiting.done()
            one.shrink(20)
            await clock.advance(1)
            assert waiting.done()
            assert (two.size, budget.held) == (30, 90)
            waiting = asyncio.create_task(two.grow_patiently(20, clock, 10))
            await clock.advance(0)
            await clock.advance(11)
            with pytest.raises(Unavailable):
                await waiting
            assert (two.size, budget.held) == (30, 90)

    asyncio.run(run())

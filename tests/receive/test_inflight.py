"""The memory of all requests under way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.errors import TooLarge, Unavailable
from aiprism.receive.inflight import InFlight
from aiprism.telemetry import Telemetry
from tests.web.test_agents import counts


def test_what_is_over_the_budget_is_refused_by_name_and_may_come_again() -> None:
    budget = InFlight(100, Telemetry())
    with budget.lease() as one, budget.lease() as two:
        one.grow(50)
        two.grow(30)
        with budget.lease() as three:
            with pytest.raises(Unavailable, match=r"80 bytes, over 100 \(ingest\.in_flight_bytes\)") as refused:
                three.grow(30)
            assert refused.value.retry_after
            three.grow(20)
    assert budget.held == 0


def test_a_request_that_needs_more_than_half_of_it_is_refused_for_good_and_told_how_much_it_needs() -> None:
    telemetry = Telemetry()
    budget = InFlight(100, telemetry)
    with budget.lease() as large:
        large.grow(40)
        with pytest.raises(TooLarge, match=r"needs 51 bytes.*over 50.*ingest\.in_flight_bytes") as refused:
            large.grow(11)
        assert refused.value.retry_after is None
        assert refused.value.details == {"limit": "ingest.in_flight_bytes", "needed": 51}
        assert budget.held == 40
    assert counts(telemetry, "receive.in_flight")["dropped"] == {"share": 1.0}


def test_connections_of_stream_protocols_have_a_quarter_together_and_requests_the_rest() -> None:
    budget = InFlight(100, Telemetry())
    streams = budget.of_streams()
    with streams.lease() as one, streams.lease() as two, budget.lease() as request, budget.lease() as other:
        one.grow(20)
        one.grow(10)
        with pytest.raises(Unavailable, match=r"stream protocols hold 30 bytes, over 25 \(a quarter of ingest\."):
            two.grow(1)
        request.grow(40)
        with pytest.raises(Unavailable, match=r"requests under way hold 70 bytes, over 100 \(ingest\."):
            other.grow(31)
        other.grow(30)
        with pytest.raises(Unavailable, match=r"requests under way hold 100 bytes, over 100 \(ingest\."):
            one.grow(1)
        one.shrink(15)
        two.grow(10)
        assert (streams.held, budget.held) == (25, 95)
    assert (streams.held, budget.held) == (0, 0)


def test_of_messages_that_each_hold_a_part_one_may_go_on_over_the_quarter_and_then_the_next() -> None:
    budget = InFlight(100, Telemetry())
    streams = budget.of_streams()
    with streams.lease() as one, streams.lease() as two, streams.lease() as three:
        for each in (one, two, three):
            each.grow(8)
        two.grow(42)
        for each in (one, three):
            with pytest.raises(Unavailable, match="stream protocols"):
                each.grow(8)
        with pytest.raises(TooLarge):
            two.grow(1)
        two.shrink(1)  # still over the quarter, so still ahead
        with pytest.raises(Unavailable):
            one.grow(8)
        two.shrink(49)
        three.grow(10)
        with pytest.raises(Unavailable):
            one.grow(8)


def test_who_was_ahead_and_found_no_room_among_requests_leaves_the_way_to_the_next() -> None:
    budget = InFlight(100, Telemetry())
    streams = budget.of_streams()
    with budget.lease() as request, budget.lease() as other:
        request.grow(50)
        other.grow(50)
        with streams.lease() as one, pytest.raises(Unavailable, match="requests"):
            one.grow(30)
        other.shrink(40)
        with streams.lease() as two:
            two.grow(40)


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
    streams = budget.of_streams()
    leases = [next(each.lease().gen) for each in (budget, budget, streams, streams, streams)]
    for at, size in steps:
        if size < 0:
            leases[at].shrink(min(-size, leases[at].size))
            continue
        try:
            leases[at].grow(size)
        except (Unavailable, TooLarge):
            continue
        assert budget.held == sum(lease.size for lease in leases) <= 100
        assert streams.held == sum(lease.size for lease in leases[2:])
        assert streams.held - max(lease.size for lease in leases[2:]) <= 25
        assert max(lease.size for lease in leases) <= 50


def test_who_waits_for_room_gets_it_or_is_told_after_its_patience() -> None:
    async def run() -> None:
        clock, budget = FakeClock(), InFlight(100, Telemetry())
        with budget.lease() as one, budget.lease() as two, budget.lease() as three:
            one.grow(40)
            three.grow(40)
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
            with pytest.raises(TooLarge):
                await two.grow_patiently(21, clock, 10)
            assert (two.size, budget.held) == (30, 90)

    asyncio.run(run())

"""How much a tenant may send."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.config import LimitsConfig
from aiprism.errors import TooLarge, TooMany
from aiprism.receive.limits import Admission, Bucket
from aiprism.telemetry import Telemetry

# What arrives and when: (seconds since the one before, amount), times now and then going back.
ARRIVALS = st.lists(st.tuples(st.floats(-5, 60), st.integers(0, 500)), max_size=60)


@given(rate=st.floats(0.1, 1000), burst=st.floats(1, 1000), arrivals=ARRIVALS)
def test_a_bucket_never_lets_more_through_than_its_burst_and_its_rate(
    rate: float, burst: float, arrivals: list[tuple[float, int]]
) -> None:
    bucket, now, latest, admitted = Bucket.full(rate, burst, 0.0), 0.0, 0.0, 0
    for pause, amount in arrivals:
        now += pause
        latest = max(latest, now)
        after = bucket.taken(amount, now)
        if after:
            bucket, admitted = after, admitted + amount
        assert admitted <= burst + rate * latest + 1e-6


@given(rate=st.floats(0.1, 1000), burst=st.floats(1, 1000), arrivals=ARRIVALS, amount=st.integers(1, 1000))
def test_after_the_wait_it_names_the_bucket_gives(
    rate: float, burst: float, arrivals: list[tuple[float, int]], amount: int
) -> None:
    bucket, now = Bucket.full(rate, burst, 0.0), 0.0
    for pause, much in arrivals:
        now += pause
        bucket = bucket.taken(much, now) or bucket
    if amount <= burst:
        assert bucket.taken(amount, max(now, bucket.at) + bucket.wait(amount, max(now, bucket.at)) + 1e-3)


@given(rate=st.floats(0.1, 1000), steps=st.lists(st.floats(0, 10), max_size=30))
def test_looking_often_fills_a_bucket_no_faster(rate: float, steps: list[float]) -> None:
    often, now = replace(Bucket.full(rate, 1e9, 0.0), level=0.0), 0.0
    once = often
    for step in steps:
        now += step
        often = often.filled(now)
    assert often.level == pytest.approx(once.filled(now).level)


def admission(clock: FakeClock, **limits: Any) -> tuple[Admission, Telemetry]:
    telemetry = Telemetry()
    return Admission("acme", LimitsConfig(**{"burst": 2.0, **limits}), clock, telemetry), telemetry


@pytest.mark.parametrize(
    ("signal", "setting"),
    [
        ("spans", "spans_per_second"),
        ("logs", "log_records_per_second"),
        ("samples", "samples_per_second"),
    ],
)
def test_a_rate_is_refused_by_name_with_tenant_and_wait(signal: str, setting: str) -> None:
    clock = FakeClock()
    door, telemetry = admission(clock, **{setting: 100})
    let_in = getattr(door, signal)
    let_in(200, 1)  # the burst
    with pytest.raises(TooMany, match=rf"'acme' is over its limit of 100 .* \(limits\.{setting}\)") as refused:
        let_in(50, 1)
    assert refused.value.retry_after == pytest.approx(0.5)
    assert refused.value.details == {"limit": f"limits.{setting}", "tenant": "acme"}
    assert telemetry.flow() == [{"stage": "receive.admission", "passed": 0.0, "dropped": {setting: 50.0}}]
    asyncio.run(clock.advance(0.5))
    let_in(50, 1)


def test_bytes_count_over_all_signals() -> None:
    door, _ = admission(FakeClock(), bytes_per_second=100)
    door.spans(1, 120)
    with pytest.raises(TooMany, match=r"limits\.bytes_per_second"):
        door.logs(1, 81)
    door.samples(1, 80)


def test_what_one_bucket_refuses_is_not_taken_from_the_other() -> None:
    door, _ = admission(FakeClock(), bytes_per_second=100, spans_per_second=10)
    with pytest.raises(TooLarge):
        door.spans(20, 300)
    door.spans(20, 200)


def test_more_at_once_than_ever_fits_is_too_large() -> None:
    door, _ = admission(FakeClock(), spans_per_second=10)
    with pytest.raises(TooLarge, match=r"21 at once.*limits\.spans_per_second, limits\.burst.*smaller batches"):
        door.spans(21, 1)


def test_new_series_are_counted_by_the_minute() -> None:
    clock = FakeClock()
    door, _ = admission(clock, new_series_per_minute=60)
    assert door.new_series(60) == (60, None)
    some, refusal = door.new_series(1)
    assert some == 0
    assert refusal is not None
    assert refusal.retry_after == pytest.approx(1.0)
    assert "60 new metric series a minute" in str(refusal)
    asyncio.run(clock.advance(1))
    assert door.new_series(1) == (1, None)


def test_of_more_new_series_than_there_is_room_for_the_first_come_in_and_the_others_are_counted() -> None:
    clock = FakeClock()
    door, telemetry = admission(clock, new_series_per_minute=60)
    some, refusal = door.new_series(100)
    assert some == 60
    assert refusal is not None
    assert refusal.retry_after == pytest.approx(40.0)
    assert refusal.details == {"limit": "limits.new_series_per_minute", "tenant": "acme"}
    assert telemetry.flow()[0]["dropped"] == {"new_series_per_minute": 40.0}


def test_a_limit_of_zero_is_none() -> None:
    door, _ = admission(FakeClock(), spans_per_second=0, bytes_per_second=0, new_series_per_minute=0)
    door.spans(10**12, 10**15)
    assert door.new_series(10**9) == (10**9, None)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wall_clock_that_jumps_neither_fills_nor_empties_a_bucket(hours: int) -> None:
    clock = FakeClock()
    door, _ = admission(clock, spans_per_second=10)
    door.spans(20, 1)
    clock.jump(hours * 3600)
    with pytest.raises(TooMany):
        door.spans(1, 1)
    asyncio.run(clock.advance(0.2))
    door.spans(1, 1)

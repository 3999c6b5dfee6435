"""Answers out of downsampled metrics, beside those of the samples: the same where they are exchanged, near where the
samples are gone."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig
from aiprism.model.labels import Labels
from aiprism.model.samples import STALE_NAN
from aiprism.query.promql import Limits, PromQL
from aiprism.query.promql.account import Account
from aiprism.query.promql.values import Matrix, Vector
from aiprism.store.downsample import Downsampling
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.rollups import Rollups
from aiprism.store.samples import SampleStore
from aiprism.telemetry import Telemetry
from tests.query.promql.stocked import Points, Stocked

HOUR, DAY = 3600, 86_400
START = 1_699_920_000  # 2023-11-14T00:00:00Z
HOURS = 60
END = START + HOURS * HOUR


def counter(chance: random.Random, resets: float = 0.001, gaps: float = 0.0) -> Points:
    value, points, silent = chance.uniform(0, 1e5), [], 0
    for at in range(START * 1000 + chance.randrange(1, 15_000), END * 1000, 15_000):
        value = chance.uniform(0, 5) if chance.random() < resets else value + chance.expovariate(0.1)
        if silent == 0 and chance.random() < gaps:
            silent = chance.randrange(10, 600)
            points.append((at, STALE_NAN))
            continue
        silent = max(0, silent - 1)
        if not silent:
            points.append((at, value))
    return points


def gauge(chance: random.Random, gaps: float = 0.0) -> Points:
    points = [(at, 20 + 10 * math.sin(at / 1e6) + chance.gauss(0, 2)) for at, _ in counter(chance, 0, gaps)]
    return [(at, math.nan if chance.random() < 0.0005 else value) for at, value in points]


class World:
    """The same series read raw (`sent`) and through the rollups (`rolled`)."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.clock = engine, FakeClock(END + 1200)
        self.stocked = Stocked.on(engine, Limits(lookback=300))
        self.rollups, self.telemetry = Rollups(engine, self.clock.now), Telemetry()
        self.downsampling = Downsampling(engine, self.rollups, settle=0)

    def add(self, name: str, *series: Points) -> None:
        self.stocked.add(
            (Labels({"__name__": name, "number": str(number)}), points) for number, points in enumerate(series)
        )

    def downsample(self) -> None:
        for _ in (*self.downsampling.advance(self.clock.now()), *self.downsampling.redo()):
            pass

    @property
    def sent(self) -> PromQL:
        return self.stocked.promql

    @property
    def rolled(self) -> PromQL:
        return PromQL(SampleStore(self.engine, self.stocked.index, self.rollups), Limits(lookback=300))

    def forget_the_samples(self) -> None:
        """As if they had grown older than `retention.metrics`."""
        config = replace(RetentionConfig(), metrics=10 * DAY)
        clock = FakeClock(END + 60 * DAY)
        keeping = Housekeeping(
            self.engine, config, clock, self.telemetry, rollups=self.rollups, free_bytes=lambda: 10**12, settle=0
        )
        keeping.run_once()
        assert self.engine.query("SELECT count() FROM samples") == [(0,)]


def filled(engine: Engine) -> World:
    made, chance = World(engine), random.Random(7)
    made.add("requests_total", *(counter(chance) for _ in range(4)))
    made.add("pauses_total", *(counter(chance, 0.003, 0.002) for _ in range(4)))
    made.add("temperature", *(gauge(chance, gaps) for gaps in (0, 0, 0.003)))
    made.downsample()
    return made


@pytest.fixture
def world(engine: Engine) -> World:
    """A world that a test may change."""
    return filled(engine)


@pytest.fixture(scope="module")
def still(lasting_engine: Engine) -> World:
    """A world that nobody changes."""
    return filled(lasting_engine)


def tables(world: World, text: str, *times: float) -> str:
    """What a query was read from."""
    start, end, step = times if len(times) == 3 else (times[0], times[0], 0.0)
    return world.rolled.explain(text, start, end, step).partition("reads ")[2]


def as_numbers(value: Matrix | Vector) -> dict[str, dict[int, float]]:
    if isinstance(value, Vector):
        return {str(item.labels): {0: item.value} for item in value.items}
    return {
        str(each.labels): dict(zip(each.ts_ms.tolist(), each.values.tolist(), strict=True)) for each in value.series
    }


def same(one: Matrix | Vector, other: Matrix | Vector, *, within: float = 1e-9) -> None:
    left, right = as_numbers(one), as_numbers(other)
    assert left.keys() == right.keys()
    for labels, values in left.items():
        assert values.keys() == right[labels].keys(), labels
        np.testing.assert_allclose(list(values.values()), list(right[labels].values()), rtol=within, atol=1e-9)


EXACT = [
    "sum_over_time(temperature[{w}])",
    "avg_over_time(temperature[{w}])",
    "min_over_time(temperature[{w}])",
    "max_over_time(temperature[{w}])",
    "count_over_time(pauses_total[{w}])",
    "last_over_time(temperature[{w}])",
    "first_over_time(requests_total[{w}])",
    "temperature",
    "timestamp(pauses_total)",
    "rate(requests_total[{w}])",
    "increase(requests_total[{w}])",
    "sum(rate(requests_total[{w}]))",
]


@pytest.mark.parametrize("text", EXACT)
@pytest.mark.parametrize(("window", "step", "table"), [("1h", 300, "samples_5m"), ("12h", HOUR, "samples_1h")])
def test_whole_buckets_answer_a_range_as_the_samples_do(still: World, text: str, window: str, step: int, table: str):
    asked = text.format(w=window)
    start, end = START + 13 * HOUR, END - HOUR
    assert table in tables(still, asked, start, end, step)
    rolled, sent = Account(), Account()
    same(
        still.rolled.range(asked, start, end, step, account=rolled),
        still.sent.range(asked, start, end, step, account=sent),
    )
    if not text.startswith("first"):  # its buckets are read as if they were samples
        assert rolled.samples_per_step.tolist() == sent.samples_per_step.tolist()


@pytest.mark.parametrize("text", EXACT)
def test_one_long_window_with_ragged_ends_answers_as_the_samples_do(still: World, text: str):
    asked, at = text.format(w="33h17m"), END - 1234.567
    if "{w}" in text:
        assert tables(still, asked, at).strip() == "samples + samples_1h + samples"
    same(still.rolled.instant(asked, at), still.sent.instant(asked, at))  # type: ignore[arg-type]


@pytest.mark.parametrize(("window", "step"), [("1h", 300), ("12h", HOUR)])
def test_where_a_counter_pauses_only_the_extrapolation_differs(still: World, window: str, step: int):
    """In windows that are covered by samples to three quarters, by 5 % at most."""
    span = (START + 13 * HOUR, END - HOUR, step)
    asked, coverage = f"increase(pauses_total[{window}])", f"count_over_time(pauses_total[{window}]) * 15 / {step * 12}"
    rolled, sent = (as_numbers(each.range(asked, *span)) for each in (still.rolled, still.sent))
    covered = as_numbers(still.sent.range(coverage, *span))
    errors = np.array([
        abs(rolled[labels][at] / value - 1)
        for labels, values in sent.items()
        for at, value in values.items()
        if covered[labels.replace("pauses_total", "")][at] > 0.75
    ])  # fmt: skip
    assert len(errors) > 10
    assert errors.max() < 0.05
    assert np.median(errors) < 0.02


def test_recent_hours_come_from_the_samples(world: World):
    world.clock = FakeClock(END + 2 * HOUR)
    end = END + 2 * HOUR
    world.add("requests_total", [(at * 1000 + 1, 7.0) for at in range(END, end, 15)])
    found = as_numbers(world.rolled.range("sum(temperature)", START + HOUR, end, HOUR))
    assert found == as_numbers(world.sent.range("sum(temperature)", START + HOUR, end, HOUR))
    assert "samples_1h + samples" in tables(world, "requests_total", START + HOUR, end, HOUR)
    same(*(each.range("requests_total", START + HOUR, end, HOUR) for each in (world.rolled, world.sent)))


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("rate(requests_total[5m])", 300),
        ("temperature", 60),
        ("sum_over_time(temperature[7m])", 300),
        ("deriv(temperature[2h])", 300),
    ],
)
def test_what_buckets_cannot_answer_exactly_is_read_from_the_samples(still: World, text: str, step: int):
    assert tables(still, text, START + 2 * HOUR, END, step).strip() == "samples"


def test_once_the_samples_are_gone_the_buckets_answer(world: World):
    cases = [
        ("temperature", 60, 0.5), ("rate(requests_total[5m])", 300, 0.05), ("rate(requests_total[17m])", 60, 0.30),
        ("avg_over_time(temperature[30m])", 300, 1e-9), ("quantile_over_time(0.5, temperature[2h])", 300, 0.5),
        ("increase(requests_total[1d])", HOUR, 1e-9), ("max_over_time(temperature[1d])", HOUR, 1e-9),
    ]  # fmt: skip
    start, end = START + 25 * HOUR, END - HOUR
    sent = {text: as_numbers(world.sent.range(text, start, end, step)) for text, step, _ in cases}
    world.forget_the_samples()
    for text, step, within in cases:
        rolled = as_numbers(world.rolled.range(text, start, end, step))
        assert "samples_" in tables(world, text, start, end, step)
        assert rolled.keys() == sent[text].keys(), text
        steady = [labels for labels in rolled if 'number="2"' not in labels or "temperature" not in text]
        for labels in steady:
            ours = np.array([rolled[labels].get(at, math.nan) for at in sent[text][labels]])
            theirs = np.array(list(sent[text][labels].values()))
            known = ~np.isnan(ours) & ~np.isnan(theirs)
            assert known.sum() > 0.95 * (~np.isnan(theirs)).sum(), text
            assert np.median(np.abs(ours[known] - theirs[known]) / np.abs(theirs[known])) < within, text


def test_a_late_sample_is_in_the_buckets_after_the_next_run(world: World):
    late = [((START + 30 * HOUR + 61) * 1000, 1e9), ((START + 31 * HOUR) * 1000, 2e9)]
    world.add("temperature", late)
    asked, span = "max_over_time(temperature[1h])", (START + 29 * HOUR, START + 54 * HOUR, HOUR)
    assert max(as_numbers(world.rolled.range(asked, *span))['{number="0"}'].values()) < 100
    assert world.engine.query("SELECT count() FROM samples_late FINAL")[0][0] > 0
    world.downsample()
    same(world.rolled.range(asked, *span), world.sent.range(asked, *span))
    assert world.engine.query("SELECT count() FROM samples_late") == [(0,)]


@pytest.mark.parametrize("slices", [0, 1, 2, 5])
def test_work_that_was_broken_off_is_done_again_and_counts_nothing_twice(engine: Engine, slices: int):
    world, chance = World(engine), random.Random(3)
    world.add("temperature", gauge(chance))
    world.add("requests_total", counter(chance))
    for number, _ in enumerate(world.downsampling.advance(world.clock.now())):
        if number == slices:
            break
    again = World(engine)
    again.stocked.index = world.stocked.index
    again.downsample()
    asked, span = "count_over_time(requests_total[12h])", (START + 12 * HOUR, END - HOUR, HOUR)
    assert "samples_1h" in tables(again, asked, *span)
    same(again.rolled.range(asked, *span), world.sent.range(asked, *span))


def test_buckets_are_kept_when_samples_come_for_a_time_whose_samples_are_gone(world: World):
    span = (START + 25 * HOUR, END - HOUR, HOUR)
    before = as_numbers(world.rolled.range("max_over_time(temperature[1d])", *span))
    world.forget_the_samples()
    world.add("temperature", [((START + 30 * HOUR + 61) * 1000, 1e9)])
    world.downsample()
    assert as_numbers(world.rolled.range("max_over_time(temperature[1d])", *span)) == before


def test_what_was_read_is_counted(engine: Engine):
    telemetry = Telemetry()
    rollups = Rollups(engine, lambda: 0.0, telemetry)
    rollups.source("rate", START * 1000, 1, 1, 1000)
    assert 'passed_total{stage="query.samples"} 1.0' in telemetry.exposition().decode()


def test_samples_of_scattered_years_are_downsampled_without_walking_the_years_between(engine: Engine):
    world = World(engine)
    points: list[Sequence[tuple[int, float]]] = [[(year * 365 * DAY * 1000 + 5, float(year))] for year in (10, 20, 50)]
    world.add("rare", *points)
    world.downsample()
    assert engine.query("SELECT count(), sum(count), sum(last) FROM samples_1h FINAL") == [(3, 3, 80.0)]

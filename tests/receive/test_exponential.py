"""Exponential histograms: no count is lost by making them coarser, adding them up or storing them natively."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from aiprism.errors import BadInput
from aiprism.model.histograms import Buckets, NativeHistogram
from aiprism.receive.exponential import Exponential, added, custom_buckets, native, of_point, rescaled

COUNTS = st.dictionaries(st.integers(-300, 300), st.integers(1, 1000), max_size=12)


@st.composite
def histograms(draw: st.DrawFn) -> Exponential:
    positive, negative, zeros = draw(COUNTS), draw(COUNTS), draw(st.integers(0, 5))
    return Exponential(
        scale=draw(st.integers(0, 8)),
        count=zeros + sum(positive.values()) + sum(negative.values()),
        sum=draw(st.floats(-1e6, 1e6)),
        zero_threshold=draw(st.sampled_from([0.0, 1e-6, 0.3, 5.0])),
        zero_count=zeros,
        positive=positive,
        negative=negative,
    )


def total(one: Exponential) -> int:
    return one.zero_count + sum(one.positive.values()) + sum(one.negative.values())


def point(**fields: Any) -> ExponentialHistogramDataPoint:
    made = ExponentialHistogramDataPoint(**fields)
    made.positive.offset, made.positive.bucket_counts[:] = -1, [1, 0, 2]
    made.negative.offset, made.negative.bucket_counts[:] = 3, [4]
    return made


def test_a_point_becomes_a_native_histogram() -> None:
    one = of_point(point(scale=3, count=9, sum=7.5, zero_count=2, zero_threshold=1e-9))
    assert native(one) == NativeHistogram(
        schema=3,
        count=9,
        sum=7.5,
        zero_threshold=1e-9,
        zero_count=2,
        positive=Buckets((0,), (3,), (1, 0, 2)),  # an index of ours is one more than OpenTelemetry's
        negative=Buckets((4,), (1,), (4,)),
    )


def test_finer_scales_than_eight_are_joined() -> None:
    one = of_point(point(scale=10, count=7, sum=7.5))
    assert (one.scale, one.positive, one.negative) == (8, {-1: 1, 0: 2}, {0: 4})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"scale": -5, "count": 7}, "no native form"),
        ({"scale": 0, "count": 8}, "buckets hold 7"),
        ({"scale": 0, "count": 7, "zero_threshold": -1.0}, "zero_threshold"),
        ({"scale": 0, "count": 7, "zero_threshold": math.nan}, "zero_threshold"),
    ],
)
def test_a_point_that_cannot_be_true_is_refused_in_words(fields: dict[str, float], reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        of_point(point(**fields))


def test_buckets_without_end_are_refused_before_they_are_counted() -> None:
    sent = ExponentialHistogramDataPoint(count=0)
    sent.positive.bucket_counts.extend([0] * 10_001)
    with pytest.raises(BadInput, match="10001 buckets on one side"):
        of_point(sent)


@pytest.mark.parametrize(("scale", "offset"), [(0, 5000), (8, 2**31 - 1), (-4, 64), (0, -1100)])
def test_a_bucket_beyond_all_numbers_is_refused(scale: int, offset: int) -> None:
    made = ExponentialHistogramDataPoint(scale=scale, count=1)
    made.positive.offset, made.positive.bucket_counts[:] = offset, [1]
    with pytest.raises(BadInput, match="no number can be in"):
        of_point(made)


def test_a_sum_that_was_not_sent_is_unknown() -> None:
    assert math.isnan(of_point(point(scale=0, count=7)).sum)


@given(histograms(), st.integers(0, 6))
def test_coarser_buckets_hold_the_same_counts(one: Exponential, steps: int) -> None:
    coarse = rescaled(one, one.scale - steps)
    assert total(coarse) == total(one)
    assert coarse == rescaled(rescaled(one, one.scale - steps // 2), one.scale - steps)


@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=20), st.integers(-4, 7))
def test_joined_buckets_are_those_the_values_fall_in(values: list[float], scale: int) -> None:
    def index(value: float, of: int) -> int:
        return math.ceil(math.log2(value) * 2.0**of) - 1

    fine: dict[int, int] = {}
    for value in values:
        fine[index(value, 12)] = fine.get(index(value, 12), 0) + 1
    one = rescaled(Exponential(12, len(values), 0.0, 0.0, 0, fine, {}), scale)
    for value in values:
        # a value that is a bound of the fine scale may be one off by the rounding of log2
        assert {index(value, scale) - 1, index(value, scale), index(value, scale) + 1} & set(one.positive)


@given(histograms(), histograms())
def test_adding_keeps_every_count_and_does_not_care_for_order(one: Exponential, other: Exponential) -> None:
    both = added(one, other)
    assert total(both) == both.count == one.count + other.count
    assert both == added(other, one)
    assert both.scale <= min(one.scale, other.scale)
    assert both.zero_threshold >= max(one.zero_threshold, other.zero_threshold)


@given(histograms(), histograms(), histograms())
def test_buckets_below_the_zero_threshold_are_in_the_zero_bucket(
    one: Exponential, other: Exponential, third: Exponential
) -> None:
    both = added(added(one, other), third)
    lowest = [math.ldexp(index, -both.scale) for index in (*both.positive, *both.negative)]
    assert all(2.0**each >= both.zero_threshold for each in lowest)


def test_sums_of_deltas_stay_small() -> None:
    one = Exponential(8, 600, 0.0, 0.0, 0, dict.fromkeys(range(600), 1), {})
    both = added(one, one)
    assert (both.scale, len(both.positive), both.count) == (7, 300, 1200)


@given(histograms())
def test_native_buckets_are_the_same_buckets(one: Exponential) -> None:
    made = native(one)
    for side, counts in ((made.positive, one.positive), (made.negative, one.negative)):
        held = dict(zip(side.indices(), side.counts, strict=True))
        assert {index: count for index, count in held.items() if count} == {
            index + 1: count for index, count in counts.items()
        }


def test_explicit_bounds_become_custom_buckets() -> None:
    made = custom_buckets((1.0, 5.0), (1, 0, 3), 4, 17.0)
    held = dict(zip(made.positive.indices(), made.positive.counts, strict=True))
    assert (made.schema, made.custom_values, held) == (-53, (1.0, 5.0), {0: 1, 1: 0, 2: 3})
    assert bisect_left(made.custom_values, 3.0) == 1

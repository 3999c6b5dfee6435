"""OpenTelemetry's exponential histograms: read from a data point, added up, and made native histograms of Prometheus.

Both kinds divide numbers into buckets whose bounds grow by a factor of ``2**(2**-scale)``; OpenTelemetry's bucket i ends
at ``base**(i + 1)``, Prometheus' at ``base**i``. Prometheus knows scales (schemas) -4 to 8 only: finer ones are made
coarser by joining neighbours, which keeps every count; coarser ones cannot be made finer and are refused.
Sources: OpenTelemetry metrics data model, "ExponentialHistogram"; Prometheus documentation, "Native Histograms".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiprism.errors import BadInput
from aiprism.model.histograms import (
    CUSTOM_BUCKETS,
    LARGEST_SCHEMA,
    SMALLEST_SCHEMA,
    Buckets,
    NativeHistogram,
    ResetHint,
)

# Sums of deltas grow in range; past this many buckets a side they get coarser, as the SDKs do at 160.
MOST_BUCKETS = 320
# More than any SDK sends of one point (160 by default).
MOST_SENT = 10_000
# Empty buckets between two others are written out when they are no more than this: cheaper than a run of their own.
_SMALL_GAP = 2

Counts = Mapping[int, int]  # bucket index as OpenTelemetry counts it → how many; no zeros


@dataclass(frozen=True, slots=True)
class Exponential:
    """One exponential histogram. `sum` is NaN when the sender gave none."""

    scale: int
    count: int
    sum: float
    zero_threshold: float
    zero_count: int
    positive: Counts
    negative: Counts


def of_point(point: Any) -> Exponential:
    """What an ExponentialHistogramDataPoint says, of scale 8 or coarser; BadInput says what is wrong with it."""
    if point.scale < SMALLEST_SCHEMA:
        raise BadInput(
            f"exponential histogram of scale {point.scale}; buckets coarser than scale {SMALLEST_SCHEMA} have no native form"
        )
    if (most := max(len(point.positive.bucket_counts), len(point.negative.bucket_counts))) > MOST_SENT:
        raise BadInput(f"exponential histogram with {most} buckets on one side; at most {MOST_SENT} are taken")
    read = Exponential(
        scale=point.scale,
        count=point.count,
        sum=point.sum if point.HasField("sum") else math.nan,
        zero_threshold=point.zero_threshold,
        zero_count=point.zero_count,
        positive=_counts(point.positive.offset, point.positive.bucket_counts),
        negative=_counts(point.negative.offset, point.negative.bucket_counts),
    )
    if not 0 <= read.zero_threshold < math.inf:
        raise BadInput(f"exponential histogram whose zero_threshold is {read.zero_threshold}")
    total = read.zero_count + sum(read.positive.values()) + sum(read.negative.values())
    if total != read.count:
        raise BadInput(f"exponential histogram whose buckets hold {total} and whose count is {read.count}")
    coarse = rescaled(read, min(read.scale, LARGEST_SCHEMA))
    for index in (*_edges(coarse.positive), *_edges(coarse.negative)):
        if not _within_doubles(index, coarse.scale):
            raise BadInput(
                f"exponential histogram with a bucket that no number can be in (index {index} at scale {coarse.scale})"
            )
    return coarse


def rescaled(one: Exponential, scale: int) -> Exponential:
    """`one` with the coarser buckets of `scale`: 2**n neighbours become one, no count is lost."""
    steps = one.scale - scale
    if steps == 0:
        return one
    return replace(
        one,
        scale=scale,
        positive=_joined((index >> steps, count) for index, count in one.positive.items()),
        negative=_joined((index >> steps, count) for index, count in one.negative.items()),
    )


def added(one: Exponential, other: Exponential) -> Exponential:
    """Both together: the coarser scale, the wider zero bucket, and coarser still if there are more than MOST_BUCKETS."""
    scale = min(one.scale, other.scale)
    one, other = _with_one_zero_bucket(rescaled(one, scale), rescaled(other, scale))
    both = Exponential(
        scale=scale,
        count=one.count + other.count,
        sum=one.sum + other.sum,
        zero_threshold=one.zero_threshold,
        zero_count=one.zero_count + other.zero_count,
        positive=_joined(other.positive.items(), one.positive),
        negative=_joined(other.negative.items(), one.negative),
    )
    while both.scale > SMALLEST_SCHEMA and max(len(both.positive), len(both.negative)) > MOST_BUCKETS:
        both = rescaled(both, both.scale - 1)
    return both


def native(one: Exponential, hint: ResetHint = ResetHint.UNKNOWN) -> NativeHistogram:
    """`one` as Prometheus stores it."""
    return NativeHistogram(
        schema=one.scale,
        count=float(one.count),
        sum=one.sum,
        zero_threshold=one.zero_threshold,
        zero_count=float(one.zero_count),
        positive=_runs(one.positive, 1),
        negative=_runs(one.negative, 1),
        reset_hint=hint,
    )


def custom_buckets(bounds: tuple[float, ...], counts: Iterable[float], count: float, total: float) -> NativeHistogram:
    """A histogram of explicit bounds (ascending, finite) as a native one with custom buckets."""
    held = {index: each for index, each in enumerate(counts) if each}
    return NativeHistogram(
        schema=CUSTOM_BUCKETS, count=float(count), sum=total, positive=_runs(held, 0), custom_values=bounds
    )


def _counts(offset: int, counts: Iterable[int]) -> dict[int, int]:
    return {index: count for index, count in enumerate(counts, offset) if count}


def _joined(pairs: Iterable[tuple[int, int]], others: Counts | None = None) -> dict[int, int]:
    counts = dict(others or {})
    for index, count in pairs:
        counts[index] = counts.get(index, 0) + count
    return counts


def _with_one_zero_bucket(one: Exponential, other: Exponential) -> tuple[Exponential, Exponential]:
    """Both (of one scale) with the same zero threshold, at which none of their buckets is cut in two."""
    threshold, before = max(one.zero_threshold, other.zero_threshold), -1.0
    lowest = [min(side) for each in (one, other) for side in (each.positive, each.negative) if side]
    if one.zero_threshold == other.zero_threshold and (not lowest or _bound(min(lowest), one.scale) >= threshold):
        return one, other  # as nearly always
    while threshold != before:
        before = threshold
        for index in (*one.positive, *one.negative, *other.positive, *other.negative):
            if _bound(index, one.scale) < threshold < _bound(index + 1, one.scale):
                threshold = _bound(index + 1, one.scale)
    return _zeroed(one, threshold), _zeroed(other, threshold)


def _zeroed(one: Exponential, threshold: float) -> Exponential:
    """`one` with everything up to `threshold` in its zero bucket."""
    positive = {index: count for index, count in one.positive.items() if _bound(index, one.scale) >= threshold}
    negative = {index: count for index, count in one.negative.items() if _bound(index, one.scale) >= threshold}
    zero_count = one.count - sum(positive.values()) - sum(negative.values())
    return replace(one, zero_threshold=threshold, zero_count=zero_count, positive=positive, negative=negative)


def _bound(index: int, scale: int) -> float:
    """The lower bound of a bucket."""
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf


def _edges(counts: Mapping[int, float]) -> tuple[int, ...]:
    """The lowest and the highest bucket, if there are any."""
    return (min(counts), max(counts)) if counts else ()


def _within_doubles(index: int, scale: int) -> bool:
    return -1076 <= math.ldexp(index, -scale) < 1024


def _runs(counts: Mapping[int, float], shift: int) -> Buckets:
    """`counts` as runs of neighbouring buckets, every index moved by `shift`."""
    first, last = _edges(counts) or (0, -1)
    if counts and last - first + 1 == len(counts):  # without a gap, as nearly always
        every = map(counts.__getitem__, range(first, last + 1))
        return Buckets((first + shift,), (len(counts),), tuple(map(float, every)))
    offsets: list[int] = []
    lengths: list[int] = []
    values: list[float] = []
    end = 0
    for index in sorted(counts):
        gap = index + shift - end
        if lengths and gap <= _SMALL_GAP:
            values += [0.0] * gap
            lengths[-1] += gap + 1
        else:
            offsets.append(gap)
            lengths.append(1)
        values.append(float(counts[index]))
        end = index + shift + 1
    return Buckets(tuple(offsets), tuple(lengths), tuple(values))

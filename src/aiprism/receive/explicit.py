"""OpenTelemetry's histograms of explicit bounds: read from a data point, added up, and written as Prometheus buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add
from typing import Any

from aiprism.errors import BadInput
from aiprism.model.histograms import NativeHistogram
from aiprism.receive.exponential import custom_buckets

MOST_BOUNDS = 1000


@dataclass(frozen=True, slots=True)
class Explicit:
    """One histogram: `counts` of each bucket alone, one more than the finite `bounds`; `sum` is None when none was sent."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    count: int
    sum: float | None

    def cumulative(self) -> list[float]:
        """What Prometheus stores: buckets up to each bound and to +Inf, count, and the sum if there is one."""
        inner = accumulate(self.counts[:-1])
        return [*inner, self.count, self.count] + ([] if self.sum is None else [self.sum])


def bounds_of(point: Any) -> tuple[float, ...]:
    """The finite bounds of a HistogramDataPoint; BadInput when they do not ascend."""
    if len(point.explicit_bounds) > MOST_BOUNDS:
        raise BadInput(
            f"histogram point with {len(point.explicit_bounds)} explicit_bounds, each of which would be a series; "
            f"at most {MOST_BOUNDS} are taken"
        )
    bounds = tuple(point.explicit_bounds)
    if not point.bucket_counts:  # only a stale point has bounds without counts
        return bounds if point.flags & 1 else ()
    if len(point.bucket_counts) != len(bounds) + 1:
        raise BadInput(
            f"histogram point with {len(point.bucket_counts)} bucket_counts that do not fit its {len(bounds)} explicit_bounds"
        )
    if any(not low < high for low, high in pairwise((-math.inf, *bounds))):
        raise BadInput("histogram point whose explicit_bounds do not ascend")
    return bounds[:-1] if bounds and bounds[-1] == math.inf else bounds


def of_point(point: Any, bounds: tuple[float, ...]) -> Explicit:
    """What a HistogramDataPoint whose `bounds_of` are `bounds` says; BadInput when its counts do not fit."""
    counts = tuple(point.bucket_counts) or (point.count,)
    if (
        len(counts) == len(bounds) + 2
    ):  # the last bound was +Inf: the bucket beyond it can hold nothing but belongs here
        counts = (*counts[:-2], counts[-2] + counts[-1])
    if point.bucket_counts and sum(counts) != point.count:
        raise BadInput(f"histogram point whose buckets hold {sum(counts)} and whose count is {point.count}")
    return Explicit(bounds, counts, point.count, point.sum if point.HasField("sum") else None)


def added(one: Explicit, other: Explicit) -> Explicit:
    """Both together, of the same bounds."""
    return Explicit(
        one.bounds,
        tuple(map(add, one.counts, other.counts)),
        one.count + other.count,
        None if one.sum is None or other.sum is None else one.sum + other.sum,
    )


def nothing(one: Explicit) -> Explicit:
    """`one` before anything was counted."""
    return Explicit(one.bounds, (0,) * len(one.counts), 0, None if one.sum is None else 0.0)


def native(one: Explicit) -> NativeHistogram:
    """`one` as a native histogram with custom buckets."""
    total = math.nan if one.sum is None else one.sum
    return custom_buckets(one.bounds, one.counts, one.count, total)

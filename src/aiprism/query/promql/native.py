"""Native histograms as values of expressions: arithmetic, counter resets, buckets, quantiles.

In: histograms as they are stored. Out: histograms, or numbers taken of them. A histogram holds its populated buckets by
index, so those of different layouts meet index by index; of two resolutions the lower one counts, and of two zero
buckets the wider one. Nothing here knows of series or steps.
Source: Prometheus documentation, "Native Histograms" (prometheus.io/docs/specs/native_histograms).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from aiprism.model.histograms import CUSTOM_BUCKETS, Buckets, NativeHistogram, ResetHint
from aiprism.query.promql.notes import MIXED_SCHEMAS, Doubt, collided, reconciled
from aiprism.query.promql.numbers import exposition_text

_GREATEST = math.ldexp(1.0, 1023) * (2.0 - 2.0**-52)
_LAST_EXPONENT = 1024

Counts = Mapping[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """One histogram: counts of its populated buckets by their index (see `Buckets`), of either side of zero."""

    schema: int
    count: float
    sum: float
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Counts = field(default_factory=dict)
    negative: Counts = field(default_factory=dict)
    bounds: tuple[float, ...] = ()  # of custom buckets, the last one (+Inf) not listed
    hint: ResetHint = ResetHint.UNKNOWN

    @classmethod
    def of(cls, stored: NativeHistogram) -> Histogram:
        """What is stored, as a value."""
        return cls(
            stored.schema,
            stored.count,
            stored.sum,
            stored.zero_threshold,
            stored.zero_count,
            _populated(stored.positive),
            _populated(stored.negative),
            stored.custom_values,
            stored.reset_hint,
        )

    @property
    def custom(self) -> bool:
        """True when the bounds of its buckets are listed."""
        return self.schema == CUSTOM_BUCKETS

    def hinted(self, hint: ResetHint) -> Histogram:
        """The same with another hint."""
        return self if self.hint is hint else replace(self, hint=hint)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A populated bucket and which of its bounds belong to it."""

    lower: float
    upper: float
    count: float
    lower_inclusive: bool
    upper_inclusive: bool


def buckets(of: Histogram) -> list[Bucket]:
    """The populated buckets, ascending. A bucket that reaches into the zero bucket begins where that ends."""
    if of.custom:
        return [
            Bucket(custom_bound(of.bounds, at - 1), custom_bound(of.bounds, at), count, at == 0, True)
            for at, count in sorted(of.positive.items())
        ]
    edge = of.zero_threshold
    found = []
    for at, count in sorted(of.negative.items(), reverse=True):
        lower, upper = -bound(at, of.schema), -bound(at - 1, of.schema)
        found.append(Bucket(lower, min(upper, -edge), count, True, False))
    if of.zero_count > 0:
        found.append(Bucket(-edge, edge, of.zero_count, True, True))
    for at, count in sorted(of.positive.items()):
        lower, upper = bound(at - 1, of.schema), bound(at, of.schema)
        found.append(Bucket(max(lower, edge), upper, count, False, True))
    return found


def bound(index: int, schema: int) -> float:
    """The upper bound of the positive bucket `index`: ``2**(index * 2**-schema)``.

    >>> bound(0, 3), bound(1, 0), bound(-1, -1), bound(2, 1)
    (1.0, 2.0, 0.25, 2.0)
    """
    if schema < 0:
        exponent, fraction = index << -schema, 1.0
        if exponent == _LAST_EXPONENT:
            return _GREATEST
    else:
        exponent, fraction = index >> schema, _fractions(schema)[index & ((1 << schema) - 1)] * 2.0
        if exponent == _LAST_EXPONENT and fraction == 1.0:
            return _GREATEST
    try:
        return math.ldexp(fraction, exponent)
    except OverflowError:
        return math.inf


def text(of: Histogram) -> str:
    """The histogram in one line, as Prometheus writes it where a value must be a text.

    >>> text(Histogram(0, 3.0, 4.5, 0.5, 1.0, {1: 2.0}))
    '{count:3, sum:4.5, [-0.5,0.5]:1, (1,2]:2}'
    """
    parts = [f"count:{exposition_text(of.count)}", f"sum:{exposition_text(of.sum)}"]
    for each in buckets(of):
        ends = "[" if each.lower_inclusive else "(", "]" if each.upper_inclusive else ")"
        lower, upper = exposition_text(each.lower), exposition_text(each.upper)
        parts.append(f"{ends[0]}{lower},{upper}{ends[1]}:{exposition_text(each.count)}")
    return f"{{{', '.join(parts)}}}"


# -- arithmetic ----------------------------------------------------------------------------------------------------------


def added(one: Histogram, other: Histogram) -> Histogram | None:
    """One plus the other; None when one has custom buckets and the other has not."""
    return _combined(one, other, 1.0)


def subtracted(one: Histogram, other: Histogram) -> Histogram | None:
    """One minus the other, a gauge; None when one has custom buckets and the other has not."""
    found = _combined(one, other, -1.0)
    return None if found is None else found.hinted(ResetHint.GAUGE)


def multiplied(of: Histogram, factor: float) -> Histogram:
    """Every count and the sum, times a number; a gauge when that is negative."""
    return replace(
        of,
        count=of.count * factor,
        sum=of.sum * factor,
        zero_count=of.zero_count * factor,
        positive=_each(of.positive, factor),
        negative=_each(of.negative, factor),
        hint=ResetHint.GAUGE if factor < 0 else of.hint,
    )


def divided(of: Histogram, by: float) -> Histogram:
    """Every count and the sum, divided by a number; divided by zero there are no buckets."""
    positive, negative = ({}, {}) if by == 0 else (_divided(of.positive, by), _divided(of.negative, by))
    return replace(
        of,
        count=_quotient(of.count, by),
        sum=_quotient(of.sum, by),
        zero_count=_quotient(of.zero_count, by),
        positive=positive,
        negative=negative,
        hint=ResetHint.GAUGE if by < 0 else of.hint,
    )


def summed(run: Sequence[Histogram]) -> Histogram | None:
    """All of them (at least one) added up; None when some have custom buckets and others have not."""
    total: Histogram | None = run[0]
    for each in run[1:]:
        total = None if total is None else added(total, each)
    return total


def averaged(run: Sequence[Histogram]) -> Histogram | None:
    """As `summed`, divided by how many there are."""
    total = summed(run)
    return None if total is None else divided(total, len(run))


def doubts(run: Sequence[Histogram], during: str) -> list[Doubt]:
    """What there is to say when they are added up, or one is subtracted from another."""
    if len({each.custom for each in run}) > 1:
        return [MIXED_SCHEMAS]
    found = [reconciled(during)] if len({each.bounds for each in run}) > 1 else []
    hints = {each.hint for each in run}
    return [*found, collided(during)] if ResetHint.YES in hints and ResetHint.NO in hints else found


def equal(one: Histogram, other: Histogram) -> bool:
    """The same layout and the same numbers; a NaN is equal to a NaN."""
    return (
        (one.schema, one.zero_threshold, one.bounds) == (other.schema, other.zero_threshold, other.bounds)
        and _same(one.count, other.count)
        and _same(one.sum, other.sum)
        and _same(one.zero_count, other.zero_count)
        and one.positive == other.positive
        and one.negative == other.negative
    )


def was_reset(now: Histogram, before: Histogram) -> bool:
    """True when the counter began anew between `before` and `now`: it says so, or something of it fell."""
    if now.hint in (ResetHint.YES, ResetHint.NO):
        return now.hint is ResetHint.YES
    if now.count < before.count or now.custom != before.custom:
        return True
    if now.custom:
        now, before = _with_common_bounds(now, before)
        return _any_fell(now.positive, before.positive)
    if now.schema > before.schema or now.zero_threshold < before.zero_threshold:
        return True
    before = _reduced(before, now.schema)
    widened = _widened(before, now.zero_threshold)
    return (
        widened.zero_threshold != now.zero_threshold
        or now.zero_count < widened.zero_count
        or _any_fell(now.positive, widened.positive)
        or _any_fell(now.negative, widened.negative)
    )


def _combined(one: Histogram, other: Histogram, sign: float) -> Histogram | None:
    if one.custom != other.custom:
        return None
    if one.custom:
        one, other = _with_common_bounds(one, other)
    else:
        schema = min(one.schema, other.schema)
        one, other = _reduced(one, schema), _reduced(other, schema)
        while one.zero_threshold != other.zero_threshold:  # each may find that it must reach further
            one, other = _widened(one, other.zero_threshold), _widened(other, one.zero_threshold)
    return replace(
        one,
        count=one.count + sign * other.count,
        sum=one.sum + sign * other.sum,
        zero_count=one.zero_count + sign * other.zero_count,
        positive=_summed(one.positive, other.positive, sign),
        negative=_summed(one.negative, other.negative, sign),
        hint=_hint_of_both(one.hint, other.hint),
    )


def _hint_of_both(one: ResetHint, other: ResetHint) -> ResetHint:
    if ResetHint.GAUGE in (one, other):
        return ResetHint.GAUGE
    return one if one is other else ResetHint.UNKNOWN


def _reduced(of: Histogram, schema: int) -> Histogram:
    """At a lower resolution."""
    if of.schema == schema:
        return of
    by = of.schema - schema
    return replace(of, schema=schema, positive=_joined(of.positive, by), negative=_joined(of.negative, by))


def _joined(counts: Counts, by: int) -> Counts:
    found: dict[int, float] = {}
    for at, count in counts.items():
        place = ((at - 1) >> by) + 1
        found[place] = found.get(place, 0.0) + count
    return found


def _widened(of: Histogram, threshold: float) -> Histogram:
    """With a zero bucket up to at least `threshold`, further where that lies within a populated bucket."""
    if of.zero_threshold >= threshold:
        return of
    swallowed = True
    while swallowed:  # a bucket that is cut makes the zero bucket end where it ends, on both sides
        swallowed = False
        for side in (of.positive, of.negative):
            for at in side:
                if bound(at - 1, of.schema) < threshold < bound(at, of.schema):
                    threshold, swallowed = bound(at, of.schema), True
    inside = [{at for at in side if bound(at, of.schema) <= threshold} for side in (of.positive, of.negative)]
    return replace(
        of,
        zero_threshold=threshold,
        zero_count=of.zero_count + sum(of.positive[at] for at in inside[0]) + sum(of.negative[at] for at in inside[1]),
        positive={at: count for at, count in of.positive.items() if at not in inside[0]},
        negative={at: count for at, count in of.negative.items() if at not in inside[1]},
    )


def _with_common_bounds(one: Histogram, other: Histogram) -> tuple[Histogram, Histogram]:
    """Two of custom buckets with the bounds that both have."""
    if one.bounds == other.bounds:
        return one, other
    both = set(one.bounds) & set(other.bounds)
    common = tuple(each for each in one.bounds if each in both)
    return _rebound(one, common), _rebound(other, common)


def _rebound(of: Histogram, bounds: tuple[float, ...]) -> Histogram:
    found: dict[int, float] = {}
    for at, count in of.positive.items():
        place = bisect_left(bounds, custom_bound(of.bounds, at))
        found[place] = found.get(place, 0.0) + count
    return replace(of, bounds=bounds, positive=found)


def _any_fell(now: Counts, before: Counts) -> bool:
    return any(now.get(at, 0.0) < count for at, count in before.items())


def _summed(one: Counts, other: Counts, sign: float) -> Counts:
    found = dict(one)
    for at, count in other.items():
        found[at] = found.get(at, 0.0) + sign * count
    return {at: count for at, count in found.items() if count}


def _each(counts: Counts, factor: float) -> Counts:
    found = {at: count * factor for at, count in counts.items()}
    return {at: count for at, count in found.items() if count}


def _divided(counts: Counts, by: float) -> Counts:
    found = {at: count / by for at, count in counts.items()}
    return {at: count for at, count in found.items() if count}


def _quotient(value: float, by: float) -> float:
    if by:
        return value / by
    if value == 0 or math.isnan(value):
        return math.nan
    return math.copysign(math.inf, value) * math.copysign(1.0, by)


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def stored(value: Histogram) -> NativeHistogram:
    """A computed histogram as it is stored."""
    return NativeHistogram(
        value.schema,
        value.count,
        value.sum,
        value.zero_threshold,
        value.zero_count,
        _runs(value.positive),
        _runs(value.negative),
        value.bounds,
        value.hint,
    )


def _runs(counts: Counts) -> Buckets:
    """Consecutive buckets together, gaps between runs left out."""
    offsets: list[int] = []
    lengths: list[int] = []
    end = 0
    for at in sorted(counts):
        if lengths and at == end:
            lengths[-1] += 1
        else:
            offsets.append(at - end)
            lengths.append(1)
        end = at + 1
    return Buckets(tuple(offsets), tuple(lengths), tuple(counts[at] for at in sorted(counts)))


def _populated(side: Buckets) -> Counts:
    return {at: count for at, count in zip(side.indices(), side.counts, strict=True) if count}


@cache
def _fractions(schema: int) -> tuple[float, ...]:
    """0.5 times the bounds in [1, 2): every second one is that of the schema below, which keeps rounding errors small."""
    found = [0.5]
    factor = 2.0 ** (2.0**-schema)
    for at in range(1, 1 << schema):
        found.append(_fractions(schema - 1)[at // 2] if at % 2 == 0 else found[at - 1] * factor)
    return tuple(found)


def custom_bound(bounds: tuple[float, ...], at: int) -> float:
    """The upper bound of the custom bucket `at`."""
    if at < 0:
        return -math.inf
    return bounds[at] if at < len(bounds) else math.inf


# -- numbers taken of a histogram ----------------------------------------------------------------------------------------


def mean(of: Histogram) -> float:
    """The sum by the count."""
    return _quotient(of.sum, of.count)


def variance(of: Histogram) -> float:
    """As if all observations of a bucket were at its middle: the geometric one of exponential buckets."""
    if not of.count:
        return math.nan
    around = mean(of)
    terms = [each.count * (_middle(of, each) - around) ** 2 for each in buckets(of)]
    if not all(map(math.isfinite, terms)):
        return sum(terms) / of.count
    return math.fsum(terms) / of.count


def _middle(of: Histogram, bucket: Bucket) -> float:
    if of.custom:
        return (bucket.upper + bucket.lower) / 2
    if bucket.lower <= 0 <= bucket.upper:
        return 0.0
    geometric = math.sqrt(abs(bucket.upper)) * math.sqrt(abs(bucket.lower))
    return geometric if bucket.lower > 0 else -geometric


def quantile(share: float, of: Histogram) -> float:
    """The `share`-quantile, interpolated within its bucket: linearly in custom buckets and around zero, else so that the
    buckets of a higher resolution would be equally full. NaN when it lies among observations of NaN."""
    if math.isnan(share) or not of.count:
        return math.nan
    if not 0 <= share <= 1:
        return math.copysign(math.inf, share)
    found = buckets(of)
    # Observations of NaN are in no bucket, and greater than all: then only counting from below is right.
    upwards = math.isnan(of.sum) or share < 0.5
    rank = share * of.count if upwards else (1 - share) * of.count
    reached, bucket = 0.0, None
    for bucket in found if upwards else reversed(found):
        reached += bucket.count
        if reached >= rank:
            break
    if bucket is None:
        return math.nan
    lower, upper = _spread(of, bucket)
    if of.custom:
        if lower == -math.inf:
            return upper
        if upper == math.inf:
            return lower
    reached = min(reached, of.count)
    if reached < rank:
        return math.nan if math.isnan(of.sum) else upper if upwards else lower
    inside = rank - (reached - bucket.count) if upwards else reached - rank
    return _interpolated(of, lower, upper, inside / bucket.count)


def _spread(of: Histogram, bucket: Bucket) -> tuple[float, float]:
    """Between which numbers a bucket's observations are taken to be."""
    lower, upper = bucket.lower, bucket.upper
    if of.custom:
        return (0.0, upper) if lower == -math.inf and upper > 0 else (lower, upper)
    return spread_of_zero(of) if lower < 0 < upper else (lower, upper)


def spread_of_zero(of: Histogram) -> tuple[float, float]:
    """Between which numbers the observations of the zero bucket are taken to be: on the side that has others, where only one
    has."""
    lower, upper = -of.zero_threshold, of.zero_threshold
    if bool(of.positive) is bool(of.negative):
        return lower, upper
    return (0.0, upper) if of.positive else (lower, 0.0)


def _interpolated(of: Histogram, lower: float, upper: float, share: float) -> float:
    if of.custom or lower <= 0 <= upper:
        return lower + (upper - lower) * share
    low, high = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return float(np.exp2(low + (high - low) * share))
    return -float(np.exp2(high + (low - high) * (1 - share)))


def holds_nan(of: Histogram) -> bool:
    """True when some observations were NaN: they are in no bucket."""
    return math.isnan(of.sum) and sum(each.count for each in buckets(of)) < of.count


def fraction(lower: float, upper: float, of: Histogram) -> float:
    """The share of observations between `lower` and `upper`, interpolated as `quantile` does."""
    if math.isnan(lower) or math.isnan(upper) or not of.count:
        return math.nan
    if lower >= upper:
        return 0.0
    found = buckets(of)
    return (_rank(upper, of, found) - _rank(lower, of, found)) / of.count


def _rank(limit: float, of: Histogram, found: list[Bucket]) -> float:
    """How many observations lie at or below `limit`."""
    below = 0.0
    for bucket in found:
        lower, upper = _spread(of, bucket)
        if lower >= limit:
            break
        if upper > limit:
            return min(below + bucket.count * _share_below(limit, of, lower, upper), of.count)
        below += bucket.count
    return min(below, of.count)


def _share_below(limit: float, of: Histogram, lower: float, upper: float) -> float:
    if lower == -math.inf:
        return 1.0  # within an infinite bucket nothing can be interpolated
    if of.custom or lower <= 0 <= upper:
        return 0.0 if upper == math.inf else (limit - lower) / (upper - lower)
    low, high, at = (math.log2(abs(each)) for each in (lower, upper, limit))
    return (at - low) / (high - low) if limit > 0 else 1 - (at - high) / (low - high)

"""The operators that trim a native histogram: what lies above a limit (`</`) or below it (`>/`) is taken off.

In: a histogram and a limit. Out: the histogram of what remains. A bucket that holds the limit keeps the share that
interpolation gives it: linear in custom buckets and around zero, else so that the buckets of a higher resolution would be
equally full. Nothing is known of how a bucket without an end is filled. When anything is taken off, the count is that of the
buckets that remain, and the sum is estimated of their middles.
Source: Prometheus documentation, "Operators" and "Native Histograms" (prometheus.io/docs/specs/native_histograms).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aiprism.query.promql.native import Counts, Histogram, bound, custom_bound, spread_of_zero

ABOVE, BELOW = "</", ">/"


@dataclass(frozen=True, slots=True)
class _Part:
    """The observations of one bucket, which are somewhere between two numbers."""

    lower: float
    upper: float
    count: float
    linear: bool

    def trimmed(self, op: str, limit: float) -> _Part:
        """What remains of them."""
        if (self.upper <= limit) if op == ABOVE else (self.lower >= limit):
            return self
        if not self.lower < limit < self.upper:
            return replace(self, count=0.0)
        return self._cut(op, limit)

    def _cut(self, op: str, limit: float) -> _Part:
        if self.lower == -math.inf and (self.upper == math.inf or self.upper > 0 > limit):
            return replace(self, count=0.0)  # on neither side of the limit can anything be said to be
        if self.lower == -math.inf and self.upper > 0:
            # Who lists a bound above zero first observes nothing below zero.
            return replace(self, lower=0.0)._cut(op, limit)
        below = self._share_below(limit)
        if op == ABOVE:
            return replace(self, count=self.count * below, upper=limit)
        return replace(self, count=self.count * (1 - below), lower=limit)

    def _share_below(self, limit: float) -> float:
        if self.lower == -math.inf:
            return 1.0
        if self.upper == math.inf:
            return 0.0
        if self.linear:
            return (limit - self.lower) / (self.upper - self.lower)
        low, high, at = (math.log2(abs(each)) for each in (self.lower, self.upper, limit))
        return (at - low) / (high - low) if limit > 0 else 1 - (at - high) / (low - high)

    @property
    def middle(self) -> float:
        """What its observations are by the mean."""
        if self.lower == -math.inf:
            return 0.0 if self.upper == math.inf else min(self.upper, self.upper / 2)
        if self.upper == math.inf:
            return self.lower
        if self.linear:
            return (self.lower + self.upper) / 2
        return math.copysign(math.sqrt(abs(self.lower)) * math.sqrt(abs(self.upper)), self.upper)


def trimmed(op: str, of: Histogram, limit: float) -> Histogram:
    """What is not above `limit` (`</`), or not below (`>/`)."""
    before = dict(_parts(of))
    after = {place: part.trimmed(op, limit) for place, part in before.items()}
    if all(part.count == before[place].count for place, part in after.items()):
        return of
    remaining = {place: part.count for place, part in after.items() if part.count}
    return replace(
        of,
        count=sum(remaining.values()),
        sum=sum(after[place].count * after[place].middle for place in remaining),
        zero_count=remaining.get(_ZERO, 0.0),
        positive=_side(remaining, 1),
        negative=_side(remaining, -1),
    )


_Place = tuple[int, int]  # the side of zero, and the index of the bucket
_ZERO: _Place = (0, 0)


def _parts(of: Histogram) -> Iterator[tuple[_Place, _Part]]:
    if of.custom:
        for at, count in of.positive.items():
            yield (1, at), _Part(custom_bound(of.bounds, at - 1), custom_bound(of.bounds, at), count, linear=True)
        return
    if of.zero_count:
        yield _ZERO, _Part(*spread_of_zero(of), of.zero_count, linear=True)
    for at, count in of.positive.items():
        yield (1, at), _Part(bound(at - 1, of.schema), bound(at, of.schema), count, linear=False)
    for at, count in of.negative.items():
        yield (-1, at), _Part(-bound(at, of.schema), -bound(at - 1, of.schema), count, linear=False)


def _side(counts: dict[_Place, float], side: int) -> Counts:
    return {at: count for (whose, at), count in counts.items() if whose == side}

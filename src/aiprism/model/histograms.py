"""Native histograms as Prometheus defines them: sparse buckets of exponential or custom bounds, one value of a series.

A histogram is cumulative in time (its counts only grow, but for a reset) and not cumulative over its buckets (each
count is of that bucket alone). Counts are floats: integer histograms are exact up to 2**53, as in PromQL.
Source: Prometheus documentation, "Native Histograms".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from aiprism.model.samples import STALE_NAN, is_stale

CUSTOM_BUCKETS = -53  # the schema of histograms whose bounds are listed (NHCB)
SMALLEST_SCHEMA, LARGEST_SCHEMA = -4, 8  # of exponential buckets


class ResetHint(IntEnum):
    """What the sender knows of a counter reset before this histogram; the numbers are those of the wire."""

    UNKNOWN = 0
    YES = 1
    NO = 2
    GAUGE = 3


@dataclass(frozen=True, slots=True)
class Buckets:
    """One side of a histogram: runs of consecutive buckets, and a count for every bucket of every run.

    Run i has ``lengths[i]`` buckets; ``offsets[0]`` is the index of its first bucket, a later offset is the gap between
    the end of the run before and this one. With exponential schema s, bucket i of the positive side holds values in
    ``(base**(i - 1), base**i]`` where ``base = 2**(2**-s)``, that of the negative side the same mirrored. With custom
    bounds bucket i holds values in ``(custom_values[i - 1], custom_values[i]]``, the last one up to infinity.
    """

    offsets: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    counts: tuple[float, ...] = ()

    def indices(self) -> list[int]:
        """The index of each bucket in `counts`.

        >>> Buckets((-1, 3), (2, 1), (4.0, 5.0, 6.0)).indices()
        [-1, 0, 4]
        """
        found: list[int] = []
        at = 0
        for offset, length in zip(self.offsets, self.lengths, strict=True):
            at += offset
            found += range(at, at + length)
            at += length
        return found


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One histogram. `count` includes the zero bucket, which holds values within ±`zero_threshold`."""

    schema: int
    count: float
    sum: float
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Buckets = Buckets()
    negative: Buckets = Buckets()
    custom_values: tuple[float, ...] = ()  # upper bounds of custom buckets, the last one (+Inf) not listed
    reset_hint: ResetHint = ResetHint.UNKNOWN

    @property
    def buckets(self) -> int:
        """How many there are, empty ones between others included; the zero bucket is none of them."""
        return len(self.positive.counts) + len(self.negative.counts)

    def coarser(self, schema: int) -> NativeHistogram:
        """The same with the wider exponential buckets of a smaller `schema`: 2**n neighbours become one, no count is lost.

        >>> NativeHistogram(1, 3.0, 4.0, positive=Buckets((0,), (3,), (1.0, 1.0, 1.0))).coarser(0).positive
        Buckets(offsets=(0,), lengths=(2,), counts=(1.0, 2.0))
        """
        steps = self.schema - schema
        return replace(
            self, schema=schema, positive=_merged(self.positive, steps), negative=_merged(self.negative, steps)
        )

    @property
    def is_stale(self) -> bool:
        """True when it marks the end of its series: Prometheus puts the staleness marker into the sum."""
        return is_stale(self.sum)


def _merged(buckets: Buckets, steps: int) -> Buckets:
    """Each 2**steps neighbours as one: bucket i ends at base**i, so that i becomes ceil(i / 2**steps)."""
    found: dict[int, float] = {}
    for index, count in zip(buckets.indices(), buckets.counts, strict=True):
        merged = ((index - 1) >> steps) + 1
        found[merged] = found.get(merged, 0.0) + count
    offsets: list[int] = []
    lengths: list[int] = []
    end = 0
    for at, index in enumerate(found):
        if at and index == end:
            lengths[-1] += 1
        else:
            offsets.append(index - end)
            lengths.append(1)
        end = index + 1
    return Buckets(tuple(offsets), tuple(lengths), tuple(found.values()))


STALE_HISTOGRAM = NativeHistogram(schema=0, count=0.0, sum=STALE_NAN)

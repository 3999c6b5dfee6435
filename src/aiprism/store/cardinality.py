"""Where a tenant's series come from: which metrics, labels and values have the most of them.

In: the counts that the series index keeps for every label value. Out: `Cardinality`, in the terms of Prometheus' TSDB
status (its HTTP API, "TSDB Stats"), so that whoever knows that page can read this one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Count:
    """A name and how many of something it has."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Cardinality:
    """Totals, and the heaviest of each kind with the heaviest first. Times in Unix ms, None without any sample."""

    series: int
    label_pairs: int
    first_ms: int | None
    last_ms: int | None
    series_by_metric: Sequence[Count]
    values_by_label: Sequence[Count]
    bytes_by_label: Sequence[Count]  # bytes of the label's values, once for each series that has them
    series_by_pair: Sequence[Count]  # name is label=value


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """One label: its values, how many series have each, and the bytes of them all. `values` may be longer than `series`."""

    label: str
    values: Sequence[str]
    series: NDArray[np.int64]
    size: int

    def heaviest(self, limit: int) -> list[Count]:
        """The values that most series have."""
        return [Count(self.values[at], int(self.series[at])) for at in _largest(self.series, limit)]


def heaviest(counts: Iterable[Count], limit: int) -> list[Count]:
    """The `limit` largest of `counts`; of equals those first by name."""
    return heapq.nsmallest(limit, counts, key=lambda each: (-each.value, each.name))


def summary(
    labels: Sequence[LabelCounts], metric_label: str, series: int, times: tuple[int | None, int | None], limit: int
) -> Cardinality:
    """The cardinality of an index with those labels, one of which is the metric's name."""
    in_use = [each for each in labels if len(each.series) and each.series.any()]
    distinct = {each.label: int(np.count_nonzero(each.series)) for each in in_use}
    metrics = next((each.heaviest(limit) for each in in_use if each.label == metric_label), [])
    pairs = (Count(f"{each.label}={count.name}", count.value) for each in in_use for count in each.heaviest(limit))
    return Cardinality(
        series=series,
        label_pairs=sum(distinct.values()),
        first_ms=times[0],
        last_ms=times[1],
        series_by_metric=metrics,
        values_by_label=heaviest((Count(name, count) for name, count in distinct.items()), limit),
        bytes_by_label=heaviest((Count(each.label, each.size) for each in in_use), limit),
        series_by_pair=heaviest(pairs, limit),
    )


def _largest(counts: NDArray[np.int64], limit: int) -> list[int]:
    """Where the largest counts stand, none of them zero."""
    at = np.argpartition(counts, -limit)[-limit:] if limit < len(counts) else np.arange(len(counts))
    return [int(each) for each in at[np.argsort(-counts[at], kind="stable")] if counts[each]]

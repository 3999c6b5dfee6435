"""Selectors that look beyond the edges of their range: `anchored` and `smoothed`.

An anchored range begins with the last sample before it, if one is no older than the lookback, and nothing is extrapolated. A
smoothed one has at both edges what the line between the samples around them has there. In: the samples of each series, from one
lookback before the first range on, to one after the last if they are smoothed. Out: one value a window, and where there is one.
Source: Prometheus 3 (feature flag promql-extended-range-selectors; promql/functions.go).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aiprism.query.promql.kernels import KERNELS, Folded, lost_to_resets
from aiprism.query.promql.syntax import Edges
from aiprism.query.promql.windows import Windows
from aiprism.store.columns import Floats, Ints
from aiprism.store.grids import Steps
from aiprism.store.samples import RawSamples


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the ranges end, how long they are, and how far beyond their edges samples are looked for; `after` of smoothed
    ones."""

    ends: Steps
    range_ms: int
    lookback_ms: int
    after: bool

    @property
    def begin_ms(self) -> int:
        """No sample up to that time is seen."""
        return self.ends.start_ms - self.range_ms - self.lookback_ms

    @property
    def until_ms(self) -> int:
        """No sample after that time is seen."""
        return self.ends.end_ms + self.lookback_ms * self.after

    def windows(self, raw: RawSamples) -> Windows:
        """All that each range sees."""
        beyond = self.lookback_ms * self.after
        return Windows.of(
            raw, _later(self.ends, beyond), self.range_ms + self.lookback_ms + beyond, self.ends.times_ms()
        )

    def up_to(self, raw: RawSamples, after_ms: int) -> Ints:
        """For each range the first sample later than so long after its end."""
        return Windows.of(raw, _later(self.ends, after_ms), 0, self.ends.times_ms()).hi


def fold(function: str, edges: Edges, raw: RawSamples, reach: Reach) -> Folded:
    """rate, increase, delta, and of anchored ranges changes and resets."""
    seen = reach.windows(raw)
    begin_ms, end_ms = reach.ends.times_ms() - reach.range_ms, reach.ends.times_ms()
    last = seen.hi - 1
    first = np.maximum(seen.lo, np.minimum(reach.up_to(raw, -reach.range_ms), last) - 1)
    if edges is Edges.SMOOTHED:
        last = np.minimum(reach.up_to(raw, -1), last)
    valid = seen.filled & (_at(raw.ts_ms, last) > begin_ms)
    run = replace(seen, lo=np.where(valid, first, 0), hi=np.where(valid, last + 1, 0))
    if function in ("changes", "resets"):
        return KERNELS[function](run, ())
    counter = function != "delta"
    if edges is Edges.SMOOTHED:
        gain = _smoothed(run, seen.lo, begin_ms, end_ms, counter=counter)
    else:
        gain = run.last(run.values) - run.first(run.values)
        if counter:
            gain = gain + lost_to_resets(run)
    if function == "rate":
        gain = gain / (reach.range_ms / 1000)
    return np.asarray(gain), valid


def _smoothed(run: Windows, lo: Ints, begin_ms: Ints, end_ms: Ints, *, counter: bool) -> Floats:
    """The gain between both edges. `lo` is the first sample that is seen at all."""
    first, last = run.lo, run.hi - 1
    first_ms, last_ms = _at(run.ts_ms, first), _at(run.ts_ms, last)
    left = np.where(first_ms < begin_ms, _between(run, first, begin_ms, counter=counter), _at(run.values, first))
    beyond = (last > lo) & (last_ms > end_ms)
    right = np.where(beyond, _between(run, last - 1, end_ms, counter=counter), _at(run.values, last))
    if not counter:
        return right - left
    # What was lost from the left edge to the samples inside, among them, and from them to the right edge.
    begin, end = first + (first_ms <= begin_ms), last + 1 - (last_ms >= end_ms)
    some = end > begin
    inside = replace(run, lo=begin, hi=np.where(some, end, begin))
    earliest, latest = _at(run.values, begin), _at(run.values, end - 1)
    lost = np.where(some & (earliest < left), left, 0.0) + np.where(some, lost_to_resets(inside), 0.0)
    before = np.where(some, latest, left)
    gained: Floats = right - left + lost + np.where(right < before, before, 0.0)
    return gained


def latest(raw: RawSamples, reach: Reach) -> Folded:
    """A smoothed selector without a range: the sample at the step, else what lies between those around it, else the last."""
    seen, at_ms = reach.windows(raw), reach.ends.times_ms()
    place = np.clip(reach.up_to(raw, -1), seen.lo, seen.hi)
    before, after = place > seen.lo, place < seen.hi
    between = np.where(after, _between(seen, place - 1, at_ms, counter=False), _at(raw.values, place - 1))
    exact = after & (_at(raw.ts_ms, place) == at_ms)
    return np.where(exact, _at(raw.values, place), between), exact | before


def shown(edges: Edges, raw: RawSamples, reach: Reach) -> RawSamples:
    """The samples of one range of each series, with the values it has at its edges."""
    seen, begin_ms, end_ms = reach.windows(raw), reach.ends.start_ms - reach.range_ms, reach.ends.end_ms
    found: list[tuple[int, int, float]] = []
    values, valid = latest(raw, replace(reach, range_ms=0)) if edges is Edges.SMOOTHED else (None, None)
    for row, (lo, hi) in enumerate(zip(seen.lo[:, 0].tolist(), seen.hi[:, 0].tolist(), strict=True)):
        points = list(zip(raw.ts_ms[lo:hi].tolist(), raw.values[lo:hi].tolist(), strict=True))
        inside = [point for point in points if begin_ms < point[0] < end_ms]
        upto = [point for point in points if point[0] <= end_ms]
        if not [point for point in points if point[0] > begin_ms]:
            continue
        before = [point for point in points if point[0] <= begin_ms]
        left, right = (before or points)[-1 if before else 0][1], (upto or points)[-1][1]
        if values is not None and valid is not None:
            after = next(point for point in points if point[0] > begin_ms)
            left = _line(before[-1], after, begin_ms) if before else left
            right = float(values[row, 0]) if valid[row, 0] else right
        found += [(row, ts, value) for ts, value in ((begin_ms, left), *inside, (end_ms, right))]
    rows = np.array([row for row, _, _ in found], dtype=np.int64)
    kept, sizes = np.unique(rows, return_counts=True)
    return RawSamples(
        raw.rows[kept],
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([ts for _, ts, _ in found], dtype=np.int64),
        np.array([value for _, _, value in found], dtype=np.float64),
    )


def _between(w: Windows, place: Ints, at_ms: Ints, *, counter: bool) -> Floats:
    """The line from the sample at `place` to the next one at that time; a counter that fell began at zero."""
    low, high = _at(w.values, place), _at(w.values, place + 1)
    low_ms, high_ms = _at(w.ts_ms, place), _at(w.ts_ms, place + 1)
    if counter:
        low = np.where(high < low, 0.0, low)
    return low + (high - low) * (at_ms - low_ms) / (high_ms - low_ms)


def _line(first: tuple[int, float], second: tuple[int, float], at_ms: int) -> float:
    return first[1] + (second[1] - first[1]) * (at_ms - first[0]) / (second[0] - first[0])


def _at(of: Floats | Ints, places: Ints) -> Floats:
    return np.asarray(of.take(places, mode="clip"), dtype=np.float64) if len(of) else np.zeros(places.shape)


def _later(ends: Steps, by_ms: int) -> Steps:
    return Steps(ends.start_ms + by_ms, ends.step_ms, ends.count)

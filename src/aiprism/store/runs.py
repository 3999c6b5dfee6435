"""Samples of many series as flat arrays: one run a series, in order of time, with room to grow at its end.

In: samples read from the store, and those that come in after them. Out: the samples of some series and times, one after
the other. A value never changes: one that has grown shares its arrays with the one before, which does not look that far.
What is kept, and how long, is recent.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.columns import Floats, Ints

Prints = NDArray[np.uint64]

# A run that is full gets room for half as much again, and for so many more.
_ROOM = 16
# Runs that grow by more samples at once are not compared: each has its own clock until all are read anew.
_COMPARED = 64
# Times of more different clocks are searched all at once.
_FEW_CLOCKS = 20
# Numbers up to so many times their count are looked up in a table instead of sorted.
_SPARSE = 4
_EARLIEST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Runs:
    """Series ``fps[i]``, ascending, has the samples from ``starts[i]`` up to ``ends[i]``; runs stand in order, there may be room
    between them. Series with equal numbers in `clock` have exactly the same times: those of one target mostly do.

    `clock` numbers the first such series where nothing has grown since they were read.
    """

    fps: Prints
    starts: Ints
    ends: Ints
    ts_ms: Ints
    values: Floats
    clock: Ints

    @classmethod
    def of(cls, owners: Prints, ts_ms: Ints, values: Floats) -> Runs:
        """Of samples ordered by fingerprint and time."""
        starts = _beginnings(owners)
        ends = np.append(starts[1:], len(owners)).astype(np.int64)[: len(starts)]
        return cls(owners[starts], starts, ends, ts_ms, values, _clocks(starts, ends, ts_ms))

    def __len__(self) -> int:
        """How many samples."""
        return int((self.ends - self.starts).sum())

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        return sum(each.nbytes for each in (self.fps, self.starts, self.ends, self.ts_ms, self.values, self.clock))

    def owners(self) -> Prints:
        """The fingerprint of each sample."""
        return np.repeat(self.fps, self.ends - self.starts)

    @property
    def offsets(self) -> Ints:
        """Where each run begins, and the last one ends, when there is no room between them."""
        return np.append(self.starts, len(self.ts_ms)).astype(np.int64)

    # -- growing -------------------------------------------------------------------------------------------------

    def grown(self, owners: Prints, ts_ms: Ints, values: Floats) -> Runs:
        """With samples ordered by fingerprint and time, each later than those its series has. Of several that grew from one
        only the last may grow again: they share what is behind their ends."""
        if not len(owners):
            return self
        firsts = _beginnings(owners)
        more = np.diff(np.append(firsts, len(owners)))
        fps = owners[firsts]
        base = self if self._has_room(fps, more) else self._roomy(fps, more)
        rows = np.searchsorted(base.fps, fps)
        places = np.repeat(base.ends[rows] - firsts, more) + np.arange(len(owners))
        base.ts_ms[places], base.values[places] = ts_ms, values
        ends, clock = base.ends.copy(), base.clock.copy()
        ends[rows] += more
        clock[rows] = max(len(clock), int(clock.max()) + 1) + _moved_on(clock[rows], firsts, more, ts_ms)
        if int(clock.max()) >= _SPARSE * len(clock):
            clock = len(clock) + distinct(clock)[2]
        return Runs(base.fps, base.starts, ends, base.ts_ms, base.values, clock)

    def _has_room(self, fps: Prints, more: Ints) -> bool:
        rows = np.searchsorted(self.fps, fps)
        if not len(self.fps) or int(rows[-1]) == len(self.fps) or (self.fps[rows] != fps).any():
            return False
        until = self.offsets[1:]
        return bool((self.ends[rows] + more <= until[rows]).all())

    def _roomy(self, fps: Prints, more: Ints) -> Runs:
        """The same samples with room for `more` of the series `fps`, which may be new."""
        known = np.union1d(self.fps, fps)
        ours = np.searchsorted(known, self.fps)
        sizes, room = np.zeros(len(known), np.int64), np.zeros(len(known), np.int64)
        sizes[ours] = self.ends - self.starts
        room[np.searchsorted(known, fps)] = more
        starts = np.cumsum(np.append(0, sizes + room + sizes // 2 + _ROOM))
        ts_ms, values = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.float64)
        starts = starts[:-1]
        to, at = _places(starts, sizes), _places(self.starts, self.ends - self.starts)
        ts_ms[to], values[to] = self.ts_ms[at], self.values[at]
        clock = max(len(known), int(self.clock.max(initial=0)) + 1) + np.arange(len(known))
        clock[ours] = self.clock
        return Runs(known, starts, starts + sizes, ts_ms, values, clock)

    def then(self, later: Runs, after_ms: int) -> Runs:
        """These up to `after_ms`, and what comes later."""
        every = np.arange(len(self.fps))
        _, until = self._counts(every, _EARLIEST, after_ms)
        known = self._taken(every, self.starts, self.starts + until)
        owners = np.concatenate([known.owners(), later.owners()])
        order = np.argsort(owners, kind="stable")
        times = np.concatenate([known.ts_ms, later.ts_ms])[order]
        return Runs.of(owners[order], times, np.concatenate([known.values, later.values])[order])

    # -- some of them --------------------------------------------------------------------------------------------

    def part(self, chosen: Ints, after_ms: int, until_ms: int) -> Runs:
        """Of the series with those numbers, which ascend, the samples of (after, until], or all when that is cheaper; without
        room between them, and without series that have none."""
        lo, hi = self._counts(chosen, after_ms, until_ms)
        if 2 * int((hi - lo).sum()) > len(self.ts_ms) and len(chosen) == len(self.fps) and self._is_dense():
            return self
        starts = self.starts[chosen]
        return self._taken(chosen, starts + lo, starts + hi)

    def without_markers(self) -> Runs:
        """Less the staleness markers, where there is no room between the runs."""
        kept = np.ascontiguousarray(self.values).view(np.uint64) != STALE_NAN_BITS
        if kept.all():
            return self
        before = np.concatenate([[0], np.cumsum(kept)])
        starts, ends = before[self.starts], before[self.ends]
        lost = ends - starts < self.ends - self.starts
        clock = np.where(lost, len(lost) + np.arange(len(lost)), self.clock)
        some = ends > starts
        return Runs(
            self.fps[some], starts[some], ends[some], self.ts_ms[kept], self.values[kept], _first_of_each(clock[some])
        )

    def _is_dense(self) -> bool:
        return len(self) == len(self.ts_ms) and int(self.clock.max(initial=0)) < max(1, len(self.clock))

    def _taken(self, chosen: Ints, lo: Ints, hi: Ints) -> Runs:
        """Those series, of each the samples from place `lo` up to `hi`."""
        some = hi > lo
        chosen, lo, sizes = chosen[some], lo[some], (hi - lo)[some]
        at = _places(lo, sizes)
        ends = np.cumsum(sizes)
        clock = _first_of_each(self.clock[chosen])
        return Runs(self.fps[chosen], ends - sizes, ends, self.ts_ms[at], self.values[at], clock)

    def _counts(self, chosen: Ints, after_ms: int, until_ms: int) -> tuple[Ints, Ints]:
        """Of each of those series how many samples have times up to `after_ms`, and up to `until_ms`."""
        _, firsts, of = distinct(self.clock[chosen])
        rows = chosen[firsts]
        if len(rows) > _FEW_CLOCKS:
            counts = self._halved(rows, np.array([[after_ms], [until_ms]]))
        else:
            edges = zip(self.starts[rows].tolist(), self.ends[rows].tolist(), strict=True)
            times = [self.ts_ms[start:end] for start, end in edges]
            found = [each.searchsorted((after_ms, until_ms), "right") for each in times]
            counts = np.array(found, np.int64).reshape(-1, 2).T
        return counts[0][of], counts[1][of]

    def _halved(self, rows: Ints, edges_ms: Ints) -> Ints:
        """How many samples of each series have times up to each edge: all of them searched at once, by halves."""
        starts = self.starts[rows]
        lo, hi = np.stack([starts, starts]), np.stack([self.ends[rows]] * 2)
        while (left := lo < hi).any():
            middle = (lo + hi) >> 1
            before = self.ts_ms.take(middle, mode="clip") <= edges_ms
            lo, hi = np.where(left & before, middle + 1, lo), np.where(left & ~before, middle, hi)
        counts: Ints = lo - starts
        return counts


def _beginnings(owners: Prints) -> Ints:
    """Where another series begins."""
    if not len(owners):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))


def _places(starts: Ints, sizes: Ints) -> Ints:
    """The places from each start on, one run after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(int(ends[-1]) if len(ends) else 0)


def places(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Where the samples of those series stand, one series after the other, and the offsets they have there."""
    sizes = np.diff(offsets)[rows]
    return _places(offsets[rows], sizes), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _first_of_each(clock: Ints) -> Ints:
    """Each clock as the number of the first series that has it."""
    _, firsts, of = distinct(clock)
    return firsts[of]


def distinct(numbers: Ints) -> tuple[Ints, Ints, Ints]:
    """Those that there are, ascending, where each is first, and which one each is: as `np.unique` says it, without sorting where
    the numbers, none below zero, are hardly greater than they are many."""
    top = int(numbers.max(initial=-1)) + 1
    if top > _SPARSE * len(numbers):
        values, firsts, of = np.unique(numbers, return_index=True, return_inverse=True)
        return values, firsts, of
    first = np.full(top, -1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)  # of several the last one written stays
    there = first >= 0
    values = np.flatnonzero(there)
    return values, first[values], (np.cumsum(there) - 1)[numbers]


def _clocks(starts: Ints, ends: Ints, ts_ms: Ints) -> Ints:
    """For each run the first one with exactly its times; those without any have one each."""
    found = np.arange(len(starts))
    some = np.flatnonzero(ends > starts)
    if not len(some):
        return found
    sizes = (ends - starts)[some]
    times, begin = ts_ms[_places(starts[some], sizes)], np.cumsum(sizes) - sizes
    place = np.arange(len(times)) - np.repeat(begin, sizes)
    sums = np.add.reduceat(times * (place * place * 0x9E3779B1 + place + 1), begin)
    _, firsts, of = np.unique(np.stack([sums, sizes]), axis=1, return_index=True, return_inverse=True)
    clock = firsts[of.reshape(-1)]
    # Equal sums may be chance: such series keep their own times.
    same = np.logical_and.reduceat(times[_places(begin[clock], sizes)] == times, begin)
    found[some] = some[np.where(same, clock, np.arange(len(sizes)))]
    return found


def _moved_on(clock: Ints, firsts: Ints, more: Ints, ts_ms: Ints) -> Ints:
    """Numbers for runs that had those clocks and got `more` samples each, from place `firsts` on: equal where the clocks were
    and the new times are."""
    most = int(more.max())
    if most > _COMPARED:
        return np.arange(len(clock))
    for rank in range(most):
        times = np.where(more > rank, ts_ms.take(firsts + rank, mode="clip"), _EARLIEST)
        order = np.lexsort((times, clock))
        other = (np.diff(clock[order]) != 0) | (np.diff(times[order]) != 0)
        clock = np.empty_like(clock)
        clock[order] = np.concatenate([[0], np.cumsum(other)])
    return clock

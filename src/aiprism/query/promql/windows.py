"""Samples seen through sliding windows: which samples each series has in the window of each step.

In: raw samples, or the values of a subquery. Out: for window (series i, step k) the half-open run ``lo[i, k]`` to
``hi[i, k]`` of flat arrays, and the ways to fold all windows at once. What is folded is left to kernels.py. Windows are
open on the left and closed on the right, as in Prometheus 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aiprism.query.promql.blocks import Cells, natives
from aiprism.store.columns import Bools, Floats, Ints
from aiprism.store.grids import Steps
from aiprism.store.runs import distinct, places
from aiprism.store.samples import RawSamples

# Cells of a padded block: big enough that numpy's overhead vanishes, small enough for the processor's cache.
_BLOCK_CELLS = 1 << 18


@dataclass(frozen=True, slots=True)
class Padded:
    """Some windows as rows of one rectangle: ``samples[r, c]`` is the c-th sample of window ``windows[r]`` where `filled`."""

    windows: Ints
    samples: Ints
    filled: Bools


@dataclass(frozen=True, slots=True)
class Windows:
    """n series by k steps. `ends_ms` are the right edges of the windows, `at_ms` the times they are evaluated for."""

    ts_ms: Ints
    values: Floats
    lo: Ints
    hi: Ints
    ends_ms: Ints
    at_ms: Ints
    range_ms: int
    cells: Cells | None = None  # the samples that are native histograms; None: no sample is
    look: Callable[[], object] | None = None  # called between parts of long work; what it raises ends the work

    @classmethod
    def of(cls, raw: RawSamples, ends: Steps, range_ms: int, at_ms: Ints) -> Windows:
        """The windows (end - range, end] over each series' samples, which are sorted by time."""
        lo, hi = _edges(raw, ends, range_ms)
        return cls(
            ts_ms=raw.ts_ms,
            values=raw.values,
            lo=raw.offsets[:-1, None] + lo,
            hi=raw.offsets[:-1, None] + hi,
            ends_ms=ends.times_ms(),
            at_ms=at_ms,
            range_ms=range_ms,
        )

    def for_each(self, at_ms: Ints) -> Windows:
        """One window a series, fixed by an @ modifier, seen from every time of `at_ms`."""
        return replace(
            self,
            lo=np.repeat(self.lo, len(at_ms), axis=1),
            hi=np.repeat(self.hi, len(at_ms), axis=1),
            ends_ms=np.repeat(self.ends_ms, len(at_ms)),
            at_ms=at_ms,
        )

    def numbers(self) -> Windows:
        """The same windows over those samples that are no histograms."""
        if self.cells is None:
            return self
        kept = ~natives(self.cells)
        before = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            ts_ms=self.ts_ms[kept],
            values=self.values[kept],
            lo=before[self.lo],
            hi=before[self.hi],
            cells=None,
        )

    @property
    def sizes(self) -> Ints:
        """How many samples each window holds."""
        return self.hi - self.lo

    @property
    def filled(self) -> Bools:
        """Which windows hold any sample."""
        return self.hi > self.lo

    def first(self, of: NDArray[np.float64] | Ints) -> NDArray[np.float64]:
        """The first of each window, anything where it is empty."""
        return self._at(of, self.lo)

    def last(self, of: NDArray[np.float64] | Ints, before: int = 0) -> NDArray[np.float64]:
        """The last of each window (or the one `before` places ahead of it), anything where there is none."""
        return self._at(of, self.hi - 1 - before)

    def fold(self, ufunc: np.ufunc, of: Floats, *, skip: int = 0) -> Floats:
        """`ufunc` over each window less its first `skip` samples; 0 where nothing is left."""
        result = np.zeros(self.lo.shape)
        lo = self.lo + skip
        some = self.hi > lo
        if some.any():
            # reduceat folds from each index to the next: (lo, hi) pairs give the windows at the even places. The odd
            # ones fold the gap to the next window, which is short, or nothing where windows overlap.
            edges = np.stack([lo[some], self.hi[some]], axis=-1).reshape(-1)
            result[some] = ufunc.reduceat(np.append(of, 0.0), edges)[::2]
        return result

    def count(self, marks: Bools, *, skip: int = 0) -> Ints:
        """How many samples of each window, less its first `skip`, are marked."""
        before = np.concatenate([[0], np.cumsum(marks)])
        lo = np.minimum(self.lo + skip, self.hi)
        return np.asarray(before[self.hi] - before[lo], dtype=np.int64)

    def padded(self, wanted: Bools) -> Iterator[Padded]:
        """The `wanted` windows (none empty) as rectangles of a bounded size, windows of like sizes together.

        `Padded.windows` numbers the windows row by row, as ``array.reshape(-1)`` does.
        """
        chosen = np.flatnonzero(wanted)
        sizes = self.sizes.reshape(-1)[chosen]
        order = np.argsort(sizes, kind="stable")
        chosen, sizes = chosen[order], sizes[order]
        lo = self.lo.reshape(-1)[chosen]
        at = 0
        while at < len(chosen):
            if self.look:
                self.look()
            rows = max(1, _BLOCK_CELLS // int(sizes[at]))
            # The widest of the block decides its width; sizes ascend, so it is the last one.
            while rows > 1 and int(sizes[min(at + rows, len(sizes)) - 1]) * rows > 2 * _BLOCK_CELLS:
                rows //= 2
            part = slice(at, at + rows)
            places = np.arange(int(sizes[part][-1]))
            filled = places < sizes[part, None]
            samples = np.where(filled, lo[part, None] + places, lo[part, None])
            yield Padded(chosen[part], samples, filled)
            at += rows

    def _at(self, of: NDArray[np.float64] | Ints, places: Ints) -> NDArray[np.float64]:
        if not len(of):
            return np.zeros(places.shape)
        return np.asarray(of.take(places, mode="clip"))


def _edges(raw: RawSamples, ends: Steps, range_ms: int) -> tuple[Ints, Ints]:
    """For each window how many of the series' samples stand before it, and before its end."""
    offsets, ts_ms, of = raw.offsets, raw.ts_ms, None
    if raw.clock is not None:
        firsts, _, of = distinct(raw.clock)
        at, offsets = places(offsets, firsts)
        ts_ms = ts_ms[at]
    series = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    lo, hi = (_counts_up_to(series, len(offsets) - 1, ts, ends) for ts in (ts_ms + range_ms, ts_ms))
    return (lo, hi) if of is None else (lo[of], hi[of])


def _counts_up_to(series: Ints, count: int, ts_ms: Ints, ends: Steps) -> Ints:
    """For each series and step how many of its samples have a time up to the step's."""
    # The first step at or after each sample, by arithmetic: no search.
    step = -((ends.start_ms - ts_ms) // max(1, ends.step_ms))
    if ends.count == 1:
        step = (ts_ms > ends.start_ms).astype(np.int64)
    step = np.clip(step, 0, ends.count)
    width = ends.count + 1
    arrivals = np.bincount(series * width + step, minlength=count * width).reshape(count, width)
    return np.cumsum(arrivals[:, :-1], axis=1)

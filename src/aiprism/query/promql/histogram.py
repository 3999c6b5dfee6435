"""Classic histograms: quantiles and fractions from cumulative bucket series with an `le` label.

Buckets of one histogram at one step are sorted, joined where two bounds are equal, and made monotonic, as Prometheus
does; then all histograms and steps are interpolated at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiprism.query.promql.blocks import Block, stacked
from aiprism.query.promql.notes import FORCED_MONOTONICITY, Forced, Remarks, bad_bucket_label, by_step
from aiprism.store.columns import Bools, Floats, Ints

BUCKET_LABEL = "le"
_SMALLEST_NORMAL = 2.2250738585072014e-308
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class _Buckets:
    """h histograms of b buckets by k steps: at (h, :, k) the first `present` buckets count, the rest repeat the last."""

    bounds: Floats  # [h, b, k], ascending
    counts: Floats  # [h, b, k], cumulative
    present: Ints  # [h, k]

    def at(self, of: Floats, place: Ints) -> Floats:
        """``of[h, place[h, k], k]``."""
        return np.take_along_axis(of, np.maximum(place, 0)[:, None, :], axis=1)[:, 0, :]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where to put what there is to say of the buckets, which place in the text that is about, and the times of the steps."""

    remarks: Remarks
    place: int
    times_ms: Ints


def histogram_quantile(share: Floats, block: Block, asked: Asked) -> Block:
    """The `share`-quantile (one a step) of every classic histogram in `block`, by linear interpolation."""
    return _each_histogram(block, asked, lambda buckets: _quantile(share, buckets, asked))


def histogram_fraction(lower: Floats, upper: Floats, block: Block, asked: Asked) -> Block:
    """The estimated share of observations between `lower` and `upper` (one a step) of every classic histogram."""
    return _each_histogram(block, asked, lambda buckets: _fraction(lower, upper, buckets))


def _each_histogram(block: Block, asked: Asked, fold: Callable[[_Buckets], Floats]) -> Block:
    steps = block.values.shape[1]
    block, bounds = _with_bounds(block, asked)
    if not len(block):
        return Block.empty(steps)
    groups = block.labels.without((BUCKET_LABEL,)).groups()
    order = np.lexsort([bounds, groups.ids])
    block, bounds, ids = block.take(order), bounds[order], groups.ids[order]
    block, bounds, ids = _coalesced(block, bounds, ids)
    sizes = np.bincount(ids)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found = []
    for size in np.unique(sizes).tolist():  # histograms of one shape at a time, usually all of them
        rows = starts[sizes == size][:, None] + np.arange(size)
        valid = block.valid[rows]
        buckets = _packed(bounds[rows], block.values[rows], valid)
        labels = block.labels.take(rows[:, 0]).without((BUCKET_LABEL,))
        found.append(Block(labels, fold(buckets), valid.any(axis=1)))
    return stacked(found).without_name()


def _with_bounds(block: Block, asked: Asked) -> tuple[Block, Floats]:
    """The series whose `le` is a number, and those numbers; of the others it is said."""
    texts = block.labels.texts(BUCKET_LABEL)
    known = {text: _bound(text) for text in set(texts)}
    bounds = np.array([known[text] for text in texts], dtype=np.float64)
    usable = ~np.isnan(bounds)
    if usable.all():
        return block, bounds
    for text in sorted(text for text, bound in known.items() if np.isnan(bound)):
        rows = np.array([each == text for each in texts])
        asked.remarks.say(bad_bucket_label(text), asked.place, by_step(block.valid[rows]))
    return block.take(usable), bounds[usable]


def _bound(text: str) -> float:
    try:
        return float(text.replace("_", "?"))  # Go reads no underscores here
    except ValueError:
        return np.nan


def _coalesced(block: Block, bounds: Floats, ids: Ints) -> tuple[Block, Floats, Ints]:
    """Buckets of one histogram with the same bound (le="1" and le="1.0") as one."""
    again = (bounds[1:] == bounds[:-1]) & (ids[1:] == ids[:-1])
    if not again.any():
        return block, bounds, ids
    starts = np.flatnonzero(np.concatenate([[True], ~again]))
    counts = np.add.reduceat(np.where(block.valid, block.values, 0.0), starts, axis=0)
    valid = np.logical_or.reduceat(block.valid, starts, axis=0)
    return Block(block.labels.take(starts), counts, valid), bounds[starts], ids[starts]


def _packed(bounds: Floats, counts: Floats, valid: Bools) -> _Buckets:
    bounds = np.broadcast_to(bounds[:, :, None], counts.shape)
    present = valid.sum(axis=1)
    if not valid.all():
        # A bucket that is missing at a step does not exist there: move those that do to the front.
        order = np.argsort(~valid, axis=1, kind="stable")
        last = np.maximum(present - 1, 0)[:, None, :]
        places = np.minimum(np.arange(counts.shape[1])[None, :, None], last)
        order = np.take_along_axis(order, places, axis=1)
        bounds, counts = np.take_along_axis(bounds, order, axis=1), np.take_along_axis(counts, order, axis=1)
    return _Buckets(bounds, counts, present)


def _quantile(share: Floats, buckets: _Buckets, asked: Asked) -> Floats:
    counts, fell = _monotonic(buckets.counts)
    last = buckets.present - 1
    if fell.any():
        usable = (buckets.at(buckets.bounds, last) == np.inf) & (last >= 1) & (share >= 0) & (share <= 1)
        _say_what_fell(fell & usable[:, None, :], counts - buckets.counts, buckets.bounds, asked)
    observations = buckets.at(counts, last)
    rank = share * observations
    reached = counts >= rank[:, None, :]
    place = np.where(reached.any(axis=1), np.argmax(reached, axis=1), last)
    place = np.minimum(place, last)
    end, start = buckets.at(buckets.bounds, place), buckets.at(buckets.bounds, place - 1)
    below = np.where(place > 0, buckets.at(counts, place - 1), 0.0)
    start = np.where(place > 0, start, 0.0)
    inside = start + (end - start) * ((rank - below) / (buckets.at(counts, place) - below))
    found = np.where((place == 0) & (end <= 0), end, inside)
    # Beyond the last finite bound nothing can be interpolated: that bound is the answer.
    found = np.where(place == last, buckets.at(buckets.bounds, last - 1), found)
    complete = (buckets.at(buckets.bounds, last) == np.inf) & (last >= 1) & (observations != 0)
    found = np.where(complete, found, np.nan)
    return np.where(np.isnan(share), np.nan, np.where(share < 0, -np.inf, np.where(share > 1, np.inf, found)))


def _monotonic(counts: Floats) -> tuple[Floats, Bools]:
    """Counts that never fall from bucket to bucket, and where they did; differences that are rounding errors are levelled."""
    counts = counts.copy()
    held, fell = counts[:, 0, :].copy(), np.zeros(counts.shape, dtype=bool)
    for place in range(1, counts.shape[1]):
        now = counts[:, place, :]
        close = _almost_equal(held, now)
        fell[:, place, :] = (now < held) & ~close
        levelled = close | (now < held)
        now[levelled] = held[levelled]
        held = np.where(levelled, held, now)
    return counts, fell


def _say_what_fell(fell: Bools, raised: Floats, bounds: Floats, asked: Asked) -> None:
    """`raised` is by how much each count had to be."""
    of_all = fell.reshape(-1, fell.shape[2])
    greatest, least = (
        ufunc.reduce(np.where(fell, of, nothing).reshape(of_all.shape), axis=0)
        for ufunc, of, nothing in ((np.maximum, bounds, -np.inf), (np.minimum, bounds, np.inf))
    )
    difference = np.where(fell, raised, 0.0).reshape(of_all.shape).max(axis=0)
    count = fell.any(axis=1).sum(axis=0)
    at = count > 0
    forced = Forced(np.flatnonzero(at), least[at], greatest[at], difference[at], count[at], asked.times_ms[at])
    asked.remarks.say(FORCED_MONOTONICITY, asked.place, at, forced)


def _almost_equal(a: Floats, b: Floats) -> Bools:
    total, apart = np.abs(a) + np.abs(b), np.abs(a - b)
    tiny = (a == 0) | (b == 0) | (total < _SMALLEST_NORMAL)
    relative = apart / np.minimum(total, np.finfo(np.float64).max)
    close = np.where(tiny, apart < _TOLERANCE * _SMALLEST_NORMAL, relative < _TOLERANCE)
    return np.asarray((a == b) | close)


def _fraction(lower: Floats, upper: Floats, buckets: _Buckets) -> Floats:
    last = buckets.present - 1
    total = buckets.at(buckets.counts, last)
    share = (_rank_of(upper, buckets, total) - _rank_of(lower, buckets, total)) / total
    share = np.where(lower >= upper, 0.0, share)
    usable = (buckets.at(buckets.bounds, last) == np.inf) & (total != 0) & ~np.isnan(lower) & ~np.isnan(upper)
    return np.where(usable, share, np.nan)


def _rank_of(limit: Floats, buckets: _Buckets, total: Floats) -> Floats:
    """How many observations lie at or below `limit`, by interpolation within its bucket."""
    # The first bucket that ends above the limit holds it.
    above = (buckets.bounds > limit) & (np.arange(buckets.bounds.shape[1])[None, :, None] < buckets.present[:, None, :])
    place = np.where(above.any(axis=1), np.argmax(above, axis=1), 0)
    end = buckets.at(buckets.bounds, place)
    first = np.where(buckets.bounds[:, 0, :] > 0, 0.0, -np.inf)
    start = np.where(place > 0, buckets.at(buckets.bounds, place - 1), first)
    below = np.where(place > 0, buckets.at(buckets.counts, place - 1), 0.0)
    inside = below + (buckets.at(buckets.counts, place) - below) * (limit - start) / (end - start)
    rank = np.where(limit <= start, below, inside)
    return np.minimum(np.where(above.any(axis=1), rank, total), total)

"""The functions over range vectors, each a computation over all windows of all series at once.

In: `Windows` and the scalar arguments (one value a step). Out: one value a window and whether there is one. The
semantics are Prometheus 3's (promql/functions.go, as of 3.x); the sums are compensated where plain ones would lose
digits, because Prometheus' are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from aiprism.query.promql.windows import Padded, Windows
from aiprism.store.columns import Bools, Floats, Ints

Args = Sequence[Floats]
Folded = tuple[Floats, Bools]
Kernel = Callable[[Windows, Args], Folded]

# A sum this much smaller than the sum of magnitudes has lost digits that Kahan summation would have kept.
_CANCELLED = 1e-3


# -- counters and gauges: rate and its kin ---------------------------------------------------------------------------


def _extrapolated(w: Windows, *, counter: bool, per_second: bool) -> Folded:
    """What the range would have gained had it been sampled to its edges."""
    first = w.first(w.values)
    gain = w.last(w.values) - first
    if counter:
        gain = gain + lost_to_resets(w)
    return gain * extrapolation(w, gain, first, counter=counter, per_second=per_second), w.sizes >= 2


def extrapolation(w: Windows, gain: Floats, first: Floats, *, counter: bool, per_second: bool) -> Floats:
    """By how much the gain between the first and the last sample is to be multiplied."""
    first_ms, last_ms = w.first(w.ts_ms), w.last(w.ts_ms)
    sampled = (last_ms - first_ms) / 1000
    to_start = (first_ms - (w.ends_ms - w.range_ms)) / 1000
    to_end = (w.ends_ms - last_ms) / 1000
    between = sampled / np.maximum(w.sizes - 1, 1)
    # An edge further away than a usual gap means that the series began or ended inside: half a gap is the best guess.
    to_start = np.where(to_start >= between * 1.1, between / 2, to_start)
    if counter:
        # A counter cannot have been negative: do not extrapolate beyond where it was zero.
        to_zero = np.where((gain > 0) & (first >= 0), sampled * (first / gain), to_start)
        to_start = np.where(to_zero < to_start, to_zero, to_start)
    to_end = np.where(to_end >= between * 1.1, between / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor = factor / (w.range_ms / 1000)
    return factor


def lost_to_resets(w: Windows) -> Floats:
    """What the counter had each time it began anew within a window."""
    fell = _falls(w.values)
    # Mostly nothing fell but from the end of a series to the beginning of the next one, where time goes back.
    if not (fell[1:] & (w.ts_ms[1:] > w.ts_ms[:-1])).any():
        return np.zeros(w.lo.shape)
    before = np.concatenate([[0], np.cumsum(fell)])
    # The first sample of a window did not fall from anything inside the window.
    falls = replace(w, lo=before[np.minimum(w.lo + 1, w.hi)], hi=before[w.hi])
    return falls.fold(np.add, w.values[np.flatnonzero(fell) - 1])


def _falls(values: Floats) -> Bools:
    fell = np.zeros(len(values), dtype=bool)
    fell[1:] = values[1:] < values[:-1]
    return fell


def rate(w: Windows, args: Args) -> Folded:
    return _extrapolated(w, counter=True, per_second=True)


def increase(w: Windows, args: Args) -> Folded:
    return _extrapolated(w, counter=True, per_second=False)


def delta(w: Windows, args: Args) -> Folded:
    return _extrapolated(w, counter=False, per_second=False)


def irate(w: Windows, args: Args) -> Folded:
    last, before = w.last(w.values), w.last(w.values, before=1)
    gain = np.where(last < before, last, last - before)
    return gain / ((w.last(w.ts_ms) - w.last(w.ts_ms, before=1)) / 1000), w.sizes >= 2


def idelta(w: Windows, args: Args) -> Folded:
    return w.last(w.values) - w.last(w.values, before=1), w.sizes >= 2


def resets(w: Windows, args: Args) -> Folded:
    return w.count(_falls(w.values), skip=1).astype(np.float64), w.filled


def changes(w: Windows, args: Args) -> Folded:
    changed = np.zeros(len(w.values), dtype=bool)
    before, after = w.values[:-1], w.values[1:]
    changed[1:] = (before != after) & ~(np.isnan(before) & np.isnan(after))
    return w.count(changed, skip=1).astype(np.float64), w.filled


# -- trends --------------------------------------------------------------------------------------------------------------


def deriv(w: Windows, args: Args) -> Folded:
    slope, _ = _regression(w, None)
    return slope, w.sizes >= 2


def predict_linear(w: Windows, args: Args) -> Folded:
    slope, level = _regression(w, np.broadcast_to(w.at_ms, w.lo.shape))
    return slope * args[0] + level, w.sizes >= 2


def _regression(w: Windows, origin_ms: Ints | None) -> tuple[Floats, Floats]:
    """Slope a second and level at `origin_ms` (default: each window's first sample) of the least-squares line."""
    slope, level = np.zeros(w.lo.size), np.zeros(w.lo.size)
    wanted = w.sizes >= 2
    origins = (w.first(w.ts_ms) if origin_ms is None else origin_ms).reshape(-1)
    for block in w.padded(wanted):
        y = w.values[block.samples]
        x = (w.ts_ms[block.samples] - origins[block.windows][:, None]) / 1e3
        count = block.filled.sum(axis=1)
        sums = [compensated(terms, block.filled) for terms in (x, y, x * y, x * x)]
        sum_x, sum_y, sum_xy, sum_xx = (total + lost for total, lost in sums)
        fitted = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count)
        flat = ((y == y[:, :1]) | ~block.filled).all(axis=1)
        constant = np.where(np.isinf(y[:, 0]), np.nan, y[:, 0])
        slope[block.windows] = np.where(flat, np.where(np.isnan(constant), np.nan, 0.0), fitted)
        level[block.windows] = np.where(flat, constant, sum_y / count - fitted * sum_x / count)
    return slope.reshape(w.lo.shape), level.reshape(w.lo.shape)


def double_exponential_smoothing(w: Windows, args: Args) -> Folded:
    """Holt's linear method; smoothing and trend factor must lie in (0, 1), which the caller has checked."""
    result = np.zeros(w.lo.size)
    steps = w.lo.shape[1]
    for block in w.padded(w.sizes >= 2):
        step = block.windows % steps
        smoothing, trending = args[0][step], args[1][step]
        y = w.values[block.samples]
        level, trend = y[:, 0], y[:, 1] - y[:, 0]
        previous = np.zeros(len(y))
        for place in range(1, y.shape[1]):
            there = block.filled[:, place]
            if place > 1:
                trend = np.where(there, trending * (level - previous) + (1 - trending) * trend, trend)
            following = smoothing * y[:, place] + (1 - smoothing) * (level + trend)
            previous, level = np.where(there, level, previous), np.where(there, following, level)
        result[block.windows] = level
    return result.reshape(w.lo.shape), w.sizes >= 2


# -- …_over_time ---------------------------------------------------------------------------------------------------------


def sum_over_time(w: Windows, args: Args) -> Folded:
    return _sum(w, w.values), w.filled


def avg_over_time(w: Windows, args: Args) -> Folded:
    count = np.maximum(w.sizes, 1)
    total = _sum(w, w.values)
    mean = total / count
    overflown = np.isinf(total)
    if overflown.any():
        # Finite values whose sum is not: average them scaled down. An infinite value stays what it is.
        mean = np.where(overflown, _sum(w, w.values * 2.0**-64) / count * 2.0**64, mean)
    return mean, w.filled


def _sum(w: Windows, of: Floats) -> Floats:
    total = w.fold(np.add, of)
    if not len(of) or of.min() >= 0:
        return total
    doubtful = w.filled & (np.abs(total) < _CANCELLED * w.fold(np.add, np.abs(of)))
    flat = total.reshape(-1)
    for block in w.padded(doubtful):
        exact, lost = compensated(of[block.samples], block.filled)
        flat[block.windows] = exact + lost
    return flat.reshape(total.shape)


def compensated(terms: Floats, filled: Bools) -> tuple[Floats, Floats]:
    """The sum of each row's filled places by Kahan's method with Neumaier's improvement: (sum, what it lost)."""
    total, lost = np.zeros(len(terms)), np.zeros(len(terms))
    for place in range(terms.shape[1]):
        term = np.where(filled[:, place], terms[:, place], 0.0)
        grown = total + term
        error = np.where(np.abs(total) >= np.abs(term), (total - grown) + term, (term - grown) + total)
        lost = np.where(np.isinf(grown), 0.0, lost + error)
        total = grown
    return total, lost


def min_over_time(w: Windows, args: Args) -> Folded:
    return w.fold(np.fmin, w.values), w.filled


def max_over_time(w: Windows, args: Args) -> Folded:
    return w.fold(np.fmax, w.values), w.filled


def count_over_time(w: Windows, args: Args) -> Folded:
    return w.sizes.astype(np.float64), w.filled


def present_over_time(w: Windows, args: Args) -> Folded:
    return np.ones(w.lo.shape), w.filled


def last_over_time(w: Windows, args: Args) -> Folded:
    return w.last(w.values), w.filled


def first_over_time(w: Windows, args: Args) -> Folded:
    return w.first(w.values), w.filled


def stdvar_over_time(w: Windows, args: Args) -> Folded:
    result = np.zeros(w.lo.size)
    for block in w.padded(w.filled):
        y = w.values[block.samples]
        # Relative to the first value: equal values then have a variance of exactly zero.
        shifted = np.where(block.filled, y - y[:, :1], 0.0)
        count = block.filled.sum(axis=1)
        spread = np.where(block.filled, shifted - (_row_sums(shifted) / count)[:, None], 0.0)
        result[block.windows] = _row_sums(spread * spread) / count
    return result.reshape(w.lo.shape), w.filled


def _row_sums(terms: Floats) -> Floats:
    """Each row added up from left to right: zeros at its end, of which other windows decide, change no bit."""
    sums: Floats = np.cumsum(terms, axis=1)[:, -1]
    return sums


def stddev_over_time(w: Windows, args: Args) -> Folded:
    variance, valid = stdvar_over_time(w, args)
    return np.sqrt(variance), valid


def quantile_over_time(w: Windows, args: Args) -> Folded:
    result = np.zeros(w.lo.size)
    for block in w.padded(w.filled):
        share = args[0][block.windows % w.lo.shape[1]]
        result[block.windows] = quantile_of_rows(w.values[block.samples], block.filled, share)
    return result.reshape(w.lo.shape), w.filled


def mad_over_time(w: Windows, args: Args) -> Folded:
    result = np.zeros(w.lo.size)
    for block in w.padded(w.filled):
        half = np.full(len(block.windows), 0.5)
        y = w.values[block.samples]
        median = quantile_of_rows(y, block.filled, half)
        result[block.windows] = quantile_of_rows(np.abs(y - median[:, None]), block.filled, half)
    return result.reshape(w.lo.shape), w.filled


def quantile_of_rows(values: Floats, filled: Bools, share: Floats) -> Floats:
    """The `share`-quantile of each row's filled places; NaN counts as smaller than any number."""
    count = filled.sum(axis=1)
    lacking = (np.isnan(values) & filled).sum(axis=1)
    ordered = np.sort(np.where(filled, np.where(np.isnan(values), -np.inf, values), np.inf), axis=1)
    rank = np.where(np.isnan(share), 0.0, np.clip(share, 0, 1)) * (count - 1)
    below = np.maximum(0, np.floor(rank)).astype(np.int64)
    above = np.minimum(count - 1, below + 1)
    row = np.arange(len(values))
    weight = rank - np.floor(rank)
    low, high = (np.where(place < lacking, np.nan, ordered[row, place]) for place in (below, above))
    found = low * (1 - weight) + high * weight
    found = np.where(share < 0, -np.inf, np.where(share > 1, np.inf, found))
    return np.where(np.isnan(share), np.nan, found)


def ts_of_first_over_time(w: Windows, args: Args) -> Folded:
    return w.first(w.ts_ms) / 1000, w.filled


def ts_of_last_over_time(w: Windows, args: Args) -> Folded:
    return w.last(w.ts_ms) / 1000, w.filled


def ts_of_min_over_time(w: Windows, args: Args) -> Folded:
    return _time_of(w, w.fold(np.fmin, w.values)), w.filled


def ts_of_max_over_time(w: Windows, args: Args) -> Folded:
    return _time_of(w, w.fold(np.fmax, w.values)), w.filled


def _time_of(w: Windows, extreme: Floats) -> Floats:
    """When each window last had its extreme value."""
    result = np.zeros(w.lo.size)
    flat = extreme.reshape(-1)
    for block in w.padded(w.filled):
        result[block.windows] = w.ts_ms[_last_equal(w, block, flat[block.windows])] / 1000
    return result.reshape(w.lo.shape)


def _last_equal(w: Windows, block: Padded, wanted: Floats) -> Ints:
    y = w.values[block.samples]
    equal = ((y == wanted[:, None]) | (np.isnan(y) & np.isnan(wanted)[:, None])) & block.filled
    place = y.shape[1] - 1 - np.argmax(equal[:, ::-1], axis=1)
    return np.asarray(block.samples[np.arange(len(y)), place])


KERNELS: Mapping[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (
        rate,
        increase,
        delta,
        irate,
        idelta,
        resets,
        changes,
        deriv,
        predict_linear,
        double_exponential_smoothing,
        sum_over_time,
        avg_over_time,
        min_over_time,
        max_over_time,
        count_over_time,
        present_over_time,
        last_over_time,
        first_over_time,
        stdvar_over_time,
        stddev_over_time,
        quantile_over_time,
        mad_over_time,
        ts_of_first_over_time,
        ts_of_last_over_time,
        ts_of_min_over_time,
        ts_of_max_over_time,
    )
}

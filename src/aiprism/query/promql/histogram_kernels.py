"""The functions over range vectors where some samples are native histograms.

In: `Windows` with `cells`. Out: one value a window, whether there is one, and the histograms among them. Windows of
numbers alone are left to kernels.py, as are the functions that pass over histograms. A window that holds both kinds has
no result where a function needs one kind. Resets and changes are found once a sample, a window then takes one difference.
Source: Prometheus documentation, "Query functions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aiprism.model.histograms import ResetHint
from aiprism.query.promql import native, notes
from aiprism.query.promql.blocks import Cells, natives
from aiprism.query.promql.kernels import KERNELS, Args, extrapolation
from aiprism.query.promql.native import Histogram, added, averaged, equal, multiplied, subtracted, summed, was_reset
from aiprism.query.promql.notes import ADDITION, AGGREGATION, SUBTRACTION, Doubt, Doubts
from aiprism.query.promql.windows import Windows
from aiprism.store.columns import Bools, Floats, Ints

Mixed = tuple[Floats, Bools, Cells | None]
Run = Callable[[list[Histogram]], Histogram | None]
Fold = Callable[[Windows, Args, Doubts], Mixed]
Met = tuple[Histogram, str]  # one that is added or subtracted, and which of both

# These count or show samples of either kind.
_ALIKE = frozenset({"count_over_time", "present_over_time", "ts_of_first_over_time", "ts_of_last_over_time"})


def fold(function: str, w: Windows, args: Args, doubts: Doubts | None = None) -> Mixed:
    """`function` over windows that may hold histograms; `doubts` learn what there is to say of which window."""
    if w.cells is None or function in _ALIKE:
        return *KERNELS[function](w, args), None
    doubts = doubts or Doubts(w.lo.shape)
    if function not in _OF_EITHER_KIND:
        held = _counts(w)
        said = notes.MIXED_RANGE if function in _OF_ONE_KIND else notes.IGNORED_IN_RANGE
        if function not in _OF_THE_LAST:
            doubts.where(said, (held > 0) & (held < w.sizes))
    if function in _WITH_HISTOGRAMS:
        return _WITH_HISTOGRAMS[function](w, args, doubts)
    return *KERNELS[function](w.numbers(), args), None


def _counts(w: Windows) -> Ints:
    """How many histograms each window holds."""
    assert w.cells is not None
    return w.count(natives(w.cells))


def _chosen(function: str) -> Fold:
    """A function whose result is one of the samples."""

    def evaluate(w: Windows, args: Args, doubts: Doubts) -> Mixed:
        assert w.cells is not None
        values, valid = KERNELS[function](w, args)
        places = w.hi - 1 if function == "last_over_time" else w.lo
        cells: Cells = w.cells[np.clip(places, 0, len(w.cells) - 1)] if len(w.cells) else np.full(w.lo.shape, None)
        return values, valid, cells

    return evaluate


def _over_runs(function: str, run: Run) -> Fold:
    """A function that takes windows of one kind of samples; `run` folds those of histograms."""

    def evaluate(w: Windows, args: Args, doubts: Doubts) -> Mixed:
        assert w.cells is not None
        values, valid = KERNELS[function](w, args)
        held = _counts(w)
        cells = np.full(w.lo.shape, None)
        whole = w.filled & (held == w.sizes)
        known: dict[tuple[int, int], tuple[Histogram | None, list[Doubt]]] = {}
        for row, step in zip(*np.nonzero(whole), strict=True):
            lo, hi = int(w.lo[row, step]), int(w.hi[row, step])
            if (lo, hi) not in known:
                samples = w.cells[lo:hi].tolist()
                known[lo, hi] = (run(samples), native.doubts(samples, AGGREGATION))
            cells[row, step], said = known[lo, hi]
            doubts.at(int(row), int(step), said)
        return values, (valid & (held == 0)) | natives(cells), cells

    return evaluate


# -- rate and its kin ----------------------------------------------------------------------------------------------------


def _extrapolated(function: str, *, counter: bool, per_second: bool) -> Fold:
    def evaluate(w: Windows, args: Args, doubts: Doubts) -> Mixed:
        assert w.cells is not None
        values, valid = KERNELS[function](w, args)
        held = _counts(w)
        gains = np.full(w.lo.shape, None)
        whole = (w.sizes >= 2) & (held == w.sizes)
        fell = _marks(w, was_reset) if counter else np.zeros(len(w.cells), dtype=bool)
        falls = np.flatnonzero(fell)
        first, gained = np.zeros(w.lo.shape), np.zeros(w.lo.shape)
        for row, step in zip(*np.nonzero(whole), strict=True):
            lo, hi = int(w.lo[row, step]), int(w.hi[row, step])
            lost = falls[np.searchsorted(falls, lo, side="right") : np.searchsorted(falls, hi)]
            run = w.cells[lo:hi].tolist()
            gain, met = _gain(run, (lost - lo).tolist(), counter=counter)
            doubts.at(int(row), int(step), _doubts_of_gain(run, met, gain, counter=counter))
            if gain is not None:
                gains[row, step], gained[row, step], first[row, step] = gain, gain.count, w.cells[lo].count
        factor = extrapolation(w, gained, first, counter=counter, per_second=per_second)
        cells = np.full(w.lo.shape, None)
        for row, step in zip(*np.nonzero(natives(gains)), strict=True):
            cells[row, step] = multiplied(gains[row, step], float(factor[row, step])).hinted(ResetHint.GAUGE)
        return values, (valid & (held == 0)) | natives(cells), cells

    return evaluate


def _gain(run: list[Histogram], lost: list[int], *, counter: bool) -> tuple[Histogram | None, list[Met]]:
    """The last of a run less the first, and what was there before each reset; and what it met on the way. A counter that
    began anew at the second sample began at zero: how the first was laid out does not matter."""
    anew = counter and lost[:1] == [1]
    met = [] if anew else [(run[0], SUBTRACTION)]
    met += [(run[place - 1], ADDITION) for place in lost[anew:]]
    gain = _at_lowest(run[-1], run[anew:] if counter else [run[0], run[-1]])
    for each, during in met:
        if gain is not None:
            gain = subtracted(gain, each) if during == SUBTRACTION else added(gain, each)
    return gain, met


def _doubts_of_gain(run: list[Histogram], met: list[Met], gain: Histogram | None, *, counter: bool) -> list[Doubt]:
    if gain is None:
        return [notes.MIXED_SCHEMAS]
    gauges = [each.hint is ResetHint.GAUGE for each in run]
    found = [notes.NOT_COUNTER] if counter and any(gauges) else []
    if not counter and not (gauges[0] and gauges[-1]):
        found.append(notes.NOT_GAUGE)
    return found + [notes.reconciled(during) for each, during in met if each.bounds != run[-1].bounds]


def _at_lowest(last: Histogram, run: list[Histogram]) -> Histogram | None:
    """`last` at the lowest resolution of all; None when some have custom buckets and others have not."""
    if len({each.custom for each in run}) > 1:
        return None
    least = min(run, key=lambda each: each.schema)
    return last if last.schema == least.schema else added(last, Histogram(least.schema, 0.0, 0.0, last.zero_threshold))


def _instant(function: str, *, rate: bool) -> Fold:
    def evaluate(w: Windows, args: Args, doubts: Doubts) -> Mixed:
        assert w.cells is not None
        values, valid = KERNELS[function](w, args)
        if not len(w.cells):
            return values, valid, None
        of_both = natives(w.cells)
        before, last = (np.clip(w.hi - back, 0, len(w.cells) - 1) for back in (2, 1))
        cells = np.full(w.lo.shape, None)
        for row, step in zip(*np.nonzero((w.sizes >= 2) & of_both[before] & of_both[last]), strict=True):
            now, then = int(last[row, step]), int(before[row, step])
            seconds = float(w.ts_ms[now] - w.ts_ms[then]) / 1000
            found = cells[row, step] = _difference(w.cells[now], w.cells[then], seconds if rate else None)
            run = [w.cells[then], w.cells[now]]
            met = [] if rate and was_reset(run[1], run[0]) else [(run[0], SUBTRACTION)]
            doubts.at(int(row), int(step), _doubts_of_gain(run, met, found, counter=rate))
        doubts.where(notes.MIXED_RANGE, (w.sizes >= 2) & (of_both[before] != of_both[last]))
        numbers = valid & ~of_both[before] & ~of_both[last]
        return values, numbers | natives(cells), cells

    return evaluate


def _difference(now: Histogram, then: Histogram, seconds: float | None) -> Histogram | None:
    gain = now if seconds is not None and was_reset(now, then) else subtracted(now, then)
    if gain is not None and seconds is not None:
        gain = multiplied(gain, 1.0 / seconds)
    return None if gain is None else gain.hinted(ResetHint.GAUGE)


# -- resets and changes --------------------------------------------------------------------------------------------------


def _marks(w: Windows, differs: Callable[[Histogram, Histogram], bool]) -> Bools:
    """The samples that `differs` tells apart from the one before; a sample of another kind always is."""
    assert w.cells is not None
    found = np.zeros(len(w.cells), dtype=bool)
    native = natives(w.cells)
    for at in np.flatnonzero(native[1:] | native[:-1]).tolist():
        before, now = w.cells[at], w.cells[at + 1]
        found[at + 1] = before is None or now is None or differs(now, before)
    return found


def _marked(function: str, differs: Callable[[Histogram, Histogram], bool]) -> Fold:
    def evaluate(w: Windows, args: Args, doubts: Doubts) -> Mixed:
        # Of numbers the kernel counts: where a histogram is, it sees NaN, which never falls but does change.
        marks = _marks(w, differs)
        before, now = w.values[:-1], w.values[1:]
        numbers = np.zeros(len(w.values), dtype=bool)
        if function == "resets":
            numbers[1:] = now < before
        else:
            numbers[1:] = (before != now) & ~(np.isnan(before) & np.isnan(now))
        if w.cells is not None:
            either = natives(w.cells)
            numbers[1:] &= ~(either[1:] | either[:-1])
        return w.count(marks | numbers, skip=1).astype(np.float64), w.filled, None

    return evaluate


_WITH_HISTOGRAMS: Mapping[str, Fold] = {
    "last_over_time": _chosen("last_over_time"),
    "first_over_time": _chosen("first_over_time"),
    "sum_over_time": _over_runs("sum_over_time", summed),
    "avg_over_time": _over_runs("avg_over_time", averaged),
    "rate": _extrapolated("rate", counter=True, per_second=True),
    "increase": _extrapolated("increase", counter=True, per_second=False),
    "delta": _extrapolated("delta", counter=False, per_second=False),
    "irate": _instant("irate", rate=True),
    "idelta": _instant("idelta", rate=False),
    "resets": _marked("resets", was_reset),
    "changes": _marked("changes", lambda now, before: not equal(now, before)),
}

# These have no result where a window holds both kinds, those of the other set show or count either.
_OF_ONE_KIND = frozenset({"rate", "increase", "delta", "irate", "idelta", "sum_over_time", "avg_over_time"})
_OF_EITHER_KIND = frozenset({*_ALIKE, *_WITH_HISTOGRAMS}) - _OF_ONE_KIND
# Of these only the last two samples matter.
_OF_THE_LAST = frozenset({"irate", "idelta"})

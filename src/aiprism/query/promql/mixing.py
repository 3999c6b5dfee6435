"""Numbers and native histograms of the same series as one run of samples.

In: both as the store gives them, or as a subquery does. Out: samples by series and time, with histograms in an array of
cells beside the numbers. A staleness marker is a number here, of whichever kind it was sent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aiprism.model.histograms import ResetHint
from aiprism.model.samples import STALE_NAN, STALE_NAN_BITS
from aiprism.query.promql.blocks import Cells
from aiprism.query.promql.native import Histogram
from aiprism.query.promql.windows import Windows
from aiprism.store.columns import Ints
from aiprism.store.samples import RawHistograms, RawSamples


def with_histograms(numbers: RawSamples, histograms: RawHistograms, *, stale: bool) -> tuple[RawSamples, Cells]:
    """All samples of the series of `histograms`, staleness markers only when `stale`. At one time a histogram counts more
    than a number."""
    values = np.full(len(histograms.ts_ms), np.nan)
    cells = np.full(len(histograms.ts_ms), None)
    for place, each in enumerate(histograms.histograms):
        if each.is_stale:
            values[place] = STALE_NAN
        else:
            cells[place] = Histogram.of(each)
    rows = np.concatenate([_rows(histograms), _rows(numbers)])
    ts_ms = np.concatenate([histograms.ts_ms, numbers.ts_ms])
    values = np.concatenate([values, numbers.values])
    cells = np.concatenate([cells, np.full(len(numbers.ts_ms), None)])
    order = np.lexsort([ts_ms, rows])  # stable: of one time the histogram comes first
    again = (np.diff(rows[order], prepend=-1) == 0) & (np.diff(ts_ms[order], prepend=0) == 0)
    kept = ~again
    if not stale:
        kept &= values[order].view(np.uint64) != STALE_NAN_BITS
    order = order[kept]
    found, sizes = np.unique(rows[order], return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return RawSamples(found, offsets, ts_ms[order], values[order]), cells[order]


def _rows(of: RawSamples | RawHistograms) -> Ints:
    return np.repeat(of.rows, np.diff(of.offsets))


def one_after_the_other(first: Windows, second: Windows) -> Windows:
    """The windows of both, whose times are the same."""
    size = len(first.ts_ms)
    empty = (np.full(len(each.ts_ms), None) if each.cells is None else each.cells for each in (first, second))
    return replace(
        first,
        ts_ms=np.concatenate([first.ts_ms, second.ts_ms]),
        values=np.concatenate([first.values, second.values]),
        lo=np.concatenate([first.lo, second.lo + size]),
        hi=np.concatenate([first.hi, second.hi + size]),
        cells=np.concatenate(list(empty)),
    )


def without_hints(cells: Cells) -> Cells:
    """Histograms some of whose predecessors may not be there: what they say of a reset no longer holds."""
    known = (ResetHint.YES, ResetHint.NO)
    found = cells.copy()
    for place, each in enumerate(cells.tolist()):
        if each is not None and each.hint in known:
            found[place] = each.hinted(ResetHint.UNKNOWN)
    return found

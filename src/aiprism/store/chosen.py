"""What selectors chose lately: dashboards and rules ask for the same series again and again.

A matcher says of a series always the same, so only series that are new are looked at; and a selection of the same series is
the same one, which knows by then what was found out about it. Nothing here locks, or decides who may see a series.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aiprism.model.labels import Matcher
from aiprism.store.columns import Ints
from aiprism.store.labelcolumns import LabelColumns, MetricLabels

if TYPE_CHECKING:
    from aiprism.store.series import Selection

# Of metrics with fewer series it costs no more to look at all of them.
_FEW = 256
_MOST_ROWS = 1_000_000  # eight bytes each
# A row of a selection that is kept takes some fifty bytes.
_MOST_SELECTED, _MOST_SELECTIONS = 200_000, 2_000

Parts = Sequence[tuple[MetricLabels, Ints]]
_Key = tuple[Matcher, ...]
_NOTHING: Ints = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Chosen:
    """The rows of each metric that matchers accepted, and the selections that were made of them."""

    _rows: OrderedDict[tuple[str, _Key], tuple[int, Ints]] = field(default_factory=OrderedDict)
    _row_count: int = 0
    _selections: OrderedDict[_Key, tuple[Parts, Selection]] = field(default_factory=OrderedDict)
    _selected: int = 0

    def rows(self, labels: LabelColumns, metric: MetricLabels, matchers: _Key) -> Ints:
        """The rows of the series of `metric` that all `matchers` accept, ascending."""
        size = len(metric.positions)
        if size < _FEW:
            return _accepted(labels, metric, matchers, 0)
        key = (metric.name, matchers)
        seen, rows = self._rows.pop(key, (0, _NOTHING))
        self._row_count -= len(rows)
        if seen < size:
            rows = np.concatenate([rows, _accepted(labels, metric, matchers, seen)])
        self._rows[key] = size, rows
        self._row_count += len(rows)
        while self._row_count > _MOST_ROWS and len(self._rows) > 1:
            _, (_, gone) = self._rows.popitem(last=False)
            self._row_count -= len(gone)
        return rows

    def selection(self, matchers: _Key, parts: Parts) -> Selection | None:
        """The selection that was made by those matchers of those series, if it is kept."""
        found = self._selections.get(matchers)
        if found is None or not _same(found[0], parts):
            return None
        self._selections.move_to_end(matchers)
        return found[1]

    def keep(self, matchers: _Key, parts: Parts, made: Selection) -> None:
        """For the next question."""
        if len(made) * 4 > _MOST_SELECTED:
            return
        before = self._selections.pop(matchers, None)
        self._selected += len(made) - (len(before[1]) if before else 0)
        self._selections[matchers] = parts, made
        while self._selected > _MOST_SELECTED or len(self._selections) > _MOST_SELECTIONS:
            _, (_, gone) = self._selections.popitem(last=False)
            self._selected -= len(gone)


def _accepted(labels: LabelColumns, metric: MetricLabels, matchers: _Key, first: int) -> Ints:
    mask = labels.accepted(metric, matchers, first)
    return _NOTHING if mask is None else np.flatnonzero(mask) + first


def _same(ours: Parts, theirs: Parts) -> bool:
    return len(ours) == len(theirs) and all(
        one is other and (rows is others or np.array_equal(rows, others))
        for (one, rows), (other, others) in zip(ours, theirs, strict=True)
    )

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
# The label sets of so many series are kept with a selection.
MOST_KEPT = 256

# Bytes. Questions differ more than their answers do: who looks for one trace or user after the other finds next to nothing
# each time, and each time another question is kept.
_MOST_OF_ROWS, _MOST_OF_SELECTIONS = 16_000_000, 64_000_000
_ROW, _SELECTED_ROW, _LABEL_SET, _QUESTION, _SELECTION = 8, 50, 1300, 600, 3000

Parts = Sequence[tuple[MetricLabels, Ints]]
_Key = tuple[Matcher, ...]
_NOTHING: Ints = np.empty(0, dtype=np.int64)


@dataclass(slots=True)
class Chosen:
    """The rows of each metric that matchers accepted, and the selections that were made of them."""

    _rows: OrderedDict[tuple[str, _Key], tuple[int, Ints]] = field(default_factory=OrderedDict)
    _of_rows: int = 0  # bytes
    _selections: OrderedDict[_Key, tuple[Parts, Selection]] = field(default_factory=OrderedDict)
    _of_selections: int = 0  # bytes

    def rows(self, labels: LabelColumns, metric: MetricLabels, matchers: _Key) -> Ints:
        """The rows of the series of `metric` that all `matchers` accept, ascending."""
        size = len(metric.positions)
        if size < _FEW:
            return _accepted(labels, metric, matchers, 0)
        key = (metric.name, matchers)
        seen, rows = self._rows.get(key, (0, _NOTHING))
        if seen == size:
            self._rows.move_to_end(key)
            return rows
        found = np.concatenate([rows, _accepted(labels, metric, matchers, seen)])
        if seen:
            del self._rows[key]
            self._of_rows -= _bytes_of_rows(matchers, rows)
        self._rows[key] = size, found
        self._of_rows += _bytes_of_rows(matchers, found)
        while self._of_rows > _MOST_OF_ROWS and len(self._rows) > 1:
            (_, asked), (_, gone) = self._rows.popitem(last=False)
            self._of_rows -= _bytes_of_rows(asked, gone)
        return found

    def selection(self, matchers: _Key, parts: Parts) -> Selection | None:
        """The selection that was made by those matchers of those series, if it is kept."""
        found = self._selections.get(matchers)
        if found is None or not _same(found[0], parts):
            return None
        self._selections.move_to_end(matchers)
        return found[1]

    def keep(self, matchers: _Key, parts: Parts, made: Selection) -> None:
        """For the next question."""
        size = _bytes_of_selection(matchers, made)
        if size * 4 > _MOST_OF_SELECTIONS:
            return
        before = self._selections.pop(matchers, None)
        self._of_selections += size - (_bytes_of_selection(matchers, before[1]) if before else 0)
        self._selections[matchers] = parts, made
        while self._of_selections > _MOST_OF_SELECTIONS:
            asked, (_, gone) = self._selections.popitem(last=False)
            self._of_selections -= _bytes_of_selection(asked, gone)


def _bytes_of_rows(matchers: _Key, rows: Ints) -> int:
    return _bytes_of_question(matchers) + _ROW * len(rows)


def _bytes_of_selection(matchers: _Key, made: Selection) -> int:
    """With all that may be found out about it."""
    row = _SELECTED_ROW + (_LABEL_SET if len(made) <= MOST_KEPT else 0)
    return _bytes_of_question(matchers) + _SELECTION + row * len(made)


def _bytes_of_question(matchers: _Key) -> int:
    return _QUESTION + sum(len(each.name) + len(each.value) for each in matchers)


def _accepted(labels: LabelColumns, metric: MetricLabels, matchers: _Key, first: int) -> Ints:
    mask = labels.accepted(metric, matchers, first)
    return _NOTHING if mask is None else np.flatnonzero(mask) + first


def _same(ours: Parts, theirs: Parts) -> bool:
    return len(ours) == len(theirs) and all(
        one is other and (rows is others or np.array_equal(rows, others))
        for (one, rows), (other, others) in zip(ours, theirs, strict=True)
    )

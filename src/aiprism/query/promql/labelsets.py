"""Label sets of many series as columns of integer codes, and the operations PromQL has on labels.

A `LabelSets` is frozen; each operation gives a new one that shares the columns it does not change. Code 0 of a column is
the absent label. Grouping, matching and duplicate checks work on the codes; texts appear at the very end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.store.chosen import MOST_KEPT
from aiprism.store.columns import Ints
from aiprism.store.labelcolumns import Column
from aiprism.store.runs import distinct
from aiprism.store.series import Selection

_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of rows: row i is in group ``ids[i]``, and ``firsts[g]`` is the first row of group g."""

    ids: Ints
    firsts: Ints

    def __len__(self) -> int:
        return len(self.firsts)

    def order(self) -> Ints:
        """The rows group by group, those of one in their order."""
        # numpy sorts numbers of 16 bits in linear time.
        few = len(self.firsts) <= np.iinfo(np.uint16).max
        return np.argsort(self.ids.astype(np.uint16) if few else self.ids, kind="stable")


@dataclass(frozen=True, slots=True)
class LabelSets:
    """`size` label sets; a column is missing when no row has that label."""

    columns: Mapping[str, Column]
    size: int
    # The rows of a selection that these are, as long as no label is changed: a few are made and ordered but once.
    source: tuple[Selection, Ints] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_selection(cls, selection: Selection, rows: Ints) -> LabelSets:
        """The label sets of `rows` of a selection."""
        of_all = cls(selection.columns, len(selection), (selection, np.arange(len(selection))))
        return of_all if len(rows) == len(selection) and _counted(rows) else of_all.take(rows)

    @classmethod
    def of(cls, sets: Sequence[Labels]) -> LabelSets:
        """The given label sets."""
        names = {name for labels in sets for name in labels}
        columns = {name: _coded([labels.get(name, "") for labels in sets]) for name in names}
        return cls(columns, len(sets))

    def __len__(self) -> int:
        return self.size

    # -- rows ----------------------------------------------------------------------------------------------------

    def take(self, rows: Ints | NDArray[np.bool_]) -> LabelSets:
        """The rows of those numbers, or where a mask is true."""
        columns = {name: Column(column.codes[rows], column.values) for name, column in self.columns.items()}
        size = int(rows.sum()) if rows.dtype == np.bool_ else len(rows)
        return LabelSets(columns, size, (self.source[0], self.source[1][rows]) if self.source else None)

    def followed_by(self, other: LabelSets) -> LabelSets:
        """These rows, then the other's."""
        columns = {
            name: _joined(self.columns.get(name), self.size, other.columns.get(name), other.size)
            for name in self.columns.keys() | other.columns.keys()
        }
        return LabelSets(columns, self.size + other.size)

    def labels(self) -> list[Labels]:
        """Every row as `Labels`."""
        if not self.columns:
            return [Labels()] * self.size
        if self.source and len(self.source[0]) <= MOST_KEPT:
            of_all = self.source[0].labels()
            return [of_all[row] for row in self.source[1].tolist()]
        return Labels.rows(self.columns, map(self.texts, self.columns))

    def texts(self, name: str) -> list[str]:
        """The value of one label in every row."""
        column = self.columns.get(name)
        if column is None:
            return [""] * self.size
        values = column.values
        return [values[code] for code in column.codes.tolist()]

    # -- labels --------------------------------------------------------------------------------------------------

    def without(self, names: Collection[str]) -> LabelSets:
        """All labels but `names`."""
        return LabelSets({name: column for name, column in self.columns.items() if name not in names}, self.size)

    def only(self, names: Collection[str]) -> LabelSets:
        """No labels but `names`."""
        return LabelSets({name: column for name, column in self.columns.items() if name in names}, self.size)

    def without_name(self) -> LabelSets:
        """All labels but the metric name."""
        return self.without((METRIC_NAME,))

    def with_texts(self, name: str, texts: Sequence[str]) -> LabelSets:
        """Label `name` set to `texts`, one a row; an empty text removes it."""
        return self.with_column(name, _coded(texts))

    def with_column(self, name: str, column: Column | None) -> LabelSets:
        """Label `name` replaced by a column; None removes it from every row."""
        return self.without((name,)) if column is None else LabelSets({**self.columns, name: column}, self.size)

    def with_mapped(self, name: str, source: str, texts: Callable[[str], str | None]) -> LabelSets:
        """Label `name` set to ``texts(value of source)``; None leaves it as it is. Called once per distinct value."""
        column = self.columns.get(source) or Column(np.zeros(self.size, dtype=np.int32), ("",))
        distinct, places = np.unique(column.codes, return_inverse=True)
        answers = [texts(column.values[code]) for code in distinct.tolist()]
        before = self.texts(name) if None in answers else []
        after = [answers[place] for place in places.tolist()]
        return self.with_texts(name, [before[row] if text is None else text for row, text in enumerate(after)])

    # -- groups and order ----------------------------------------------------------------------------------------

    def groups(self) -> Groups:
        """Rows with equal label sets together, groups in order of appearance of their first rows."""
        key = _key([column.codes for column in self.columns.values()], self.size)
        if key is None:
            return Groups(np.zeros(self.size, dtype=np.int64), np.zeros(min(1, self.size), dtype=np.int64))
        _, firsts, ids = distinct(key)
        order = np.argsort(firsts, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        return Groups(rank[ids], firsts[order])

    def order(self) -> Ints:
        """The permutation that sorts the rows as Prometheus sorts label sets: pair by pair, shorter first."""
        if self.size < 2:
            return np.arange(self.size)
        if self.source and len(self.source[0]) <= MOST_KEPT:
            return np.argsort(_ranks(self.source[0])[self.source[1]], kind="stable")
        return self._ordered()

    def _ordered(self) -> Ints:
        later = np.zeros(self.size, dtype=bool)  # has the row any label after the column looked at?
        ranks: list[Ints] = []
        for name in sorted(self.columns, reverse=True):
            column = self.columns[name]
            if column.codes[0] and (column.codes == column.codes[0]).all():
                later[:] = True
                continue  # the same everywhere
            present = column.codes != 0
            # Without this label, the row goes on with a greater name (comes after), or is at its end (comes first).
            ranks.append(np.where(present, _text_ranks(column) + 1, np.where(later, _LAST, 0)))
            later |= present
        return np.lexsort(ranks) if ranks else np.arange(self.size)


def _ranks(selection: Selection) -> Ints:
    """The place of each label set of a selection among all of them."""
    if selection.known.ranks is None:
        order = LabelSets(selection.columns, len(selection))._ordered()
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        selection.known.ranks = ranks
    return selection.known.ranks


def _counted(rows: Ints) -> bool:
    """True when they are 0, 1, 2 …"""
    return bool((rows == np.arange(len(rows))).all())


def _key(columns: Iterable[NDArray[np.int32]], size: int) -> Ints | None:
    """One number a row, equal where all columns are equal; None when all rows are."""
    key: Ints | None = None
    span = 1
    for codes in columns:
        top = int(codes.max(initial=0))
        if not top or not size:
            continue
        if key is None:
            key, span = codes.astype(np.int64), top + 1
            continue
        if span > (1 << 62) // (top + 1):
            distinct, key = np.unique(key, return_inverse=True)
            span = len(distinct)
        key, span = key * (top + 1) + codes, span * (top + 1)
    return key


def _coded(texts: Sequence[str]) -> Column:
    codes: dict[str, int] = {"": 0}
    coded = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), dtype=np.int32, count=len(texts))
    return Column(coded, tuple(codes))


def _joined(first: Column | None, first_size: int, second: Column | None, second_size: int) -> Column:
    """One column after the other; their dictionaries are united unless they are the same."""
    first = first or Column(np.zeros(first_size, dtype=np.int32), ("",))
    second = second or Column(np.zeros(second_size, dtype=np.int32), ("",))
    if first.values is second.values:
        return Column(np.concatenate([first.codes, second.codes]), first.values)
    united: dict[str, int] = {"": 0}
    parts = []
    for column in (first, second):
        distinct, places = np.unique(column.codes, return_inverse=True)
        codes = [united.setdefault(column.values[code], len(united)) for code in distinct.tolist()]
        parts.append(np.array(codes, dtype=np.int32)[places] if codes else column.codes)
    return Column(np.concatenate(parts), tuple(united))


def _text_ranks(column: Column) -> Ints:
    distinct, places = np.unique(column.codes, return_inverse=True)
    texts = [column.values[code] for code in distinct.tolist()]
    ranks = np.empty(len(texts), dtype=np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks[places]

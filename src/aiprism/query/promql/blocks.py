"""What flows between the nodes of a plan: series by steps, with a mask that says where a value is.

A stored NaN is a value like any other; where `valid` is false there is none and `values` means nothing. A cell may hold a
native histogram instead of a number: then it stands in `cells`, which most blocks do not have at all, and `values` means
nothing there either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aiprism.query.promql.labelsets import LabelSets
from aiprism.query.promql.values import QueryFailed
from aiprism.store.columns import Bools, Floats, Ints

Cells = NDArray[np.object_]  # a `native.Histogram` or None


def natives(cells: Cells) -> Bools:
    """Which of them are histograms."""
    return cells.astype(bool)


@dataclass(frozen=True, slots=True)
class Block:
    """Instant vectors at every step: n series (rows) by k steps."""

    labels: LabelSets
    values: Floats
    valid: Bools
    cells: Cells | None = None

    @classmethod
    def empty(cls, steps: int) -> Block:
        """No series."""
        return cls(LabelSets({}, 0), np.empty((0, steps)), np.empty((0, steps), dtype=bool))

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints | Bools) -> Block:
        """The rows of those numbers, or where a mask is true."""
        cells = None if self.cells is None else self.cells[rows]
        return Block(self.labels.take(rows), self.values[rows], self.valid[rows], cells)

    def where(self, mask: Bools) -> Block:
        """What of it is where `mask` is true, too."""
        return replace(self, valid=self.valid & mask)

    def native(self) -> Bools:
        """Where there is a histogram."""
        return np.zeros(self.valid.shape, dtype=bool) if self.cells is None else natives(self.cells) & self.valid

    def numbers(self) -> Block:
        """Without its histograms."""
        return self if self.cells is None else Block(self.labels, self.values, self.valid & ~natives(self.cells))

    def compact(self) -> Block:
        """Without the series that have no value at any step."""
        some: Bools = np.any(self.valid, axis=1)
        return self if bool(np.all(some)) else self.take(some)

    def relabelled(self, labels: LabelSets) -> Block:
        """The same values under other labels; `merged` must follow when they may coincide."""
        return replace(self, labels=labels)

    def merged(self) -> Block:
        """Series with equal labels as one. QueryFailed when two of them have a value at the same step."""
        groups = self.labels.groups()
        if len(groups) == len(self):
            return self
        order = np.argsort(groups.ids, kind="stable")
        starts = np.searchsorted(groups.ids[order], np.arange(len(groups)))
        crowd = np.add.reduceat(self.valid[order], starts, axis=0, dtype=np.int64)
        if (crowd > 1).any():
            twice = int(np.argwhere(crowd > 1)[0][0])
            shown = self.labels.take(groups.firsts[twice : twice + 1]).labels()[0]
            raise QueryFailed(f"vector cannot contain metrics with the same labelset: {shown}")
        values, valid = self.values[groups.firsts].copy(), crowd > 0
        cells = None if self.cells is None else self.cells[groups.firsts].copy()
        for row in np.setdiff1d(np.arange(len(self)), groups.firsts).tolist():
            np.copyto(values[groups.ids[row]], self.values[row], where=self.valid[row])
            if cells is not None and self.cells is not None:
                np.copyto(cells[groups.ids[row]], self.cells[row], where=self.valid[row])
        return Block(self.labels.take(groups.firsts), values, valid, cells)

    def without_name(self) -> Block:
        """Metric names dropped, and series that only differed in it made one where they do not clash."""
        return self.relabelled(self.labels.without_name()).merged()

    def distinct(self) -> Block:
        """This block. QueryFailed when two series have equal labels, at whatever steps: what Prometheus demands of the
        result of a function over range vectors."""
        if len(self.labels.groups()) < len(self):
            raise QueryFailed("vector cannot contain metrics with the same labelset")
        return self


def stacked(blocks: Sequence[Block]) -> Block:
    """The series of all blocks, one after the other (at least one block)."""
    labels = blocks[0].labels
    for block in blocks[1:]:
        labels = labels.followed_by(block.labels)
    return Block(
        labels,
        np.concatenate([block.values for block in blocks]),
        np.concatenate([block.valid for block in blocks]),
        _stacked_cells(blocks),
    )


def _stacked_cells(blocks: Sequence[Block]) -> Cells | None:
    if all(block.cells is None for block in blocks):
        return None
    return np.concatenate(
        [np.full(block.values.shape, None) if block.cells is None else block.cells for block in blocks]
    )

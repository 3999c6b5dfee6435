"""Samples on their way into the store, from before their INSERT to what became of it.

In: the columns that are to be stored. Out: of each metric when its first sample is, and once they are stored the samples
themselves. Who keeps them is recent.py's.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprism.store.columns import Floats, Ints

_FEW_CODES = 1 << 16  # are sorted by their digits


class Fate(Enum):
    """What became of an INSERT. LOST says nothing of what is in the store: it failed, and may be carried out yet."""

    UNDER_WAY = "under way"
    STORED = "stored"
    LOST = "lost"


class Samples:
    """Samples of one metric, in no order."""

    __slots__ = ("fps", "ts_ms", "values")

    def __init__(self, fps: NDArray[np.uint64], ts_ms: Ints, values: Floats) -> None:
        self.fps, self.ts_ms, self.values = fps, ts_ms, values


class Arrival:
    """The samples of one INSERT, each later than all that were stored of its series. Whoever shares it has a lock."""

    __slots__ = ("_columns", "_firsts", "_parts", "fate", "size")

    def __init__(self, metrics: pa.DictionaryArray, fps: NDArray[np.uint64], ts_ms: Ints, values: Floats) -> None:
        self.fate = Fate.UNDER_WAY
        self._columns: tuple[pa.DictionaryArray, Samples] | None = (metrics, Samples(fps, ts_ms, values))
        self._firsts: dict[str, int] | None = None
        self._parts: dict[str, Samples] = {}
        self.size = 0  # bytes that it keeps once its fate is known

    def first_ms(self, metric: str) -> int | None:
        """The time of the first sample of `metric`, None when there is none."""
        if self._firsts is None:
            self._firsts = self._first_of_each()
        return self._firsts.get(metric)

    def stored(self, wanted: Collection[str]) -> None:
        """It is in the store; only the samples of `wanted` metrics are kept."""
        self.fate = Fate.STORED
        assert self._columns is not None
        (metrics, every), self._columns = self._columns, None
        if not wanted:
            self._firsts = {}
            return
        names = metrics.dictionary.to_pylist()
        codes = metrics.indices.to_numpy()
        at = np.flatnonzero(np.fromiter((name in wanted for name in names), np.bool_, len(names))[codes])
        codes = codes[at].astype(np.uint16) if len(names) < _FEW_CODES else codes[at]
        order = np.argsort(codes, kind="stable")
        codes, at = codes[order], at[order]
        firsts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]])) if len(at) else at
        for code, rows in zip(codes[firsts].tolist(), np.split(at, firsts[1:]), strict=False):
            self._parts[names[code]] = Samples(every.fps[rows], every.ts_ms[rows], every.values[rows])
        self._firsts = {name: int(part.ts_ms.min()) for name, part in self._parts.items()}
        self.size = 24 * len(at)

    def lost(self) -> None:
        """Nobody knows whether it is in the store."""
        self.fate = Fate.LOST
        self._firsts = self._firsts or self._first_of_each()
        self._columns = None

    def of(self, metric: str) -> Samples | None:
        """The samples of a metric that was wanted when they were stored."""
        return self._parts.get(metric)

    def _first_of_each(self) -> dict[str, int]:
        assert self._columns is not None
        metrics, every = self._columns
        names = metrics.dictionary.to_pylist()
        first_ms = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first_ms, metrics.indices.to_numpy(), every.ts_ms)
        return dict(zip(names, first_ms.tolist(), strict=True))

"""The results of a query, and how one fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprism.errors import Refused
from aiprism.model.labels import Labels
from aiprism.query.promql.native import Histogram


class QueryFailed(Refused):
    """A query that parses but has no answer on this data, such as two series where one is wanted."""

    status, code = 422, "execution"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number at one time (Unix seconds)."""

    ts: float
    value: float


@dataclass(frozen=True, slots=True)
class String:
    """One text at one time (Unix seconds)."""

    ts: float
    value: str


@dataclass(frozen=True, slots=True)
class VectorItem:
    """The value of one series at one time (Unix seconds): a histogram, or a number."""

    labels: Labels
    ts: float
    value: float  # NaN where there is a histogram
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """The series of an instant query, in the order of the query (sort, topk), otherwise by labels."""

    items: tuple[VectorItem, ...]

    def __iter__(self) -> Iterator[VectorItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series over time: aligned arrays of Unix milliseconds and values, and of native histograms where any is one
    (None where it is a number; where it is not, the value means nothing)."""

    labels: Labels
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    histograms: NDArray[np.object_] | None = None

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """The times in Unix seconds."""
        return self.ts_ms / 1000

    def points(self) -> list[tuple[float, float]]:
        """(Unix seconds, value) pairs."""
        return list(zip(self.timestamps.tolist(), self.values.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Matrix:
    """The series of a range query, by labels."""

    series: tuple[Series, ...]

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)


Value = Vector | Scalar | Matrix | String


@dataclass(frozen=True, slots=True)
class Answer:
    """What one expression of several gave, or why nothing, and how many seconds it took."""

    value: Value | Exception
    seconds: float

"""A batch of samples under construction, as the OTLP decoder fills it, and the points that were left out of it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aiprism.errors import TooMany
from aiprism.model.histograms import NativeHistogram
from aiprism.receive.items import cause_of
from aiprism.receive.otlp_series import Family, Stream
from aiprism.store.batches import Exemplar, HistogramSample, SampleBatch

Row = TypeVar("Row", HistogramSample, Exemplar)

_MOST_REASONS, _MOST_TOLD = 100, 5


@dataclass(slots=True)
class Rejections:
    """How many data points of a request stayed behind, and why; past a hundred reasons it is another one."""

    reasons: dict[str, int] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)  # points by the bounded vocabulary of counters

    def add(self, points: int, reason: str, code: str) -> None:
        """`points` more were left out because of `reason`."""
        self.codes[code] += points
        if len(self.reasons) >= _MOST_REASONS and reason not in self.reasons:
            reason = "other reasons"
        self.reasons[reason] = self.reasons.get(reason, 0) + points

    @property
    def points(self) -> int:
        """How many there are."""
        return sum(self.reasons.values())

    @property
    def reason(self) -> str:
        """The reasons, at most five, each with its number of points when there are several."""
        if len(self.reasons) == 1:
            return next(iter(self.reasons))
        told = [f"{reason} ({points})" for reason, points in self.reasons.items()]
        more = len(told) - _MOST_TOLD
        return "; ".join(told[:_MOST_TOLD]) + (f"; and {more} more reasons" if more > 0 else "")


@dataclass(slots=True)
class Columns:
    """Samples in columns, their series by position or, while they are new, by stand-in; and what to undo."""

    positions: array[int] = field(default_factory=lambda: array("q"))
    ts_ms: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    histograms: list[HistogramSample] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    # What the decoder remembers of a stream and must forget should its points not be stored, oldest first.
    undo: list[tuple[Stream, Callable[[], None]]] = field(default_factory=list)
    levels: list[tuple[str, int]] = field(default_factory=list)  # (metric, fingerprint) whose last value must be known
    rejected: Rejections = field(default_factory=Rejections)
    points: int = 0
    streams: list[Stream | None] = field(default_factory=list)  # of each data point, in order; None: of no use again

    def add(self, positions: Sequence[int], ts_ms: int, values: Sequence[float]) -> None:
        """One sample of each series at one time."""
        self.positions.extend(positions)
        self.values.extend(values)
        self.ts_ms.extend([ts_ms] * len(positions))

    def add_histogram(self, stream: Stream, ts_ms: int, histogram: NativeHistogram) -> None:
        """One native histogram."""
        self.histograms.append(HistogramSample(stream.positions[0], ts_ms, histogram))

    def reject(self, metric: str, reason: str, points: int = 1, code: str = "bad_data") -> None:
        """Points of `metric` are left out."""
        self.rejected.add(points, f"metric {metric!r}: {reason}", code)

    def leave_out(self, refusal: TooMany) -> None:
        """Nothing of the streams that were not admitted counts; their rows are left behind by `batch`."""
        refused = [stream is not None and not stream.is_admitted for stream in self.streams]
        self.streams = [None if gone else stream for stream, gone in zip(self.streams, refused, strict=True)]
        self.points -= sum(refused)
        self.rejected.add(sum(refused), str(refusal), cause_of(refusal))
        for stream, step in reversed(self.undo):
            if not stream.is_admitted:
                step()
        self.undo = [(stream, step) for stream, step in self.undo if stream.is_admitted]

    def mark(self) -> tuple[int, int]:
        """A place in the columns, for `times`."""
        return len(self.ts_ms), len(self.histograms)

    def times(self, since: tuple[int, int]) -> NDArray[np.int64]:
        """The times of what was added since `mark`."""
        samples = np.array(self.ts_ms[since[0] :], np.int64)
        histograms = np.array([each.ts_ms for each in self.histograms[since[1] :]], np.int64)
        return np.concatenate([samples, histograms])

    def batch(self, settled: NDArray[np.int64]) -> SampleBatch:
        """All of it, with the positions of new series put in the place of their stand-ins, but for series not admitted."""
        positions, ts_ms = np.array(self.positions, np.int64), np.array(self.ts_ms, np.int64)
        values = np.array(self.values, np.float64)
        if len(settled):
            positions = np.where(positions < 0, settled[-np.minimum(positions, -1) - 1], positions)
            if (settled < 0).any():
                kept = positions >= 0
                positions, ts_ms, values = positions[kept], ts_ms[kept], values[kept]
        return SampleBatch(
            positions=positions,
            ts_ms=ts_ms,
            values=values,
            histograms=_settled(self.histograms, settled),
            exemplars=_settled(self.exemplars, settled),
            metadata=tuple({family.metadata for family in self.families if family.streams}),
        )


def _settled(rows: Sequence[Row], settled: NDArray[np.int64]) -> list[Row]:
    found = [row if row.position >= 0 else replace(row, position=int(settled[-row.position - 1])) for row in rows]
    return [row for row in found if row.position >= 0]

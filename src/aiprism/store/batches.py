"""What the metric doors hand to the store: samples, histograms, exemplars and metadata, each series named by its position.

Positions are those of the series index (`Writing.admit` gives them). A batch is built by one decoder, never changed, and
stored as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiprism.model.histograms import NativeHistogram

MOST_HELP, MOST_UNIT = 1024, 64  # characters of metadata
_TURN_BITS = 16  # of seconds


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """One native histogram of one series."""

    position: int
    ts_ms: int
    histogram: NativeHistogram


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample that points to a trace. Ids are raw bytes (16 and 8), empty when unknown."""

    position: int
    ts_ms: int
    value: float
    trace_id: bytes
    span_id: bytes
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """Type (``counter``, ``gauge``, ``histogram``, ``summary``, ``unknown``), help and unit of one metric family.

    Help and unit are words for people, whatever a sender puts there: what is too long is cut.
    """

    metric: str
    type: str
    help: str
    unit: str

    def __post_init__(self) -> None:
        for name, most in (("help", MOST_HELP), ("unit", MOST_UNIT)):
            if len(text := getattr(self, name)) > most:
                object.__setattr__(self, name, text[: most - 1] + "…")


def description_turns(keys: NDArray[np.uint64], now: float) -> NDArray[np.int64]:
    """The turn that each of those hashes is in: one lasts 18 hours, and those of different hashes begin at all times of it.

    A door that remembers by hash what it need not describe again describes it once a turn, for the store to keep it.
    """
    return (int(now) + (keys & np.uint64(2**_TURN_BITS - 1)).astype(np.int64)) >> _TURN_BITS


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples in columns of equal length, and what came with them. Of samples of one series and time the last one counts."""

    positions: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    ts_ms: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    histograms: Sequence[HistogramSample] = ()
    exemplars: Sequence[Exemplar] = ()
    metadata: Sequence[MetricMetadata] = ()

    def __len__(self) -> int:
        """How many samples and histograms."""
        return len(self.positions) + len(self.histograms)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to store, not even metadata."""
        return not (len(self) or self.exemplars or self.metadata)

    @property
    def size(self) -> int:
        """Bytes it occupies while it waits, about."""
        buckets = sum(_buckets(each.histogram) for each in self.histograms)
        said = sum(len(each.metric) + len(each.help) + len(each.unit) for each in self.metadata)
        labels = sum(len(name) + len(value) for each in self.exemplars for name, value in each.labels.items())
        rows = 600 * len(self.histograms) + 300 * len(self.exemplars) + 300 * len(self.metadata)
        return 24 * len(self.positions) + rows + 32 * buckets + said + labels + 64


def _buckets(histogram: NativeHistogram) -> int:
    return len(histogram.positive.counts) + len(histogram.negative.counts) + len(histogram.custom_values)

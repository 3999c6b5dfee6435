"""What a page says, whatever its format, before it is decided what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aiprism.model.histograms import NativeHistogram
from aiprism.store.batches import MetricMetadata

Ints = NDArray[np.int64]

UNKNOWN = -1  # the place of a series not met before
NO_TIME = -(2**63)


class Format(Enum):
    """A format of pages; the value is how configuration files and people call it."""

    TEXT = "PrometheusText"
    OPENMETRICS = "OpenMetricsText"
    PROTOBUF = "PrometheusProto"


@dataclass(frozen=True, slots=True)
class RawExemplar:
    """An exemplar of row `row`; `ts_ms` is None where the page gives no time."""

    row: int
    labels: Mapping[str, str]
    value: float
    ts_ms: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """By sample: the hash of its series, the place that is known under (or UNKNOWN), value, Unix milliseconds (or NO_TIME).

    `labels(row)` are the labels as they stand on the page, empty ones included. A row of `histograms` has that instead of
    a value. `metadata_hash` is the same as long as `metadata()` is.
    """

    hashes: NDArray[np.uint64]
    places: Ints
    values: NDArray[np.float64]
    ts_ms: Ints
    labels: Callable[[int], dict[str, str]]
    metadata_hash: int
    metadata: Callable[[], Iterable[MetricMetadata]]
    exemplars: Sequence[RawExemplar] = ()
    histograms: Mapping[int, NativeHistogram] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.hashes)

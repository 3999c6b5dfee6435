"""Samples as they enter the store from aiprism's own parts (rules, self-monitoring)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiprism.model.labels import Labels

if TYPE_CHECKING:
    from aiprism.model.histograms import NativeHistogram

# Prometheus marks the end of a series with this one NaN among all NaNs.
STALE_NAN_BITS = 0x7FF0000000000002
STALE_NAN: float = struct.unpack("<d", struct.pack("<Q", STALE_NAN_BITS))[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series; `labels` holds the metric name, `ts_ms` is Unix milliseconds. Where there is a `histogram`, that
    is the value."""

    labels: Labels
    ts_ms: int
    value: float
    histogram: NativeHistogram | None = None


def is_stale(value: float) -> bool:
    """True for the staleness marker, False for every other number and NaN."""
    return bool(struct.unpack("<Q", struct.pack("<d", value))[0] == STALE_NAN_BITS)

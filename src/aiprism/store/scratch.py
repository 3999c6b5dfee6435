"""A store for as long as somebody tries something out: embedded, in a directory that is gone afterwards.

In: samples of any time. Out: the same `SampleStore` that a server has. One process has one embedded store at a time.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.samples import SampleStore
from aiprism.store.schema import migrate
from aiprism.store.series import SeriesIndex

Sample = float | NativeHistogram


class Scratch:
    """Samples put in are there for the next question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begin()

    def _begin(self) -> None:
        self._index = SeriesIndex()
        self._writer = MetricWriter(self._engine, self._index)
        self.samples = SampleStore(self._engine, self._index)

    def put(self, rows: Iterable[tuple[Labels, Sequence[tuple[int, Sample]]]]) -> None:
        """Store the samples (Unix ms, value) of each series."""
        given = [(labels, points) for labels, points in rows if points]
        if not given:
            return
        positions = self._index.admit([labels for labels, _ in given], 0.0).tolist()
        plain: list[tuple[int, int, float]] = []
        histograms: list[HistogramSample] = []
        for position, (_, points) in zip(positions, given, strict=True):
            for ts_ms, value in points:
                if isinstance(value, NativeHistogram):
                    histograms.append(HistogramSample(position, ts_ms, value))
                else:
                    plain.append((position, ts_ms, value))
        columns = list(zip(*plain, strict=True)) or [(), (), ()]
        batch = SampleBatch(
            np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64), histograms
        )
        self._writer.insert([batch], uuid.uuid4().hex, 0.0)

    def clear(self) -> None:
        """Forget everything."""
        for table in ("samples", "corrections", "histograms", "series"):
            self._engine.command(f"TRUNCATE TABLE IF EXISTS {table}")
        self._begin()


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A store that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="aiprism-") as directory:
        engine = Engine.open(f"chdb:///{directory}")
        try:
            migrate(engine)
            yield Scratch(engine)
        finally:
            engine.close()

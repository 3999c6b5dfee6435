"""Puts series into a store the way ingest does, for tests of queries."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.query.promql import Limits, PromQL
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.decimals import Decimals
from aiprism.store.engine import Engine
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.recent import Recent
from aiprism.store.samples import SampleStore
from aiprism.store.series import Seen, SeriesIndex

Sample = float | NativeHistogram
Points = Sequence[tuple[int, Sample]]  # (Unix ms, value)


class _Unknown(Exception):
    pass


@dataclass
class Stocked:
    """A store with samples in it, and engines that ask it."""

    engine: Engine
    index: SeriesIndex
    samples: SampleStore
    promql: PromQL
    plain: PromQL  # computes everything from raw samples
    kept: PromQL  # with samples kept from query to query

    @classmethod
    def on(cls, engine: Engine, limits: Limits = Limits()) -> Stocked:  # noqa: B008
        index = SeriesIndex()
        samples = SampleStore(engine, index)
        kept = SampleStore(engine, index, recent=Recent(1 << 26))
        plain = PromQL(samples, limits, pushdown=False)
        return cls(engine, index, samples, PromQL(samples, limits), plain, PromQL(kept, limits))

    def add(self, series: Iterable[tuple[Labels, Points]]) -> None:
        """Store the samples of `series`."""
        metrics, fps, times, values = [], [], [], []
        histograms = []
        for labels, given in series:
            position = int(self.index.admit([labels], 0.0)[0]) if given else -1
            histograms += [
                HistogramSample(position, ts, each) for ts, each in given if isinstance(each, NativeHistogram)
            ]
            points = [(ts, value) for ts, value in given if not isinstance(value, NativeHistogram)]
            if not points:
                continue
            fp = labels.fingerprint
            positions = np.repeat(self.index.admit([labels], 0.0), len(points))
            self.index.see(Seen.of(positions, np.array([ts for ts, _ in points])), 0.0)
            metrics += [labels.name] * len(points)
            fps += [fp] * len(points)
            times += [ts for ts, _ in points]
            values += [value for _, value in points]
        if histograms:
            MetricWriter(self.engine, self.index).insert([SampleBatch(histograms=histograms)], uuid.uuid4().hex, 0.0)
        if not fps:
            return
        scaled, unscaled = Decimals().split(
            self.index.find(np.array(fps, dtype=np.uint64)), np.array(values, dtype=np.float64)
        )
        columns = {
            "metric": pa.array(metrics),
            "fp": pa.array(fps, pa.uint64()),
            "ts": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "scaled": scaled,
            "unscaled": unscaled,
        }
        with (
            suppress(_Unknown),
            self.index.arriving(
                columns["metric"].dictionary_encode(), np.array(fps, np.uint64), np.array(times), np.array(values)
            ),
        ):
            self.engine.insert_arrow("samples", pa.table(columns), token=uuid.uuid4().hex)
            raise _Unknown  # who keeps samples is to read them: not all of these are later than what there is

    def receive(self, series: Iterable[tuple[Labels, Points]]) -> None:
        """Store numbers as a sender's: what comes late is a correction."""
        batches = []
        for labels, points in series:
            at = np.repeat(self.index.admit([labels], 0.0), len(points))
            batches.append(
                SampleBatch(at, np.array([ts for ts, _ in points]), np.array([value for _, value in points]))
            )
        MetricWriter(self.engine, self.index).insert(batches, uuid.uuid4().hex, 0.0)

    def clear(self) -> None:
        """Forget everything."""
        self.engine.command("TRUNCATE TABLE samples")
        self.engine.command("TRUNCATE TABLE histograms")
        fresh = Stocked.on(self.engine, self.promql.limits)
        self.index, self.samples = fresh.index, fresh.samples
        self.promql, self.plain, self.kept = fresh.promql, fresh.plain, fresh.kept

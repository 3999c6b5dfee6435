"""Puts series into a store the way ingest does, for tests of queries."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiprism.model.labels import Labels
from aiprism.query.promql import Limits, PromQL
from aiprism.store.decimals import Decimals
from aiprism.store.engine import Engine
from aiprism.store.samples import SampleStore
from aiprism.store.series import Seen, SeriesIndex

Points = Sequence[tuple[int, float]]  # (Unix ms, value)


@dataclass
class Stocked:
    """A store with samples in it, and engines that ask it."""

    engine: Engine
    index: SeriesIndex
    samples: SampleStore
    promql: PromQL
    plain: PromQL  # computes everything from raw samples

    @classmethod
    def on(cls, engine: Engine, limits: Limits = Limits()) -> Stocked:  # noqa: B008
        index = SeriesIndex()
        samples = SampleStore(engine, index)
        return cls(engine, index, samples, PromQL(samples, limits), PromQL(samples, limits, pushdown=False))

    def add(self, series: Iterable[tuple[Labels, Points]]) -> None:
        """Store the samples of `series`."""
        metrics, fps, times, values = [], [], [], []
        for labels, points in series:
            if not points:
                continue
            fp = labels.fingerprint
            positions = np.repeat(self.index.admit([labels], 0.0), len(points))
            self.index.see(Seen.of(positions, np.array([ts for ts, _ in points])), 0.0)
            metrics += [labels.name] * len(points)
            fps += [fp] * len(points)
            times += [ts for ts, _ in points]
            values += [value for _, value in points]
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
        self.engine.insert_arrow("samples", pa.table(columns), token=uuid.uuid4().hex)

    def clear(self) -> None:
        """Forget everything."""
        self.engine.command("TRUNCATE TABLE samples")
        fresh = Stocked.on(self.engine, self.promql.limits)
        self.index, self.samples, self.promql, self.plain = fresh.index, fresh.samples, fresh.promql, fresh.plain

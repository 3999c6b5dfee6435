"""Batches of samples made rows: of `series` first, then of `samples` or `corrections`, `histograms`, `exemplars` and
`metric_metadata`.

In: `SampleBatch` values of one group commit. Out: one Arrow insert a table, and a series index that has seen them. All rows
are made before the first is written: what cannot be made one is known before anything of its neighbours is stored. A
sample whose labels are unknown after a crash would be lost, labels without samples are not: so series are written first,
and the index takes them for written only once they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprism.errors import StoreError
from aiprism.model.histograms import Buckets, NativeHistogram
from aiprism.store.batches import Exemplar, HistogramSample, MetricMetadata, SampleBatch
from aiprism.store.columns import Floats, Ints
from aiprism.store.corrections import version_at
from aiprism.store.decimals import Decimals
from aiprism.store.engine import Engine
from aiprism.store.series import Seen, SeriesIndex

_MOST_REMEMBERED = 50_000  # metadata rows, each with its help text
_RENEWED_AFTER = 86_400  # seconds: the row of metadata that is still sent is written again, so that it is kept
_MILLISECONDS, _SECONDS = pa.timestamp("ms"), pa.timestamp("s")
# What pyarrow and numpy raise of a value that its column cannot hold.
_UNFIT = (pa.ArrowException, ValueError, TypeError, OverflowError)
_MAP = pa.map_(pa.string(), pa.string())


class MetricWriter:
    """Stores batches. `insert` blocks; one thread at a time."""

    def __init__(self, engine: Engine, index: SeriesIndex) -> None:
        self._engine, self._index = engine, index
        self._metadata: dict[MetricMetadata, float] = {}  # and when it was written
        self._decimals = Decimals()
        self._version = 0  # of the last row of `corrections`

    def insert(self, batches: Sequence[SampleBatch], token: str, now: float) -> None:
        """Return once `batches` are stored; the same token a second time stores nothing twice, and another one only what a
        reader does not see twice. StoreError, and nothing stored, when something in them cannot be made a row."""
        positions = np.concatenate([batch.positions for batch in batches])
        ts_ms = np.concatenate([batch.ts_ms for batch in batches])
        histograms = [each for batch in batches for each in batch.histograms]
        exemplars = [each for batch in batches for each in batch.exemplars]
        metadata = {row for batch in batches for row in batch.metadata if self._is_due(row, now)}
        seen = Seen.of(*_with_others(positions, ts_ms, histograms, exemplars))
        due = self._index.due(seen)
        late = self._index.late(positions, ts_ms)
        timely = ~late if late.any() else slice(None)
        values = np.concatenate([batch.values for batch in batches])
        try:
            tables = {
                "series": self._series_rows(due),
                "corrections": self._correction_rows(positions[late], ts_ms[late], values[late], now),
                "samples": self._sample_rows(positions[timely], ts_ms[timely], values[timely]),
                "histograms": self._histogram_rows(histograms),
                "metric_metadata": _metadata_rows(metadata, now),
                # The only one in which a row that comes twice is two: nothing that could fail comes after it.
                "exemplars": self._exemplar_rows(exemplars),
            }
        except _UNFIT as error:
            raise StoreError(f"it cannot be made rows: {error}") from error
        for table, rows in tables.items():
            if rows.num_rows:
                self._before(table, seen, Seen.of(positions[late], ts_ms[late]), histograms)
                with self._arriving(rows, ts_ms[timely], values[timely]) if table == "samples" else nullcontext():
                    self._insert(table, rows, token, seen)
                if table == "series":
                    self._index.registered(due)
        self._remember(metadata, now)
        self._index.see(seen, now)

    def _insert(self, table: str, rows: pa.Table, token: str, seen: Seen) -> None:
        try:
            self._engine.insert_arrow(table, rows, token=token)
        except BaseException:
            # It may be carried out yet: who read since `_before` may not have seen it.
            self._index.tell_again(seen)
            raise

    def _arriving(self, rows: pa.Table, ts_ms: Ints, values: Floats) -> AbstractContextManager[None]:
        [metrics] = rows.column("metric").chunks
        return self._index.arriving(metrics, rows.column("fp").to_numpy(), ts_ms, values)

    def _before(self, table: str, seen: Seen, late: Seen, histograms: Sequence[HistogramSample]) -> None:
        """What the index must know before the INSERT, which may be carried out though it fails."""
        if table == "corrections":
            self._index.corrected(late)  # no query must overlook them
        elif table == "samples":
            self._index.maybe_seen(seen)  # whatever happens from here on, what is sent again comes late
        elif table == "histograms":
            self._index.native(np.unique([each.position for each in histograms]))

    def _sample_rows(self, positions: Ints, ts_ms: Ints, values: Floats) -> pa.Table:
        scaled, unscaled = self._decimals.split(positions, values)
        return self._of_series(
            positions, {"ts": pa.array(ts_ms, _MILLISECONDS), "scaled": scaled, "unscaled": unscaled}
        )

    def _correction_rows(self, positions: Ints, ts_ms: Ints, values: Floats, now: float) -> pa.Table:
        # Later rows of a batch win, later batches win, and so they do when the clock is set back.
        first = max(self._version + 1, version_at(now))
        self._version = max(self._version, first + len(positions) - 1)
        versions = first + np.arange(len(positions), dtype=np.uint64)
        return self._of_series(positions, {"ts": pa.array(ts_ms, _MILLISECONDS), "value": values, "version": versions})

    def _of_series(self, positions: Ints, columns: dict[str, object]) -> pa.Table:
        """`columns` with those that name the series in front."""
        return pa.table({"metric": self._index.metrics(positions), "fp": self._index.fps(positions), **columns})

    def _series_rows(self, due: Seen) -> pa.Table:
        return self._of_series(
            due.positions,
            {
                "labels": pa.array(self._index.labels(due.positions), _MAP),
                "first_ts": pa.array(due.first_ms, _MILLISECONDS),
                "last_ts": pa.array(due.last_ms, _MILLISECONDS),
            },
        )

    def _histogram_rows(self, histograms: Sequence[HistogramSample]) -> pa.Table:
        made = [each.histogram for each in histograms]
        return self._of_series(
            np.fromiter((each.position for each in histograms), np.int64, len(histograms)),
            {
                "ts": pa.array([each.ts_ms for each in histograms], _MILLISECONDS),
                "schema": pa.array([each.schema for each in made], pa.int8()),
                "count": pa.array([each.count for each in made], pa.float64()),
                "sum": _floats(made, "sum"),
                "zero_threshold": _floats(made, "zero_threshold"),
                "zero_count": _floats(made, "zero_count"),
                **_bucket_columns("positive", [each.positive for each in made]),
                **_bucket_columns("negative", [each.negative for each in made]),
                "custom_values": pa.array([each.custom_values for each in made], pa.list_(pa.float64())),
                "reset_hint": pa.array([int(each.reset_hint) for each in made], pa.int8()),
            },
        )

    def _exemplar_rows(self, exemplars: Sequence[Exemplar]) -> pa.Table:
        return self._of_series(
            np.fromiter((each.position for each in exemplars), np.int64, len(exemplars)),
            {
                "ts": pa.array([each.ts_ms for each in exemplars], _MILLISECONDS),
                "value": pa.array([each.value for each in exemplars], pa.float64()),
                "trace_id": pa.array([each.trace_id.ljust(16, b"\0") for each in exemplars], pa.binary(16)),
                "span_id": pa.array([each.span_id.ljust(8, b"\0") for each in exemplars], pa.binary(8)),
                "labels": pa.array([list(each.labels.items()) for each in exemplars], _MAP),
            },
        )

    def _is_due(self, row: MetricMetadata, now: float) -> bool:
        written = self._metadata.get(row)
        return written is None or abs(now - written) >= _RENEWED_AFTER  # the clock may have been set back

    def _remember(self, metadata: set[MetricMetadata], now: float) -> None:
        if len(self._metadata) + len(metadata) > _MOST_REMEMBERED:
            self._metadata.clear()  # what comes again is written again, and merged away
        if len(metadata) <= _MOST_REMEMBERED:
            self._metadata.update(dict.fromkeys(metadata, now))


def _metadata_rows(metadata: set[MetricMetadata], now: float) -> pa.Table:
    columns = ("metric", "type", "help", "unit")
    rows = {name: pa.array([getattr(row, name) for row in metadata], pa.string()) for name in columns}
    return pa.table({**rows, "seen": pa.array([int(now)] * len(metadata), _SECONDS)})


def _with_others(
    positions: Ints, ts_ms: Ints, *others: Sequence[HistogramSample] | Sequence[Exemplar]
) -> tuple[Ints, Ints]:
    """Positions and times of the samples and of what is stored beside them."""
    more = [(each.position, each.ts_ms) for rows in others for each in rows]
    if not more:
        return positions, ts_ms
    at, times = np.array(more, dtype=np.int64).T
    return np.concatenate([positions, at]), np.concatenate([ts_ms, times])


def _floats(histograms: Sequence[NativeHistogram], name: str) -> NDArray[np.float64]:
    # Through numpy, which keeps the bits of a NaN: the staleness marker is one.
    return np.array([getattr(each, name) for each in histograms], dtype=np.float64)


def _bucket_columns(side: str, buckets: Sequence[Buckets]) -> dict[str, pa.Array]:
    return {
        f"{side}_offsets": pa.array([each.offsets for each in buckets], pa.list_(pa.int32())),
        f"{side}_lengths": pa.array([each.lengths for each in buckets], pa.list_(pa.uint32())),
        f"{side}_counts": pa.array([each.counts for each in buckets], pa.list_(pa.float64())),
    }

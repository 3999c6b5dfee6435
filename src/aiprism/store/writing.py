"""What arrives, made rows: raw OTLP bodies for spans and logs, columns for samples. One group commit for each.

In: bytes of validated OTLP requests, `SampleBatch` values, single `Sample`s of our own rules. Out: rows in ClickHouse,
and new series in the series index. Reading is left to samples.py, spans.py and logs.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from aiprism.config import IngestConfig
from aiprism.errors import TooMany
from aiprism.model.labels import Labels
from aiprism.model.samples import Sample
from aiprism.store.engine import Engine
from aiprism.store.ingest import GroupCommit
from aiprism.store.schema import otlp_settings
from aiprism.store.series import SeriesIndex
from aiprism.telemetry import Telemetry

# While a series lives its row in `series` is written anew this often, so that a restart knows when it was last seen.
REGISTER_EVERY_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample that points to a trace. Ids are raw bytes (16 and 8), empty when unknown."""

    fp: int
    metric: str
    ts_ms: int
    value: float
    trace_id: bytes
    span_id: bytes
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """Type (``counter``, ``gauge``, ``histogram``, ``summary``, ``unknown``), help and unit of one metric family."""

    metric: str
    type: str
    help: str
    unit: str


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples in columns of equal length, and what each fingerprint stands for."""

    fps: np.ndarray  # uint64
    ts_ms: np.ndarray  # int64
    values: np.ndarray  # float64
    series: Mapping[int, Labels]  # every fingerprint in `fps`
    exemplars: Sequence[Exemplar] = ()
    metadata: Sequence[MetricMetadata] = ()

    def __len__(self) -> int:
        return len(self.fps)

    @property
    def size(self) -> int:
        """Bytes it occupies while it waits, about."""
        return 24 * len(self.fps) + 96 * len(self.exemplars) + 64


@dataclass(slots=True)
class _Registered:
    """Which series already have their row in `series`, and the times (first, last, in ms) it was written with."""

    span: dict[int, tuple[int, int]] = field(default_factory=dict)
    metadata: set[MetricMetadata] = field(default_factory=set)


class Admission(Protocol):
    """Who says what a tenant may send: each method returns, or raises TooMany naming the limit."""

    def spans(self, items: int, size: int) -> None: ...

    def logs(self, items: int, size: int) -> None: ...

    def samples(self, items: int, size: int) -> None: ...

    def new_series(self, items: int) -> None: ...


class _Anything:
    """Admission without limits, for whoever writes without a tenant behind it."""

    def spans(self, items: int, size: int) -> None:
        return None

    logs = samples = spans

    def new_series(self, items: int) -> None:
        return None


class Writing:
    """The three group commits. `start()` before the first call, `stop()` drains."""

    def __init__(
        self,
        engine: Engine,
        index: SeriesIndex,
        config: IngestConfig,
        telemetry: Telemetry,
        fault: Callable[[], str | None] = lambda: None,
        admission: Admission | None = None,
    ) -> None:
        self._engine, self._index, self._max_series = engine, index, config.max_series
        self._admission = admission or _Anything()
        self._registered = _Registered()
        self._traces = GroupCommit("store.spans", self._write_spans, config, telemetry, fault=fault)
        self._logs = GroupCommit("store.logs", self._write_logs, config, telemetry, fault=fault)
        self._samples = GroupCommit("store.samples", self._write_samples, config, telemetry, fault=fault)

    def start(self) -> None:
        """Begin committing."""
        for each in (self._traces, self._logs, self._samples):
            each.start()

    async def stop(self) -> None:
        """Commit what waits, take nothing more."""
        await asyncio.gather(*(each.stop() for each in (self._traces, self._logs, self._samples)))

    async def spans(self, body: bytes, count: int) -> None:
        """Return once the spans of an ExportTraceServiceRequest body are stored."""
        self._admission.spans(count, len(body))
        await self._traces.put(body, len(body), count)

    async def logs(self, body: bytes, count: int) -> None:
        """Return once the records of an ExportLogsServiceRequest body are stored."""
        self._admission.logs(count, len(body))
        await self._logs.put(body, len(body), count)

    async def samples(self, batch: SampleBatch) -> None:
        """Return once `batch` is stored; TooMany when its new series are more than the tenant may have."""
        if len(batch):
            self._admission.samples(len(batch), batch.size)
            self._check_series(batch)
            await self._samples.put(batch, batch.size, len(batch))

    async def append(self, samples: Sequence[Sample]) -> None:
        """Return once `samples` (of rules and of aiprism itself) are stored."""
        fps = np.fromiter((sample.labels.fingerprint for sample in samples), np.uint64, len(samples))
        await self.samples(
            SampleBatch(
                fps=fps,
                ts_ms=np.fromiter((sample.ts_ms for sample in samples), np.int64, len(samples)),
                values=np.fromiter((sample.value for sample in samples), np.float64, len(samples)),
                series={int(fp): sample.labels for fp, sample in zip(fps, samples, strict=True)},
            )
        )

    def _check_series(self, batch: SampleBatch) -> None:
        fresh = sum(fp not in self._index for fp in batch.series)
        if not fresh:
            return
        if len(self._index) + fresh > self._max_series:
            tenant = self._engine.database.removeprefix("aiprism_")
            raise TooMany(
                f"tenant {tenant!r} has {len(self._index)} metric series and this request brings {fresh} more, "
                f"over the limit of {self._max_series} (ingest.max_series); drop a label with many values"
            )
        self._admission.new_series(fresh)

    # -- the three INSERTs ---------------------------------------------------------------------------------------

    async def _write_spans(self, bodies: Sequence[bytes], token: str) -> None:
        # Repeated fields merge when protobuf messages are concatenated: many requests, one body (decision D2).
        settings = otlp_settings(self._engine, "Traces")
        await self._engine.write(
            self._engine.insert_raw, "otlp_traces", b"".join(bodies), "ProtobufSingle", token=token, settings=settings
        )

    async def _write_logs(self, bodies: Sequence[bytes], token: str) -> None:
        settings = otlp_settings(self._engine, "Logs")
        await self._engine.write(
            self._engine.insert_raw, "otlp_logs", b"".join(bodies), "ProtobufSingle", token=token, settings=settings
        )

    async def _write_samples(self, batches: Sequence[SampleBatch], token: str) -> None:
        await self._engine.write(self._insert_samples, batches, token)

    def _insert_samples(self, batches: Sequence[SampleBatch], token: str) -> None:
        fps = np.concatenate([batch.fps for batch in batches])
        ts_ms = np.concatenate([batch.ts_ms for batch in batches])
        series = {fp: labels for batch in batches for fp, labels in batch.series.items()}
        # Series first: a sample whose labels are unknown after a crash would be lost, labels without samples are not.
        span = _first_and_last(fps, ts_ms)
        self._register(series, span, token)
        unique, codes = np.unique(fps, return_inverse=True)
        names = pa.array([series[int(fp)].name for fp in unique], pa.string()).dictionary_encode()
        metrics = names.take(pa.array(codes))
        self._engine.insert_arrow(
            "samples",
            pa.table(
                {
                    "metric": metrics,
                    "fp": fps,
                    "ts": pa.array(ts_ms, pa.timestamp("ms")),
                    "value": np.concatenate([batch.values for batch in batches]),
                }
            ),
            token=token,
        )
        self._insert_exemplars([exemplar for batch in batches for exemplar in batch.exemplars], token)
        self._insert_metadata({row for batch in batches for row in batch.metadata}, token)
        self._index.add([(fp, labels, span[fp][0]) for fp, labels in series.items() if fp not in self._index])
        for first, last, of_them in _by_times(span):
            self._index.touch(of_them, last, first)

    def _register(self, series: Mapping[int, Labels], span: Mapping[int, tuple[int, int]], token: str) -> None:
        """Write the `series` rows that are due: of new ones, of those in a new hour, of those with older samples than known."""
        registered = self._registered.span
        due = [fp for fp in series if _is_due(registered.get(fp), span[fp])]
        if not due:
            return
        rows = pa.table(
            {
                "metric": pa.array([series[fp].name for fp in due], pa.string()).dictionary_encode(),
                "fp": pa.array(due, pa.uint64()),
                "labels": pa.array([series[fp].pairs for fp in due], pa.map_(pa.string(), pa.string())),
                "first_ts": pa.array([span[fp][0] for fp in due], pa.timestamp("ms")),
                "last_ts": pa.array([span[fp][1] for fp in due], pa.timestamp("ms")),
            }
        )
        self._engine.insert_arrow("series", rows, token=token)
        for fp in due:
            first, last = span[fp]
            known = registered.get(fp, (first, last))
            registered[fp] = (min(known[0], first), max(known[1], last))

    def _insert_exemplars(self, exemplars: Sequence[Exemplar], token: str) -> None:
        if not exemplars:
            return
        rows = pa.table(
            {
                "metric": pa.array([each.metric for each in exemplars], pa.string()).dictionary_encode(),
                "fp": pa.array([each.fp for each in exemplars], pa.uint64()),
                "ts": pa.array([each.ts_ms for each in exemplars], pa.timestamp("ms")),
                "value": pa.array([each.value for each in exemplars], pa.float64()),
                "trace_id": pa.array([each.trace_id.ljust(16, b"\0") for each in exemplars], pa.binary(16)),
                "span_id": pa.array([each.span_id.ljust(8, b"\0") for each in exemplars], pa.binary(8)),
                "labels": pa.array(
                    [list(each.labels.items()) for each in exemplars], pa.map_(pa.string(), pa.string())
                ),
            }
        )
        self._engine.insert_arrow("exemplars", rows, token=token)

    def _insert_metadata(self, rows: set[MetricMetadata], token: str) -> None:
        fresh = rows - self._registered.metadata
        if not fresh:
            return
        columns = ("metric", "type", "help", "unit")
        table = pa.table({name: [getattr(row, name) for row in fresh] for name in columns})
        self._engine.insert_arrow("metric_metadata", table, token=token)
        self._registered.metadata |= fresh


def _is_due(known: tuple[int, int] | None, span: tuple[int, int]) -> bool:
    return known is None or span[0] < known[0] or span[1] // REGISTER_EVERY_MS > known[1] // REGISTER_EVERY_MS


def _by_times(span: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first, last, fingerprints) of series that were seen at the same times: usually all of a sender's."""
    groups: dict[tuple[int, int], list[int]] = {}
    for fp, times in span.items():
        groups.setdefault(times, []).append(fp)
    for (first, last), fps in groups.items():
        yield first, last, np.array(fps, np.uint64)


def _first_and_last(fps: np.ndarray, ts_ms: np.ndarray) -> dict[int, tuple[int, int]]:
    """Earliest and latest timestamp of each fingerprint."""
    unique, at = np.unique(fps, return_inverse=True)
    first = np.full(len(unique), np.iinfo(np.int64).max)
    last = np.full(len(unique), np.iinfo(np.int64).min)
    np.minimum.at(first, at, ts_ms)
    np.maximum.at(last, at, ts_ms)
    return {int(fp): (int(low), int(high)) for fp, low, high in zip(unique, first, last, strict=True)}

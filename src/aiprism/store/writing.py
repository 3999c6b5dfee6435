"""What arrives, made rows: raw OTLP bodies for spans and logs, columns for samples. One group commit for each.

In: bytes of validated OTLP requests, label sets and `SampleBatch` values, single `Sample`s of our own rules. Out: rows in
ClickHouse, and new series in the series index. Reading is left to samples.py, spans.py and logs.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from aiprism.clock import Clock, SystemClock
from aiprism.config import IngestConfig
from aiprism.errors import TooMany
from aiprism.model.labels import Labels
from aiprism.model.samples import Sample
from aiprism.store.batches import HistogramSample, SampleBatch
from aiprism.store.columns import Ints
from aiprism.store.engine import Engine
from aiprism.store.ingest import GroupCommit
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.series import SeriesIndex
from aiprism.telemetry import Telemetry


class Admission(Protocol):
    """Who says what a tenant may send: each method returns, or raises TooMany naming the limit."""

    def spans(self, items: int, size: int) -> None: ...

    def logs(self, items: int, size: int) -> None: ...

    def samples(self, items: int, size: int) -> None: ...

    def new_series(self, items: int) -> tuple[int, TooMany | None]:
        """How many of `items` series may come into being, and why not all of them."""
        ...


class Admitted(NamedTuple):
    """Positions of series, -1 of those that are one too many, and why they are: it names limit and tenant."""

    positions: Ints
    refusal: TooMany | None = None


Admit = Callable[[Sequence[Labels]], Admitted]


@dataclass(frozen=True, slots=True)
class Treated:
    """Log records as they are to be stored, and what counts what was done to them, once they are."""

    rows: pa.Table
    count: Callable[[], None] = lambda: None


# What is done to log records before they are stored; the columns are those of `logcolumns.sent_columns`.
Treatment = Callable[[pa.Table], Treated]


class _Anything:
    """Admission without limits, for whoever writes without a tenant behind it."""

    def spans(self, items: int, size: int) -> None:
        return None

    logs = samples = spans

    def new_series(self, items: int) -> tuple[int, TooMany | None]:
        return items, None


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
        clock: Clock | None = None,
        treat_logs: Treatment = Treated,
    ) -> None:
        self._engine, self._index, self._config = engine, index, config
        self._treat_logs = treat_logs
        self._admission = admission or _Anything()
        self._clock = clock or SystemClock()
        self._metrics = MetricWriter(engine, index)
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

    def admit(self, sets: Sequence[Labels]) -> Admitted:
        """The positions of these series for a `SampleBatch`, the unknown ones made known as far as there is room.

        At a limit the series that exist go on, and of the others the first come in that fit: whoever brings more at once
        than ever fit together must not wait for ever. May be called from any thread.
        """
        refusal: TooMany | None = None

        def room(fresh: int) -> int:
            nonlocal refusal
            some, refusal = self._room(fresh)
            return some

        return Admitted(self._index.admit(sets, self._clock.now(), room), refusal)

    async def samples(self, batch: SampleBatch) -> None:
        """Return once `batch` is stored."""
        if not batch.is_empty:
            self._admission.samples(len(batch), batch.size)
            await self._samples.put(batch, batch.size, len(batch))

    async def append(self, samples: Sequence[Sample]) -> None:
        """Return once `samples` (of rules and of aiprism itself) are stored; TooMany when some were of a series too many."""
        admitted = self.admit([sample.labels for sample in samples])
        histograms = [
            HistogramSample(position, sample.ts_ms, sample.histogram)
            for position, sample in zip(admitted.positions.tolist(), samples, strict=True)
            if sample.histogram is not None and position >= 0
        ]
        numbers = np.fromiter((sample.histogram is None for sample in samples), np.bool_, len(samples))
        kept = numbers & (admitted.positions >= 0)
        ts_ms = np.fromiter((sample.ts_ms for sample in samples), np.int64, len(samples))
        values = np.fromiter((sample.value for sample in samples), np.float64, len(samples))
        await self.samples(SampleBatch(admitted.positions[kept], ts_ms[kept], values[kept], histograms))
        if admitted.refusal:
            raise admitted.refusal

    def _room(self, fresh: int) -> tuple[int, TooMany | None]:
        """For how many of `fresh` more series a tenant has room, and why not for all."""
        most = self._config.max_series
        active = self._index.active(self._clock.now() - self._config.active_window)
        some, late = self._admission.new_series(min(fresh, max(0, most - active)))
        if active + fresh <= most:
            return some, late
        tenant = self._engine.database.removeprefix("aiprism_")
        return some, TooMany(
            f"tenant {tenant!r} has {active} active metric series and this request brings {fresh} more, "
            f"over the limit of {most} (ingest.max_series); drop a label with many values",
            details={"limit": "ingest.max_series", "tenant": tenant},
            retry_after=60,
        )

    # -- the three INSERTs ---------------------------------------------------------------------------------------

    async def _write_spans(self, bodies: Sequence[bytes], token: str) -> None:
        await self._engine.write(self._insert_spans, bodies, token)

    async def _write_logs(self, bodies: Sequence[bytes], token: str) -> None:
        await self._engine.write(self._insert_logs, bodies, token)

    # Repeated fields merge when protobuf messages are joined: many requests, one body (decision D2). The compiled code that
    # makes columns of it is loaded with the first body: it costs memory that a server without senders need not have.

    def _insert_spans(self, bodies: Sequence[bytes], token: str) -> None:
        from aiprism.store.spancolumns import span_columns
        from aiprism.store.wire import joined

        self._engine.insert_arrow("spans", span_columns(joined(bodies)), token=token)

    def _insert_logs(self, bodies: Sequence[bytes], token: str) -> None:
        from aiprism.store.logcolumns import sent_columns, with_patterns
        from aiprism.store.wire import joined

        treated = self._treat_logs(sent_columns(joined(bodies)))
        if treated.rows.num_rows:
            self._engine.insert_arrow("logs_received", with_patterns(treated.rows), token=token)
        treated.count()

    async def _write_samples(self, batches: Sequence[SampleBatch], token: str) -> None:
        await self._engine.write(self._metrics.insert, batches, token, self._clock.now())

"""OTLP metrics, translated to Prometheus series as the OpenTelemetry compatibility specification says.

In: ExportMetricsServiceRequest. Out: a `SampleBatch`, what was rejected, and what to undo should the batch not be stored.
This is the walk over resources, scopes and metrics, with `target_info`; data points are otlp_points.py's, names and label
sets otlp_series.py's. The decoder takes the request apart on its way: it is good for one decoding.
Specification: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", section "OTLP Metric points to Prometheus".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.config import OtlpConfig
from aiprism.errors import TooMany
from aiprism.receive.items import ANYTHING, Bounds, OutOfBounds, SeriesFault, no_fault, without_stray_exemplars
from aiprism.receive.otlp_batch import Columns
from aiprism.receive.otlp_points import CUMULATIVE, DELTA, Points
from aiprism.receive.otlp_series import Family, Stream, Streams, Target
from aiprism.store.batches import SampleBatch
from aiprism.store.writing import Admit

# `target_info` is repeated this often (half the usual lookback), so that a join finds it at every time of a request.
_INFO_EVERY_MS = 150_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request as the store takes it: how many of its points are in the batch, how many were rejected and why.

    With `levels` it is not ready: the last stored values of these series (metric and fingerprint) must be told first.
    """

    batch: SampleBatch
    points: int
    rejected: int
    reason: str
    causes: Mapping[str, int]  # rejected points by the code of their fault
    levels: Sequence[tuple[str, int]]
    undo: Sequence[Callable[[], None]]
    refusal: TooMany | None  # why some of the rejected may come again: the tenant has too many series
    streams: Sequence[Stream | None]  # of each data point in the order of the request; None where there is none


class MetricDecoder:
    """Turns requests into batches; remembers series and the totals of deltas. Not thread-safe.

    `alone` says that no other process takes deltas of the same streams.
    """

    def __init__(
        self, admit: Admit, config: OtlpConfig | None = None, fault: SeriesFault = no_fault, *, alone: bool = True
    ) -> None:
        self._admit, self._config = admit, config or OtlpConfig()
        self._streams = Streams(self._config, fault)
        self._points = Points(self._streams, self._config, alone=alone)

    def decode(self, request: ExportMetricsServiceRequest, now: float, within: Bounds = ANYTHING) -> Decoded:
        """`request`, arrived at `now` (Unix seconds), as the store takes it, without the points that are not `within`
        bounds; raises what `admit` raises."""
        columns = Columns()
        self._streams.begin(within)
        try:
            for resource in request.resource_metrics:
                target, mark = self._streams.target(resource.resource), columns.mark()
                for scoped in resource.scope_metrics:
                    for metric in scoped.metrics:
                        self._metric(columns, target, scoped, metric, now, within)
                self._target_info(columns, target, mark)
            settled, refusal = self._streams.settle(self._admit)
        except BaseException:
            self._streams.abandon()
            _undo(step for _, step in reversed(columns.undo))
            raise
        finally:
            self._points.seed({})  # they were true for this request
        if refusal:
            columns.leave_out(refusal)
        undo = [step for _, step in columns.undo]
        if columns.levels:
            _undo(reversed(undo))
        rejected = columns.rejected
        return Decoded(
            without_stray_exemplars(columns.batch(settled), within),
            columns.points,
            rejected.points,
            rejected.reason,
            dict(rejected.codes),
            columns.levels,
            undo,
            refusal,
            columns.streams,
        )

    def info(self, resource: Any) -> Stream | TooMany | None:
        """The stream of the `target_info` of a Resource message, None when it has none, a refusal when it is one too many;
        raises what `admit` raises."""
        target = self._streams.target(resource)
        if not target.info:
            return None
        try:
            stream = self._streams.info(target)
            _, refusal = self._streams.settle(self._admit)
        except OutOfBounds:
            return None
        except BaseException:
            self._streams.abandon()
            raise
        return refusal or stream

    def undo(self, decoded: Decoded) -> None:
        """What `decoded` holds was not stored: the sender will send it again."""
        _undo(reversed(decoded.undo))

    def seed(self, levels: Mapping[int, float]) -> None:
        """The last stored values of the series a decoded request asked for, by fingerprint, for the next one alone."""
        self._points.seed(levels)

    def _metric(self, columns: Columns, target: Target, scoped: Any, metric: Any, now: float, within: Bounds) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            columns.reject(metric.name, "holds no kind of data points known here")
            columns.streams.append(None)
            return
        data = getattr(metric, kind)
        if not data.data_points:
            columns.streams.append(None)
            return
        family = self._streams.family(target, scoped, metric, kind, counter=kind == "sum" and data.is_monotonic)
        if fault := self._fault(family, metric, data):
            columns.reject(metric.name, fault, len(data.data_points))
            columns.streams += [None] * len(data.data_points)
            return
        columns.families.append(family)
        self._points.read(columns, family, data, now, within)

    def _fault(self, family: Family, metric: Any, data: Any) -> str:
        if not metric.name:
            return "has no name"
        if not family.name:
            return "no character of its name can stand in a Prometheus name"
        if family.kind in ("gauge", "summary") or data.aggregation_temporality == CUMULATIVE:
            return ""
        if data.aggregation_temporality != DELTA:
            return "its aggregation_temporality is neither delta nor cumulative"
        if self._config.deltas == "refuse":
            return (
                "delta temporality is refused here (otlp.deltas); set the exporter to cumulative "
                "(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative)"
            )
        return ""

    def _target_info(self, columns: Columns, target: Target, mark: tuple[int, int]) -> None:
        """`target_info` beside everything the resource brought, that is since `mark`."""
        if not target.info or columns.mark() == mark:
            return
        try:
            stream = self._streams.info(target)
        except OutOfBounds as refused:  # the points of the resource are none the worse for it
            columns.reject("target_info", str(refused), points=0)
            return
        for ts_ms in info_times(columns.times(mark)):
            columns.add(stream.positions, ts_ms, (1.0,))


def _undo(steps: Iterable[Callable[[], None]]) -> None:
    for step in steps:
        step()


def info_times(ts_ms: NDArray[np.int64]) -> list[int]:
    """At which times a resource that has samples of `ts_ms` needs its `target_info`."""
    if not len(ts_ms):
        return []
    newest = int(ts_ms.max())
    if newest - int(ts_ms.min()) < _INFO_EVERY_MS:
        return [newest]
    return list({each // _INFO_EVERY_MS: each for each in np.unique(ts_ms).tolist()}.values())

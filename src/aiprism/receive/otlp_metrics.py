"""OTLP metrics, translated to Prometheus series as the OpenTelemetry compatibility specification says.

In: ExportMetricsServiceRequest. Out: a `SampleBatch` and what was rejected; series not met before are admitted together at
the end of a request. Names and units become Prometheus names,
`service.namespace/service.name` becomes `job`, `service.instance.id` becomes `instance`, the other resource attributes
become `target_info`; the instrumentation scope is not promoted to labels (Prometheus' default). Series repeat in every
request, so the label set of a point is looked up by its raw attribute bytes and built only the first time.
Specification: OpenTelemetry, "Prometheus and OpenMetrics Compatibility", section "OTLP Metric points to Prometheus".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.model.samples import STALE_NAN
from aiprism.receive.otlp import text_value
from aiprism.store.batches import Exemplar, MetricMetadata, SampleBatch

_NO_RECORDED_VALUE = 1  # DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_CUMULATIVE = 2  # AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

# UCUM units as the specification translates them; what is not listed keeps its own spelling.
_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "kBy": "kilobytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_RESOURCE_IDENTITY = ("service.name", "service.namespace", "service.instance.id")

# The memory of series needs a bound: past this many it starts anew (a key costs a few hundred bytes).
_CACHE_LIMIT = 500_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """How many data points of a request stayed behind, and why."""

    points: int = 0
    reason: str = ""


# Gives the positions of series in the index, all of them or none (`Writing.admit`).
Admit = Callable[[Sequence[Labels]], NDArray[np.int64]]

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Fresh:
    """Series of a request that were not met before: until admitted, the nth of them is known as position -1 - n."""

    keys: dict[_Key, int] = field(default_factory=dict)
    sets: list[Labels] = field(default_factory=list)

    def add(self, key: _Key, labels: Labels) -> int:
        self.keys[key] = at = -1 - len(self.sets)
        self.sets.append(labels)
        return at


@dataclass(slots=True)
class _Columns:
    """A batch under construction."""

    positions: list[int] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    fresh: _Fresh = field(default_factory=_Fresh)
    exemplars: list[Exemplar] = field(default_factory=list)
    metadata: set[MetricMetadata] = field(default_factory=set)
    points: int = 0
    rejected: int = 0
    reason: str = ""

    def add(self, position: int, ts_ms: int, value: float) -> None:
        self.positions.append(position)
        self.ts_ms.append(ts_ms)
        self.values.append(value)

    def reject(self, points: int, reason: str) -> None:
        self.rejected += points
        self.reason = self.reason or reason

    def batch(self, admitted: NDArray[np.int64]) -> SampleBatch:
        """The batch, now that the fresh series have the positions `admitted`."""
        positions = np.array(self.positions, np.int64)
        fresh = positions < 0
        positions[fresh] = admitted[-1 - positions[fresh]]
        return SampleBatch(
            positions=positions,
            ts_ms=np.array(self.ts_ms, np.int64),
            values=np.array(self.values, np.float64),
            exemplars=tuple(
                each if each.position >= 0 else replace(each, position=int(admitted[-1 - each.position]))
                for each in self.exemplars
            ),
            metadata=tuple(self.metadata),
        )


class MetricDecoder:
    """Turns requests into batches; remembers the positions of series it has met. Not thread-safe: one per event loop."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._known: dict[_Key, int] = {}

    def decode(self, request: ExportMetricsServiceRequest) -> tuple[SampleBatch, int, Rejected]:
        """The batch, how many data points it holds, and how many were rejected with the first reason.

        Raises what `admit` raises (TooMany); then nothing of the request is remembered.
        """
        if len(self._known) > _CACHE_LIMIT:
            self._known.clear()
        columns = _Columns()
        for resource in request.resource_metrics:
            target = _Target.of({pair.key: text_value(pair.value) for pair in resource.resource.attributes})
            newest_ms = 0
            for scoped in resource.scope_metrics:
                for metric in scoped.metrics:
                    newest_ms = max(newest_ms, self._metric(columns, target, metric))
            if newest_ms and target.info:
                info = self._lookup(columns, target, "target_info", b"", (), target.info)
                columns.add(info, newest_ms, 1.0)
        admitted = self._admit(columns.fresh.sets)
        for key, at in columns.fresh.keys.items():
            self._known[key] = int(admitted[-1 - at])
        return columns.batch(admitted), columns.points, Rejected(columns.rejected, columns.reason)

    # -- one metric ----------------------------------------------------------------------------------------------

    def _metric(self, columns: _Columns, target: _Target, metric: Any) -> int:
        """Add the points of `metric`; the newest timestamp in ms, 0 when nothing was added."""
        kind = metric.WhichOneof("data")
        if kind is None:
            return 0
        data = getattr(metric, kind)
        points = len(data.data_points)
        if not metric.name:
            columns.reject(points, "metric without a name")
            return 0
        if kind == "exponential_histogram":
            columns.reject(
                points, f"metric {metric.name!r}: exponential histograms are not stored; send explicit buckets"
            )
            return 0
        if kind in ("sum", "histogram") and data.aggregation_temporality != _CUMULATIVE:
            columns.reject(
                points,
                f"metric {metric.name!r}: delta temporality is not stored; set the exporter to cumulative "
                "(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative)",
            )
            return 0
        counter = kind == "sum" and data.is_monotonic
        name = prometheus_name(metric.name, metric.unit, is_counter=counter, is_gauge=kind == "gauge")
        if name.strip("_") in ("", "total"):
            columns.reject(points, f"metric {metric.name!r}: no letter of its name can stand in a Prometheus name")
            return 0
        columns.metadata.add(MetricMetadata(name, _type_of(kind, counter), metric.description, metric.unit))
        add = {"gauge": self._number, "sum": self._number, "histogram": self._histogram, "summary": self._summary}[kind]
        newest = 0
        for point in data.data_points:
            if fault := _point_fault(kind, point):
                columns.reject(1, f"metric {metric.name!r}: {fault}")
                continue
            add(columns, target, name, point)
            columns.points += 1
            newest = max(newest, point.time_unix_nano // 1_000_000)
        return newest

    def _number(self, columns: _Columns, target: _Target, name: str, point: Any) -> None:
        series = self._of(columns, target, name, point)
        value = float(point.as_int) if point.HasField("as_int") else point.as_double
        columns.add(series, point.time_unix_nano // 1_000_000, _or_stale(point, value))
        self._exemplars(columns, point, lambda _: series)

    def _histogram(self, columns: _Columns, target: _Target, name: str, point: Any) -> None:
        ts_ms, bounds, total = point.time_unix_nano // 1_000_000, point.explicit_bounds, 0
        buckets = []
        for at, count in enumerate(point.bucket_counts):
            total += count
            edge = bucket_edge(bounds[at]) if at < len(bounds) else "+Inf"
            series = self._of(columns, target, f"{name}_bucket", point, (("le", edge),))
            columns.add(series, ts_ms, _or_stale(point, float(total)))
            buckets.append(series)
        if not point.bucket_counts:  # a histogram without buckets still has the one that holds everything
            buckets.append(self._of(columns, target, f"{name}_bucket", point, (("le", "+Inf"),)))
            columns.add(buckets[0], ts_ms, _or_stale(point, float(point.count)))
        columns.add(self._of(columns, target, f"{name}_count", point), ts_ms, _or_stale(point, float(point.count)))
        if point.HasField("sum"):
            columns.add(self._of(columns, target, f"{name}_sum", point), ts_ms, _or_stale(point, point.sum))
        self._exemplars(
            columns, point, lambda value: buckets[int(np.searchsorted(bounds, value))] if bounds else buckets[0]
        )

    def _summary(self, columns: _Columns, target: _Target, name: str, point: Any) -> None:
        ts_ms = point.time_unix_nano // 1_000_000
        for each in point.quantile_values:
            series = self._of(columns, target, name, point, (("quantile", bucket_edge(each.quantile)),))
            columns.add(series, ts_ms, _or_stale(point, each.value))
        columns.add(self._of(columns, target, f"{name}_count", point), ts_ms, _or_stale(point, float(point.count)))
        columns.add(self._of(columns, target, f"{name}_sum", point), ts_ms, _or_stale(point, point.sum))

    def _exemplars(self, columns: _Columns, point: Any, series_of: Any) -> None:
        for each in point.exemplars:
            value = float(each.as_int) if each.HasField("as_int") else each.as_double
            series = series_of(value)
            labels = {pair.key: text_value(pair.value) for pair in each.filtered_attributes}
            ts_ms = each.time_unix_nano // 1_000_000
            ids = (each.trace_id[:16], each.span_id[:8])
            columns.exemplars.append(Exemplar(series, ts_ms, value, *ids, labels))

    # -- label sets ----------------------------------------------------------------------------------------------

    def _of(
        self, columns: _Columns, target: _Target, name: str, point: Any, extra: tuple[tuple[str, str], ...] = ()
    ) -> int:
        raw = b"".join(pair.SerializeToString() for pair in point.attributes)
        return self._lookup(columns, target, name, raw, extra, point.attributes)

    def _lookup(
        self,
        columns: _Columns,
        target: _Target,
        name: str,
        raw: bytes,
        extra: tuple[tuple[str, str], ...],
        attributes: Any,
    ) -> int:
        key = (target.key, name, raw, extra)
        known = self._known.get(key)
        if known is None:
            known = columns.fresh.keys.get(key)
        if known is not None:
            return known
        pairs = attributes if isinstance(attributes, tuple) else [(p.key, text_value(p.value)) for p in attributes]
        labels = Labels({**label_pairs(pairs), **target.identity, **dict(extra), METRIC_NAME: name})
        return columns.fresh.add(key, labels)


@dataclass(frozen=True, slots=True)
class _Target:
    """A resource: the identity its series carry, and the attributes that become target_info."""

    key: tuple[tuple[str, str], ...]
    identity: Mapping[str, str]
    info: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> _Target:
        name, space = attributes.get("service.name", ""), attributes.get("service.namespace", "")
        identity = {
            "job": f"{space}/{name}" if space and name else name,
            "instance": attributes.get("service.instance.id", ""),
        }
        info = tuple(sorted((key, value) for key, value in attributes.items() if key not in _RESOURCE_IDENTITY))
        return cls(tuple(sorted(attributes.items())), identity, info)


def prometheus_name(name: str, unit: str, *, is_counter: bool, is_gauge: bool) -> str:
    """The Prometheus name of an OTLP metric.

    >>> prometheus_name("http.server.duration", "ms", is_counter=False, is_gauge=False)
    'http_server_duration_milliseconds'
    >>> prometheus_name("ai_prism_documents_processed_total", "1", is_counter=True, is_gauge=False)
    'ai_prism_documents_processed_total'
    """
    base = (
        re.sub(r"_+", "_", _NOT_IN_NAME.sub("_", name)).strip("_") if "__" not in name else _NOT_IN_NAME.sub("_", name)
    )
    if base[:1].isdigit():
        base = f"_{base}"
    if is_counter:
        base = base.removesuffix("_total")
    suffix = _unit_suffix(unit)
    if suffix and not base.endswith(suffix):
        base = f"{base}_{suffix}"
    if is_gauge and unit == "1" and not base.endswith("ratio"):
        base = f"{base}_ratio"
    return f"{base}_total" if is_counter else base


def label_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as label pairs; when two keys become one name their values are joined with ';' in key order."""
    labels: dict[str, str] = {}
    for key, value in sorted(pairs):
        name = _NOT_IN_LABEL.sub("_", key)
        if name[:1].isdigit():
            name = f"key_{name}"
        elif name.startswith("_") and not name.startswith("__"):
            name = f"key{name}"
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def bucket_edge(bound: float) -> str:
    """A bucket bound as Prometheus writes label values: shortest digits, never an exponent.

    >>> bucket_edge(0.5), bucket_edge(10.0), bucket_edge(1e-7)
    ('0.5', '10', '0.0000001')
    """
    if bound == float("inf"):
        return "+Inf"
    return np.format_float_positional(bound, trim="-")


def _point_fault(kind: str, point: Any) -> str:
    if not 0 < point.time_unix_nano < 2**63:
        return "data point whose time_unix_nano is missing or lies after the year 2262"
    if kind == "histogram" and len(point.bucket_counts) not in (0, len(point.explicit_bounds) + 1):
        return "histogram point whose bucket_counts do not fit its explicit_bounds"
    return ""


def _unit_suffix(unit: str) -> str:
    plain = re.sub(r"\{[^}]*\}", "", unit).strip()
    if not plain or plain == "1":
        return ""
    main, _, per = plain.partition("/")
    words = [_UNITS.get(main, main)] if main else []
    if per:
        words += ["per", _PER.get(per, per)]
    return re.sub(r"_+", "_", _NOT_IN_NAME.sub("_", "_".join(words))).strip("_")


def _type_of(kind: str, counter: bool) -> str:
    return {"sum": "counter" if counter else "gauge"}.get(kind, kind)


def _or_stale(point: Any, value: float) -> float:
    return STALE_NAN if point.flags & _NO_RECORDED_VALUE else value

"""Samples and series out of bounds: left out alone, named with limit and tenant, at the doors of metrics."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.config import LimitsConfig
from aiprism.receive.items import bounds, labels_fault
from aiprism.receive.otlp_metrics import Decoded, MetricDecoder
from aiprism.receive.prometheus_proto import Request, WriteRequest
from aiprism.receive.remote_write import RemoteWriteDecoder
from aiprism.store.batches import SampleBatch
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Admitted

NOW = 1_790_000_000
LIMITS = LimitsConfig(
    samples_past=100, samples_future=10, labels_per_series=4, label_name_bytes=20, label_value_bytes=10
)
WITHIN = bounds(LIMITS, "acme", "samples", NOW)
FAULT = partial(labels_fault, limits=LIMITS, tenant="acme")

TIMES = [(-101, False), (-100, True), (0, True), (10, True), (11, False)]


def names(index: SeriesIndex, batch: SampleBatch) -> list[str]:
    return [dict(pairs)["__name__"] for pairs in index.labels(batch.positions)]


# -- OTLP ----------------------------------------------------------------------------------------------------------------


def gauge(made: ExportMetricsServiceRequest, name: str, seconds: int = 0, **attributes: Any) -> None:
    if not made.resource_metrics:
        made.resource_metrics.add().scope_metrics.add()
    metrics = made.resource_metrics[0].scope_metrics[0].metrics
    point = metrics.add(name=name).gauge.data_points.add(time_unix_nano=(NOW + seconds) * 10**9, as_double=1.0)
    for key, value in attributes.items():
        point.attributes.add(key=key).value.string_value = value


def otlp(made: ExportMetricsServiceRequest, config: Any = None) -> tuple[SeriesIndex, Decoded]:
    index = SeriesIndex()
    decoder = MetricDecoder(lambda sets: Admitted(index.admit(sets, 0.0)), config, FAULT)
    return index, decoder.decode(made, NOW, WITHIN)


@pytest.mark.parametrize(("seconds", "taken"), TIMES)
def test_otlp_points_of_a_time_out_of_bounds_are_left_out(seconds: int, taken: bool) -> None:
    made = ExportMetricsServiceRequest()
    gauge(made, "good")
    gauge(made, "other", seconds)
    index, decoded = otlp(made)
    assert names(index, decoded.batch) == ["good", "other"] if taken else ["good"]
    assert decoded.rejected == (0 if taken else 1)
    if not taken:
        assert list(decoded.causes) == ["too_old" if seconds < 0 else "too_new"]
        assert "'acme'" in decoded.reason
        assert "limits.samples_" in decoded.reason


def test_otlp_histograms_of_a_time_out_of_bounds_are_left_out() -> None:
    made = ExportMetricsServiceRequest()
    histogram: Any = made.resource_metrics.add().scope_metrics.add().metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(time_unix_nano=(NOW - 500) * 10**9, count=1, bucket_counts=[1], sum=1.0)
    _, decoded = otlp(made)
    assert (len(decoded.batch), decoded.causes) == (0, {"too_old": 1})


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ({"a": "1", "b": "2"}, None),
        ({"a": "1", "b": "2", "c": "3", "d": "4"}, "labels"),
        ({"n" * 21: "1"}, "label_name"),
        ({"a": "x" * 11}, "label_value"),
    ],
)
def test_otlp_series_of_too_many_or_long_labels_are_left_out(attributes: dict[str, Any], cause: str | None) -> None:
    made = ExportMetricsServiceRequest()
    gauge(made, "other", **attributes)
    gauge(made, "good")
    index, decoded = otlp(made)
    assert names(index, decoded.batch) == (["good"] if cause else ["other", "good"])
    assert decoded.causes == ({cause: 1} if cause else {})
    assert len(index) == len(names(index, decoded.batch))


def test_a_resource_too_large_for_target_info_costs_no_point() -> None:
    made = ExportMetricsServiceRequest()
    gauge(made, "good")
    made.resource_metrics[0].resource.attributes.add(key="host.name").value.string_value = "x" * 11
    index, decoded = otlp(made)
    assert names(index, decoded.batch) == ["good"]
    assert decoded.rejected == 0
    assert "target_info" in decoded.reason
    assert "limits.label_value_bytes" in decoded.reason


def test_exemplars_of_a_time_out_of_bounds_are_left_out_and_not_their_point() -> None:
    made = ExportMetricsServiceRequest()
    gauge(made, "good")
    point = made.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.exemplars.add(time_unix_nano=10**9, as_double=1.0)
    point.exemplars.add(time_unix_nano=NOW * 10**9, as_double=2.0)
    _, decoded = otlp(made)
    assert [each.value for each in decoded.batch.exemplars] == [2.0]
    assert len(decoded.batch) == 1


def test_a_delta_that_claims_to_begin_in_1970_makes_no_sample_there() -> None:
    made = ExportMetricsServiceRequest()
    total: Any = made.resource_metrics.add().scope_metrics.add().metrics.add(name="c").sum
    total.aggregation_temporality, total.is_monotonic = 1, True
    total.data_points.add(start_time_unix_nano=10**9, time_unix_nano=NOW * 10**9, as_double=1.0)
    _, decoded = otlp(made)
    assert decoded.batch.ts_ms.min() == NOW * 1000 - 1


# -- remote write ----------------------------------------------------------------------------------------------------------


def remote_write(message: Any) -> tuple[SeriesIndex, Any]:
    index = SeriesIndex()
    decoder = RemoteWriteDecoder(lambda sets: Admitted(index.admit(sets, 0.0)), FAULT)
    version = 2 if isinstance(message, Request) else 1
    return index, decoder.decode(message.SerializeToString(), version, WITHIN)


def series(request: Any, labels: dict[str, str], *seconds: int) -> Any:
    made = request.timeseries.add()
    for name, value in labels.items():
        made.labels.add(name=name, value=value)
    for each in seconds:
        made.samples.add(timestamp=(NOW + each) * 1000, value=float(each))
    return made


def test_written_samples_of_a_time_out_of_bounds_are_refused_with_400_and_the_others_stored() -> None:
    request = WriteRequest()
    series(request, {"__name__": "m"}, *(seconds for seconds, _ in TIMES))
    _, decoded = remote_write(request)
    assert decoded.batch.values.tolist() == [seconds for seconds, taken in TIMES if taken]
    assert decoded.written.causes == {"too_old": 1, "too_new": 1}
    assert decoded.written.error.status == 400
    assert "limits.samples_past" in str(decoded.written.error)
    assert "limits.samples_future" in str(decoded.written.error)
    assert decoded.written.samples == 3


def test_written_series_of_too_many_or_long_labels_are_refused_with_400_and_the_others_stored() -> None:
    request = WriteRequest()
    series(request, {"__name__": "many", "a": "1", "b": "2", "c": "3", "d": "4"}, 0, 1)
    series(request, {"__name__": "good", "a": "1"}, 0)
    series(request, {"__name__": "long", "a": "x" * 11}, 0)
    index, decoded = remote_write(request)
    assert names(index, decoded.batch) == ["good"]
    assert decoded.written.causes == {"labels": 2, "label_value": 1}
    assert (decoded.written.error.status, decoded.written.refused) == (400, 3)
    assert len(index) == 1


def test_written_histograms_of_a_time_out_of_bounds_are_refused_alone() -> None:
    request = WriteRequest()
    made = series(request, {"__name__": "h"}, 0)
    made.histograms.add(timestamp=(NOW + 500) * 1000)
    _, decoded = remote_write(request)
    assert len(decoded.batch.positions) == 1
    assert not decoded.batch.histograms
    assert decoded.written.causes == {"too_new": 1}


def test_exact_milliseconds_at_the_edge_are_kept() -> None:
    request = WriteRequest()
    made = series(request, {"__name__": "m"}, -100, 10)
    made.samples.add(timestamp=(NOW - 100) * 1000 - 1, value=0)
    made.samples.add(timestamp=(NOW + 10) * 1000 + 1, value=0)
    _, decoded = remote_write(request)
    assert np.array_equal(decoded.batch.ts_ms, [(NOW - 100) * 1000, (NOW + 10) * 1000])

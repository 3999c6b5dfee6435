"""OTLP metrics → Prometheus series, by the compatibility specification."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.errors import TooMany
from aiprism.model.labels import Labels
from aiprism.model.samples import is_stale
from aiprism.receive.otlp_metrics import MetricDecoder, Rejected, bucket_edge, label_pairs, prometheus_name
from aiprism.store.batches import SampleBatch
from aiprism.store.series import Ints, SeriesIndex

MS = 1_000_000
AT = 1_790_000_000_000 * MS


def request() -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    for key, value in {
        "service.name": "api",
        "service.namespace": "prism",
        "service.instance.id": "i1",
        "host.name": "h",
    }.items():
        resource.resource.attributes.add(key=key).value.string_value = value
    resource.scope_metrics.add()
    return made


def metric(made: ExportMetricsServiceRequest, name: str, unit: str = ""):
    return made.resource_metrics[0].scope_metrics[0].metrics.add(name=name, unit=unit)


class Decoding:
    """A decoder that admits into an index of its own."""

    def __init__(self) -> None:
        self.index = SeriesIndex()
        self.decoder = MetricDecoder(lambda sets: self.index.admit(sets, 0.0))

    def decode(self, made: ExportMetricsServiceRequest) -> tuple[SampleBatch, int, Rejected]:
        return self.decoder.decode(made)

    def labels(self, batch: SampleBatch) -> list[Labels]:
        """The label set of each sample."""
        return [Labels(pairs) for pairs in self.index.labels(batch.positions)]


def decoded(made: ExportMetricsServiceRequest) -> dict[str, float]:
    decoding = Decoding()
    batch, _, _ = decoding.decode(made)
    return {
        repr(labels.without("job", "instance")): value
        for labels, value in zip(decoding.labels(batch), batch.values, strict=True)
        if labels.name != "target_info"
    }


@pytest.mark.parametrize(
    ("name", "unit", "counter", "gauge", "becomes"),
    [
        ("http.server.request.duration", "s", False, False, "http_server_request_duration_seconds"),
        ("http.server.request.duration_seconds", "s", False, False, "http_server_request_duration_seconds"),
        ("process.memory", "By", False, True, "process_memory_bytes"),
        ("requests", "{request}", True, False, "requests_total"),
        ("requests_total", "1", True, False, "requests_total"),
        ("cpu.utilization", "1", False, True, "cpu_utilization_ratio"),
        ("net.io", "By/s", False, True, "net_io_bytes_per_second"),
        ("2xx", "", True, False, "_2xx_total"),
        ("job:latency:p99", "", False, True, "job:latency:p99"),
        ("ai_prism_documents_processed_total", "", True, False, "ai_prism_documents_processed_total"),
    ],
)
def test_names_and_units_become_prometheus_names(
    name: str, unit: str, counter: bool, gauge: bool, becomes: str
) -> None:
    assert prometheus_name(name, unit, is_counter=counter, is_gauge=gauge) == becomes


def test_colliding_attribute_keys_are_joined() -> None:
    assert label_pairs([("a.b", "2"), ("a_b", "1"), ("1st", "x"), ("_in", "y")]) == {
        "a_b": "2;1",
        "key_1st": "x",
        "key_in": "y",
    }


@pytest.mark.parametrize(("bound", "text"), [(1.0, "1"), (0.005, "0.005"), (1e21, "1" + "0" * 21), (math.inf, "+Inf")])
def test_bucket_bounds_are_written_without_exponents(bound: float, text: str) -> None:
    assert bucket_edge(bound) == text


def test_resource_identity_becomes_job_and_instance_and_the_rest_target_info() -> None:
    made = request()
    metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    decoding = Decoding()
    batch, points, _ = decoding.decode(made)
    assert points == 1
    assert sorted(repr(labels) for labels in decoding.labels(batch)) == [
        'Labels(__name__="target_info", host_name="h", instance="i1", job="prism/api")',
        'Labels(__name__="up", instance="i1", job="prism/api")',
    ]


def test_a_histogram_becomes_cumulative_buckets_count_and_sum() -> None:
    made = request()
    data = metric(made, "latency", "s").histogram
    data.aggregation_temporality = 2
    data.data_points.add(time_unix_nano=AT, count=6, sum=12.5, bucket_counts=[1, 2, 3], explicit_bounds=[1, 5])
    assert decoded(made) == {
        'Labels(__name__="latency_seconds_bucket", le="1")': 1,
        'Labels(__name__="latency_seconds_bucket", le="5")': 3,
        'Labels(__name__="latency_seconds_bucket", le="+Inf")': 6,
        'Labels(__name__="latency_seconds_count")': 6,
        'Labels(__name__="latency_seconds_sum")': 12.5,
    }


def test_a_summary_becomes_quantiles_count_and_sum() -> None:
    made = request()
    point = metric(made, "rpc").summary.data_points.add(time_unix_nano=AT, count=2, sum=3)
    point.quantile_values.add(quantile=0.5, value=1.5)
    assert decoded(made) == {
        'Labels(__name__="rpc", quantile="0.5")': 1.5,
        'Labels(__name__="rpc_count")': 2,
        'Labels(__name__="rpc_sum")': 3,
    }


def test_no_recorded_value_becomes_the_staleness_marker() -> None:
    made = request()
    metric(made, "gone").gauge.data_points.add(time_unix_nano=AT, flags=1)
    batch, _, _ = Decoding().decode(made)
    assert is_stale(float(batch.values[0]))


def test_delta_temporality_and_exponential_histograms_are_refused_in_words() -> None:
    made = request()
    delta = metric(made, "d").sum
    delta.aggregation_temporality, delta.is_monotonic = 1, True
    delta.data_points.add(time_unix_nano=AT, as_int=1)
    metric(made, "e").exponential_histogram.data_points.add(time_unix_nano=AT)
    _, points, rejected = Decoding().decode(made)
    assert (points, rejected.points) == (0, 2)
    assert "cumulative" in rejected.reason


def test_exemplars_point_from_their_bucket_to_a_trace() -> None:
    made = request()
    data = metric(made, "latency").histogram
    data.aggregation_temporality = 2
    point = data.data_points.add(time_unix_nano=AT, count=2, sum=1, bucket_counts=[1, 1], explicit_bounds=[1])
    point.exemplars.add(time_unix_nano=AT, as_double=3.0, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    decoding = Decoding()
    batch, _, _ = decoding.decode(made)
    [exemplar] = batch.exemplars
    [labels] = decoding.index.labels(np.array([exemplar.position]))
    assert dict(labels)["le"] == "+Inf"
    assert exemplar.trace_id == b"\1" * 16


def test_a_repeated_series_is_admitted_once() -> None:
    decoding, made = Decoding(), request()
    points = metric(made, "up").gauge.data_points
    for at in range(2):
        points.add(time_unix_nano=AT + at * MS, as_int=1)
    first, _, _ = decoding.decode(made)
    second, _, _ = decoding.decode(made)
    assert first.positions.tolist() == second.positions.tolist()
    assert len(decoding.index) == 2


def test_series_that_were_not_admitted_are_asked_for_again() -> None:
    index, full = SeriesIndex(), True

    def admit(sets: Sequence[Labels]) -> Ints:
        if full:
            raise TooMany("enough")
        return index.admit(sets, 0.0)

    decoder, made = MetricDecoder(admit), request()
    metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    with pytest.raises(TooMany):
        decoder.decode(made)
    full = False
    batch, _, _ = decoder.decode(made)
    assert len(index) == len(batch) == 2

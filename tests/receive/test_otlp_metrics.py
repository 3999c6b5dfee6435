"""OTLP metrics → Prometheus series, by the compatibility specification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.config import OtlpConfig
from aiprism.model.histograms import CUSTOM_BUCKETS, Buckets, NativeHistogram
from aiprism.model.labels import Labels
from aiprism.model.samples import is_stale
from aiprism.receive.items import Bounds
from aiprism.receive.otlp_metrics import Decoded, MetricDecoder
from aiprism.store.batches import MetricMetadata
from tests.receive.room import Room

MS, S = 1_000_000, 1_000_000_000
AT = 1_790_000_000 * S
DELTA, CUMULATIVE = 1, 2


def request(**attributes: str) -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    identity = {"service.name": "api", "service.namespace": "prism", "service.instance.id": "i1"}
    for key, value in {**identity, **attributes}.items():
        resource.resource.attributes.add(key=key).value.string_value = value
    resource.scope_metrics.add()
    return made


def metric(made: ExportMetricsServiceRequest, name: str, unit: str = "") -> Any:
    return made.resource_metrics[0].scope_metrics[0].metrics.add(name=name, unit=unit)


def attribute(point: Any, key: str, value: str) -> None:
    point.attributes.add(key=key).value.string_value = value


class Decoding:
    """A decoder that admits into an index of its own, with `room` for so many more series."""

    def __init__(self, room: int = 10**9, **settings: Any) -> None:
        self.room = Room(room)
        self.index = self.room.index
        self.decoder = MetricDecoder(self.room.admit, OtlpConfig(**settings))

    def decode(self, made: ExportMetricsServiceRequest, now: float = 0.0) -> Decoded:
        copy = ExportMetricsServiceRequest()
        copy.CopyFrom(made)  # the decoder takes it apart
        return self.decoder.decode(copy, now)

    def name(self, position: int) -> str:
        """A series without what every series carries."""
        [pairs] = self.index.labels(np.array([position]))
        labels = Labels(pairs).without("job", "instance", "__name__")
        inner = ",".join(f"{name}={value}" for name, value in labels.pairs)
        return f"{Labels(pairs).name}{{{inner}}}"

    def samples(self, made: ExportMetricsServiceRequest) -> list[tuple[str, float, Any]]:
        """(series, seconds after AT, value) of everything but target_info; staleness markers are the text 'stale'."""
        batch = self.decode(made).batch
        rows = zip(batch.positions.tolist(), batch.ts_ms.tolist(), batch.values.tolist(), strict=True)
        named = [(self.name(at), (ts_ms - AT // MS) / 1000, value) for at, ts_ms, value in rows]
        return [
            (name, ts, "stale" if is_stale(value) else value)
            for name, ts, value in named
            if not name.startswith("target_info")
        ]

    def values(self, made: ExportMetricsServiceRequest) -> dict[str, float]:
        return {name: value for name, _, value in self.samples(made)}


def a_sum(made: ExportMetricsServiceRequest, *, temporality: int, monotonic: bool = True, name: str = "jobs") -> Any:
    data = metric(made, name).sum
    data.aggregation_temporality, data.is_monotonic = temporality, monotonic
    return data.data_points


def one_sum(start: float, end: float, value: float, *, temporality: int = DELTA, monotonic: bool = True) -> Any:
    """A request with one sum over (start, end] in seconds after AT."""
    made = request()
    a_sum(made, temporality=temporality, monotonic=monotonic).add(
        start_time_unix_nano=AT + round(start * S), time_unix_nano=AT + round(end * S), as_double=value
    )
    return made


# -- resources and scopes ------------------------------------------------------------------------------------------------


def test_resource_identity_becomes_job_and_instance_and_the_rest_target_info() -> None:
    made = request(**{"host.name": "h"})
    metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    decoding = Decoding()
    decoded = decoding.decode(made)
    assert decoded.points == 1
    assert sorted(repr(Labels(pairs)) for pairs in decoding.index.labels(decoded.batch.positions)) == [
        'Labels(__name__="target_info", host_name="h", instance="i1", job="prism/api")',
        'Labels(__name__="up", instance="i1", job="prism/api")',
    ]


def test_target_info_covers_the_times_of_a_request_and_no_more() -> None:
    made = request(**{"host.name": "h"})
    points = metric(made, "up").gauge.data_points
    for seconds in (0, 1, 200, 900):
        points.add(time_unix_nano=AT + seconds * S, as_int=1)
    decoding = Decoding()
    batch = decoding.decode(made).batch
    info = [decoding.name(at) == "target_info{host_name=h}" for at in batch.positions.tolist()]
    assert ((batch.ts_ms[info] - AT // MS) // 1000).tolist() == [1, 200, 900]


def test_resource_attributes_become_labels_when_asked_to() -> None:
    made = request(**{"host.name": "h", "cloud.region": "eu"})
    metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    assert Decoding(promote_resource_attributes=("cloud.region",)).values(made) == {"up{cloud_region=eu}": 1}
    everything = Decoding(promote_all_resource_attributes=True, ignore_resource_attributes=("host.name",))
    assert everything.values(made) == {
        "up{cloud_region=eu,service_instance_id=i1,service_name=api,service_namespace=prism}": 1
    }


def test_the_scope_becomes_labels_when_asked_to() -> None:
    made = request()
    metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    scoped = made.resource_metrics[0].scope_metrics[0]
    scoped.scope.name, scoped.scope.version, scoped.schema_url = "lib", "1.2", "https://schema"
    scoped.scope.attributes.add(key="team").value.string_value = "a"
    assert Decoding().values(made) == {"up{}": 1}
    assert Decoding(promote_scope_metadata=True).values(made) == {
        "up{otel_scope_name=lib,otel_scope_schema_url=https://schema,otel_scope_team=a,otel_scope_version=1.2}": 1
    }


def test_names_are_kept_as_sent_when_asked_to() -> None:
    made = request()
    point = metric(made, "http.größe", "By").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    attribute(point, "http.route", "/x")
    assert Decoding(translation_strategy="NoTranslation").values(made) == {"http.größe{http.route=/x}": 1}
    assert Decoding(translation_strategy="NoUTF8EscapingWithSuffixes").values(made) == {
        "http.größe_bytes{http.route=/x}": 1
    }


def test_metadata_says_type_help_and_unit() -> None:
    made = request()
    gauge = metric(made, "size", "By")
    gauge.description = "How large."
    gauge.gauge.data_points.add(time_unix_nano=AT, as_int=1)
    a_sum(made, temporality=CUMULATIVE).add(time_unix_nano=AT, as_int=1)
    a_sum(made, temporality=CUMULATIVE, monotonic=False, name="queue").add(time_unix_nano=AT, as_int=1)
    exponential = metric(made, "took", "s").exponential_histogram
    exponential.aggregation_temporality = CUMULATIVE
    exponential.data_points.add(time_unix_nano=AT)
    scraped = metric(made, "state")
    scraped.metadata.add(key="prometheus.type").value.string_value = "stateset"
    scraped.gauge.data_points.add(time_unix_nano=AT, as_int=1)
    assert set(Decoding().decode(made).batch.metadata) == {
        MetricMetadata("size_bytes", "gauge", "How large.", "bytes"),
        MetricMetadata("jobs_total", "counter", "", ""),
        MetricMetadata("queue", "gauge", "", ""),
        MetricMetadata("took_seconds", "histogram", "", "seconds"),
        MetricMetadata("state", "stateset", "", ""),
    }


# -- cumulative points ---------------------------------------------------------------------------------------------------


def test_a_histogram_becomes_cumulative_buckets_count_and_sum() -> None:
    made = request()
    data = metric(made, "latency", "s").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, count=6, sum=12.5, bucket_counts=[1, 2, 3], explicit_bounds=[1, 5])
    assert Decoding().values(made) == {
        "latency_seconds_bucket{le=1}": 1,
        "latency_seconds_bucket{le=5}": 3,
        "latency_seconds_bucket{le=+Inf}": 6,
        "latency_seconds_count{}": 6,
        "latency_seconds_sum{}": 12.5,
    }


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"count": 2, "sum": 3.0}, {"h_bucket{le=+Inf}": 2, "h_count{}": 2, "h_sum{}": 3}),
        (
            {"count": 2, "bucket_counts": [2, 0], "explicit_bounds": [math.inf]},
            {"h_bucket{le=+Inf}": 2, "h_count{}": 2},
        ),
    ],
)
def test_a_histogram_always_has_the_bucket_that_holds_everything(
    fields: dict[str, Any], values: dict[str, float]
) -> None:
    made = request()
    data = metric(made, "h").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, **fields)
    assert Decoding().values(made) == values


def test_explicit_bounds_are_custom_buckets_when_asked_to() -> None:
    made = request()
    data = metric(made, "latency").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, count=6, sum=12.5, bucket_counts=[1, 2, 3], explicit_bounds=[1, 5])
    decoding = Decoding(convert_histograms_to_nhcb=True)
    [made_native] = decoding.decode(made).batch.histograms
    assert decoding.name(made_native.position) == "latency{}"
    assert made_native.histogram == NativeHistogram(
        CUSTOM_BUCKETS, 6, 12.5, positive=Buckets((0,), (3,), (1, 2, 3)), custom_values=(1, 5)
    )


def test_an_exponential_histogram_becomes_a_native_one() -> None:
    made = request()
    data = metric(made, "latency", "s").exponential_histogram
    data.aggregation_temporality = CUMULATIVE
    point = data.data_points.add(time_unix_nano=AT, count=3, sum=1.5, scale=2, zero_count=1, zero_threshold=0.1)
    point.positive.offset, point.positive.bucket_counts[:] = 4, [2]
    decoding = Decoding()
    [sample] = decoding.decode(made).batch.histograms
    assert (decoding.name(sample.position), sample.ts_ms) == ("latency_seconds{}", AT // MS)
    assert sample.histogram == NativeHistogram(2, 3, 1.5, 0.1, 1, positive=Buckets((5,), (1,), (2,)))


def test_a_summary_becomes_quantiles_count_and_sum() -> None:
    made = request()
    point = metric(made, "rpc").summary.data_points.add(time_unix_nano=AT, count=2, sum=3)
    point.quantile_values.add(quantile=0.5, value=1.5)
    assert Decoding().values(made) == {"rpc{quantile=0.5}": 1.5, "rpc_count{}": 2, "rpc_sum{}": 3}


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponential_histogram", "summary"])
def test_no_recorded_value_becomes_the_staleness_marker(kind: str) -> None:
    made = request()
    data = getattr(metric(made, "gone"), kind)
    if kind not in ("gauge", "summary"):
        data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, flags=1)
    batch = Decoding().decode(made).batch
    assert len(batch)
    assert all(is_stale(value) for value in batch.values.tolist())
    assert all(each.histogram.is_stale for each in batch.histograms)


def test_all_buckets_of_a_histogram_end_with_it() -> None:
    made = request()
    data = metric(made, "h").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, flags=1, explicit_bounds=[1])
    names = ["h_bucket{le=1}", "h_bucket{le=+Inf}", "h_count{}", "h_sum{}"]
    assert Decoding().samples(made) == [(name, 0, "stale") for name in names]


def test_an_attribute_called_like_a_label_of_ours_is_kept_beside_it() -> None:
    made = request()
    point = metric(made, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    attribute(point, "job", "cron")
    assert Decoding().values(made) == {"up{exported_job=cron}": 1}


def test_exemplars_point_from_their_bucket_to_a_trace() -> None:
    made = request()
    data = metric(made, "latency").histogram
    data.aggregation_temporality = CUMULATIVE
    point = data.data_points.add(time_unix_nano=AT, count=2, sum=1, bucket_counts=[1, 1], explicit_bounds=[1])
    for value in (3.0, 1.0, 0.5):
        point.exemplars.add(time_unix_nano=AT, as_double=value, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    counter = a_sum(made, temporality=CUMULATIVE).add(time_unix_nano=AT, as_int=1)
    counter.exemplars.add(time_unix_nano=AT, as_int=4)
    decoding = Decoding()
    exemplars = decoding.decode(made).batch.exemplars
    assert [(decoding.name(each.position), each.value) for each in exemplars] == [
        ("latency_bucket{le=+Inf}", 3.0),
        ("latency_bucket{le=1}", 1.0),
        ("latency_bucket{le=1}", 0.5),
        ("jobs_total{}", 4.0),
    ]
    assert exemplars[0].trace_id == b"\1" * 16


def test_an_exemplar_keeps_no_id_that_leads_nowhere() -> None:
    made = request()
    counter = a_sum(made, temporality=CUMULATIVE).add(time_unix_nano=AT, as_int=1)
    counter.exemplars.add(time_unix_nano=AT, as_int=4, trace_id=b"\1" * 15, span_id=b"\2" * 9)
    [exemplar] = Decoding().decode(made).batch.exemplars
    assert (exemplar.value, exemplar.trace_id, exemplar.span_id) == (4.0, b"", b"")


def test_a_histogram_of_thousands_of_bounds_is_refused_alone() -> None:
    made = request()
    data = metric(made, "latency").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, bucket_counts=[0] * 1002, explicit_bounds=range(1001))
    data.data_points.add(time_unix_nano=AT, bucket_counts=[0, 0], explicit_bounds=[1])
    decoded = Decoding().decode(made)
    assert (decoded.points, decoded.rejected) == (1, 1)
    assert "at most 1000" in decoded.reason


def test_a_histogram_that_names_bounds_and_has_no_buckets_is_no_stream_with_buckets() -> None:
    made = request()
    data = metric(made, "latency").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, count=1, bucket_counts=[0, 1], explicit_bounds=[1])
    data.data_points.add(time_unix_nano=AT + S, count=2, explicit_bounds=[1])
    assert Decoding().samples(made) == [
        ("latency_bucket{le=1}", 0, 0),
        ("latency_bucket{le=+Inf}", 0, 1),
        ("latency_count{}", 0, 1),
        ("latency_bucket{le=+Inf}", 1, 2),
        ("latency_count{}", 1, 2),
    ]


# -- start times ---------------------------------------------------------------------------------------------------------


def test_a_counter_that_has_just_begun_gets_a_zero_after_its_start_once() -> None:
    decoding = Decoding()
    first = decoding.samples(one_sum(-10, 0, 5, temporality=CUMULATIVE))
    later = decoding.samples(one_sum(-10, 60, 8, temporality=CUMULATIVE))
    restarted = decoding.samples(one_sum(70, 120, 9, temporality=CUMULATIVE))
    assert first == [("jobs_total{}", -9.999, 0), ("jobs_total{}", 0, 5)]
    assert later == [("jobs_total{}", 60, 8)]
    assert restarted == [("jobs_total{}", 70.001, 0), ("jobs_total{}", 120, 9)]


@pytest.mark.parametrize(
    ("settings", "start", "monotonic"),
    [({}, -901, True), ({}, 0, True), ({}, 1, True), ({}, -10, False), ({"start_zeros": 0.0}, -10, True)],
    ids=["long ago", "unknown", "in the future", "no counter", "turned off"],
)
def test_no_zero_where_none_belongs(settings: dict[str, Any], start: float, monotonic: bool) -> None:
    made = one_sum(start, 0, 5, temporality=CUMULATIVE, monotonic=monotonic)
    assert [value for _, _, value in Decoding(**settings).samples(made)] == [5]


def test_a_zero_finds_its_place_in_the_shortest_interval() -> None:
    assert Decoding().samples(one_sum(-0.001, 0, 5, temporality=CUMULATIVE)) == [
        ("jobs_total{}", -0.001, 0),
        ("jobs_total{}", 0, 5),
    ]
    assert Decoding().samples(one_sum(0, 0, 5)) == [("jobs_total{}", -0.001, 0), ("jobs_total{}", 0, 5)]


def test_a_zero_that_was_not_stored_is_given_again() -> None:
    decoding, made = Decoding(), one_sum(-10, 0, 5, temporality=CUMULATIVE)
    decoding.decoder.undo(decoding.decode(made))
    assert len(decoding.samples(made)) == 2


# -- deltas --------------------------------------------------------------------------------------------------------------


def test_deltas_of_a_counter_are_added_up_from_a_zero() -> None:
    decoding = Decoding()
    assert decoding.samples(one_sum(0, 10, 5)) == [("jobs_total{}", 0.001, 0), ("jobs_total{}", 10, 5)]
    assert decoding.samples(one_sum(10, 20, 2)) == [("jobs_total{}", 20, 7)]


def test_deltas_out_of_order_are_rejected_and_counted() -> None:
    decoding = Decoding()
    decoding.decode(one_sum(10, 20, 5))
    late = decoding.decode(one_sum(0, 10, 7))
    assert (late.points, late.rejected, len(late.batch)) == (0, 1, 0)
    assert late.reason.startswith("metric 'jobs': delta point at or before the last one")
    assert decoding.samples(one_sum(20, 30, 1))[-1][2] == 6


def test_deltas_whose_samples_were_not_stored_count_once_when_sent_again() -> None:
    decoding = Decoding()
    decoding.decode(one_sum(0, 10, 5))
    decoding.decoder.undo(decoding.decode(one_sum(10, 20, 2)))
    assert decoding.samples(one_sum(10, 20, 2)) == [("jobs_total{}", 20, 7)]
    assert decoding.samples(one_sum(10, 20, 2)) == [("jobs_total{}", 20, 7)]


def test_a_level_sent_as_deltas_goes_on_from_what_is_stored() -> None:
    decoding, made = Decoding(), one_sum(0, 10, -2, monotonic=False)
    [(metric_name, fp)] = decoding.decode(made).levels
    assert metric_name == "jobs"
    decoding.decoder.seed({fp: 7.0})
    assert decoding.samples(made) == [("jobs{}", 10, 5)]
    assert decoding.samples(one_sum(10, 20, 1, monotonic=False)) == [("jobs{}", 20, 6)]


def test_two_points_of_a_level_with_a_gap_between_them_go_on_from_what_is_stored() -> None:
    decoding, made = Decoding(), request()
    decoding.decoder = MetricDecoder(decoding.room.admit, alone=False)
    points = a_sum(made, temporality=DELTA, monotonic=False)
    for start, value in ((0, 3), (20, 4)):
        points.add(start_time_unix_nano=AT + start * S, time_unix_nano=AT + (start + 10) * S, as_int=value)
    decoding.decoder.seed({fp: 7.0 for _, fp in decoding.decode(made).levels})
    decoded = decoding.decode(made)
    assert not decoded.levels
    assert decoded.batch.values.tolist()[:2] == [10, 14]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=12))
def test_two_processes_that_share_the_deltas_of_a_stream_miss_nothing(sent: list[tuple[int, bool]]) -> None:
    processes = Decoding(), Decoding()
    for each in processes:
        each.decoder = MetricDecoder(each.room.admit, alone=False)
    stored: dict[float, float] = {}
    for at, (value, other) in enumerate(sent):
        rows = processes[other].samples(one_sum(at * 10, at * 10 + 10, value))
        stored |= {seconds: number for _, seconds, number in rows}
    values = [number for _, number in sorted(stored.items())]
    increase = sum(after - before if after >= before else after for before, after in pairwise(values))
    assert increase == sum(value for value, _ in sent)


def test_deltas_of_histograms_are_added_up_bucket_by_bucket() -> None:
    def made(start: int, counts: Sequence[int], bounds: Sequence[float]) -> ExportMetricsServiceRequest:
        whole = request()
        data = metric(whole, "h").histogram
        data.aggregation_temporality = DELTA
        data.data_points.add(
            start_time_unix_nano=AT + start * S, time_unix_nano=AT + (start + 10) * S, count=sum(counts), sum=1.0,
            bucket_counts=counts, explicit_bounds=bounds,
        )  # fmt: skip
        return whole

    decoding = Decoding()
    assert decoding.samples(made(0, [1, 2], [5]))[:4] == [
        ("h_bucket{le=5}", 0.001, 0),
        ("h_bucket{le=+Inf}", 0.001, 0),
        ("h_count{}", 0.001, 0),
        ("h_sum{}", 0.001, 0),
    ]
    assert decoding.values(made(10, [4, 0], [5])) == {
        "h_bucket{le=5}": 5,
        "h_bucket{le=+Inf}": 7,
        "h_count{}": 7,
        "h_sum{}": 2,
    }
    rebucketed = decoding.samples(made(20, [1, 0, 0], [5, 9]))
    assert ("h_bucket{le=5}", 20.001, 0) in rebucketed
    assert ("h_bucket{le=5}", 30, 1) in rebucketed


def test_deltas_of_exponential_histograms_are_added_up_at_the_coarser_scale() -> None:
    def made(start: int, scale: int, offset: int) -> ExportMetricsServiceRequest:
        whole = request()
        data = metric(whole, "h").exponential_histogram
        data.aggregation_temporality = DELTA
        point = data.data_points.add(
            start_time_unix_nano=AT + start * S, time_unix_nano=AT + (start + 10) * S, count=2, sum=1.0, scale=scale
        )
        point.positive.offset, point.positive.bucket_counts[:] = offset, [1, 1]
        return whole

    decoding = Decoding()
    zero, first = decoding.decode(made(0, 3, 8)).batch.histograms
    assert (zero.ts_ms - AT // MS, zero.histogram) == (1, NativeHistogram(3, 0, 0))
    assert first.histogram == NativeHistogram(3, 2, 1, positive=Buckets((9,), (2,), (1, 1)))
    [second] = decoding.decode(made(10, 2, 4)).batch.histograms
    assert second.histogram == NativeHistogram(2, 4, 2, positive=Buckets((5,), (2,), (3, 1)))


def test_deltas_are_refused_when_asked_to() -> None:
    decoded = Decoding(deltas="refuse").decode(one_sum(0, 10, 5))
    assert (decoded.points, decoded.rejected, len(decoded.batch)) == (0, 1, 0)
    assert "cumulative" in decoded.reason


# -- what is rejected ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("gauge", {"as_int": 1}, "time_unix_nano"),
        ("gauge", {"as_int": 1, "time_unix_nano": 2**63}, "time_unix_nano"),
        ("gauge", {"time_unix_nano": AT}, "without a value"),
        ("histogram", {"time_unix_nano": AT, "bucket_counts": [1], "explicit_bounds": [1]}, "explicit_bounds"),
        ("histogram", {"time_unix_nano": AT, "bucket_counts": [0] * 3, "explicit_bounds": [2, 1]}, "ascend"),
        ("histogram", {"time_unix_nano": AT, "bucket_counts": [0] * 2, "explicit_bounds": [math.nan]}, "ascend"),
        ("histogram", {"time_unix_nano": AT, "bucket_counts": [1, 1], "explicit_bounds": [1], "count": 3}, "hold 2"),
        ("exponential_histogram", {"time_unix_nano": AT, "scale": -5}, "no native form"),
    ],
)
def test_points_that_cannot_be_true_are_rejected_one_by_one(kind: str, fields: dict[str, Any], reason: str) -> None:
    made = request()
    metric(made, "good").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    data = getattr(metric(made, "bad"), kind)
    if kind != "gauge":
        data.aggregation_temporality = CUMULATIVE
    data.data_points.add(**fields)
    decoded = Decoding().decode(made)
    assert (decoded.points, decoded.rejected) == (1, 1)
    assert decoded.reason.startswith("metric 'bad': ")
    assert reason in decoded.reason


def test_every_reason_is_told_with_its_number_of_points() -> None:
    made = request()
    metric(made, "").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    metric(made, "!").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    points = metric(made, "late").gauge.data_points
    points.add(as_int=1)
    points.add(as_int=1)
    a_sum(made, temporality=0).add(time_unix_nano=AT, as_int=1)
    metric(made, "empty")
    decoded = Decoding().decode(made)
    assert (decoded.points, decoded.rejected) == (0, 6)
    assert decoded.reason == (
        "metric '': has no name (1); "
        "metric '!': no character of its name can stand in a Prometheus name (1); "
        "metric 'late': data point whose time_unix_nano is missing or lies after the year 2262 (2); "
        "metric 'jobs': its aggregation_temporality is neither delta nor cumulative (1); "
        "metric 'empty': holds no kind of data points known here (1)"
    )


# -- series --------------------------------------------------------------------------------------------------------------


def test_a_repeated_series_is_admitted_once() -> None:
    decoding, made = Decoding(), request()
    points = metric(made, "up").gauge.data_points
    for at in range(2):
        attribute(points.add(time_unix_nano=AT + at * MS, as_int=1), "a", "b")
    first, second = decoding.decode(made).batch, decoding.decode(made).batch
    assert first.positions.tolist() == second.positions.tolist() == [0, 0]
    assert len(decoding.index) == 1


def test_series_that_were_not_admitted_are_asked_for_again() -> None:
    decoding = Decoding(room=0)
    made = request(**{"host.name": "h"})
    a_sum(made, temporality=DELTA).add(start_time_unix_nano=AT - 10 * S, time_unix_nano=AT, as_int=1)
    decoded = decoding.decode(made)
    assert (decoded.points, decoded.rejected, decoded.batch.is_empty) == (0, 1, True)
    assert decoded.refusal is not None
    decoding.room.left = 2
    assert decoding.samples(made) == [("jobs_total{}", -9.999, 0), ("jobs_total{}", 0, 1)]
    assert len(decoding.index) == 2


def test_at_the_series_limit_known_series_go_on_and_points_of_the_others_are_rejected_and_counted() -> None:
    decoding = Decoding(room=1)
    known, more = request(), request()
    metric(known, "up").gauge.data_points.add(time_unix_nano=AT, as_int=1)
    decoding.decode(known)
    metric(more, "up").gauge.data_points.add(time_unix_nano=AT + S, as_int=2)
    points = metric(more, "down").gauge.data_points
    for at in range(3):
        attribute(points.add(time_unix_nano=AT + S, as_int=1), "a", str(at))
    for _ in range(2):  # the second time nothing is remembered of the first
        decoded = decoding.decode(more)
        assert (decoded.points, decoded.rejected, dict(decoded.causes)) == (1, 3, {"max_series": 3})
        assert decoded.reason == "no room for 3 (ingest.max_series)"
        assert [each.metric for each in decoded.batch.metadata] == ["up"]
        assert decoded.batch.values.tolist() == [2.0]
    decoding.room.left = 2
    decoded = decoding.decode(more)
    assert (decoded.points, decoded.rejected) == (3, 1)


def test_a_histogram_comes_in_with_all_of_its_series_or_not_at_all() -> None:
    decoding = Decoding(room=3)
    made = request()
    data = metric(made, "latency", "s").histogram
    data.aggregation_temporality = CUMULATIVE
    data.data_points.add(time_unix_nano=AT, count=2, sum=3.0, bucket_counts=[1, 1, 0], explicit_bounds=[1, 5])
    decoded = decoding.decode(made)
    assert (decoded.points, decoded.rejected, decoded.batch.is_empty) == (0, 1, True)
    decoding.room.left = 2  # the other two of its five series
    assert len(decoding.decode(made).batch) == 5


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_deltas_of_a_stream_for_which_there_was_no_room_are_not_counted(order: str) -> None:
    decoding = Decoding(room=1)
    made = request()
    for name in order:
        for start in (0, 10):
            a_sum(made, temporality=DELTA, name=name).add(
                start_time_unix_nano=AT + start * S, time_unix_nano=AT + (start + 10) * S, as_int=5
            )
    first, second = (f"{name}_total{{}}" for name in order)
    assert decoding.values(made) == {first: 10}
    decoding.room.left = 1
    assert decoding.values(made) == {first: 10, second: 10}


def test_a_request_brings_no_more_new_series_than_it_may() -> None:
    decoding = Decoding()
    made = request(**{"host.name": "h"})
    points = metric(made, "up").gauge.data_points
    for at in range(10):
        attribute(points.add(time_unix_nano=AT, as_int=1), "a", str(at))
    for taken in (4, 8, 10):
        copy = ExportMetricsServiceRequest()
        copy.CopyFrom(made)
        decoded = decoding.decoder.decode(copy, 0.0, Bounds(tenant="acme", new_series=4, signal="samples"))
        assert (decoded.points, decoded.rejected) == (taken, 10 - taken)
        if decoded.rejected:
            assert dict(decoded.causes) == {"new_series_per_request": 10 - taken}
            assert "'acme' may send 4 at once (limits.new_series_per_request)" in decoded.reason
    assert max(decoding.room.asked) <= 5  # target_info is one, too


def test_reasons_without_end_take_no_memory_without_end() -> None:
    made = request()
    for at in range(1000):
        metric(made, f"m{at}").gauge.data_points.add(time_unix_nano=AT)
    decoded = Decoding().decode(made)
    assert decoded.rejected == 1000
    assert decoded.reason.endswith("; and 96 more reasons")

"""Pages in protobuf: delimited MetricFamily messages, the one format that has native histograms.

Source: Prometheus' client data model, metrics.proto, by its field numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xxhash
from google.protobuf.message import DecodeError

from aiprism.errors import BadInput
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import METRIC_NAME
from aiprism.receive import prometheus_proto
from aiprism.receive.exposition.rows import NO_TIME, RawExemplar, Rows
from aiprism.receive.exposition.text import openmetrics_float
from aiprism.receive.protomessages import messages
from aiprism.receive.writerequests import native_histogram
from aiprism.store.batches import MetricMetadata
from aiprism.store.columns import FingerprintTable

_message = messages("io.prometheus.client", {
    "LabelPair": ("1 name string", "2 value string"),
    "Timestamp": ("1 seconds int64", "2 nanos int32"),
    "Exemplar": ("1 label *LabelPair", "2 value double", "3 timestamp Timestamp"),
    "Gauge": ("1 value double",),
    "Counter": ("1 value double", "2 exemplar Exemplar", "3 created_timestamp Timestamp"),
    "Quantile": ("1 quantile double", "2 value double"),
    "Summary": (
        "1 sample_count uint64", "2 sample_sum double", "3 quantile *Quantile", "4 created_timestamp Timestamp",
    ),
    "Untyped": ("1 value double",),
    "Bucket": (
        "1 cumulative_count uint64", "2 upper_bound double", "3 exemplar Exemplar", "4 cumulative_count_float double",
    ),
    "BucketSpan": ("1 offset sint32", "2 length uint32"),
    "Histogram": (
        "1 sample_count uint64", "2 sample_sum double", "3 bucket *Bucket", "4 sample_count_float double",
        "5 schema sint32", "6 zero_threshold double", "7 zero_count uint64", "8 zero_count_float double",
        "9 negative_span *BucketSpan", "10 negative_delta *sint64", "11 negative_count *double",
        "12 positive_span *BucketSpan", "13 positive_delta *sint64", "14 positive_count *double",
        "15 created_timestamp Timestamp", "16 exemplars *Exemplar",
    ),
    "Metric": (
        "1 label *LabelPair", "2 gauge Gauge", "3 counter Counter", "4 summary Summary", "5 untyped Untyped",
        "6 timestamp_ms int64", "7 histogram Histogram",
    ),
    "MetricFamily": ("1 name string", "2 help string", "3 type int32", "4 metric *Metric", "5 unit string"),
})  # fmt: skip
MetricFamily = _message("MetricFamily")

_TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")
_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM, _GAUGE_HISTOGRAM = range(6)
_GAUGE_HINT = 3
_ODD, _WORD = 0x9E3779B97F4A7C15, 2**64 - 1

_Row = tuple[dict[str, str], float, int, NativeHistogram | None, list[Any]]


def rows(body: bytes, known: FingerprintTable, salt: int, whose: int, *, native: bool = True, classic: bool) -> Rows:
    """What a page says; BadInput when it is not well formed. `classic` adds the classic series of native histograms, which are
    all that is taken of those without `native`."""
    families = list(_families(body))
    found = [row for family in families for metric in family.metric for row in _rows(family, metric, native, classic)]
    seed = (salt + whose * _ODD) & _WORD
    hashes = np.fromiter(
        (_hashed("\xff".join(part for pair in labels.items() for part in pair), seed) for labels, *_ in found),
        np.uint64,
        len(found),
    )
    return Rows(
        hashes,
        known.find(hashes),
        np.fromiter((value for _, value, *_ in found), np.float64, len(found)),
        np.fromiter((ts_ms or NO_TIME for _, _, ts_ms, *_ in found), np.int64, len(found)),
        lambda at: dict(found[at][0]),
        _hashed("\xff".join(f"{each.name}\xff{each.help}\xff{each.type}\xff{each.unit}" for each in families), seed),
        lambda: (MetricMetadata(each.name, _type(each), each.help, each.unit) for each in families),
        [_exemplar(at, each) for at, (*_, exemplars) in enumerate(found) for each in exemplars],
        {at: histogram for at, (_, _, _, histogram, _) in enumerate(found) if histogram is not None},
    )


def _families(body: bytes) -> Iterator[Any]:
    at = 0
    while at < len(body):
        size, shift = 0, 0
        while True:
            if at >= len(body) or shift > 28:
                raise BadInput("the page ends within the length of a metric family")
            octet = body[at]
            at += 1
            size |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                break
        if size > len(body) - at:
            raise BadInput("the page ends within a metric family")
        try:
            family = MetricFamily.FromString(body[at : at + size])
        except DecodeError as error:
            raise BadInput(f"the page holds a metric family that is not well formed: {error}") from None
        if not family.name:
            raise BadInput("the page holds a metric family without a name")
        yield family
        at += size


def _type(family: Any) -> str:
    if not 0 <= family.type < len(_TYPES):
        raise BadInput(f"metric family {family.name!r} is of the unknown type {family.type}")
    return _TYPES[family.type]


def _rows(family: Any, metric: Any, native: bool, classic: bool) -> Iterator[_Row]:
    labels = {METRIC_NAME: family.name}
    for pair in metric.label:
        if pair.name in labels or not pair.name:
            raise BadInput(f"a metric of {family.name!r} has the label {pair.name!r} twice, or one without a name")
        labels[pair.name] = pair.value
    ts_ms = metric.timestamp_ms
    match _type(family):
        case "counter":
            exemplars = [metric.counter.exemplar] if metric.counter.HasField("exemplar") else []
            yield labels, metric.counter.value, ts_ms, None, exemplars
        case "gauge":
            yield labels, metric.gauge.value, ts_ms, None, []
        case "unknown":
            yield labels, metric.untyped.value, ts_ms, None, []
        case "summary":
            yield from _of_summary(labels, metric.summary, ts_ms)
        case _:
            histogram = metric.histogram
            if native and _is_native(histogram):
                made = _native(histogram, family.type == _GAUGE_HISTOGRAM)
                yield labels, 0.0, ts_ms, made, list(histogram.exemplars)
                if not classic:
                    return
            yield from _of_histogram(labels, histogram, ts_ms)


def _of_summary(labels: dict[str, str], summary: Any, ts_ms: int) -> Iterator[_Row]:
    for each in summary.quantile:
        yield {**labels, "quantile": openmetrics_float(each.quantile)}, each.value, ts_ms, None, []
    name = labels[METRIC_NAME]
    yield {**labels, METRIC_NAME: f"{name}_sum"}, summary.sample_sum, ts_ms, None, []
    yield {**labels, METRIC_NAME: f"{name}_count"}, float(summary.sample_count), ts_ms, None, []


def _is_native(histogram: Any) -> bool:
    return bool(
        histogram.positive_span or histogram.negative_span or histogram.zero_threshold > 0 or histogram.zero_count
    )


def _of_histogram(labels: dict[str, str], histogram: Any, ts_ms: int) -> Iterator[_Row]:
    """Its classic series."""
    name = labels[METRIC_NAME]
    count = histogram.sample_count_float or float(histogram.sample_count)
    ends = False
    for each in histogram.bucket:
        ends = ends or each.upper_bound == math.inf
        exemplars = [each.exemplar] if each.HasField("exemplar") else []
        bucket = {**labels, METRIC_NAME: f"{name}_bucket", "le": openmetrics_float(each.upper_bound)}
        yield bucket, each.cumulative_count_float or float(each.cumulative_count), ts_ms, None, exemplars
    if not ends:
        yield {**labels, METRIC_NAME: f"{name}_bucket", "le": "+Inf"}, count, ts_ms, None, []
    yield {**labels, METRIC_NAME: f"{name}_sum"}, histogram.sample_sum, ts_ms, None, []
    yield {**labels, METRIC_NAME: f"{name}_count"}, count, ts_ms, None, []


def _native(histogram: Any, gauge: bool) -> NativeHistogram:
    made = prometheus_proto.Histogram(
        sum=histogram.sample_sum,
        schema=histogram.schema,
        zero_threshold=histogram.zero_threshold,
        positive_deltas=histogram.positive_delta,
        negative_deltas=histogram.negative_delta,
        positive_counts=histogram.positive_count,
        negative_counts=histogram.negative_count,
        reset_hint=_GAUGE_HINT if gauge else 0,
    )
    if histogram.sample_count_float > 0:
        made.count_float, made.zero_count_float = histogram.sample_count_float, histogram.zero_count_float
    else:
        made.count_int, made.zero_count_int = histogram.sample_count, histogram.zero_count
    for spans, theirs in (
        (made.positive_spans, histogram.positive_span),
        (made.negative_spans, histogram.negative_span),
    ):
        for each in theirs:
            spans.add(offset=each.offset, length=each.length)
    return native_histogram(made)


def _exemplar(row: int, exemplar: Any) -> RawExemplar:
    when = exemplar.timestamp
    ts_ms = when.seconds * 1000 + when.nanos // 1_000_000 if exemplar.HasField("timestamp") else None
    return RawExemplar(row, {pair.name: pair.value for pair in exemplar.label}, exemplar.value, ts_ms)


def _hashed(text: str, seed: int) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"), seed))

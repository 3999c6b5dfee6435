"""Prometheus' protobuf messages, declared here by their field numbers as the remote-write specifications publish them.

`WriteRequest` and what lies in it is remote write 1.0, `Request` and what lies in it 2.0; both know the same `Histogram`.
`ReadRequest` and `ReadResponse` are remote read; the hints of a query, which only ever ask for less, are left unread.
Sources: Prometheus Remote-Write 1.0 and 2.0 specifications; Prometheus documentation, "Remote Read API".
"""

from __future__ import annotations

from aiprism.receive.protomessages import messages

_MESSAGES: dict[str, tuple[str, ...]] = {
    "Label": ("1 name string", "2 value string"),
    "Sample": ("1 value double", "2 timestamp int64"),
    "Exemplar": ("1 labels *Label", "2 value double", "3 timestamp int64"),
    "BucketSpan": ("1 offset sint32", "2 length uint32"),
    "Histogram": (
        "1 count|count_int uint64", "2 count|count_float double", "3 sum double", "4 schema sint32", "5 zero_threshold double",
        "6 zero_count|zero_count_int uint64", "7 zero_count|zero_count_float double",
        "8 negative_spans *BucketSpan", "9 negative_deltas *sint64", "10 negative_counts *double",
        "11 positive_spans *BucketSpan", "12 positive_deltas *sint64", "13 positive_counts *double",
        "14 reset_hint int32", "15 timestamp int64", "16 custom_values *double",
    ),
    "TimeSeries": ("1 labels *Label", "2 samples *Sample", "3 exemplars *Exemplar", "4 histograms *Histogram"),
    "MetricMetadata": ("1 type int32", "2 metric_family_name string", "4 help string", "5 unit string"),
    "WriteRequest": ("1 timeseries *TimeSeries", "3 metadata *MetricMetadata"),
    "Exemplar2": ("1 labels_refs *uint32", "2 value double", "3 timestamp int64"),
    "Metadata2": ("1 type int32", "3 help_ref uint32", "4 unit_ref uint32"),
    "TimeSeries2": (
        "1 labels_refs *uint32", "2 samples *Sample", "3 histograms *Histogram", "4 exemplars *Exemplar2",
        "5 metadata Metadata2", "6 created_timestamp int64",
    ),
    "Request": ("4 symbols *string", "5 timeseries *TimeSeries2"),
    "LabelMatcher": ("1 type int32", "2 name string", "3 value string"),
    "Query": ("1 start_timestamp_ms int64", "2 end_timestamp_ms int64", "3 matchers *LabelMatcher"),
    "ReadRequest": ("1 queries *Query", "2 accepted_response_types *int32"),
    "QueryResult": ("1 timeseries *TimeSeries",),
    "ReadResponse": ("1 results *QueryResult",),
}  # fmt: skip

# MetricType, by number, as the metadata API names it
METRIC_TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")


_message = messages("aiprism.prometheus", _MESSAGES)

WriteRequest, TimeSeries, MetricMetadata = _message("WriteRequest"), _message("TimeSeries"), _message("MetricMetadata")
Request, TimeSeries2, Histogram = _message("Request"), _message("TimeSeries2"), _message("Histogram")
ReadRequest, ReadResponse = _message("ReadRequest"), _message("ReadResponse")

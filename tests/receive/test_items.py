"""What single spans, log records and series may be like."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from aiprism.config import LimitsConfig
from aiprism.model.labels import Labels
from aiprism.receive import otlp
from aiprism.receive.items import Bounds, bounds, labels_fault

NOW = 1_800_000_000.0
LIMITS = LimitsConfig(
    spans_past=100, spans_future=10, logs_past=100, logs_future=10,
    attributes=3, value_bytes=20, events_per_span=2, links_per_span=2, expanded_bytes=10_000,
    labels_per_series=3, label_name_bytes=8, label_value_bytes=10,
)  # fmt: skip
SPANS, LOGS = bounds(LIMITS, "acme", "spans", NOW), bounds(LIMITS, "acme", "logs", NOW)


def ns(seconds: float) -> int:
    return int((NOW + seconds) * 1e9)


def pairs(count: int, value: str = "v") -> list[KeyValue]:
    made = [KeyValue(key=f"k{at}") for at in range(count)]
    for pair in made:
        pair.value.string_value = value
    return made


def span(**fields: Any) -> Span:
    given = {"start_time_unix_nano": ns(0), "end_time_unix_nano": ns(1), "name": "op", **fields}
    return Span(trace_id=os.urandom(16), span_id=os.urandom(8), **given)


def record(**fields: Any) -> LogRecord:
    made = LogRecord(**{"time_unix_nano": ns(0), **fields})
    if not made.HasField("body"):
        made.body.string_value = "line"
    return made


def long_body() -> LogRecord:
    made = record()
    made.body.string_value = "é" * 11
    return made


SPAN_FAULTS: list[tuple[str, str, Callable[[], Span]]] = [
    ("too_old", r"limits\.spans_past", lambda: span(start_time_unix_nano=ns(-101))),
    ("too_new", r"limits\.spans_future", lambda: span(start_time_unix_nano=ns(11))),
    ("attributes", r"4 attributes, more than the 3 .*limits\.attributes", lambda: span(attributes=pairs(4))),
    ("attributes", r"event or link", lambda: span(events=[Span.Event(attributes=pairs(4))])),
    ("attributes", r"event or link", lambda: span(links=[Span.Link(attributes=pairs(4))])),
    ("events", r"limits\.events_per_span", lambda: span(events=[Span.Event()] * 3)),
    ("links", r"limits\.links_per_span", lambda: span(links=[Span.Link()] * 3)),
    ("value", r"'k0' is longer than the 20 bytes", lambda: span(attributes=pairs(1, "x" * 21))),
    ("value", r"limits\.value_bytes", lambda: span(events=[Span.Event(attributes=pairs(1, "x" * 21))])),
]
RECORD_FAULTS: list[tuple[str, str, Callable[[], LogRecord]]] = [
    ("too_old", r"limits\.logs_past", lambda: record(time_unix_nano=ns(-101))),
    ("too_new", r"limits\.logs_future", lambda: record(time_unix_nano=0, observed_time_unix_nano=ns(11))),
    ("attributes", r"limits\.attributes", lambda: record(attributes=pairs(4))),
    ("value", r"limits\.value_bytes", lambda: record(attributes=pairs(1, "x" * 21))),
    ("value", r"'body' is longer", long_body),
]


@pytest.mark.parametrize(("code", "says", "bad"), SPAN_FAULTS)
def test_a_span_out_of_bounds_is_left_out_and_not_its_neighbours(code: str, says: str, bad: Callable[[], Span]) -> None:
    request = ExportTraceServiceRequest()
    edge = [span(start_time_unix_nano=ns(-100)), span(start_time_unix_nano=ns(10)), span(attributes=pairs(3, "x" * 20))]
    good = [edge[0], span(events=[Span.Event()] * 2, links=[Span.Link()] * 2), *edge[1:]]
    request.resource_spans.add().scope_spans.add().spans.extend([*good[:2], bad(), *good[2:]])
    accepted = otlp.traces(request.SerializeToString(), within=SPANS)
    assert (accepted.items, accepted.rejected, accepted.causes) == (4, 1, {code: 1})
    assert_says(says, accepted.reason)
    kept = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans
    assert list(kept) == good


@pytest.mark.parametrize(("code", "says", "bad"), RECORD_FAULTS)
def test_a_record_out_of_bounds_is_left_out_and_not_its_neighbours(
    code: str, says: str, bad: Callable[[], LogRecord]
) -> None:
    request = ExportLogsServiceRequest()
    good = [record(time_unix_nano=ns(-100)), record(time_unix_nano=ns(10)), record(attributes=pairs(3, "x" * 20))]
    request.resource_logs.add().scope_logs.add().log_records.extend([good[0], bad(), *good[1:]])
    accepted = otlp.logs(request.SerializeToString(), within=LOGS)
    assert (accepted.items, accepted.rejected, accepted.causes) == (3, 1, {code: 1})
    assert_says(says, accepted.reason)
    kept = ExportLogsServiceRequest.FromString(accepted.body).resource_logs[0].scope_logs[0].log_records
    assert list(kept) == good


@pytest.mark.parametrize(
    ("attribute_bytes", "count", "items"), [(100, 80, 80), (100, 200, 0), (1_000, 9, 9), (1_000, 10, 0)]
)
def test_a_resource_that_every_item_would_repeat_is_bounded_in_all(
    attribute_bytes: int, count: int, items: int
) -> None:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.extend(pairs(1, "x" * attribute_bytes))
    resource.scope_logs.add().log_records.extend([record() for _ in range(count)])
    accepted = otlp.logs(request.SerializeToString(), within=replace(LOGS, value_bytes=10_000))
    assert accepted.items == items
    assert accepted.causes == ({} if items else {"expanded": count})


def test_a_resource_of_too_many_attributes_takes_its_items_along_and_no_others() -> None:
    request = ExportTraceServiceRequest()
    for count in (3, 4):
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(pairs(count))
        resource.scope_spans.add().spans.append(span())
    accepted = otlp.traces(request.SerializeToString(), within=SPANS)
    assert (accepted.items, accepted.causes) == (1, {"attributes": 1})


def test_what_is_missing_is_said_before_what_is_too_much() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(attributes=pairs(4))
    assert otlp.traces(request.SerializeToString(), within=SPANS).causes == {"invalid": 1}


def test_without_bounds_everything_the_data_model_allows_is_taken() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(
        span(start_time_unix_nano=1, attributes=pairs(500, "x" * 100))
    )
    assert otlp.traces(request.SerializeToString()).items == 1


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ({"__name__": "up", "a": "1", "b": "2"}, None),
        ({"__name__": "up", "a": "1", "b": "2", "c": "3"}, "labels"),
        ({"a" * 8: "x" * 10}, None),
        ({"a" * 9: "x"}, "label_name"),
        ({"a": "x" * 11}, "label_value"),
        ({"a": "é" * 6}, "label_value"),
        ({"a": "é" * 5}, None),
    ],
)
def test_labels_of_a_series(labels: dict[str, str], code: str | None) -> None:
    fault = labels_fault(Labels(labels), LIMITS, "acme")
    assert (fault and fault.code) == code
    if fault:
        assert "'acme'" in fault.message
        assert "limits.label" in fault.message


@given(past=st.floats(0, 1e9), future=st.floats(0, 1e9), now=st.floats(0, 4e9))
def test_bounds_of_time_are_in_order_and_fit_int64(past: float, future: float, now: float) -> None:
    found = bounds(replace(LIMITS, spans_past=past, spans_future=future), "acme", "spans", now)
    assert 0 <= found.earliest_ns <= found.latest_ns < 2**63


def test_zero_is_no_limit() -> None:
    off = LimitsConfig(
        spans_past=0,
        spans_future=0,
        attributes=0,
        value_bytes=0,
        events_per_span=0,
        links_per_span=0,
        expanded_bytes=0,
        new_series_per_request=0,
    )
    assert bounds(off, "acme", "spans", NOW) == Bounds("acme", signal="spans")


def assert_says(pattern: str, text: str) -> None:
    assert "'acme'" in text
    assert re.search(pattern, text), text

"""The compiled check of OTLP bodies: what it lets through, protobuf's parser takes, with the same count and no fault."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from aiprism.errors import BadInput
from aiprism.receive import otlp
from aiprism.receive.items import Bounds
from aiprism.receive.otlpwire import LOOK_CLOSER, records_of, spans_of
from tests.otlpmaking import NOW, log_requests, trace_requests


def count_spans(request: ExportTraceServiceRequest) -> int:
    return sum(len(scoped.spans) for group in request.resource_spans for scoped in group.scope_spans)


def count_records(request: ExportLogsServiceRequest) -> int:
    return sum(len(scoped.log_records) for group in request.resource_logs for scoped in group.scope_logs)


@given(trace_requests())
def test_good_spans_go_the_short_way(request: ExportTraceServiceRequest) -> None:
    assert spans_of(request.SerializeToString()) == count_spans(request)


@given(log_requests())
def test_good_records_go_the_short_way(request: ExportLogsServiceRequest) -> None:
    assert records_of(request.SerializeToString()) == count_records(request)


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body with a few bytes changed, cut out or put in."""
    body = bytearray(draw(bodies))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(("set", "cut", "put", "end"))):
            case "set" if at < len(body):
                body[at] = draw(st.integers(0, 255))
            case "cut":
                del body[at : at + draw(st.integers(1, 4))]
            case "put":
                body[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "end":
                del body[at:]
    return bytes(body)


@settings(max_examples=400)
@given(damaged(trace_requests().map(lambda request: request.SerializeToString())) | st.binary(max_size=60))
def test_no_damaged_trace_body_slips_through(body: bytes) -> None:
    found = spans_of(body)
    if found == LOOK_CLOSER:
        return
    request = ExportTraceServiceRequest.FromString(body)  # raises what would be a hole
    assert found == count_spans(request)
    assert not any(
        otlp._span_fault(span)
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    )


@settings(max_examples=400)
@given(damaged(log_requests().map(lambda request: request.SerializeToString())) | st.binary(max_size=60))
def test_no_damaged_log_body_slips_through(body: bytes) -> None:
    found = records_of(body)
    if found == LOOK_CLOSER:
        return
    request = ExportLogsServiceRequest.FromString(body)
    assert found == count_records(request)
    assert not any(
        otlp._record_fault(record)
        for group in request.resource_logs
        for scoped in group.scope_logs
        for record in scoped.log_records
    )


def one_span(**fields: object) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    good = {"trace_id": b"\1" * 16, "span_id": b"\2" * 8, "start_time_unix_nano": NOW}
    request.resource_spans.add().scope_spans.add().spans.add(**{**good, **fields})
    return request


def nested(depth: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for _ in range(depth):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return value


@pytest.mark.parametrize(("depth", "short_way"), [(1, True), (15, True), (17, False), (40, False)])
def test_deep_nesting_takes_the_long_way(depth: int, short_way: bool) -> None:
    request = one_span()
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value.CopyFrom(nested(depth))
    body = request.SerializeToString()
    assert (spans_of(body) == 1) is short_way
    assert otlp.traces(body).items == 1


def test_what_protobuf_finds_too_deep_is_bad_input() -> None:
    value = b""
    for _ in range(120):  # AnyValue { array_value { values } }, by hand: protobuf would not make it either
        inner = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(inner)) + inner
    pair = b"\x12" + varint(len(value)) + value
    scope = b"\x1a" + varint(len(pair)) + pair
    scoped = b"\x0a" + varint(len(scope)) + scope
    group = b"\x12" + varint(len(scoped)) + scoped
    body = b"\x0a" + varint(len(group)) + group
    assert spans_of(body) == LOOK_CLOSER
    with pytest.raises(BadInput):
        otlp.traces(body)


def varint(number: int, octets: int = 1) -> bytes:
    """`number`, in no fewer than that many bytes."""
    out = bytearray()
    while number > 127 or len(out) + 1 < octets:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize(("tag", "size", "taken"), [(1, 1, True), (5, 5, True), (6, 1, False), (1, 6, False)])
def test_tags_and_lengths_are_taken_as_long_as_protobuf_takes_them(tag: int, size: int, taken: bool) -> None:
    body = one_span().SerializeToString() + varint(10, tag) + varint(0, size)
    assert (spans_of(body) == 1) is taken
    if not taken:
        with pytest.raises(BadInput):
            otlp.traces(body)


def test_of_a_number_of_more_than_64_bits_the_upper_ones_are_dropped_as_protobuf_does() -> None:
    body = one_span().SerializeToString() + b"\x88\x06" + b"\xff" * 9 + b"\x7f"
    assert spans_of(body) == otlp.traces(body).items == 1


@pytest.mark.parametrize(
    "within",
    [
        Bounds(earliest_ns=NOW + 1),
        Bounds(latest_ns=NOW - 1),
        Bounds(attributes=1),
        Bounds(value_bytes=4),
        Bounds(events=0),
        Bounds(links=0),
        Bounds(expanded_bytes=5),
    ],
)
def test_what_is_out_of_bounds_is_looked_at_closer(within: Bounds) -> None:
    request = one_span()
    request.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "shop"
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for key in ("a", "b"):
        span.attributes.add(key=key).value.string_value = "value"
    span.events.add(name="e")
    span.links.add(trace_id=b"\1" * 16, span_id=b"\2" * 8)
    body = request.SerializeToString()
    assert (spans_of(body), spans_of(body, within)) == (1, LOOK_CLOSER)

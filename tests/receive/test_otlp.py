"""OTLP bodies as sent → what the store takes."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import otlp


def request_with(*spans: dict[str, object]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for span in spans:
        good = {"trace_id": b"\1" * 16, "span_id": b"\2" * 8, "name": "op", "start_time_unix_nano": 1}
        scoped.spans.add(**{**good, **span})
    return request


def test_a_plain_body_goes_on_byte_for_byte() -> None:
    body = request_with({}, {}).SerializeToString()
    accepted = otlp.traces(body)
    assert accepted.body is body
    assert (accepted.items, accepted.rejected) == (2, 0)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"trace_id": b""}, "trace_id"),
        ({"trace_id": b"\0" * 16}, "trace_id"),
        ({"trace_id": b"\1" * 15}, "trace_id"),
        ({"span_id": b"\1" * 9}, "span_id"),
        ({"parent_span_id": b"\1"}, "parent_span_id"),
        ({"start_time_unix_nano": 0}, "start_time_unix_nano"),
    ],
)
def test_a_bad_span_is_left_out_and_named(fault: dict[str, object], says: str) -> None:
    accepted = otlp.traces(request_with({}, fault, {}).SerializeToString())
    kept = ExportTraceServiceRequest.FromString(accepted.body)
    assert (accepted.items, accepted.rejected) == (2, 1)
    assert says in accepted.reason
    assert len(kept.resource_spans[0].scope_spans[0].spans) == 2


@pytest.mark.parametrize("body", [b"\x0a\xff", b"not protobuf at all", b"\x0a\x05abc"])
def test_what_is_no_protobuf_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput, match="ExportTraceServiceRequest"):
        otlp.traces(body)


def test_json_has_hex_ids_string_integers_and_unknown_fields() -> None:
    body = {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "5b8efff798038103d269b633813fc60c",
                                "spanId": "eee19b7ec3c1b174",
                                "name": "op",
                                "kind": 2,
                                "startTimeUnixNano": "1544712660000000000",
                                "endTimeUnixNano": "1544712661000000000",
                                "attributes": [{"key": "n", "value": {"intValue": "42"}}],
                                "notInThisVersion": True,
                            }
                        ]
                    }
                ]
            }
        ]
    }
    accepted = otlp.traces(json.dumps(body).encode(), is_json=True)
    span = ExportTraceServiceRequest.FromString(accepted.body).resource_spans[0].scope_spans[0].spans[0]
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.attributes[0].value.int_value == 42


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"resourceSpans": 7}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}',
        b"\xff",
        rb'{"resourceSpans": "\ud800"}',
        rb'{"resourceSpans": [{"\uDFFF": 1}]}',
        b'{"resourceSpans": [{"\xed\xa0\x80": 1}]}',
    ],
)
def test_what_is_no_otlp_json_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        otlp.traces(body, is_json=True)
    str(refused.value).encode()  # as its answer will be


def test_json_may_escape_what_is_beyond_the_basic_plane() -> None:
    body = rb'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"\ud83d\ude00"}}]}]}]}'
    assert "😀".encode() in otlp.logs(body, is_json=True).body


def test_a_log_record_without_any_time_is_left_out() -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "when?"
    accepted = otlp.logs(request.SerializeToString())
    assert (accepted.items, accepted.rejected) == (0, 1)

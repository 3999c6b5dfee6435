"""Zipkin's spans → OTLP spans."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import otlp, zipkin
from aiprism.store.anyvalue import json_value
from tests.receive.test_loglines import NOW, documents

AT = 1_795_525_200_000_000  # microseconds
TRACE, ID = "463ac35c9f6413ad48485a3953bb6124", "352bff9a74ca9ad2"
PLAIN: dict[str, Any] = {"traceId": TRACE, "id": ID, "name": "get /", "timestamp": AT, "duration": 1500}


def read(*spans: dict[str, Any]) -> list[dict[str, Any]]:
    accepted = zipkin.spans(json.dumps(spans).encode(), NOW)
    assert otlp.traces(accepted.body).items == accepted.items == len(spans)  # what OTLP's own door would take
    request = ExportTraceServiceRequest.FromString(accepted.body)
    return [
        {
            "service": resource.resource.attributes[0].value.string_value,
            "scope": (scope.scope.name, scope.scope.version),
            "id": (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
            "name": span.name,
            "kind": span.kind,
            "times": (span.start_time_unix_nano, span.end_time_unix_nano),
            "status": (span.status.code, span.status.message),
            "attributes": _pairs(span.attributes),
            "events": [(each.time_unix_nano, each.name, _pairs(each.attributes)) for each in span.events],
            "state": (span.trace_state, span.flags),
        }
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _pairs(attributes: Any) -> dict[str, Any]:
    return {pair.key: json_value(pair.value) for pair in attributes}


BARE = {
    "service": "unknown_service",
    "scope": ("", ""),
    "id": (TRACE, ID, ""),
    "name": "get /",
    "kind": 1,
    "times": (AT * 1000, AT * 1000 + 1_500_000),
    "status": (0, ""),
    "attributes": {},
    "events": [],
    "state": ("", 0),
}


def test_the_parts_of_a_span() -> None:
    [span] = read(
        {
            **PLAIN,
            "parentId": "6b221d5bc9e6496c",
            "kind": "CLIENT",
            "debug": True,
            "localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.1", "port": 8080},
            "remoteEndpoint": {"serviceName": "bank", "ipv6": "2001:db8::c001"},
            "annotations": [{"timestamp": AT + 10, "value": "ws"}],
            "tags": {"http.method": "GET", "n": 5},
        }
    )
    assert span == {
        **BARE,
        "service": "shop",
        "id": (TRACE, ID, "6b221d5bc9e6496c"),
        "kind": 3,
        "attributes": {
            "peer.service": "bank",
            "network.local.address": "10.0.0.1",
            "network.local.port": 8080,
            "network.peer.address": "2001:db8::c001",
            "zipkin.debug": True,
            "http.method": "GET",
            "n": "5",
        },
        "events": [((AT + 10) * 1000, "ws", {})],
        "state": ("", 1),
    }


@pytest.mark.parametrize(
    ("kind", "number"), [("SERVER", 2), ("CLIENT", 3), ("PRODUCER", 4), ("CONSUMER", 5), (None, 1), ("", 1)]
)
def test_kinds(kind: str | None, number: int) -> None:
    assert read({**PLAIN, "kind": kind}) == [{**BARE, "kind": number}]


@pytest.mark.parametrize(
    ("sent", "padded"), [("463ac35c9f6413ad", "0" * 16 + "463ac35c9f6413ad"), ("1", "0" * 31 + "1"), (TRACE, TRACE)]
)
def test_a_short_trace_id_is_padded(sent: str, padded: str) -> None:
    assert read({**PLAIN, "traceId": sent})[0]["id"] == (padded, ID, "")


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ({"error": ""}, (2, ""), {"error": ""}),
        ({"error": "true"}, (2, ""), {"error": "true"}),
        ({"error": "timed out"}, (2, "timed out"), {"error": "timed out"}),
        ({"otel.status_code": "OK"}, (1, ""), {}),
        ({"otel.status_code": "ERROR", "error": "no"}, (2, "no"), {"error": "no"}),
        ({"otel.status_code": "ERROR", "otel.status_description": "why"}, (2, "why"), {}),
    ],
)
def test_a_status_is_in_the_tags(tags: dict[str, str], status: tuple[int, str], left: dict[str, str]) -> None:
    assert read({**PLAIN, "tags": tags}) == [{**BARE, "status": status, "attributes": left}]


def test_what_an_opentelemetry_exporter_put_in_tags_gets_its_place_back() -> None:
    tags = {"otel.scope.name": "shop.http", "otel.scope.version": "1.2", "w3c.tracestate": "a=1"}
    values = ['{"declined": {"attempt": 2}}', '"declined": {"why": {"code": 7}}', '{"a": 1}', "{", '"quoted"']
    [span] = read({**PLAIN, "tags": tags, "annotations": [{"timestamp": AT, "value": value} for value in values]})
    assert (span["scope"], span["state"], span["attributes"]) == (("shop.http", "1.2"), ("a=1", 0), {})
    assert [event[1:] for event in span["events"]] == [
        ("declined", {"attempt": 2}),
        ("declined", {"why.code": 7}),
        ('{"a": 1}', {}),
        ("{", {}),
        ('"quoted"', {}),
    ]


def test_a_shared_span_becomes_a_child_with_an_id_of_its_own_and_takes_its_children_along() -> None:
    server, other = {"localEndpoint": {"serviceName": "bank"}}, {"localEndpoint": {"serviceName": "shop"}}
    client, foreign, shared, child = read(  # by service
        {**PLAIN, **other, "kind": "CLIENT"},
        {**PLAIN, **other, "id": "00000000000000b2", "parentId": ID},
        {**PLAIN, **server, "kind": "SERVER", "shared": True},
        {**PLAIN, **server, "id": "00000000000000b1", "parentId": ID},
    )
    assert client["id"] == (TRACE, ID, "")
    assert shared["id"][2] == ID
    assert shared["id"][1] not in (ID, "")
    assert child["id"][2] == shared["id"][1]
    assert foreign["id"][2] == ID
    assert shared["attributes"] == {"zipkin.shared": True}


def test_a_span_without_a_time_is_known_by_its_annotations_or_by_when_it_came() -> None:
    noted, bare = read(
        {"traceId": TRACE, "id": ID, "annotations": [{"timestamp": AT, "value": "cs"}]}, {"traceId": TRACE, "id": ID}
    )
    assert noted["times"] == (AT * 1000, AT * 1000)
    assert (bare["times"], bare["attributes"]) == ((NOW, NOW), {"zipkin.without_timestamp": True})


def test_an_empty_list_holds_nothing() -> None:
    assert zipkin.spans(b"[]", NOW).items == 0


@pytest.mark.parametrize(
    ("span", "says"),
    [
        (5, "spans[0] is not an object"),
        ({}, "spans[0].traceId"),
        ({"traceId": TRACE}, "spans[0].id"),
        ({**PLAIN, "traceId": "x" * 16}, "hexadecimal"),
        ({**PLAIN, "traceId": "0" * 32}, "all zero"),
        ({**PLAIN, "id": TRACE}, "1 to 16 hexadecimal"),
        ({**PLAIN, "kind": "LOCAL"}, "spans[0].kind is 'LOCAL'"),
        ({**PLAIN, "kind": {}}, "spans[0].kind"),
        ({**PLAIN, "timestamp": "now"}, "spans[0].timestamp"),
        ({**PLAIN, "timestamp": -1}, "microseconds"),
        ({**PLAIN, "timestamp": 10**15 * 9, "duration": 10**15 * 9}, "2262"),
        ({**PLAIN, "tags": []}, None),
        ({**PLAIN, "tags": [1]}, "spans[0].tags"),
        ({**PLAIN, "annotations": {"a": 1}}, "spans[0].annotations"),
        ({**PLAIN, "annotations": [1]}, "spans[0].annotations"),
        ({**PLAIN, "localEndpoint": "shop"}, "spans[0].localEndpoint"),
    ],
)
def test_a_span_that_is_none_is_named(span: object, says: str | None) -> None:
    body = json.dumps([span]).encode()
    if says is None:
        assert zipkin.spans(body, NOW).items == 1
        return
    with pytest.raises(BadInput) as caught:
        zipkin.spans(body, NOW)
    assert says in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"1"])
def test_what_is_no_list_of_spans_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput):
        zipkin.spans(body, NOW)


fields = st.sampled_from(
    ["traceId", "id", "parentId", "name", "kind", "timestamp", "duration", "localEndpoint", "remoteEndpoint", "annotations",
     "tags", "debug", "shared"]
)  # fmt: skip
values = documents | st.lists(documents, max_size=2) | st.integers() | st.text(max_size=5) | st.none() | st.booleans()


@given(st.lists(st.dictionaries(fields, values, max_size=8), max_size=3), st.binary(max_size=100))
def test_garbage_is_bad_input_and_nothing_else(some: list[dict[str, Any]], body: bytes) -> None:
    for each in (body, json.dumps(some).encode(), json.dumps([{**PLAIN, **one} for one in some]).encode()):
        with contextlib.suppress(BadInput):
            accepted = zipkin.spans(each, NOW)
            assert otlp.traces(accepted.body).rejected == 0

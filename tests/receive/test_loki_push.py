"""Loki push bodies → log records."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.errors import BadInput
from aiprism.receive import loki_push
from tests.receive.test_loglines import NOW, documents

AT = 1_795_525_200_123_456_789
TRACE = "463ac35c9f6413ad48485a3953bb6124"


def stored(body: bytes, *, is_json: bool = True) -> list[dict[str, Any]]:
    request = ExportLogsServiceRequest.FromString(loki_push.push(body, NOW, is_json=is_json).body)
    return [
        {
            "resource": {pair.key: pair.value.string_value for pair in each.resource.attributes},
            "body": record.body.string_value,
            "ts": record.time_unix_nano,
            "severity": record.severity_number,
            "attributes": {pair.key: pair.value.string_value for pair in record.attributes},
            "trace": record.trace_id.hex(),
        }
        for each in request.resource_logs
        for scope in each.scope_logs
        for record in scope.log_records
    ]


def in_json(labels: dict[str, object], *values: object) -> bytes:
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


def in_protobuf(labels: str, *entries: tuple[int, bytes, dict[str, str]]) -> bytes:
    request = loki_push._PushRequest()
    stream = request.streams.add(labels=labels.encode())
    for ts, line, metadata in entries:
        entry = stream.entries.add(line=line)
        entry.timestamp.seconds, entry.timestamp.nanos = divmod(ts, 10**9)
        for name, value in metadata.items():
            entry.metadata.add(name=name.encode(), value=value.encode())
    return bytes(request.SerializeToString())


EXPECTED = {
    "resource": {"service.name": "shop", "job": "shop", "k8s.pod.name": "shop-1"},
    "body": "card declined",
    "ts": AT,
    "severity": 17,
    "attributes": {"user": "u1"},
    "trace": TRACE,
}


def test_json_with_structured_metadata() -> None:
    metadata = {"level": "error", "user": "u1", "trace_id": TRACE}
    body = in_json({"job": "shop", "k8s_pod_name": "shop-1"}, [str(AT), "card declined", metadata])
    assert stored(body) == [{**EXPECTED, "attributes": {"level": "error", "user": "u1"}}]


def test_protobuf_with_structured_metadata() -> None:
    body = in_protobuf(
        '{job="shop", k8s_pod_name="shop-1"}', (AT, b"card declined", {"user": "u1", "traceID": TRACE, "level": "err"})
    )
    assert stored(body, is_json=False) == [{**EXPECTED, "attributes": {"user": "u1", "level": "err"}}]


def test_a_line_that_is_not_utf8_is_kept() -> None:
    [line] = stored(in_protobuf("{app=`a`}", (AT, b"caf\xe9", {})), is_json=False)
    assert (line["body"], line["resource"]["service.name"]) == ("caf\N{REPLACEMENT CHARACTER}", "a")


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service_name": "a", "job": "b"}, "a"),
        ({"job": "j", "container": "c"}, "c"),
        ({"job": "j", "app": "a"}, "a"),
        ({"filename": "/var/log/x"}, "unknown_service"),
        ({}, "unknown_service"),
        ({"service_name": "", "job": "j"}, "j"),
    ],
)
def test_the_service_is_found_as_loki_finds_it(labels: dict[str, object], service: str) -> None:
    [line] = stored(in_json(labels, [str(AT), "x"]))
    assert line["resource"]["service.name"] == service


def test_a_level_is_looked_for_in_metadata_then_labels_then_the_line() -> None:
    labels: dict[str, object] = {"job": "j", "level": "warn"}
    lines = stored(in_json(labels, [str(AT), "ERROR x", {"severity": "debug"}], [str(AT), "ERROR x"]))
    lines += stored(in_json({"job": "j"}, [str(AT), "ERROR x"]))
    assert [line["severity"] for line in lines] == [5, 13, 17]


def test_the_form_before_version_0_4() -> None:
    stream = {"labels": '{job="j"}', "entries": [{"ts": "2026-11-24T13:00:00.123456789Z", "line": "x"}]}
    [line] = stored(json.dumps({"streams": [stream]}).encode())
    assert (line["resource"], line["ts"]) == ({"service.name": "j", "job": "j"}, AT)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        ('{a="b"}', {"a": "b"}),
        ('{ a = "b" , c="d",}', {"a": "b", "c": "d"}),
        (r'{a="q\"uo\\te\n\u00e9\x41\101"}', {"a": 'q"uo\\te\néAA'}),
        (r'{a="\ud800"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (r"{a=`C:\logs`}", {"a": r"C:\logs"}),
    ],
)
def test_label_texts(text: str, labels: dict[str, str]) -> None:
    assert loki_push.labels_of(text) == labels


@pytest.mark.parametrize("text", ["", "a", "{", "{a}", '{a="b"', '{a="b" c="d"}', "{a=b}", '{a="b\\"}', '{1="a"}'])
def test_bad_label_texts(text: str) -> None:
    with pytest.raises(BadInput, match="error parsing labels"):
        loki_push.labels_of(text)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True), st.text(max_size=10), max_size=4))
def test_labels_printed_as_go_prints_them_come_back(labels: dict[str, str]) -> None:
    text = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    assert loki_push.labels_of("{" + text + "}") == labels


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "streams"),
        (b'{"streams": 1}', "streams"),
        (b'{"streams": [1]}', "streams[0]"),
        (b'{"streams": [{"values": []}]}', "streams[0].stream"),
        (in_json({"a": "b"}, ["now", "x"]), "streams[0].values[0][0]"),
        (in_json({"a": "b"}, [str(AT), 1]), "streams[0].values[0]"),
        (in_json({"a": "b"}, [str(AT)]), "streams[0].values[0]"),
        (in_json({"a": "b"}, [str(AT), "x", {"n": 1}]), "structured metadata"),
    ],
)
def test_a_bad_body_is_named(body: bytes, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        loki_push.push(body, NOW, is_json=True)
    assert says in str(caught.value)


@pytest.mark.parametrize("body", [b"\x0a\xff", in_protobuf("{a=", (AT, b"x", {})), in_protobuf("{}", (-5, b"x", {}))])
def test_a_bad_protobuf_body_is_bad_input(body: bytes) -> None:
    with pytest.raises(BadInput):
        loki_push.push(body, NOW, is_json=False)


@given(st.binary(max_size=300) | documents.map(lambda document: json.dumps(document).encode()))
def test_garbage_is_bad_input_and_nothing_else(body: bytes) -> None:
    for is_json in (True, False):
        with contextlib.suppress(BadInput):
            loki_push.push(body, NOW, is_json=is_json)

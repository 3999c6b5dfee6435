"""A map of fields in whatever names → one log record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from aiprism.receive import fields
from aiprism.receive.loglines import LogLines, Severity
from tests.receive.test_loglines import NOW, documents

TRACE = "463ac35c9f6413ad48485a3953bb6124"

CASES: list[tuple[str, dict[str, object], dict[str, Any]]] = [
    (
        "ECS",
        {
            "@timestamp": "2026-11-24T13:00:00.000Z",
            "message": "declined",
            "log": {"level": "error", "logger": "shop"},
            "service": {"name": "shop", "version": "1.2"},
            "trace": {"id": TRACE},
            "span": {"id": "00f067aa0ba902b7"},
            "host": {"name": "web-1"},
            "http": {"response": {"status_code": 402}},
        },
        {
            "body": "declined",
            "time_ns": 1_795_525_200_000_000_000,
            "severity": Severity(17, "error"),
            "trace": TRACE,
            "span": "00f067aa0ba902b7",
            "resource": {"service.name": "shop", "service.version": "1.2", "host.name": "web-1"},
            "attributes": {"log.logger": "shop", "http.response.status_code": 402},
        },
    ),
    (
        "pino",
        {"level": 50, "time": 1_795_525_200_000, "pid": 7, "hostname": "web-1", "name": "shop", "msg": "declined"},
        {
            "body": "declined",
            "time_ns": 1_795_525_200_000_000_000,
            "severity": Severity(17, "50"),
            "trace": "",
            "span": "",
            "resource": {"service.name": "default", "host.name": "web-1"},
            "attributes": {"pid": 7, "name": "shop", "hostname": "web-1"},
        },
    ),
    (
        "Kubernetes, by Fluent Bit",
        {"log": "GET / 200", "stream": "stdout", "kubernetes": {"labels": {"app": "shop"}, "pod_name": "shop-1"}},
        {
            "body": "GET / 200",
            "time_ns": 0,
            "severity": Severity(0, ""),
            "trace": "",
            "span": "",
            "resource": {"service.name": "shop", "kubernetes.labels.app": "shop", "kubernetes.pod_name": "shop-1"},
            "attributes": {"stream": "stdout"},
        },
    ),
    (
        "our own export",
        {
            "ts_ns": 1_795_525_200_000_000_001,
            "service": "shop",
            "level": "WARN",
            "body": "slow",
            "trace_id": TRACE,
            "span_id": "",
            "attributes": {"http.route": "/"},
            "resource": {"service.name": "shop", "deployment.environment": "prod"},
        },
        {
            "body": "slow",
            "time_ns": 1_795_525_200_000_000_001,
            "severity": Severity(13, "WARN"),
            "trace": TRACE,
            "span": "",
            "resource": {"service.name": "shop", "deployment.environment": "prod"},
            "attributes": {"http.route": "/"},
        },
    ),
    (
        "no text in it: the record is the text",
        {"a": 1, "b": [1, 2]},
        {
            "body": '{"a":1,"b":[1,2]}',
            "time_ns": 0,
            "severity": Severity(0, ""),
            "trace": "",
            "span": "",
            "resource": {"service.name": "default"},
            "attributes": {"a": 1, "b": "[1,2]"},
        },
    ),
    (
        "what is no time, level or id stays an attribute",
        {"message": "m", "time": "0.012", "level": "gold", "trace_id": "-", "service": True, "severity_number": 14},
        {
            "body": "m",
            "time_ns": 0,
            "severity": Severity(14, "gold"),
            "trace": "",
            "span": "",
            "resource": {"service.name": "default", "service": "true"},
            "attributes": {"time": "0.012", "level": "gold", "trace_id": "-"},
        },
    ),
]


@pytest.mark.parametrize(("document", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_record_has_its_parts(document: dict[str, object], expected: dict[str, Any]) -> None:
    resource, line = fields.record_of(document, service="default")
    assert {
        "body": line.body,
        "time_ns": line.time_ns,
        "severity": line.severity,
        "trace": line.trace_id.hex(),
        "span": line.span_id.hex(),
        "resource": dict(resource),
        "attributes": dict(line.attributes),
    } == expected


@given(documents)
def test_any_document_is_a_record(document: dict[str, object]) -> None:
    lines = LogLines(NOW)
    lines.add(*fields.record_of(document, extra={"index": "x"}))
    assert lines.accepted().items == 1

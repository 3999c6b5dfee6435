"""Jaeger's query API, asked as Jaeger's UI and Grafana's data source ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.clock import FakeClock
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.store.spancolumns import span_columns
from aiprism.telemetry import Telemetry
from aiprism.web import jaeger, routes

AT = 1_800_000_000
TRACE, OTHER = "000000000000000000000000000000ab", "0123456789abcdef0123456789abcdef"
NO_ERRORS: dict[str, Any] = {"limit": 0, "offset": 0, "errors": None}


def sent() -> bytes:
    """A request that goes from the gateway to orders, which fails, and another trace of orders alone."""
    request = ExportTraceServiceRequest()

    def span(service: str, trace: str, number: int, parent: int, kind: int, name: str, seconds: float) -> Any:
        of_service = request.resource_spans.add()
        of_service.resource.attributes.add(key="service.name").value.string_value = service
        of_service.resource.attributes.add(key="host.name").value.string_value = f"{service}-1"
        scoped = of_service.scope_spans.add()
        scoped.scope.name, scoped.scope.version = "http", "1.2"
        made = scoped.spans.add(trace_id=bytes.fromhex(trace), span_id=bytes([number] * 8), kind=kind, name=name)
        made.parent_span_id = bytes([parent] * 8) if parent else b""
        made.start_time_unix_nano = AT * 10**9 + number * 1000
        made.end_time_unix_nano = made.start_time_unix_nano + round(seconds * 1e9)
        return made

    span("gateway", TRACE, 1, 0, 2, "GET /cart", 0.3).attributes.add(key="http.status_code").value.int_value = 502
    span("gateway", TRACE, 2, 1, 3, "orders", 0.2)
    failed = span("orders", TRACE, 3, 2, 2, "GET /orders", 0.1)
    failed.status.code, failed.status.message = 2, "no stock"
    failed.attributes.add(key="retry").value.bool_value = True
    failed.attributes.add(key="load").value.double_value = 0.5
    event = failed.events.add(time_unix_nano=AT * 10**9 + 5000, name="exception")
    event.attributes.add(key="exception.type").value.string_value = "KeyError"
    failed.links.add(trace_id=bytes.fromhex(OTHER), span_id=bytes([4] * 8))
    span("orders", OTHER, 4, 0, 2, "GET /orders", 1.5)
    return request.SerializeToString()


@pytest.fixture
def stocked(engine: Engine) -> Engine:
    engine.insert_arrow("spans", span_columns(sent()), token="t")
    return engine


def answer(engine: Engine, path: str, **parameters: Any) -> httpx.Response:
    async def nothing() -> None:
        return None

    async def run() -> httpx.Response:
        app = routes.build([jaeger.router(engine, FakeClock(AT + 60))], Telemetry(), checks={}, reload=nothing)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(f"/jaeger/api/{path}", params=parameters)

    return asyncio.run(run())


def data(engine: Engine, path: str, **parameters: Any) -> Any:
    found = answer(engine, path, **parameters)
    assert found.status_code == 200, found.text
    told = found.json()
    assert told == NO_ERRORS | {"data": told["data"], "total": len(told["data"])}
    return told["data"]


def test_services_and_their_operations(stocked: Engine) -> None:
    assert data(stocked, "services") == ["gateway", "orders"]
    assert data(stocked, "services/gateway/operations") == ["GET /cart", "orders"]
    assert data(stocked, "operations", service="gateway") == [
        {"name": "GET /cart", "spanKind": "server"},
        {"name": "orders", "spanKind": "client"},
    ]
    assert data(stocked, "operations", service="gateway", spanKind="client") == [
        {"name": "orders", "spanKind": "client"}
    ]


def tags(span: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    return {tag["key"]: (tag["type"], tag["value"]) for tag in span["tags"]}


def test_a_trace_is_told_as_jaeger_tells_otlp(stocked: Engine) -> None:
    [trace] = data(stocked, "traces/ab")
    assert (trace["traceID"], trace["warnings"], len(trace["spans"])) == (TRACE, None, 3)
    first, _, failed = trace["spans"]
    process = trace["processes"][failed["processID"]]
    host = {"key": "host.name", "type": "string", "value": "orders-1"}
    assert process == {"serviceName": "orders", "tags": [host]}
    assert tags(first)["http.status_code"] == ("int64", 502)
    assert {name: failed[name] for name in ("spanID", "operationName", "startTime", "duration", "flags")} == {
        "spanID": "03" * 8, "operationName": "GET /orders", "startTime": AT * 10**6 + 3, "duration": 100_000, "flags": 1,
    }  # fmt: skip
    assert failed["references"] == [
        {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "02" * 8},
        {"refType": "FOLLOWS_FROM", "traceID": OTHER, "spanID": "04" * 8},
    ]
    assert tags(failed) == {
        "retry": ("bool", True),
        "load": ("float64", 0.5),
        "otel.scope.name": ("string", "http"),
        "otel.scope.version": ("string", "1.2"),
        "span.kind": ("string", "server"),
        "error": ("bool", True),
        "otel.status_code": ("string", "ERROR"),
        "otel.status_description": ("string", "no stock"),
    }
    assert failed["logs"] == [
        {
            "timestamp": AT * 10**6 + 5,
            "fields": [
                {"key": "event", "type": "string", "value": "exception"},
                {"key": "exception.type", "type": "string", "value": "KeyError"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"service": "orders"}, [OTHER, TRACE]),
        ({"service": "gateway", "operation": "all"}, [TRACE]),
        ({"service": "orders", "minDuration": "1.2s"}, [OTHER]),
        ({"service": "orders", "maxDuration": "500ms"}, [TRACE]),
        ({"service": "orders", "minDuration": "99999999999h"}, []),
        ({"service": "orders", "tags": '{"error":"true"}'}, [TRACE]),
        ({"service": "gateway", "tags": '{"http.status_code":"502","span.kind":"server"}'}, [TRACE]),
        ({"service": "gateway", "tag": "http.status_code:500"}, []),
        ({"service": "orders", "tag": ["retry:true", "host.name:orders-1"]}, [TRACE]),
        ({"service": "orders", "limit": 1}, [OTHER]),
        ({"service": "orders", "tags": '{"error":"false"}'}, [OTHER]),
        ({"service": "orders", "tag": ["otel.status_code:ERROR", "otel.status_description:no stock"]}, [TRACE]),
        ({"service": "orders", "tag": ["event:exception", "exception.type:KeyError"]}, [TRACE]),
        ({"service": "orders", "tag": "otel.scope.name:http"}, [OTHER, TRACE]),
        ({"service": "orders", "lookback": "30s"}, []),
        ({"service": "orders", "lookback": "1h"}, [OTHER, TRACE]),
        ({"service": "orders", "lookback": "custom", "start": (AT - 9) * 10**6}, [OTHER, TRACE]),
        ({"service": "orders", "start": (AT + 1) * 10**6, "end": (AT + 9) * 10**6}, []),
        ({"traceID": [TRACE, OTHER[:1] + OTHER[1:].upper(), "ff"]}, [TRACE, OTHER]),
    ],
)
def test_traces_are_found(stocked: Engine, asked: dict[str, Any], found: list[str]) -> None:
    assert [trace["traceID"] for trace in data(stocked, "traces", **asked)] == found


@pytest.mark.parametrize(
    ("path", "asked", "status", "message"),
    [
        ("traces", {}, 400, "parameter 'service' is required"),
        ("operations", {}, 400, "parameter 'service' is required"),
        ("traces", {"service": "x", "limit": "0"}, 400, "not between 1 and 1500"),
        ("traces", {"service": "x", "start": "yesterday"}, 400, "'yesterday' is no whole number"),
        ("traces", {"service": "x", "minDuration": "5"}, 400, "is no duration; write for example 1.2s"),
        ("traces", {"service": "x", "tags": "[1]"}, 400, "expecting a JSON object of strings"),
        ("traces", {"service": "x", "tag": "novalue"}, 400, "expecting key:value"),
        ("traces", {"service": "x", "tag": [f"k{at}:v" for at in range(21)]}, 400, "21 are too many"),
        ("traces/xyz", {}, 400, "malformed trace id"),
        ("traces/ffff", {}, 404, "trace not found"),
    ],
)
def test_a_mistake_is_told_in_jaegers_form(
    engine: Engine, path: str, asked: dict[str, str], status: int, message: str
) -> None:
    found = answer(engine, path, **asked)
    assert (found.status_code, found.json()["data"]) == (status, None)
    [error] = found.json()["errors"]
    assert (error["code"], message in error["msg"]) == (status, True)


def test_who_calls_whom(stocked: Engine) -> None:
    join = EdgeJoin(stocked)
    for _ in join.advance(AT + 600):
        pass
    asked = {"endTs": (AT + 60) * 1000, "lookback": 3_600_000}
    assert data(stocked, "dependencies", **asked) == [{"parent": "gateway", "child": "orders", "callCount": 1}]
    assert data(stocked, "dependencies", **asked | {"endTs": AT // 2 * 1000}) == []

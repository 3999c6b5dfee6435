"""OTLP over HTTP into the real store, and what the explore API gives back."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig
from aiprism.query.promql import Limits, PromQL
from aiprism.receive.doors import OtlpDoors
from aiprism.store.engine import Engine
from aiprism.store.samples import SampleStore
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import explore, ingest, logs, routes, services

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def with_edge(engine: Engine, story: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run `story` against the receiving doors and the explore API on `engine`."""

    async def run() -> None:
        config, telemetry = IngestConfig(linger=0.01), Telemetry()
        index = load_series(engine)
        writing, store = Writing(engine, index, config, telemetry), SampleStore(engine, index)

        async def levels(series: Sequence[tuple[str, int]]) -> Mapping[int, float]:
            return await engine.run(store.last_values, series, 0)

        app = routes.build(
            [
                ingest.router(OtlpDoors(writing, telemetry, levels=levels), config),
                explore.router(engine, SystemClock()),
                services.router(engine, SystemClock()),
                logs.router(engine, SystemClock()),
            ],
            telemetry,
            checks={},
            reload=_nothing,
        )
        writing.start()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(writing.stop)
            transport = httpx.ASGITransport(app)
            await story(
                await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1"))
            )

    asyncio.run(run())


async def _nothing() -> None:
    return None


def trace_request(trace_id: bytes, *, service: str = "api", duration_ms: int = 5, error: bool = False) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    start = time.time_ns() - duration_ms * 1_000_000
    span = resource.scope_spans.add().spans.add(trace_id=trace_id, span_id=os.urandom(8), name="GET /", kind=2)
    span.start_time_unix_nano, span.end_time_unix_nano = start, start + duration_ms * 1_000_000
    span.attributes.add(key="http.route").value.string_value = "/"
    span.status.code = Status.STATUS_CODE_ERROR if error else Status.STATUS_CODE_UNSET
    return request.SerializeToString()


def log_request(trace_id: bytes, line: str, severity: int = 9) -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "api"
    record = resource.scope_logs.add().log_records.add(time_unix_nano=time.time_ns(), severity_number=severity)
    record.body.string_value, record.trace_id, record.span_id = line, trace_id, b"\5" * 8
    return request.SerializeToString()


def test_a_stored_trace_is_found_by_id_with_its_logs(engine: Engine) -> None:
    trace_id = os.urandom(16)
    # Both made before either is sent: the first body may have to wait for compiled code for longer than the minute
    # after the trace in which its logs are looked for.
    body, line = gzip.compress(trace_request(trace_id)), log_request(trace_id, "hello")

    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/traces", content=body, headers={**PROTOBUF, "Content-Encoding": "gzip"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await client.post("/v1/logs", content=line, headers=PROTOBUF)).status_code == 200
        found = (await client.get(f"/aiprism/v1/traces/{trace_id.hex()}")).json()
        assert [span["name"] for span in found["spans"]] == ["GET /"]
        assert [record["body"] for record in found["logs"]] == ["hello"]

    with_edge(engine, story)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"service": "api"}, 2),
        ({"service": "other"}, 0),
        ({"min_duration": "1s"}, 1),
        ({"errors": "true"}, 1),
        ({"attribute": "http.route=/"}, 2),
        ({"attribute": "http.route=/x"}, 0),
        ({"operation": "GET /", "limit": "1"}, 1),
    ],
)
def test_traces_are_found_by_what_their_spans_say(engine: Engine, asked: dict[str, str], found: int) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for body in (trace_request(os.urandom(16)), trace_request(os.urandom(16), duration_ms=1500, error=True)):
            await client.post("/v1/traces", content=body, headers=PROTOBUF)
        assert len((await client.get("/aiprism/v1/traces", params=asked)).json()["traces"]) == found

    with_edge(engine, story)


def test_services_show_rate_errors_and_latency(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for error in (True, False, False, False):
            await client.post("/v1/traces", content=trace_request(os.urandom(16), error=error), headers=PROTOBUF)
        [service] = (await client.get("/aiprism/v1/services", params={"window": 10})).json()["services"]
        assert service["service"] == "api"
        assert (service["rate"], service["error_share"]) == (0.4, 0.25)
        assert service["p50_ms"] == pytest.approx(5, rel=0.01)

    with_edge(engine, story)


def test_logs_are_found_by_level_and_text_and_counted_by_pattern(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for at, severity in enumerate((9, 17, 17)):
            await client.post(
                "/v1/logs", content=log_request(b"\1" * 16, f"order {at} Failed", severity), headers=PROTOBUF
            )
        errors = (await client.get("/aiprism/v1/logs", params={"level": "error", "q": "failed"})).json()["logs"]
        assert [record["body"] for record in errors] == ["order 2 Failed", "order 1 Failed"]
        patterns = (await client.get("/aiprism/v1/logs/patterns")).json()["patterns"]
        assert [(each["template"], each["count"], each["levels"]) for each in patterns] == [
            ("order <*> Failed", 3, {"ERROR": 2, "INFO": 1})
        ]

    with_edge(engine, story)


def test_metrics_become_samples_series_exemplars_and_metadata(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        request = ExportMetricsServiceRequest()
        metrics = request.resource_metrics.add().scope_metrics.add().metrics
        counter = metrics.add(name="jobs", description="Jobs done.").sum
        counter.aggregation_temporality, counter.is_monotonic = (
            AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
            True,
        )
        point = counter.data_points.add(time_unix_nano=time.time_ns(), as_int=7)
        point.exemplars.add(time_unix_nano=time.time_ns(), as_int=1, trace_id=b"\1" * 16, span_id=b"\2" * 8)
        refused = metrics.add(name="neither").sum
        refused.data_points.add(time_unix_nano=time.time_ns(), as_int=7)
        answer = await client.post("/v1/metrics", content=request.SerializeToString(), headers=PROTOBUF)
        partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
        assert (answer.status_code, partial.rejected_data_points) == (200, 1)

    with_edge(engine, story)
    assert engine.query("SELECT metric, value FROM samples") == [("jobs_total", 7.0)]
    assert engine.query("SELECT metric, labels FROM series") == [("jobs_total", {"__name__": "jobs_total"})]
    assert engine.query("SELECT metric, value, hex(trace_id) FROM exemplars") == [("jobs_total", 1.0, "01" * 16)]
    assert engine.query("SELECT metric, type, help FROM metric_metadata") == [("jobs_total", "counter", "Jobs done.")]


def test_deltas_are_added_up_and_exponential_histograms_stored_natively(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        now, second = time.time_ns(), 1_000_000_000
        for at in range(2):
            request = ExportMetricsServiceRequest()
            metrics = request.resource_metrics.add().scope_metrics.add().metrics
            counter, level = metrics.add(name="jobs").sum, metrics.add(name="queue").sum
            counter.is_monotonic = True
            sizes = metrics.add(name="size", unit="By").exponential_histogram
            points: list[tuple[Any, dict[str, int]]] = [
                (counter, {"as_int": 3}),
                (level, {"as_int": 4}),
                (sizes, {"count": 2, "scale": 1}),
            ]
            for data, value in points:
                data.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
                start, end = now + (at - 2) * second, now + (at - 1) * second
                data.data_points.add(start_time_unix_nano=start, time_unix_nano=end, **value)
            sizes.data_points[0].positive.bucket_counts[:] = [2]
            answer = await client.post("/v1/metrics", content=request.SerializeToString(), headers=PROTOBUF)
            assert (answer.status_code, answer.content) == (200, b"")

    with_edge(engine, story)
    assert engine.query("SELECT metric, value FROM samples ORDER BY metric, ts") == [
        ("jobs_total", 0.0),
        ("jobs_total", 3.0),
        ("jobs_total", 6.0),
        ("queue", 4.0),
        ("queue", 8.0),
    ]
    assert engine.query("SELECT metric, schema, count, positive_counts FROM histograms ORDER BY ts") == [
        ("size_bytes", 1, 0.0, []),
        ("size_bytes", 1, 2.0, [2.0]),
        ("size_bytes", 1, 4.0, [4.0]),
    ]


def test_the_total_of_deltas_begins_from_zero_after_a_restart_so_that_nothing_is_missed(engine: Engine) -> None:
    def sending(start: int, end: int, value: int) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
        async def story(client: httpx.AsyncClient) -> None:
            request = ExportMetricsServiceRequest()
            data = request.resource_metrics.add().scope_metrics.add().metrics.add(name="jobs").sum
            data.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
            data.is_monotonic = True
            data.data_points.add(start_time_unix_nano=start, time_unix_nano=end, as_int=value)
            await client.post("/v1/metrics", content=request.SerializeToString(), headers=PROTOBUF)

        return story

    second = 1_000_000_000
    now = time.time_ns() // second * second
    with_edge(engine, sending(now - 20 * second, now - 10 * second, 5))
    with_edge(engine, sending(now - 10 * second, now, 9))  # more than before: no drop would tell of the restart
    promql = PromQL(SampleStore(engine, load_series(engine)), Limits())
    at = now / second
    assert [item.value for item in promql.vector("resets(jobs_total[1m])", at).items] == [1]
    assert engine.query("SELECT value FROM samples ORDER BY ts") == [(0.0,), (5.0,), (0.0,), (9.0,)]


def test_a_level_sent_as_deltas_survives_a_restart(engine: Engine) -> None:
    def sending(start: int, end: int) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
        async def story(client: httpx.AsyncClient) -> None:
            request = ExportMetricsServiceRequest()
            level = request.resource_metrics.add().scope_metrics.add().metrics.add(name="queue").sum
            level.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
            level.data_points.add(start_time_unix_nano=start, time_unix_nano=end, as_int=5)
            await client.post("/v1/metrics", content=request.SerializeToString(), headers=PROTOBUF)

        return story

    now, second = time.time_ns(), 1_000_000_000
    with_edge(engine, sending(now - 2 * second, now - second))
    with_edge(engine, sending(now - second, now))  # a new decoder, which remembers nothing
    assert engine.query("SELECT value FROM samples ORDER BY ts") == [(5.0,), (10.0,)]


def test_a_json_sender_is_answered_in_json(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        record = {"timeUnixNano": str(time.time_ns()), "severityText": "warn", "body": {"stringValue": "careful"}}
        body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"body": {"stringValue": "when?"}}]}]}]}
        answer = await client.post("/v1/logs", content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "1"
        [stored] = (await client.get("/aiprism/v1/logs")).json()["logs"]
        assert (stored["level"], stored["body"]) == ("WARN", "careful")

    with_edge(engine, story)


def test_many_senders_at_once_are_all_stored(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        async def send() -> int:
            answer = await client.post("/v1/traces", content=trace_request(os.urandom(16)), headers=PROTOBUF)
            return answer.status_code

        assert await asyncio.gather(*(send() for _ in range(200))) == [200] * 200

    with_edge(engine, story)
    assert engine.query("SELECT count(), uniqExact(trace_id) FROM spans") == [(200, 200)]


def test_the_edge_answers_in_one_error_form_with_safe_headers(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.get("/aiprism/v1/traces/zzz")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "bad_data"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        missing = await client.get("/nothing/here")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")

    with_edge(engine, story)


def test_the_application_is_a_fastapi_one(engine: Engine) -> None:
    app = routes.build([explore.router(engine, SystemClock())], Telemetry(), checks={}, reload=_nothing)
    assert isinstance(app, FastAPI)
    assert "/aiprism/v1/traces/{trace_id}" in app.openapi()["paths"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9090"}, 200),
        ({"Host": "[::1]:9090"}, 200),
        ({"Host": "rebound.example:9090"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_other_web_pages_are_kept_out(engine: Engine, headers: dict[str, str], status: int) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        assert (await client.post("/-/reload", headers=headers)).status_code == status

    with_edge(engine, story)


@pytest.mark.parametrize("asked", ["start=nan", "end=inf", "start=1e15&end=1e16", "start=5&end=1"])
def test_times_that_are_none_are_bad_input(engine: Engine, asked: str) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        assert (await client.get(f"/aiprism/v1/traces?{asked}")).status_code == 400

    with_edge(engine, story)

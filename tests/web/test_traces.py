"""Traces over our API, as clients on a real socket get them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.cli.remote import Remote
from aiprism.clock import FakeClock, SystemClock
from aiprism.errors import BadInput, Unavailable
from aiprism.model.labels import Labels
from aiprism.store.batches import Exemplar, SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.series import SeriesIndex
from aiprism.store.spancolumns import span_columns
from aiprism.store.tracesearch import TraceCursor
from aiprism.telemetry import Telemetry
from aiprism.web import explore, routes
from aiprism.web.following import Streams
from tests.query.test_log_search import log_record
from tests.query.test_span_search import AT, put
from tests.web.serving import serving

TRACE, OTHER = "ab" * 16, "cd" * 16
SPAN: dict[str, Any] = {"start": AT - 60, "end": AT + 60}


def traces_sent() -> bytes:
    """Two requests of a shop: the second one asks the database twice and takes longer, as it fails once."""
    request = ExportTraceServiceRequest()

    def add(trace: str, number: int, parent: int, service: str, name: str, kind: int, begin: int, took: int) -> Any:
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        span = group.scope_spans.add().spans.add(trace_id=bytes.fromhex(trace), span_id=bytes([number] * 8), name=name)
        span.parent_span_id = bytes([parent] * 8) if parent else b""
        span.kind = kind  # type: ignore[assignment]
        span.start_time_unix_nano = AT * 10**9 + begin * 10**6
        span.end_time_unix_nano = span.start_time_unix_nano + took * 10**6
        return span

    put(add(TRACE, 1, 0, "shop", "GET /cart", 2, 0, 100).attributes, {"user": "ada", "http.status_code": 200})
    add(TRACE, 2, 1, "shop", "SELECT", 3, 10, 40)
    put(add(OTHER, 3, 0, "shop", "GET /cart", 2, 10_000, 900).attributes, {"user": "bob", "http.status_code": 502})
    failed = add(OTHER, 4, 3, "shop", "SELECT", 3, 10_010, 400)
    failed.status.code, failed.status.message = 2, "timed out"
    add(OTHER, 5, 3, "shop", "SELECT", 3, 10_420, 40)
    return request.SerializeToString()


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    engine.insert_arrow("spans", span_columns(traces_sent()), token="t")
    engine.insert_arrow("logs_received", log_columns(log_record(AT * 10**9, "WARN", "slow", "shop", OTHER)), token="l")
    app = routes.build([explore.router(engine, FakeClock(AT + 60))], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1", params=SPAN, timeout=60) as opened:
        yield opened


def test_a_trace_is_told_with_what_it_says(client: httpx.Client) -> None:
    answer = client.get(f"/traces/{OTHER}").json()
    said = answer["analysis"]
    assert [answer["spans"][node["at"]]["name"] for node in said["nodes"]] == ["GET /cart", "SELECT", "SELECT"]
    assert [node["critical_ns"] for node in said["nodes"]] == [460_000_000, 400_000_000, 40_000_000]
    assert [(each["span_id"], each["message"]) for each in said["failures"]] == [("04" * 8, "timed out")]
    assert (said["root"], said["roots"], said["repeated_spans"], len(said["critical_path"])) == (0, [0], 0, 5)


def test_a_trace_names_the_metrics_that_were_measured_in_it(client: httpx.Client, engine: Engine) -> None:
    index = SeriesIndex()
    position = int(index.admit([Labels({"__name__": "m", "a": "1"})], 0.0)[0])
    told = ((OTHER, 1, 0.25), (OTHER, 1, 0.25), (OTHER, 2, math.nan), (OTHER, 999, 3.0), (TRACE, 1, 4.0))
    exemplars = [
        Exemplar(position, (AT + after) * 1000, value, bytes.fromhex(trace), b"\4" * 8, {"user": "x"})
        for trace, after, value in told
    ]
    batch = SampleBatch(np.array([position]), np.array([AT * 1000]), np.array([1.0]), exemplars=exemplars)
    MetricWriter(engine, index).insert([batch], "m", 0.0)
    first, odd = client.get(f"/traces/{OTHER.upper()}").json()["exemplars"]
    links = first.pop("links")
    assert first == {
        "series": {"__name__": "m", "a": "1"}, "value": 0.25, "ts": AT + 1, "span_id": "04" * 8, "labels": {"user": "x"},
    }  # fmt: skip
    assert odd["value"] is None
    assert "query=%7B__name__%3D%22m%22%2Ca%3D%221%22%7D" in links["values"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("", {"query": "duration:>2"}),
        ("", {"query": "(a"}),
        ("", {"attribute": "x"}),
        ("", {"kind": "x"}),
        ("", {"cursor": "x"}),
        ("/xyz", {}),
        ("", {"attribute": ["a=b"] * 21}),
        ("", {"min_duration": "99999999999h"}),
        ("/heatmap", {"step": "0.0000000001", "end": AT - 60}),
    ],
)
def test_a_mistake_is_the_askers(client: httpx.Client, path: str, parameters: dict[str, Any]) -> None:
    answer = client.get(f"/traces{path}", params=SPAN | parameters)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (400, True)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [OTHER, TRACE]),
        ({"query": "user:ada OR status_message:timed*"}, [OTHER, TRACE]),
        ({"query": "http.status_code:>=500"}, [OTHER]),
        ({"min_duration": "50ms", "max_duration": "500ms"}, [OTHER, TRACE]),
        ({"min_duration": "50ms", "max_duration": "200ms"}, [TRACE]),
        ({"kind": "client", "status": "error"}, [OTHER]),
        ({"kind": "server", "status": "error"}, []),
        ({"order": "duration", "kind": "server"}, [OTHER, TRACE]),
        ({"service": "shop", "operation": "SELECT", "errors": "true"}, [OTHER]),
        ({"attribute": "user=ada"}, [TRACE]),
        ({"query": 'timestamp:["0001-01-01T00:00:00+23:00" TO "9999-12-31T23:59:59-23:00"] user:ada'}, [TRACE]),
        ({"query": "timestamp:>=9999-12-31T00:00:00Z"}, []),
    ],
)
def test_traces_are_found(client: httpx.Client, asked: dict[str, str], found: list[str]) -> None:
    answer = client.get("/traces", params=SPAN | asked).json()
    assert ([each["trace_id"] for each in answer["traces"]], answer["complete"]) == (found, True)
    assert all(each["has_root"] for each in answer["traces"])


def test_pages_say_whether_there_are_more(client: httpx.Client) -> None:
    first = client.get("/traces", params=SPAN | {"limit": 1}).json()
    assert ([each["trace_id"] for each in first["traces"]], first["complete"]) == ([OTHER], False)
    rest = client.get("/traces", params=SPAN | {"limit": 5, "cursor": first["cursor"]}).json()
    assert ([each["trace_id"] for each in rest["traces"]], rest["complete"], rest["cursor"]) == ([TRACE], True, None)


def test_two_traces_are_compared_by_their_calls(client: httpx.Client) -> None:
    told = client.get("/traces/compare", params={"a": TRACE, "b": OTHER}).json()
    assert [
        (each["path"][-1], each["change"], each["first"]["spans"], each["second"]["spans"]) for each in told["paths"]
    ] == [
        (["shop", "GET /cart"], "slower", 1, 1),
        (["shop", "SELECT"], "failed", 1, 2),
    ]
    assert client.get("/traces/compare", params={"a": TRACE, "b": "ef" * 16}).status_code == 404


def test_traces_are_followed_each_once_as_soon_as_a_span_fits(engine: Engine) -> None:
    async def nothing() -> None:
        return None

    def insert(trace: str, number: int, name: str, took_ms: float) -> None:
        """A span that ends now."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = "shop"
        span = group.scope_spans.add().spans.add(trace_id=bytes.fromhex(trace), span_id=bytes([number] * 8), name=name)
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - round(took_ms * 1e6)
        engine.insert_arrow("spans", span_columns(request.SerializeToString()), token=f"{trace}{number}")

    app = routes.build([explore.router(engine, SystemClock())], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url:
        insert("01" * 16, 1, "analyse", 400_000)  # began minutes ago
        events = Remote(url).events("/aiprism/v1/traces/tail", query="duration:>2s", start=time.time() - 60)
        assert [(event, told["trace_id"], told["spans"]) for event, told in [next(events)]] == [("trace", "01" * 16, 1)]
        insert("01" * 16, 2, "again", 3_000)  # is known already
        insert("02" * 16, 3, "quick", 10)
        insert("03" * 16, 4, "slow", 5_000)
        event, told = next(events)
        assert (event, told["trace_id"], told["duration_ns"]) == ("trace", "03" * 16, 5_000_000_000)
        events.close()  # type: ignore[attr-defined]


def test_a_client_that_leaves_before_the_first_part_is_no_longer_counted() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"

    async def broken(text: str) -> AsyncIterator[bytes]:
        yield TraceCursor.of(text).trace_id.encode()

    async def run() -> list[bytes]:
        streams = Streams("tails", 1)
        for _ in range(3):
            await (await streams.begun(parts())).aclose()
            with pytest.raises(BadInput):
                await streams.begun(broken("no cursor"))
        last = await streams.begun(parts())
        with pytest.raises(Unavailable):
            await streams.begun(parts())
        return [part async for part in last]

    assert asyncio.run(run()) == [b"one"]

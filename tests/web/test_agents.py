"""The HTTP doors of logging agents into the real store, and what the explore API gives back."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pyarrow as pa
import pytest

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig
from aiprism.receive.doors import OtlpDoors
from aiprism.store.engine import Engine
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import agents, elastic, explore, routes
from tests.receive.test_loki_push import in_protobuf

TRACE = "463ac35c9f6413ad48485a3953bb6124"
Story = Callable[[httpx.AsyncClient], Awaitable[None]]


def with_doors(engine: Engine, story: Story, *, fault: str | None = None) -> Telemetry:
    """Run `story` against the doors and the explore API on `engine`, which has `fault`; what was counted."""
    telemetry = Telemetry()

    async def run() -> None:
        settings = IngestConfig(linger=0.01)
        writing = Writing(engine, SeriesIndex.load(engine), settings, telemetry, fault=lambda: fault)
        doors, clock = OtlpDoors(writing, telemetry), SystemClock()
        app = routes.build(
            [
                agents.router(doors, settings, clock),
                explore.router(engine, clock),
                elastic.router(doors, settings, clock),
            ],
            telemetry,
            checks={},
            reload=_nothing,
            at_root=elastic.root,
        )
        writing.start()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(writing.stop)
            transport = httpx.ASGITransport(app)
            await story(
                await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1"))
            )

    asyncio.run(run())
    return telemetry


async def _nothing() -> None:
    return None


async def lines_of(client: httpx.AsyncClient, service: str) -> list[tuple[str, str]]:
    """(level, body) of every record of `service`, oldest first."""
    answer = await client.get("/aiprism/v1/logs", params={"service": service})
    return [(each["level"], each["body"]) for each in reversed(answer.json()["logs"])]


def counts(telemetry: Telemetry, stage: str) -> dict[str, object]:
    return next(({**row, "stage": stage} for row in telemetry.flow() if row["stage"] == stage), {})


def test_loki_json_is_answered_204_once_stored(engine: Engine) -> None:
    now = time.time_ns()
    streams = [
        {
            "stream": {"app": "shop", "pod": "shop-1"},
            "values": [
                [str(now), "level=warn slow"],
                [str(now + 1), "declined", {"level": "error", "trace_id": TRACE}],
            ],
        }
    ]

    async def story(client: httpx.AsyncClient) -> None:
        body = gzip.compress(json.dumps({"streams": streams}).encode())
        headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
        answer = await client.post("/loki/api/v1/push", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert await lines_of(client, "shop") == [("WARN", "level=warn slow"), ("ERROR", "declined")]
        [found] = (await client.get("/aiprism/v1/logs", params={"trace_id": TRACE})).json()["logs"]
        assert (found["body"], found["resource"]["pod"]) == ("declined", "shop-1")

    telemetry = with_doors(engine, story)
    assert counts(telemetry, "receive.loki") == {"stage": "receive.loki", "passed": 2.0, "dropped": {}}


@pytest.mark.parametrize("said", ["", "snappy"])
def test_loki_protobuf_in_snappy_whether_it_says_so_or_not(engine: Engine, said: str) -> None:
    body = pa.Codec("snappy").compress(in_protobuf('{job="nginx"}', (time.time_ns(), b"GET / 200", {})), asbytes=True)

    async def story(client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/x-protobuf"} | ({"Content-Encoding": said} if said else {})
        assert (await client.post("/loki/api/v1/push", content=body, headers=headers)).status_code == 204
        assert await lines_of(client, "nginx") == [("", "GET / 200")]

    with_doors(engine, story)


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"{}", "application/json", 400, "streams"),
        (b"x", "text/plain", 415, "text/plain"),
        (b"\xff\xff\xff\xff\xff\xff", "application/x-protobuf", 400, "snappy"),
        (b"\xff\xff\xff\xff\x0f", "application/x-protobuf", 413, "ingest.inflated_bytes"),
        (pa.Codec("snappy").compress(b"no protobuf", asbytes=True), "application/x-protobuf", 400, "PushRequest"),
    ],
)
def test_what_loki_push_cannot_take_is_refused_in_words(
    engine: Engine, body: bytes, kind: str, status: int, says: str
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/loki/api/v1/push", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert says in answer.text
        assert answer.headers["content-type"].startswith("text/plain")

    with_doors(engine, story)


def test_ndjson_says_how_many_lines_it_took_and_which_not(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        body = b'{"msg": "one", "level": "info"}\n{"msg":\n{"message": "two", "service": "other"}\n'
        answer = await client.post("/aiprism/v1/ingest/ndjson", params={"service": "batch"}, content=body)
        assert answer.status_code == 200
        taken = answer.json()
        assert (taken["accepted"], taken["rejected"], taken["errors"][0]["line"]) == (2, 1, 2)
        assert await lines_of(client, "batch") == [("INFO", "one")]
        assert await lines_of(client, "other") == [("", "two")]

    telemetry = with_doors(engine, story)
    assert counts(telemetry, "receive.ndjson") == {
        "stage": "receive.ndjson",
        "passed": 2.0,
        "dropped": {"rejected_item": 1.0},
    }


def test_ndjson_takes_what_our_own_search_gives(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        record = {"msg": "one", "level": "info", "service": "a", "trace_id": TRACE, "size": 7, "host": {"name": "h"}}
        await client.post("/aiprism/v1/ingest/ndjson", json=record)
        [first] = (await client.get("/aiprism/v1/logs", params={"service": "a"})).json()["logs"]
        again = json.dumps({**first, "service": "b", "resource": {**first["resource"], "service.name": "b"}}).encode()
        await client.post("/aiprism/v1/ingest/ndjson", content=again)
        [second] = (await client.get("/aiprism/v1/logs", params={"service": "b"})).json()["logs"]
        assert {**second, "service": "a", "resource": {**second["resource"], "service.name": "a"}} == first

    with_doors(engine, story)


def test_ndjson_without_one_record_is_400(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/aiprism/v1/ingest/ndjson", content=b"hello\n")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_data")
        assert "line 1" in answer.json()["error"]["message"]

    with_doors(engine, story)


def test_a_store_that_takes_nothing_is_503_with_retry_after(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        body = {"streams": [{"stream": {"app": "a"}, "values": [[str(time.time_ns()), "x"]]}]}
        answer = await client.post("/loki/api/v1/push", json=body)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)

    telemetry = with_doors(engine, story, fault="the disk is full")
    assert counts(telemetry, "receive.loki")["dropped"] == {"unavailable": 1.0}


def zipkin_span(**more: object) -> dict[str, object]:
    now = time.time_ns() // 1000
    endpoint = {"serviceName": "shop"}
    return {
        "traceId": TRACE,
        "id": "00000000000000a1",
        "name": "pay",
        "timestamp": now,
        "localEndpoint": endpoint,
        **more,
    }


def test_zipkin_spans_are_answered_202_once_stored(engine: Engine) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        spans = [zipkin_span(duration=1500, kind="SERVER"), zipkin_span(id="a2", parentId="a1", tags={"error": "no"})]
        body = gzip.compress(json.dumps(spans).encode())
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = await client.post("/api/v2/spans", content=body, headers=headers)
        assert (answer.status_code, answer.content) == (202, b"")
        found = (await client.get(f"/aiprism/v1/traces/{TRACE}")).json()["spans"]
        assert sorted((each["service"], each["kind"], each["status"]) for each in found) == [
            ("shop", "internal", "error"),
            ("shop", "server", "unset"),
        ]

    telemetry = with_doors(engine, story)
    assert counts(telemetry, "receive.zipkin") == {"stage": "receive.zipkin", "passed": 2.0, "dropped": {}}


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b'[{"traceId": "x"}]', "application/json", 400, "spans[0].traceId"),
        (b"[]", "application/x-thrift", 415, "application/x-thrift"),
        (b"[]", "application/json", 202, ""),
    ],
)
def test_what_are_no_zipkin_spans_is_refused_in_words(
    engine: Engine, body: bytes, kind: str, status: int, says: str
) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post("/api/v2/spans", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert says in answer.text

    with_doors(engine, story)

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
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig, LimitsConfig
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.limits import Admission
from aiprism.store.engine import Engine
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import agents, elastic, explore, logs, routes
from tests.receive.test_loki_push import in_protobuf
from tests.zipbomb import ZIP_BOMB

TRACE = "463ac35c9f6413ad48485a3953bb6124"
Story = Callable[[httpx.AsyncClient], Awaitable[None]]


def with_doors(
    engine: Engine, story: Story, *, fault: str | None = None, limits: LimitsConfig | None = None
) -> Telemetry:
    """Run `story` against the doors and the explore API on `engine`, which has `fault`; what was counted."""
    telemetry = Telemetry()

    async def run() -> None:
        settings = IngestConfig(linger=0.01)
        clock = SystemClock()
        admission = Admission("acme", limits, clock, telemetry) if limits else None
        index = load_series(engine)
        writing = Writing(engine, index, settings, telemetry, fault=lambda: fault, admission=admission)
        doors = OtlpDoors(writing, telemetry)
        app = routes.build(
            [
                agents.router(doors, settings, clock),
                explore.router(engine, clock),
                logs.router(engine, clock),
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
        assert first.pop("links")["context"]
        assert second.pop("links")["context"]
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


# -- what bad input gets, at every HTTP door -------------------------------------------------------------------------

NOW_TEXT = str(time.time_ns())
GOOD: dict[str, tuple[str, bytes, int]] = {
    "loki": (
        "/loki/api/v1/push",
        json.dumps({"streams": [{"stream": {"app": "good"}, "values": [[NOW_TEXT, "x"]]}]}).encode(),
        204,
    ),
    "elastic": ("/good/_bulk", b'{"index":{}}\n{"message":"x"}\n', 200),
    "ndjson": ("/aiprism/v1/ingest/ndjson?service=good", b'{"message":"x"}', 200),
    "zipkin": ("/api/v2/spans", json.dumps([zipkin_span()]).encode(), 202),
}
ROWS: dict[str, tuple[bytes, str, int, str]] = {
    "bad gzip": (b"not gzip", "gzip", 400, "gzip"),
    "another encoding": (b"x", "br", 415, "'br'"),
    "a zip bomb": (ZIP_BOMB, "gzip", 413, "ingest.inflated_bytes"),
    "a large body": (b"\0" * (33 * 1024 * 1024), "", 413, "ingest.body_bytes"),
    "garbage": (b"\xff\x00garbage\n", "", 400, ""),
    "an empty body, or one of nothing": (b" ", "", 400, ""),
}


@pytest.mark.parametrize("door", list(GOOD))
@pytest.mark.parametrize("row", list(ROWS))
def test_bad_input_is_refused_and_its_neighbours_are_stored(engine: Engine, door: str, row: str) -> None:
    path, good, fine = GOOD[door]
    body, encoding, status, says = ROWS[row]
    if (door, row) == ("ndjson", "an empty body, or one of nothing"):
        status = 200  # no lines are no fault

    async def story(client: httpx.AsyncClient) -> None:
        json_body = {"Content-Type": "application/json"}
        bad = {**json_body, **({"Content-Encoding": encoding} if encoding else {})}
        answers = await asyncio.gather(
            client.post(path, content=good, headers=json_body),
            client.post(path, content=body, headers=bad),
            client.post(path, content=good, headers=json_body),
        )
        assert [answer.status_code for answer in answers] == [fine, status, fine]
        assert says in answers[1].text

    telemetry = with_doors(engine, story)
    assert counts(telemetry, f"receive.{door}")["passed"] == 2.0


@pytest.mark.parametrize("door", list(GOOD))
def test_a_full_disk_is_503_with_retry_after_at_every_door(engine: Engine, door: str) -> None:
    path, good, _ = GOOD[door]

    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post(path, content=good, headers={"Content-Type": "application/json"})
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        assert "the disk is full" in answer.text

    telemetry = with_doors(engine, story, fault="the disk is full")
    assert counts(telemetry, f"receive.{door}")["dropped"] == {"unavailable": 1.0}


@pytest.mark.parametrize("door", list(GOOD))
def test_a_rate_is_429_and_names_itself_and_the_tenant_at_every_door(engine: Engine, door: str) -> None:
    path, good, fine = GOOD[door]
    limits = LimitsConfig(spans_per_second=1, log_records_per_second=1, burst=1)

    async def story(client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "application/json"}
        assert (await client.post(path, content=good, headers=headers)).status_code == fine
        answer = await client.post(path, content=good, headers=headers)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (429, True)
        assert "'acme'" in answer.text
        assert "_per_second" in answer.text

    with_doors(engine, story, limits=limits)


@examples(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(GOOD)),
    st.binary(max_size=200),
    st.sampled_from(["application/json", "application/x-protobuf"]),
)
@example(
    "loki", b"\x80\x80\x80A", "application/x-protobuf"
)  # announces 136 MB: 413, as for any body that unpacks to too much
def test_no_body_is_a_fault_of_ours(engine: Engine, door: str, body: bytes, kind: str) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        for content in (body, GOOD[door][1] + body, GOOD[door][1][: len(body)]):
            answer = await client.post(GOOD[door][0], content=content, headers={"Content-Type": kind})
            assert answer.status_code in (200, 202, 204, 400, 413, 415)

    with_doors(engine, story)

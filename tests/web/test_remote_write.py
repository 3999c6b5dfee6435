"""Remote write over HTTP: what is negotiated, what is answered, what is stored."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pyarrow as pa
import pytest

from aiprism.config import IngestConfig
from aiprism.receive.prometheus_proto import Request, WriteRequest
from aiprism.receive.remote_write import RemoteWriteDoor
from aiprism.store.batches import SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import remote_write, routes

AT = 1_790_000_000_000
ONE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
TWO = {**ONE, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}

Post = Callable[[bytes, dict[str, str]], Awaitable[httpx.Response]]


def with_door(engine: Engine, story: Callable[[Post], Awaitable[None]], **limits: int) -> None:
    """Run `story` with a function that posts to the door on `engine`."""

    async def run() -> None:
        config, telemetry = IngestConfig(linger=0.01, **limits), Telemetry()
        writing = Writing(engine, load_series(engine), config, telemetry)
        app = routes.build(
            [remote_write.router(RemoteWriteDoor(writing, telemetry), config)], telemetry, checks={}, reload=_nothing
        )
        writing.start()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

            async def post(body: bytes, headers: dict[str, str]) -> httpx.Response:
                return await client.post("/api/v1/write", content=body, headers=headers)

            await story(post)
        await writing.stop()

    asyncio.run(run())


async def _nothing() -> None:
    return None


def snappy(message: Any) -> bytes:
    return bytes(pa.Codec("snappy").compress(message.SerializeToString(), asbytes=True))


def request(*names: str, at: int = AT) -> Any:
    made = WriteRequest()
    for name in names:
        series = made.timeseries.add()
        if name:
            series.labels.add(name="__name__", value=name)
        series.samples.add(timestamp=at, value=1.0)
    return made


def request_2() -> Any:
    made = Request(symbols=["", "__name__", "two", "trace_id", "ab" * 16])
    series = made.timeseries.add(labels_refs=[1, 2])
    series.samples.add(timestamp=AT, value=2.0)
    series.exemplars.add(labels_refs=[3, 4], value=0.5, timestamp=AT)
    with_histogram = made.timeseries.add(labels_refs=[1, 2])
    with_histogram.histograms.add(count_int=0, timestamp=AT + 1)
    return made


def written(answer: httpx.Response) -> tuple[str, ...]:
    return tuple(
        answer.headers[f"X-Prometheus-Remote-Write-{what}-Written"] for what in ("Samples", "Histograms", "Exemplars")
    )


def test_both_versions_are_stored_and_counted(engine: Engine) -> None:
    async def story(post: Post) -> None:
        answer = await post(snappy(request("one")), ONE)
        assert (answer.status_code, answer.content, written(answer)) == (204, b"", ("1", "0", "0"))
        answer = await post(snappy(request_2()), TWO)
        assert (answer.status_code, written(answer)) == (204, ("1", "1", "1"))

    with_door(engine, story)
    assert engine.query("SELECT metric, value FROM samples ORDER BY metric") == [("one", 1.0), ("two", 2.0)]
    assert engine.query("SELECT metric, count FROM histograms") == [("two", 0.0)]
    assert engine.query("SELECT metric, lower(hex(trace_id)) FROM exemplars") == [("two", "ab" * 16)]
    assert engine.query("SELECT count() FROM series") == [(2,)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/x-protobuf"}, 204),
        ({**ONE, "Content-Type": "application/x-protobuf; proto=prometheus.WriteRequest"}, 204),
        ({**ONE, "Content-Type": "application/x-protobuf;proto=prometheus.Unheard"}, 415),
        ({**ONE, "Content-Type": "application/json"}, 415),
        ({**ONE, "Content-Encoding": "br"}, 415),
        ({**ONE, "Content-Encoding": "gzip"}, 400),
        ({}, 415),
    ],
)
def test_what_a_sender_says_of_its_body_is_taken_at_its_word(
    engine: Engine, headers: dict[str, str], status: int
) -> None:
    async def story(post: Post) -> None:
        answer = await post(snappy(request("one")), headers)
        assert (answer.status_code, written(answer)[0]) == (status, "1" if status == 204 else "0")

    with_door(engine, story)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x20\xff\xff", b"no snappy", bytes(pa.Codec("snappy").compress(b"no protobuf", asbytes=True))],
)
def test_a_damaged_body_is_400_and_nothing_of_it_is_stored(engine: Engine, body: bytes) -> None:
    async def story(post: Post) -> None:
        answer = await post(body, ONE)
        assert (answer.status_code, bool(answer.text.strip())) == (400, True)

    with_door(engine, story)
    assert engine.query("SELECT count() FROM samples") == [(0,)]


def test_a_partial_write_stores_what_is_sound_and_says_what_is_not(engine: Engine) -> None:
    async def story(post: Post) -> None:
        answer = await post(snappy(request("one", "", "two")), ONE)
        assert (answer.status_code, written(answer)[0]) == (400, "2")
        assert answer.text.startswith("not stored: 1 × series without a metric name")

    with_door(engine, story)
    assert engine.query("SELECT count() FROM samples") == [(2,)]


def test_too_many_series_are_429_and_the_known_ones_go_on(engine: Engine) -> None:
    async def story(post: Post) -> None:
        assert (await post(snappy(request("one")), ONE)).status_code == 204
        answer = await post(snappy(request("one", "two", at=AT + 1)), ONE)
        assert (answer.status_code, written(answer)[0]) == (429, "1")
        assert "ingest.max_series" in answer.text

    with_door(engine, story, max_series=1)
    assert engine.query("SELECT metric, count() FROM samples GROUP BY metric") == [("one", 2)]


def test_a_bomb_ends_at_its_limit(engine: Engine) -> None:
    async def story(post: Post) -> None:
        bomb = bytes(pa.Codec("snappy").compress(b"\0" * 2_000_000, asbytes=True))
        assert (await post(bomb, ONE)).status_code == 413

    with_door(engine, story, inflated_bytes=1_000_000)


def test_a_body_that_takes_long_to_decode_holds_up_nothing_but_remote_write(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def slow(labels: Mapping[str, str]) -> None:
        if labels["__name__"] == "slow":
            stuck.set()
            assert go_on.wait(60)

    async def run() -> None:
        telemetry = Telemetry()
        writing = Writing(engine, load_series(engine), IngestConfig(linger=0.01), telemetry)
        door = RemoteWriteDoor(writing, telemetry, series_fault=slow)
        writing.start()
        body = with_start_time("m_total")
        storing = asyncio.Event()
        samples = writing.samples

        async def stored_while_another_is_decoded(batch: SampleBatch) -> None:
            storing.set()
            assert await asyncio.to_thread(stuck.wait, 60)
            await samples(batch)

        monkeypatch.setattr(writing, "samples", stored_while_another_is_decoded)
        one = asyncio.ensure_future(door.receive(body, version=2))
        await storing.wait()
        others = [
            asyncio.ensure_future(door.receive(request("slow").SerializeToString(), version=1)) for _ in range(64)
        ]
        assert (await asyncio.wait_for(one, 60)).samples == 1
        await asyncio.wait_for(asyncio.to_thread(int), 60)
        go_on.set()
        assert {(await each).samples for each in others} == {1}
        await writing.stop()

    asyncio.run(run())


def with_start_time(name: str) -> bytes:
    made = Request(symbols=["", "__name__", name])
    series = made.timeseries.add(labels_refs=[1, 2], created_timestamp=AT - 1000)
    series.samples.add(timestamp=AT, value=1.0)
    return bytes(made.SerializeToString())

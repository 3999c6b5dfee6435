"""Request bodies at the rim: size, time and the memory of all together, over HTTP and gRPC."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from aiprism import jsontext
from aiprism.clock import FakeClock, SystemClock
from aiprism.config import IngestConfig, LimitsConfig
from aiprism.receive import otlp_grpc
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.inflight import InFlight
from aiprism.receive.limits import Admission
from aiprism.store.engine import Engine
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web import agents, elastic, ingest, routes


@given(
    text=st.text(st.characters(), max_size=20),
    halves=st.lists(st.integers(0xD800, 0xDFFF), max_size=2),
    place=st.integers(0, 20),
)
def test_what_is_read_as_json_can_be_written_again(text, halves, place):
    said = text[:place] + "".join(map(chr, halves)) + text[place:]
    paired = json.dumps({"a": [said]}).encode()  # where two halves happen to be a pair, they are a character
    for body in (paired, json.dumps({"a": [said]}, ensure_ascii=False).encode("utf-8", "surrogatepass")):
        try:
            written = json.loads(body)["a"][0].encode()
        except UnicodeEncodeError:
            with pytest.raises(jsontext.LoneSurrogate):
                jsontext.loads(body)
        else:
            assert jsontext.loads(body)["a"][0].encode() == written


PROTOBUF = {"Content-Type": "application/x-protobuf"}
EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class Edge:
    """The OTLP doors over both transports."""

    def __init__(self, client: httpx.AsyncClient, channel: grpc.aio.Channel, in_flight: InFlight) -> None:
        self.client, self.channel, self.in_flight = client, channel, in_flight

    async def post(self, content: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
        return await self.client.post("/v1/logs", content=content, headers={**PROTOBUF, **headers})

    async def call(self, body: bytes) -> grpc.aio.AioRpcError | None:
        """The error of a gRPC export, None when it was stored."""
        try:
            await self.channel.unary_unary(EXPORT, None, None)(body)
        except grpc.aio.AioRpcError as error:
            return error
        return None


def with_edge(
    engine: Engine,
    story: Callable[[Edge], Awaitable[None]],
    limits: LimitsConfig | None = None,
    **settings: Any,
) -> None:
    async def run() -> None:
        config, telemetry = IngestConfig(**{"linger": 0.01, **settings}), Telemetry()
        admission = Admission("acme", limits or LimitsConfig(), FakeClock(time.time()), telemetry)
        in_flight = InFlight(config.in_flight_bytes, telemetry)
        writing = Writing(engine, load_series(engine), config, telemetry, admission=admission)
        doors = OtlpDoors(writing, telemetry, bounds=admission.bounds)
        app = routes.build(
            [
                ingest.router(doors, config),
                agents.router(doors, config, SystemClock()),
                elastic.router(doors, config, SystemClock()),
            ],
            telemetry,
            {},
            _nothing,
            bodies=config,
            in_flight=in_flight,
        )
        server, port = otlp_grpc.bound("127.0.0.1:0", doors, config, in_flight)
        writing.start()
        await server.start()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(writing.stop)
            stack.push_async_callback(server.stop, None)
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            edge = Edge(await stack.enter_async_context(client), await stack.enter_async_context(channel), in_flight)
            await story(edge)
            assert in_flight.held == 0

    asyncio.run(run())


async def _nothing() -> None:
    return None


def records(count: int = 1, size: int = 10) -> bytes:
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for _ in range(count):
        scoped.log_records.add(time_unix_nano=time.time_ns()).body.string_value = "x" * size
    return request.SerializeToString()


def stored(engine: Engine) -> int:
    return int(engine.query("SELECT count() FROM logs")[0][0])


def message_of(answer: httpx.Response) -> str:
    return str(Status.FromString(answer.content).message)


def test_the_bodies_under_way_are_bounded_together(engine: Engine) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def half_a_body() -> AsyncIterator[bytes]:
        yield b"\0" * 60_000
        arrived.set()
        await go_on.wait()

    async def story(edge: Edge) -> None:
        slow = asyncio.create_task(edge.post(half_a_body()))
        await arrived.wait()
        refused = await edge.post(records(1, 50_000))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "ingest.in_flight_bytes" in message_of(refused)
        packed = await edge.post(gzip.compress(records(1, 50_000)), **{"Content-Encoding": "gzip"})
        assert packed.status_code == 503
        assert (await edge.post(records())).status_code == 200
        go_on.set()
        assert (await slow).status_code == 400
        assert (await edge.post(records(1, 50_000))).status_code == 200

    with_edge(engine, story, in_flight_bytes=100_000)
    assert stored(engine) == 2


def test_a_body_that_does_not_arrive_in_time_is_408_and_the_connection_ends(engine: Engine) -> None:
    never = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"\0" * 10
        await never.wait()

    async def story(edge: Edge) -> None:
        answer = await edge.post(endless())
        assert (answer.status_code, answer.headers["Connection"]) == (408, "close")
        assert "10 bytes of it did" in message_of(answer)
        assert "ingest.body_timeout" in message_of(answer)

    with_edge(engine, story, body_timeout=0.05)


def test_a_large_body_is_413_whatever_it_says_of_its_length(engine: Engine) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"\0" * 100

    async def story(edge: Edge) -> None:
        for body in (b"\0" * 2000, unannounced()):
            answer = await edge.post(body)
            assert answer.status_code == 413
            assert "ingest.body_bytes" in message_of(answer)

    with_edge(engine, story, body_bytes=1000)


def test_other_routes_are_bounded_too(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        answer = await edge.client.post("/-/reload", content=b"\0" * 2000)
        assert answer.status_code == 200  # it does not read its body
        answer = await edge.client.post("/v1/nothing", content=b"\0" * 2000)
        assert answer.status_code == 404

    with_edge(engine, story, body_bytes=1000)


def test_grpc_messages_are_stored_and_large_ones_refused(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        assert await edge.call(records(3)) is None
        refused = await edge.call(records(1, 20_000))
        assert refused
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    with_edge(engine, story, body_bytes=10_000)
    assert stored(engine) == 3


def test_a_grpc_message_is_read_only_when_there_is_memory_for_it(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        with edge.in_flight.lease() as other:
            other.grow(95_000)
            refused = await edge.call(records())
            assert refused
            assert refused.code() is grpc.StatusCode.UNAVAILABLE
            assert retry_seconds(refused) == 1
        assert await edge.call(records()) is None

    with_edge(engine, story, body_bytes=10_000, in_flight_bytes=100_000)
    assert stored(engine) == 1


def test_a_grpc_call_without_a_message_ends(engine: Engine) -> None:
    never = asyncio.Event()

    async def nothing() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    async def story(edge: Edge) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await edge.channel.stream_unary(EXPORT, None, None)(nothing())
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    with_edge(engine, story, body_timeout=0.05)


def test_a_rate_is_429_on_both_transports_with_the_time_to_come_again(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        assert (await edge.post(records(10))).status_code == 200
        answer = await edge.post(records(5))
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
        assert "'acme'" in message_of(answer)
        assert "limits.log_records_per_second" in message_of(answer)
        refused = await edge.call(records(5))
        assert refused
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_seconds(refused) == 5
        assert (await edge.post(records(11))).status_code == 413

    with_edge(engine, story, LimitsConfig(log_records_per_second=1))
    assert stored(engine) == 10


def test_items_out_of_bounds_are_left_out_and_counted_by_reason(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        request = ExportLogsServiceRequest.FromString(records(3))
        first, second, _ = request.resource_logs[0].scope_logs[0].log_records
        first.time_unix_nano += 7200 * 10**9
        second.time_unix_nano -= 500 * 86_400 * 10**9
        answer = await edge.post(request.SerializeToString())
        partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
        assert (answer.status_code, partial.rejected_log_records) == (200, 2)
        assert "limits.logs_future" in partial.error_message
        exposition = (await edge.client.get("/metrics")).text
        for reason in ("too_old", "too_new"):
            counter = f'aiprism_items_dropped_total{{reason="{reason}",stage="receive.otlp_http.logs"}} 1.0'
            assert counter in exposition

    with_edge(engine, story)
    assert stored(engine) == 1


def test_lines_pushed_to_loki_are_bounded_too(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        values = [[str(time.time_ns() - days * 86_400 * 10**9), "line"] for days in (0, 500)]
        streams = {"streams": [{"stream": {"service": "api"}, "values": values}]}
        answer = await edge.client.post("/loki/api/v1/push", json=streams)
        assert answer.status_code == 400
        assert answer.text.startswith("1 lines were not taken: log record older than tenant 'acme' may send")

    with_edge(engine, story)
    assert stored(engine) == 1


def test_documents_of_a_bulk_and_lines_of_json_are_bounded_one_by_one(engine: Engine) -> None:
    async def story(edge: Edge) -> None:
        times = ["2222-01-01T00:00:00Z", datetime.now(UTC).isoformat()]
        documents = [json.dumps({"@timestamp": at, "message": "line"}) for at in times]
        body = "".join(f'{{"create": {{}}}}\n{document}\n' for document in documents)
        answer = await edge.client.post("/logs/_bulk", content=body, headers={"Content-Type": "application/x-ndjson"})
        assert [item["create"]["status"] for item in answer.json()["items"]] == [400, 201]
        assert "limits.logs_future" in answer.json()["items"][0]["create"]["error"]["reason"]
        answer = await edge.client.post("/aiprism/v1/ingest/ndjson", content="\n".join(documents))
        assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
        assert "limits.logs_future" in answer.json()["errors"][0]["reason"]

    with_edge(engine, story)
    assert stored(engine) == 2


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    trailers: Any = error.trailing_metadata()
    packed = trailers["grpc-status-details-bin"]
    info = RetryInfo()
    assert isinstance(packed, bytes)
    Status.FromString(packed).details[0].Unpack(info)
    return float(info.retry_delay.ToMilliseconds()) / 1000

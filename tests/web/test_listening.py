"""Connections: slow heads, idle ones, and too many."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from aiprism.web.listening import HttpServer, listen, most_connections

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def with_server(story: Callable[[Callable[[], Awaitable[Streams]]], Awaitable[None]], most: int, idle: float) -> None:
    async def run() -> None:
        with listen("127.0.0.1:0", "server.listen") as socket:
            port = socket.getsockname()[1]
            server = HttpServer(app, [socket], connections=most, idle=idle)
            await server.start()
            opened: list[asyncio.StreamWriter] = []

            async def connect() -> Streams:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                opened.append(writer)
                return reader, writer

            try:
                await asyncio.wait_for(story(connect), 60)
            finally:
                for writer in opened:
                    writer.close()
                await server.stop()

    asyncio.run(run())


async def answer(streams: Streams) -> bytes:
    reader, writer = streams
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    return head[: head.index(b"\n") + 1] + await reader.readexactly(2)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n", b"G"])
def test_a_connection_without_a_whole_head_is_closed_in_time(said: bytes) -> None:
    async def story(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()
        writer.write(said)
        assert await reader.read() == b""

    with_server(story, most=10, idle=0.2)


def test_a_head_that_dribbles_in_is_closed_in_time() -> None:
    async def story(connect: Callable[[], Awaitable[Streams]]) -> None:
        reader, writer = await connect()

        async def dribble() -> None:
            writer.write(GET[:-2])
            while not writer.is_closing():
                writer.write(b"a: b\r\n")
                await asyncio.sleep(0.01)

        dribbling = asyncio.create_task(dribble())
        with suppress(ConnectionError):  # hung up on in the middle of a byte
            assert await reader.read() == b""
        dribbling.cancel()

    with_server(story, most=10, idle=0.3)


def test_a_connection_is_kept_for_the_next_request_and_closed_when_none_comes() -> None:
    async def story(connect: Callable[[], Awaitable[Streams]]) -> None:
        streams = await connect()
        for _ in range(3):
            assert await answer(streams) == ANSWER + b"ok"
        assert await streams[0].read() == b""

    with_server(story, most=10, idle=0.5)


def test_over_the_limit_a_connection_is_told_so_and_the_others_go_on() -> None:
    async def story(connect: Callable[[], Awaitable[Streams]]) -> None:
        first, second = await connect(), await connect()
        assert await answer(first) == ANSWER + b"ok"
        assert await answer(second) == ANSWER + b"ok"
        refused, _ = await connect()
        said = await refused.read()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"server.connections" in said
        assert b"Retry-After: " in said
        assert await answer(first) == ANSWER + b"ok"
        second[1].close()
        await second[1].wait_closed()
        while True:  # until the server has noticed
            again = await connect()
            again[1].write(GET)
            if (await again[0].read(12)) == b"HTTP/1.1 200":
                return

    with_server(story, most=2, idle=60)


def test_the_limit_of_open_files_is_raised_and_bounds_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1500), hard))
        assert most_connections(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
        if hard != resource.RLIM_INFINITY:
            assert most_connections(hard) == hard - 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

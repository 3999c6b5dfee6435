"""A small HTTP server on loopback that answers as a test says and keeps what it was asked; TLS, proxies and streams too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

Body = bytes | AsyncIterator[bytes]


@dataclass(frozen=True)
class Asked:
    """One request; header names in lower case, repeated headers joined by a comma."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Answer:
    """What is sent back; an async iterator is sent piece by piece, as it comes."""

    body: Body | str | object = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """The address, and everything that was asked so far."""

    port: int  # 0 behind a socket of the file system
    scheme: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[Asked], Answer | Awaitable[Answer]], tls: ssl.SSLContext | None = None, *, unix: str = ""
) -> AsyncIterator[Server]:
    """A server that answers by `answer`, which may let it wait, until the block is left."""
    server = Server(0, "https" if tls else "http")
    open_: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        open_.add(task)
        try:
            while asked := await _request(reader):
                server.asked.append(asked)
                found = answer(asked)
                await _send(writer, found if isinstance(found, Answer) else await found)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            open_.discard(task)
            writer.close()

    if unix:
        listener = await asyncio.start_unix_server(connected, unix)
    else:
        listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(open_):
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        before = headers.get(name.lower())
        headers[name.lower()] = f"{before}, {value.strip()}" if before else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    body = answer.body
    headers = dict(answer.headers)
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | AsyncIterator):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    length = {"Content-Length": str(len(body))} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **length}.items())
    writer.write(f"HTTP/1.1 {answer.status} So\r\n{lines}\r\n".encode())
    if isinstance(body, bytes):
        writer.write(body)
    else:
        async for piece in body:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()

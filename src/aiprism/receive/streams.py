"""Senders that keep a connection open and wait for no answer: their messages are held until stored, within bounds.

    StreamServer ──messages──▶ Feed.put ──batches──▶ store, again and again until it is there

In: messages of connections and datagrams. Out: batches to the store. Such a sender cannot be told to come again, so what
was read is kept while the store is away, and no more is read once `limit` bytes wait: TCP then slows the sender down,
datagrams are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from aiprism.clock import Clock
from aiprism.errors import ConfigError, Refused, TooMany, Unavailable
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

M = TypeVar("M")
# (reader, writer, address of the sender) of a connection; returns when it is over.
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]

# Messages go to the store in batches of this size, two at a time: one is decoded while the other waits for its commit.
_BATCH_BYTES = 4 * 1024 * 1024
_WORKERS = 2
_LONGEST_PAUSE = 15.0
# How long a stop waits for what was read to be stored.
_GRACE_SECONDS = 4
_HANDSHAKE_SECONDS = 10


@dataclass(slots=True)
class _Held(Generic[M]):
    message: M
    size: int
    stored: asyncio.Future[None]


class Feed(Generic[M]):
    """Messages on their way to the store. `store` raises Unavailable or TooMany when it should be asked again."""

    def __init__(
        self,
        stage: str,
        store: Callable[[Sequence[M], int], Awaitable[None]],
        telemetry: Telemetry,
        clock: Clock,
        limit: int,
    ) -> None:
        self._stage, self._store, self._telemetry, self._clock, self._limit = stage, store, telemetry, clock, limit
        self._waiting: deque[_Held[M]] = deque()
        self._size = self._held = 0  # bytes and messages held, those being stored included
        self._arrived, self._freed = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin storing."""
        self._tasks = [asyncio.create_task(self._run(), name=f"feed-{self._stage}") for _ in range(_WORKERS)]

    async def stop(self) -> None:
        """Take nothing more and store what is held, if that is soon done."""
        self._closing = True
        self._arrived.set()
        self._freed.set()
        _, late = await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if self._size:
            log.warning("receive.lost_at_stop", stage=self._stage, bytes=self._size)
            self._telemetry.dropped(self._stage, "stopping", self._held)

    async def put(self, message: M, size: int) -> asyncio.Future[None]:
        """Hold `message` as soon as there is room; the future is done once it is stored, Refused when it never will be."""
        while not self._closing and self._is_full(size):
            self._freed.clear()
            await self._freed.wait()
        if self._closing:
            raise Unavailable("aiprism is stopping", retry_after=2)
        return self._hold(message, size)

    def offer(self, message: M, size: int) -> bool:
        """Hold `message` if there is room."""
        if self._closing or self._is_full(size):
            return False
        self._hold(message, size)
        return True

    def _is_full(self, size: int) -> bool:
        return self._size > 0 and self._size + size > self._limit

    def _hold(self, message: M, size: int) -> asyncio.Future[None]:
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append(_Held(message, size, stored))
        self._held += 1
        self._count(size)
        self._arrived.set()
        return stored

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if batch:
                await self._stored(batch)
            elif self._closing:
                return

    def _next_batch(self) -> list[_Held[M]]:
        batch: list[_Held[M]] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].size <= _BATCH_BYTES):
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        if not self._waiting and not self._closing:
            self._arrived.clear()
        return batch

    async def _stored(self, batch: list[_Held[M]]) -> None:
        size = sum(held.size for held in batch)
        fault: Exception | None = None
        try:
            await self._until_stored([held.message for held in batch], size)
        except Refused as refused:
            fault = refused
        except Exception as error:  # the rim: one batch that fails in an unforeseen way must not end the door
            log.exception("receive.failed", stage=self._stage)
            self._telemetry.dropped(self._stage, "failed", len(batch))
            fault = error
        self._count(-size)
        self._held -= len(batch)
        self._freed.set()
        for held in batch:
            if held.stored.done():
                continue
            if fault is None:
                held.stored.set_result(None)
            else:
                held.stored.set_exception(fault)
                held.stored.exception()  # most senders never look

    async def _until_stored(self, messages: Sequence[M], size: int) -> None:
        pause = 0.25
        while True:
            try:
                await self._store(messages, size)
            except (Unavailable, TooMany) as refused:
                log.warning("receive.waits_for_store", stage=self._stage, error=str(refused))
                await self._clock.sleep(min(max(pause, refused.retry_after or 0), _LONGEST_PAUSE))
                pause *= 2
            else:
                return

    def _count(self, size: int) -> None:
        self._size += size
        self._telemetry.waiting(self._stage, self._size)


class StreamServer:
    """Connections on one listening socket: so many at a time, each handled by `handle` in a task of its own."""

    def __init__(
        self,
        stage: str,
        listening: socket.socket,
        handle: Handle,
        telemetry: Telemetry,
        *,
        connections: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._stage, self._listening, self._handle, self._telemetry = stage, listening, handle, telemetry
        self._connections, self._tls = connections, tls
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(
            self._connected,
            sock=self._listening,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
        )

    async def stop(self) -> None:
        """Accept no more and close those that are open."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= self._connections:
            self._telemetry.dropped(self._stage, "too_many_connections")
            writer.close()
            return
        self._open.add(task)
        try:
            _keep_alive(writer)
            await self._handle(reader, writer, sender_of(writer.get_extra_info("peername")))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError, Unavailable) as error:
            log.debug("receive.connection_ended", stage=self._stage, error=repr(error))
        except asyncio.CancelledError:
            pass  # stop() ends it; asyncio would log a connection task that ends cancelled
        except Exception:  # the rim: one connection must not end the others
            log.exception("receive.connection_failed", stage=self._stage)
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1)


def tls_context(door: str, certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with `certificate`; with `client_ca`, senders must show a certificate it has signed.

    `door` is the setting that asks for it, for the words of a ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(each) for each in (certificate, key, client_ca) if each)
        raise ConfigError(
            f"{door}: cannot use {files}: {error}; streams.tls_certificate and streams.tls_key must be PEM files"
        ) from error
    return context


def sender_of(peer: object) -> str:
    """The address, without the port, of a peer as sockets name it."""
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    # A sender whose machine is gone says nothing for ever; the kernel asks after a minute.
    opened = writer.get_extra_info("socket")
    if opened is None or opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)

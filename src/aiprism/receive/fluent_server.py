"""The door of the Fluent forward protocol, on addresses of its own, plain and over TLS.

In: listening sockets that app.py opened. Out: log records in the store, and to each sender that wants it the
acknowledgement of a chunk, once that is stored. What a message means is left to fluent.py.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from aiprism.clock import Clock
from aiprism.config import StreamsConfig
from aiprism.errors import BadInput, Refused
from aiprism.receive import fluent
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.receive.fluent import Chunk, Events, Handshake
from aiprism.receive.inflight import InFlight, Lease
from aiprism.receive.streams import Feed, StreamServer
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "receive.fluent"
_READ_BYTES = 256 * 1024
_LARGE = 16 * 1024
_OVERHEAD = 200  # bytes a held chunk costs besides its own
_HANDSHAKE_SECONDS = 10
# A connection is not read for so long for want of memory. Then it ends: a chunk that is not whole is sent again.
_PATIENCE = 15.0
_HANDSHAKE_BYTES = 16 * 1024


class FluentDoor:
    """The forward protocol on `listening` sockets, with a context those over TLS. `nonce` makes random bytes of a handshake."""

    def __init__(
        self,
        doors: OtlpDoors,
        config: StreamsConfig,
        telemetry: Telemetry,
        clock: Clock,
        listening: Sequence[tuple[socket.socket, ssl.SSLContext | None]],
        nonce: Callable[[], bytes],
        in_flight: InFlight,
    ) -> None:
        self._in_flight = in_flight
        self._doors, self._config, self._telemetry, self._clock, self._nonce = doors, config, telemetry, clock, nonce
        self._feed: Feed[Chunk] = Feed(STAGE, self._store, telemetry, clock, config.waiting_bytes)
        self._servers = [
            StreamServer(STAGE, each, self._connection, telemetry, connections=config.connections, tls=tls)
            for each, tls in listening
        ]

    async def start(self) -> None:
        """Take chunks."""
        self._feed.start()
        for each in self._servers:
            await each.start()

    async def stop(self) -> None:
        """Take no more; store what was read. Senders that still wait for an acknowledgement send again elsewhere or later."""
        await asyncio.gather(*(each.stop() for each in self._servers))
        await self._feed.stop()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sender: str) -> None:
        try:
            if self._config.fluent_shared_key and (unknown := await self._unknown(reader, writer)):
                log.warning("receive.fluent_refused", sender=sender, error=f"it does not know the {unknown}")
                self._telemetry.dropped(STAGE, unknown)
                return
            with self._in_flight.lease() as lease:
                await self._chunks(reader, writer, lease)
        except Refused as refused:
            # The next message cannot be found behind one that makes no sense, so the connection ends.
            log.warning("receive.fluent_refused", sender=sender, error=str(refused))
            self._telemetry.dropped(STAGE, refused.code)

    async def _chunks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lease: Lease) -> None:
        events = Events(self._config.chunk_bytes)
        while True:
            async with asyncio.timeout(self._config.idle):
                data = await reader.read(_READ_BYTES)
            if not data:
                return
            await lease.grow_patiently(len(data), self._clock, _PATIENCE)
            read = partial(_whole_chunks, events, data, self._config.chunk_bytes, lease.grow)
            # A chunk of megabytes must not hold up every other door.
            chunks, fault = await asyncio.to_thread(read) if lease.size > _LARGE else read()
            for chunk in chunks:
                stored = await self._feed.put(chunk, chunk.size + _OVERHEAD)
                if chunk.acknowledge:
                    stored.add_done_callback(partial(_acknowledge, writer, chunk.acknowledge))
            if fault:
                raise fault
            lease.shrink(lease.size - events.pending)  # the rest is held by the feed, which has a bound of its own

    async def _unknown(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """What the sender was asked and does not know; nothing when it may go on."""
        asked = Handshake(self._config.fluent_shared_key, self._nonce(), self._config.fluent_users, self._nonce())
        events = Events(_HANDSHAKE_BYTES)
        writer.write(asked.helo())
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            while True:
                data = await reader.read(_HANDSHAKE_BYTES)
                if not data:
                    raise BadInput("the sender left before it showed that it knows the shared key")
                for ping, _ in events.feed(data):
                    unknown, answer = asked.pong(ping)
                    writer.write(answer)
                    await writer.drain()
                    return unknown

    async def _store(self, chunks: Sequence[Chunk], size: int) -> None:
        decode = partial(fluent.records, now_ns=int(self._clock.now() * 1e9), within=self._doors.bounds(Signal.LOGS))
        await self._doors.take(Signal.LOGS, "fluent", chunks, decode, size=size, comes_again=True)


def _whole_chunks(
    events: Events, data: bytes, limit: int, grow: Callable[[int], None]
) -> tuple[Sequence[Chunk], Refused | None]:
    """The chunks that are whole with `data`, and what is wrong with what comes behind them."""
    chunks = []
    try:
        for message, size in events.feed(data):
            if chunk := fluent.chunk_of(message, size, limit, grow):
                chunks.append(chunk)
    except Refused as fault:
        return chunks, fault
    return chunks, None


def _acknowledge(writer: asyncio.StreamWriter, identity: str | bytes, stored: asyncio.Future[None]) -> None:
    if not stored.cancelled() and stored.exception() is None and not writer.is_closing():
        writer.write(fluent.acknowledgement(identity))

"""The syslog doors: UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425), each on an address of its own.

In: sockets that app.py opened. Out: log records in the store. What a message means is left to syslog.py, what happens
while the store is away to streams.py.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiprism.clock import Clock
from aiprism.config import StreamsConfig
from aiprism.errors import ConfigError
from aiprism.receive import syslog
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.receive.inflight import InFlight
from aiprism.receive.items import Bounds, OutOfBounds
from aiprism.receive.loglines import LogLines
from aiprism.receive.otlp import Accepted
from aiprism.receive.streams import Feed, StreamServer, sender_of
from aiprism.receive.syslog import Frame, Frames, Scene
from aiprism.telemetry import Telemetry

STAGE = "receive.syslog"
_READ_BYTES = 256 * 1024
_DATAGRAM_BUFFER = 8 * 1024 * 1024  # of the kernel, which has to hold a burst while we decode
_OVERHEAD = 100  # bytes a held message costs besides its own
# Linux: socket option that tells, among others, how many datagrams found the buffer full.
_SO_MEMINFO, _DROPS_AT, _MEMINFO_FIELDS = 55, 8, 9


@dataclass(frozen=True, slots=True)
class Packet:
    """Messages that came together from one address."""

    sender: str
    frames: Sequence[Frame]


class SyslogDoors:
    """Syslog on up to three sockets: `udp` bound, `tcp` and `tls` listening."""

    def __init__(
        self,
        doors: OtlpDoors,
        config: StreamsConfig,
        telemetry: Telemetry,
        clock: Clock,
        *,
        udp: socket.socket | None = None,
        tcp: socket.socket | None = None,
        tls: tuple[socket.socket, ssl.SSLContext] | None = None,
        in_flight: InFlight,
    ) -> None:
        self._in_flight = in_flight
        self._doors, self._config, self._telemetry, self._clock = doors, config, telemetry, clock
        self._zone = zone_of(config.syslog_zone)
        self._feed: Feed[Packet] = Feed(STAGE, self._store, telemetry, clock, config.waiting_bytes)
        self._udp = _Datagrams(udp, self._feed, telemetry) if udp else None
        server = partial(
            StreamServer, STAGE, handle=self._connection, telemetry=telemetry, connections=config.connections
        )
        self._servers = [server(listening=tcp)] if tcp else []
        self._servers += [server(listening=tls[0], tls=tls[1])] if tls else []

    async def start(self) -> None:
        """Take messages."""
        self._feed.start()
        if self._udp:
            await self._udp.start()
        for each in self._servers:
            await each.start()

    async def stop(self) -> None:
        """Take no more; store what was read."""
        if self._udp:
            self._udp.stop()
        await asyncio.gather(*(each.stop() for each in self._servers))
        await self._feed.stop()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sender: str) -> None:
        frames = Frames(self._config.message_bytes)
        with self._in_flight.lease() as lease:
            while True:
                async with asyncio.timeout(self._config.idle):
                    data = await reader.read(_READ_BYTES)
                await lease.grow_patiently(len(data), self._clock, self._config.idle)
                whole = frames.feed(data) if data else frames.rest()
                if whole:
                    await self._feed.put(Packet(sender, whole), _size(whole))
                if not data:
                    return
                lease.shrink(lease.size - frames.pending)

    async def _store(self, packets: Sequence[Packet], size: int) -> None:
        if self._udp:
            self._udp.count_kernel_drops()
        decode = partial(
            records, now_ns=int(self._clock.now() * 1e9), zone=self._zone, within=self._doors.bounds(Signal.LOGS)
        )
        await self._doors.take(Signal.LOGS, "syslog", packets, decode, size=size, comes_again=True)


def records(packets: Sequence[Packet], now_ns: int, zone: tzinfo | None, within: Bounds | None = None) -> Accepted:
    """The log records of `packets`."""
    lines = LogLines(now_ns, within)
    for packet in packets:
        scene = Scene(now_ns, zone, packet.sender)
        for frame in packet.frames:
            with suppress(OutOfBounds):  # counted there
                lines.add(*syslog.message(frame, scene))
    return lines.accepted()


def zone_of(name: str) -> tzinfo | None:
    """The time zone `name`; None, which stands for this machine's, when there is no name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"streams.syslog_zone: {name!r} is no time zone; write one like Europe/Berlin or UTC"
        ) from error


class _Datagrams(asyncio.DatagramProtocol):
    """One message each, no way to slow the sender down: what there is no room for is counted."""

    def __init__(self, bound: socket.socket, feed: Feed[Packet], telemetry: Telemetry) -> None:
        self._socket, self._feed, self._telemetry = bound, feed, telemetry
        self._transport: asyncio.BaseTransport | None = None
        self._kernel_drops = 0
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAM_BUFFER)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)

    def stop(self) -> None:
        if self._transport:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip(b"\r\n\0 "):
            return
        frames = (Frame(data),)
        if not self._feed.offer(Packet(sender_of(addr), frames), _size(frames)):
            self._telemetry.dropped(STAGE, "queue_full")

    def count_kernel_drops(self) -> None:
        """Count what the kernel dropped since the last call, because we did not read fast enough."""
        try:
            told = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_FIELDS)
        except OSError:  # another kernel, or a socket just closed
            return
        if len(told) < 4 * _MEMINFO_FIELDS:
            return
        drops = struct.unpack(f"{_MEMINFO_FIELDS}I", told)[_DROPS_AT]
        if fresh := (drops - self._kernel_drops) % 2**32:
            self._telemetry.dropped(STAGE, "kernel_buffer_full", fresh)
        self._kernel_drops = drops


def _size(frames: Sequence[Frame]) -> int:
    return sum(len(frame.data) + _OVERHEAD for frame in frames)

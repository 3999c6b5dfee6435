"""The syslog doors on real sockets, into the real store."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig, StreamsConfig
from aiprism.errors import ConfigError
from aiprism.model.timerange import TimeRange
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.inflight import InFlight
from aiprism.receive.streams import Feed, tls_context
from aiprism.receive.syslog_server import SyslogDoors, _Datagrams, zone_of
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web.listening import datagrams, listen
from tests.journeys.conftest import eventually
from tests.web.test_agents import counts

ANYWHERE = "127.0.0.1:0"


class Place:
    """Syslog doors that run, and what has reached the store."""

    def __init__(
        self, engine: Engine, telemetry: Telemetry, udp: socket.socket, tcp: socket.socket, tls: socket.socket | None
    ) -> None:
        self._engine, self.telemetry, self.udp, self.tcp = engine, telemetry, udp.getsockname(), tcp.getsockname()
        self.tls = tls.getsockname() if tls else None
        self.budget: InFlight | None = None

    def lines(self) -> list[str]:
        now = SystemClock().now()
        found = LogStore(self._engine).search(LogSearch(TimeRange(now - 3600, now + 3600), limit=10_000))
        return sorted(record.body for record in found)

    def count(self) -> int:
        return int(self._engine.records("SELECT count() AS lines FROM logs", {})[0]["lines"])

    async def until(self, *lines: str) -> None:
        await asyncio.to_thread(eventually, lambda: self.lines() == sorted(lines), what=f"{lines[:3]} in the store")

    async def connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.tcp)


def with_syslog(
    engine: Engine,
    story: Callable[[Place], Awaitable[None]],
    config: StreamsConfig | None = None,
    tls: ssl.SSLContext | None = None,
    writing: Callable[..., Writing] = Writing,
) -> Telemetry:
    telemetry = Telemetry()

    async def run() -> None:
        store = writing(engine, load_series(engine), IngestConfig(linger=0.01), telemetry)
        store.start()
        with (
            datagrams(ANYWHERE, "udp") as udp,
            listen(ANYWHERE, "tcp") as tcp,
            listen(ANYWHERE, "tls") as secure,
        ):
            doors = SyslogDoors(
                OtlpDoors(store, telemetry),
                config or StreamsConfig(),
                telemetry,
                SystemClock(),
                udp=udp,
                tcp=tcp,
                tls=(secure, tls) if tls else None,
                in_flight=(budget := InFlight(1024 * 1024, telemetry)),
            )
            place = Place(engine, telemetry, udp, tcp, secure)
            place.budget = budget
            await doors.start()
            try:
                await story(place)
            finally:
                await doors.stop()
                await store.stop()

    asyncio.run(run())
    return telemetry


def test_datagrams(engine: Engine) -> None:
    async def story(place: Place) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for each in (b"<14>1 - h a - - - one", b"<14>two\0", b"", b"\n"):
                sender.sendto(each, place.udp)
        await place.until("one", "two")

    telemetry = with_syslog(engine, story)
    assert counts(telemetry, "receive.syslog") == {"stage": "receive.syslog", "passed": 2.0, "dropped": {}}


def test_a_stream_of_both_framings_and_a_last_line_without_its_end(engine: Engine) -> None:
    async def story(place: Place) -> None:
        _, writer = await place.connected()
        writer.write(b"<14>one\n7 <14>two<14>th")
        await writer.drain()
        writer.write(b"ree\nnot syslog")
        writer.close()
        await writer.wait_closed()
        await place.until("one", "two", "three", "not syslog")

    with_syslog(engine, story)


def test_stopping_stores_what_was_read(engine: Engine) -> None:
    async def story(place: Place) -> None:
        _, writer = await place.connected()
        writer.write(b"<14>1 - h a - - - x\n" * 1000)
        await writer.drain()
        await place.until(*["x"] * 1000)
        writer.close()

    with_syslog(engine, story)


def test_over_the_limit_of_connections_the_next_one_is_closed_and_counted(engine: Engine) -> None:
    async def story(place: Place) -> None:
        _, first = await place.connected()
        first.write(b"<14>one\n")
        await place.until("one")
        reader, second = await place.connected()
        assert await reader.read() == b""
        second.close()
        first.write(b"<14>two\n")
        await place.until("one", "two")
        first.close()

    telemetry = with_syslog(engine, story, StreamsConfig(connections=1))
    assert counts(telemetry, "receive.syslog")["dropped"] == {"too_many_connections": 1.0}


def test_a_silent_connection_is_closed(engine: Engine) -> None:
    async def story(place: Place) -> None:
        reader, writer = await place.connected()
        assert await reader.read() == b""
        writer.close()

    with_syslog(engine, story, StreamsConfig(idle=0.05))


def test_a_long_message_is_cut_and_marked(engine: Engine) -> None:
    async def story(place: Place) -> None:
        _, writer = await place.connected()
        writer.write(b"<14>" + b"x" * 1000 + b"\n<14>next\n")
        await place.until("next", "x" * 96)
        writer.close()

    with_syslog(engine, story, StreamsConfig(message_bytes=100))


async def _tried(address: tuple[str, int], trusting: ssl.SSLContext) -> None:
    """One message over TLS, until the other side closes: with TLS 1.3 its refusal comes after the handshake."""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await asyncio.open_connection(*address, ssl=trusting)
        try:
            writer.write(b"19 <14>1 - h a - - - x")
            await writer.drain()
            assert await reader.read() == b""
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signed itself, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def self_signed(place: Path) -> tuple[Path, Path]:
    certificate, key = place / "cert.pem", place / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", *subject]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60
    )
    return certificate, key


def test_tls(engine: Engine, certificate: tuple[Path, Path]) -> None:
    async def story(place: Place) -> None:
        assert place.tls
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        _, writer = await asyncio.open_connection(*place.tls, ssl=trusting)
        writer.write(b"19 <14>1 - h a - - - x")
        await place.until("x")
        writer.close()

    with_syslog(engine, story, tls=tls_context("server.syslog_tls", *certificate, None))


def test_tls_with_an_authority_refuses_whom_it_has_not_signed(engine: Engine, certificate: tuple[Path, Path]) -> None:
    async def story(place: Place) -> None:
        assert place.tls
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        await _tried(place.tls, trusting)
        known = ssl.create_default_context(cafile=str(certificate[0]))
        known.load_cert_chain(*certificate)
        _, writer = await asyncio.open_connection(*place.tls, ssl=known)
        writer.write(b"19 <14>1 - h a - - - y")
        await place.until("y")
        writer.close()

    with_syslog(engine, story, tls=tls_context("server.syslog_tls", *certificate, certificate[0]))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.fluent_tls.*missing\.pem.*streams\.tls_certificate"):
        tls_context("server.fluent_tls", tmp_path / "missing.pem", tmp_path / "key.pem", None)


def test_a_zone_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"streams\.syslog_zone: 'Mars/Olympus'"):
        zone_of("Mars/Olympus")
    assert zone_of("") is None


class Slow(Writing):
    """A store that takes nothing until it is let."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.let = asyncio.Event()

    async def logs(self, body: bytes, count: int) -> None:
        await self.let.wait()
        await super().logs(body, count)


def with_slow_store(
    engine: Engine, story: Callable[[Place, Slow], Awaitable[None]], config: StreamsConfig
) -> Telemetry:
    found: list[Slow] = []

    def build(*arguments: Any, **more: Any) -> Slow:
        found.append(Slow(*arguments, **more))
        return found[0]

    return with_syslog(engine, lambda place: story(place, found[0]), config, writing=build)


SMALL = StreamsConfig(waiting_bytes=100_000)


def test_while_the_store_is_slow_a_sender_by_tcp_is_held_up_and_nothing_is_lost(engine: Engine) -> None:
    line = b"<14>1 - h a - - - " + b"x" * 10_000 + b"\n"

    async def story(place: Place, store: Slow) -> None:
        _, writer = await place.connected()
        sending = asyncio.create_task(_send_all(writer, line, 3_000))
        _, still = await asyncio.wait([sending], timeout=1)
        assert still  # 30 MB find no room: the kernel's buffers are full, and so are ours
        store.let.set()
        await sending
        writer.close()
        await asyncio.to_thread(eventually, lambda: place.count() == 3_000, what="3 000 lines")

    telemetry = with_slow_store(engine, story, StreamsConfig(waiting_bytes=2_000_000))
    assert counts(telemetry, "receive.syslog") == {"stage": "receive.syslog", "passed": 3_000.0, "dropped": {}}


async def _send_all(writer: asyncio.StreamWriter, line: bytes, times: int) -> None:
    for _ in range(times // 100):
        writer.write(line * 100)
        await writer.drain()


def test_datagrams_there_is_no_room_for_are_counted(engine: Engine) -> None:
    async def story(place: Place, store: Slow) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(300):
                sender.sendto(b"<14>1 - h a - - - %d " % number + b"x" * 1000, place.udp)
                await asyncio.sleep(0)
        await asyncio.to_thread(
            eventually, lambda: counts(place.telemetry, "receive.syslog").get("dropped"), what="a drop"
        )
        store.let.set()

    telemetry = with_slow_store(engine, story, SMALL)
    told = counts(telemetry, "receive.syslog")
    dropped = told["dropped"]
    assert isinstance(dropped, dict)
    assert set(dropped) == {"queue_full"}
    assert dropped["queue_full"] + float(str(told["passed"])) == 300


def test_datagrams_the_kernel_dropped_are_counted() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells how many")
    telemetry = Telemetry()
    with datagrams(ANYWHERE, "udp") as bound, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        door = _Datagrams(bound, Feed("receive.syslog", _nowhere, telemetry, SystemClock(), 1), telemetry)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            sender.sendto(b"x" * 1000, bound.getsockname())
        door.count_kernel_drops()
        door.count_kernel_drops()  # counts each once
    dropped = counts(telemetry, "receive.syslog")["dropped"]
    assert isinstance(dropped, dict)
    assert 100 < dropped["kernel_buffer_full"] < 200


async def _nowhere(messages: object, size: int) -> None:
    return None


def test_what_was_sent_of_a_message_is_held_by_the_budget_until_it_is_whole(engine: Engine) -> None:
    async def story(place: Place) -> None:
        budget = place.budget
        assert budget
        _, writer = await place.connected()
        writer.write(b"<14>1 - h a - - - " + b"x" * 50_000)
        await asyncio.to_thread(eventually, lambda: budget.held >= 50_000, what="the budget to be taken")
        with budget.lease() as others:
            others.grow(budget.limit - budget.held)
            writer.write(b"y\n")
            await asyncio.sleep(0.3)  # nothing can show that nothing happens
            assert place.lines() == []
        await place.until("x" * 50_000 + "y")
        assert budget.held == 0
        writer.close()

    with_syslog(engine, story)

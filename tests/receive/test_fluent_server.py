"""The Fluent door on a real socket, into the real store."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig, StreamsConfig
from aiprism.errors import BadInput, Unavailable
from aiprism.model.timerange import TimeRange
from aiprism.receive.doors import OtlpDoors
from aiprism.receive.fluent_server import FluentDoor
from aiprism.receive.inflight import InFlight
from aiprism.receive.streams import tls_context
from aiprism.store.engine import Engine
from aiprism.store.logs import LogSearch, LogStore
from aiprism.store.seriesload import load_series
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry
from aiprism.web.listening import listen
from tests.journeys.conftest import eventually
from tests.receive.test_fluent import MODES, ping
from tests.receive.test_syslog_server import self_signed
from tests.web.test_agents import counts

BUDGET = 1024 * 1024


@dataclass
class Sender:
    """A connection that speaks MessagePack."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *messages: bytes) -> None:
        self.writer.writelines(messages)

    async def answer(self) -> Any:
        """The next object; None at the end."""
        unpacker = msgpack.Unpacker()
        while data := await self.reader.read(1):
            unpacker.feed(data)
            for found in unpacker:
                return found
        return None


def with_fluent(
    engine: Engine,
    story: Callable[[Sender], Awaitable[None]],
    config: StreamsConfig | None = None,
    writing: Callable[[Telemetry], Writing] | None = None,
    in_flight: InFlight | None = None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
) -> Telemetry:
    telemetry = Telemetry()

    async def run() -> None:
        ingest = IngestConfig(linger=0.01)
        keeping = writing(telemetry) if writing else Writing(engine, load_series(engine), ingest, telemetry)
        keeping.start()
        with listen("127.0.0.1:0", "fluent") as opened:
            doors = OtlpDoors(keeping, telemetry)
            door = FluentDoor(
                doors,
                config or StreamsConfig(),
                telemetry,
                SystemClock(),
                [(opened, tls[0] if tls else None)],
                lambda: b"nonce",
                in_flight or InFlight(BUDGET, telemetry),
            )
            await door.start()
            sender = Sender(*await asyncio.open_connection(*opened.getsockname(), ssl=tls and tls[1]))
            try:
                await asyncio.wait_for(story(sender), 180)
            finally:
                sender.writer.close()
                await door.stop()
                await keeping.stop()

    asyncio.run(run())
    return telemetry


def bodies(engine: Engine) -> list[str]:
    found = LogStore(engine).search(LogSearch(TimeRange(1_795_000_000, 1_796_000_000), limit=10_000))
    return sorted(record.body for record in found)


def test_a_chunk_is_acknowledged_once_it_is_stored(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        sender.send(MODES["packed forward"])
        assert await sender.answer() == {"ack": "id-1"}
        assert bodies(engine) == ["one", "two"]

    telemetry = with_fluent(engine, story)
    assert counts(telemetry, "receive.fluent") == {"stage": "receive.fluent", "passed": 2.0, "dropped": {}}


def test_many_chunks_wait_for_their_acknowledgements_together(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        sender.send(*[MODES["compressed"]] * 100)
        assert [await sender.answer() for _ in range(100)] == [{"ack": "id-1"}] * 100
        assert bodies(engine) == ["one"] * 100 + ["two"] * 100

    with_fluent(engine, story)


class Refusing(Writing):
    """Away for the first write, well for the second."""

    faults: list[Exception]

    async def logs(self, body: bytes, count: int) -> None:
        if self.faults:
            raise self.faults.pop(0)
        await super().logs(body, count)


def refusing(engine: Engine, *faults: Exception) -> Callable[[Telemetry], Writing]:
    def build(telemetry: Telemetry) -> Writing:
        writing = Refusing(engine, load_series(engine), IngestConfig(linger=0.01), telemetry)
        writing.faults = list(faults)
        return writing

    return build


def test_while_the_store_is_away_nothing_is_acknowledged_and_nothing_lost(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        sender.send(MODES["forward"])
        assert await sender.answer() == {"ack": "id-1"}
        assert bodies(engine) == ["one", "two"]

    telemetry = with_fluent(engine, story, writing=refusing(engine, Unavailable("away", retry_after=0.01)))
    assert counts(telemetry, "receive.fluent")["dropped"] == {}


def test_what_the_store_refuses_is_not_acknowledged(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        sender.send(MODES["forward"])
        sender.writer.write_eof()
        assert await sender.answer() is None

    telemetry = with_fluent(engine, story, writing=refusing(engine, BadInput("the store cannot take this")))
    assert counts(telemetry, "receive.fluent")["dropped"] == {"bad_data": 1.0}


def test_what_is_no_forward_protocol_ends_the_connection_and_is_counted(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        sender.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await sender.answer() is None

    telemetry = with_fluent(engine, story)
    assert counts(telemetry, "receive.fluent")["dropped"] == {"bad_data": 1.0}


SECRET = StreamsConfig(fluent_shared_key="secret")


def test_with_a_shared_key_who_knows_it_is_let_in(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        [kind, option] = await sender.answer()
        assert (kind, option["nonce"]) == ("HELO", b"nonce")
        sender.send(msgpack.packb(ping("secret", b"nonce")))
        assert (await sender.answer())[:2] == ["PONG", True]
        sender.send(MODES["forward"])
        assert await sender.answer() == {"ack": "id-1"}

    with_fluent(engine, story, SECRET)


def test_with_a_shared_key_nobody_else_is(engine: Engine) -> None:
    async def story(sender: Sender) -> None:
        await sender.answer()
        sender.send(msgpack.packb(ping("guess", b"nonce")), MODES["forward"])
        assert (await sender.answer())[:2] == ["PONG", False]
        assert await sender.answer() is None

    telemetry = with_fluent(engine, story, SECRET)
    assert counts(telemetry, "receive.fluent")["dropped"] == {"shared_key": 1.0}
    assert bodies(engine) == []


def test_with_users_who_knows_a_password_is_let_in_and_nobody_else(engine: Engine) -> None:
    config = StreamsConfig(fluent_shared_key="secret", fluent_users={"shop": "sesame"})

    async def story(sender: Sender) -> None:
        assert (await sender.answer())[1]["auth"] == b"nonce"
        sender.send(msgpack.packb(ping("secret", b"nonce", "shop", "sesame", b"nonce")))
        assert (await sender.answer())[:2] == ["PONG", True]
        sender.send(MODES["forward"])
        assert await sender.answer() == {"ack": "id-1"}
        other = Sender(*await asyncio.open_connection(*sender.writer.get_extra_info("peername")))
        await other.answer()
        other.send(msgpack.packb(ping("secret", b"nonce", "shop", "guess", b"nonce")), MODES["forward"])
        assert (await other.answer())[:3] == ["PONG", False, "username/password mismatch"]
        assert await other.answer() is None
        other.writer.close()

    telemetry = with_fluent(engine, story, config)
    assert counts(telemetry, "receive.fluent")["dropped"] == {"user": 1.0}
    assert bodies(engine) == ["one", "two"]


def test_over_tls_a_chunk_is_acknowledged_and_with_an_authority_only_of_whom_it_has_signed(
    engine: Engine, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    ours = tls_context("server.fluent_tls", certificate, key, certificate)
    known, stranger = (ssl.create_default_context(cafile=str(certificate)) for _ in range(2))
    known.load_cert_chain(certificate, key)

    async def story(sender: Sender) -> None:
        assert sender.writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        sender.send(MODES["packed forward"])
        assert await sender.answer() == {"ack": "id-1"}
        assert await talked(sender.writer.get_extra_info("peername"), stranger) is None
        assert await talked(sender.writer.get_extra_info("peername"), None) is None
        assert bodies(engine) == ["one", "two"]

    with_fluent(engine, story, tls=(ours, known))


async def talked(address: tuple[str, int], tls: ssl.SSLContext | None) -> Any:
    """The answer to a chunk sent so; None when there is none."""
    try:
        other = Sender(*await asyncio.open_connection(*address, ssl=tls))
        other.send(MODES["forward"])
        try:
            return await other.answer()
        finally:
            other.writer.close()
    except OSError:  # ssl.SSLError is one
        return None


def packed(size: int) -> bytes:
    """A chunk of `size` bytes of one record, which is acknowledged."""
    entries = msgpack.packb([1_795_000_001, {"message": "x" * size}])
    return bytes(msgpack.packb(["tag", entries, {"chunk": "large"}]))


def test_a_chunk_that_is_not_whole_is_held_by_the_budget_and_others_are_not_read_meanwhile(engine: Engine) -> None:
    budget = InFlight(BUDGET, Telemetry())

    async def story(sender: Sender) -> None:
        other = Sender(*await asyncio.open_connection(*sender.writer.get_extra_info("peername")))
        sender.send(packed(BUDGET)[: 900 * 1024])
        await asyncio.to_thread(eventually, lambda: budget.held >= 900 * 1024, what="the budget to be taken")
        other.send(packed(800 * 1024))
        answer = asyncio.create_task(other.answer())
        await asyncio.sleep(0.3)  # nothing can show that nothing happens
        assert not answer.done()
        assert budget.held <= BUDGET
        sender.writer.close()
        assert await answer == {"ack": "large"}
        other.writer.close()
        await asyncio.to_thread(eventually, lambda: budget.held == 0, what="the budget to be free")

    with_fluent(engine, story, in_flight=budget)


def test_what_a_chunk_inflates_to_is_held_by_the_budget(engine: Engine) -> None:
    budget = InFlight(BUDGET, Telemetry())
    small = gzip.compress(msgpack.packb([1_795_000_001, {"message": "x" * 3 * BUDGET}]))
    chunk = msgpack.packb(["tag", small, {"chunk": "bomb", "compressed": "gzip"}])

    async def story(sender: Sender) -> None:
        with budget.lease() as held:
            held.grow(BUDGET // 2)
            sender.send(chunk)
            assert await sender.answer() is None  # hung up on, to come again
        again = Sender(*await asyncio.open_connection(*sender.writer.get_extra_info("peername")))
        again.send(chunk)
        assert await again.answer() == {"ack": "bomb"}  # alone it may
        again.writer.close()

    with_fluent(engine, story, in_flight=budget)

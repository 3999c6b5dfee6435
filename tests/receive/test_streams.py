"""Messages of senders that wait for no answer: held until stored, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from aiprism.clock import FakeClock, SystemClock
from aiprism.errors import BadInput, Unavailable
from aiprism.receive.streams import Feed, sender_of
from aiprism.telemetry import Telemetry


class Store:
    """Takes batches; raises the faults it was given first, and waits while it is closed."""

    def __init__(self, *faults: Exception) -> None:
        self.faults, self.batches, self.open = list(faults), list[list[str]](), asyncio.Event()
        self.open.set()

    async def __call__(self, messages: Sequence[str], size: int) -> None:
        await self.open.wait()
        if self.faults:
            raise self.faults.pop(0)
        self.batches.append(list(messages))

    @property
    def messages(self) -> list[str]:
        return sorted(message for batch in self.batches for message in batch)


def with_feed(
    store: Store, story: Callable[[Feed[str], Telemetry, FakeClock], Awaitable[None]], limit: int = 100
) -> Telemetry:
    telemetry, clock = Telemetry(), FakeClock()

    async def run() -> None:
        feed: Feed[str] = Feed("receive.test", store, telemetry, clock, limit)
        feed.start()
        await story(feed, telemetry, clock)
        store.open.set()
        await feed.stop()

    asyncio.run(run())
    return telemetry


def test_a_message_is_done_once_it_is_stored() -> None:
    store = Store()

    async def story(feed: Feed[str], telemetry: Telemetry, clock: FakeClock) -> None:
        await (await feed.put("a", 10))
        assert store.messages == ["a"]

    with_feed(store, story)


def test_while_the_store_is_away_messages_are_kept_and_sent_again() -> None:
    store = Store(Unavailable("away", retry_after=1), Unavailable("away", retry_after=1))

    async def story(feed: Feed[str], telemetry: Telemetry, clock: FakeClock) -> None:
        stored = await feed.put("a", 10)
        for _ in range(2):
            await asyncio.sleep(0)
            await clock.advance(1)
        await stored
        assert store.messages == ["a"]

    with_feed(store, story)


def test_no_more_is_taken_than_there_is_room_for() -> None:
    store = Store()
    store.open.clear()

    async def story(feed: Feed[str], telemetry: Telemetry, clock: FakeClock) -> None:
        await feed.put("a", 60)
        assert feed.offer("b", 60) is False  # a datagram is dropped
        waiting = asyncio.create_task(feed.put("c", 60))  # a connection is not read any further
        await asyncio.sleep(0.01)
        assert not waiting.done()
        store.open.set()
        await (await waiting)
        assert store.messages == ["a", "c"]
        assert feed.offer("d", 60) is True

    with_feed(store, story)


def test_a_message_larger_than_the_bound_is_taken_alone() -> None:
    store = Store()

    async def story(feed: Feed[str], telemetry: Telemetry, clock: FakeClock) -> None:
        await (await feed.put("a", 1000))

    with_feed(store, story)
    assert store.messages == ["a"]


def test_what_the_store_never_takes_is_told_and_the_next_goes_on() -> None:
    store = Store(BadInput("bad"), RuntimeError("unforeseen"))

    async def story(feed: Feed[str], telemetry: Telemetry, clock: FakeClock) -> None:
        with pytest.raises(BadInput):
            await (await feed.put("a", 10))
        with pytest.raises(RuntimeError):
            await (await feed.put("b", 10))
        await (await feed.put("c", 10))

    with_feed(store, story)
    assert store.messages == ["c"]


def test_stopping_stores_what_was_read_and_takes_no_more() -> None:
    store = Store()

    async def run() -> None:
        feed: Feed[str] = Feed("receive.test", store, Telemetry(), SystemClock(), 100)
        feed.start()
        for each in "abc":
            assert feed.offer(each, 1)
        await feed.stop()
        assert store.messages == ["a", "b", "c"]
        assert feed.offer("d", 1) is False
        with pytest.raises(Unavailable):
            await feed.put("d", 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("peer", "sender"), [(("::1", 5, 0, 0), "::1"), (("10.0.0.7", 5), "10.0.0.7"), ("", ""), (None, "")]
)
def test_a_sender_is_known_by_its_address(peer: object, sender: str) -> None:
    assert sender_of(peer) == sender

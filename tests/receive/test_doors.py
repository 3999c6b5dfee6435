"""Deltas and the doors: what is stored counts, what is not stored does not, whenever and however a sender goes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from aiprism.clock import SystemClock
from aiprism.config import IngestConfig
from aiprism.errors import Unavailable
from aiprism.receive.doors import OtlpDoors, Signal
from aiprism.store.batches import SampleBatch
from aiprism.store.engine import Engine
from aiprism.store.series import SeriesIndex
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry

S = 1_000_000_000
AT = 1_790_000_000
DELTA, CUMULATIVE = 1, 2


class Store(Writing):
    """Keeps what it is given once it is let, or fails."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, SeriesIndex(), IngestConfig(), Telemetry())
        self.let, self.asked = asyncio.Event(), asyncio.Event()
        self.let.set()
        self.error: Exception | None = None
        self.stored: list[SampleBatch] = []

    async def samples(self, batch: SampleBatch) -> None:
        self.asked.set()
        await self.let.wait()
        if self.error:
            raise self.error
        self.stored.append(batch)

    def last(self) -> float:
        """The newest value that is stored."""
        return float(self.stored[-1].values[-1])


class Levels:
    """What is stored of levels; asked, it answers once it is let."""

    def __init__(self) -> None:
        self.let, self.asked = asyncio.Event(), asyncio.Event()
        self.let.set()

    async def __call__(self, series: Sequence[tuple[str, int]]) -> Mapping[int, float]:
        self.asked.set()
        await self.let.wait()
        return {fingerprint: 100.0 for _, fingerprint in series}


class HeldClock(SystemClock):
    """Tells the time once it is let: decoding asks for it."""

    def __init__(self) -> None:
        self.let, self.asked = threading.Event(), threading.Event()
        self.let.set()

    def now(self) -> float:
        self.asked.set()
        assert self.let.wait(60)
        return float(AT)


def delta(name: str, value: int, second: int, *, monotonic: bool = True, padding: int = 0) -> bytes:
    """The body of one delta point of (AT + second - 1, AT + second]."""
    made = ExportMetricsServiceRequest()
    scope: Any = made.resource_metrics.add().scope_metrics.add()
    total = scope.metrics.add(name=name, description="x" * padding).sum
    total.aggregation_temporality, total.is_monotonic = DELTA, monotonic
    end = (AT + second) * S
    total.data_points.add(start_time_unix_nano=end - S, time_unix_nano=end, as_int=value)
    return made.SerializeToString()


LARGE = 300_000


class Place:
    def __init__(self, engine: Engine) -> None:
        self.store, self.levels, self.clock = Store(engine), Levels(), HeldClock()
        self.doors = OtlpDoors(self.store, Telemetry(), levels=self.levels, clock=self.clock)

    async def sent(self, body: bytes) -> None:
        await asyncio.wait_for(self.doors.receive(Signal.METRICS, body), 60)

    def sending(self, body: bytes) -> asyncio.Task[None]:
        return asyncio.create_task(self.sent(body))


def at_the_doors(engine: Engine, story: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(Place(engine))

    asyncio.run(run())


async def hung_up(sending: asyncio.Task[None]) -> None:
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


def test_a_sender_that_hangs_up_while_its_level_is_looked_up_counts_nothing(engine: Engine) -> None:
    async def story(place: Place) -> None:
        place.levels.let.clear()
        sending = place.sending(delta("level", 5, 1, monotonic=False))
        await place.levels.asked.wait()
        await hung_up(sending)
        place.levels.let.set()
        await place.sent(delta("level", 1, 2, monotonic=False))
        assert place.store.last() == 101

    at_the_doors(engine, story)


def test_a_level_that_is_long_to_look_up_holds_up_nobody_else(engine: Engine) -> None:
    async def story(place: Place) -> None:
        place.levels.let.clear()
        sending = place.sending(delta("level", 5, 1, monotonic=False))
        await place.levels.asked.wait()
        await place.sent(delta("jobs", 7, 1))
        assert place.store.last() == 7
        place.levels.let.set()
        await sending
        assert place.store.last() == 105

    at_the_doors(engine, story)


def test_points_of_a_level_are_added_in_the_order_they_came(engine: Engine) -> None:
    async def story(place: Place) -> None:
        place.levels.let.clear()
        first = place.sending(delta("level", 5, 1, monotonic=False))
        await place.levels.asked.wait()
        second = place.sending(delta("level", 1, 2, monotonic=False))
        place.levels.let.set()
        await asyncio.gather(first, second)
        assert [batch.values.tolist() for batch in place.store.stored] == [[105], [106]]

    at_the_doors(engine, story)


@pytest.mark.parametrize("monotonic", [True, False])
def test_a_sender_that_hangs_up_while_a_large_body_is_decoded_counts_nothing(engine: Engine, monotonic: bool) -> None:
    async def story(place: Place) -> None:
        place.clock.let.clear()
        sending = place.sending(delta("jobs", 5, 1, monotonic=monotonic, padding=LARGE))
        await asyncio.to_thread(place.clock.asked.wait, 60)
        await hung_up(sending)
        following = place.sending(delta("jobs", 1, 2, monotonic=monotonic, padding=LARGE))
        place.clock.let.set()
        await following
        assert place.store.last() == (1 if monotonic else 101)
        assert len(place.store.stored) == 1

    at_the_doors(engine, story)


def test_a_sender_that_hangs_up_before_its_insert_is_stored_all_the_same(engine: Engine) -> None:
    async def story(place: Place) -> None:
        place.store.let.clear()
        sending = place.sending(delta("jobs", 5, 1))
        await place.store.asked.wait()
        await hung_up(sending)
        place.store.let.set()
        await place.sent(delta("jobs", 1, 2))
        assert [batch.values[-1] for batch in place.store.stored] == [5, 6]

    at_the_doors(engine, story)


def test_a_sender_that_hangs_up_before_its_insert_is_refused_counts_nothing(engine: Engine) -> None:
    async def story(place: Place) -> None:
        place.store.let.clear()
        place.store.error = Unavailable("away", retry_after=1)
        sending = place.sending(delta("jobs", 5, 1))
        await place.store.asked.wait()
        await hung_up(sending)
        place.store.let.set()
        await asyncio.gather(*place.doors._under_way, return_exceptions=True)
        place.store.error = None
        await place.sent(delta("jobs", 1, 2))
        assert place.store.last() == 1

    at_the_doors(engine, story)


@pytest.mark.parametrize("error", [Unavailable("away", retry_after=1), ValueError("unforeseen")])
def test_what_could_not_be_stored_counts_nothing(engine: Engine, error: Exception) -> None:
    async def story(place: Place) -> None:
        place.store.error = error
        with pytest.raises(type(error)):
            await place.sent(delta("jobs", 5, 1))
        place.store.error = None
        await place.sent(delta("jobs", 1, 2))
        assert place.store.last() == 1

    at_the_doors(engine, story)

"""Keeps the topology up to date in the background, for those who ask in the middle of something else.

In: the store, and the catalogue in force. Out: `latest`, a frozen `Topology` of the last day that is there at once; before the
first look it is what is declared. Looking costs what it costs (some milliseconds for a hundred services); the pause after a
look is at least twenty times that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from aiprism.clock import Clock
from aiprism.learn.topology import Topology, topology
from aiprism.model.servicemap import SeenCall, SeenService
from aiprism.model.timerange import TimeRange
from aiprism.respond.ways import Ways
from aiprism.services import Catalogue
from aiprism.store.engine import Engine
from aiprism.store.servicemap import ServiceMapStore
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

STAGE = "learn.topology"
EVERY = 60.0  # as often as edges are joined
BACK = 86_400.0
_SHARE = 20


class Survey:
    """The topology of one tenant, looked at again and again."""

    def __init__(
        self, engine: Engine, catalogue: Callable[[], Catalogue], clock: Clock, telemetry: Telemetry | None = None
    ) -> None:
        self._engine, self._catalogue, self._clock = engine, catalogue, clock
        self._telemetry = telemetry or Telemetry()
        self._store = ServiceMapStore(engine)
        self._seen: tuple[Sequence[SeenService], Sequence[SeenCall]] = (), ()
        self._latest = Topology()
        self._task: asyncio.Task[None] | None = None

    @property
    def latest(self) -> Topology:
        """The topology as last seen, under the names of the catalogue in force."""
        if self._latest.catalogue is not self._catalogue():
            self._take(*self._seen)
        return self._latest

    @property
    def known(self) -> Topology:
        """As `latest`; looked at now when nothing was seen yet, and so blocking."""
        return self.latest if self.latest.edges else self.refresh()

    def related(self, one: str, other: str) -> bool:
        """Whether two services are one, or one calls the other, as declared or seen."""
        return self.latest.related(one, other)

    def ways(self) -> Ways:
        """By which ways services are related, as declared or seen."""
        return self.latest.ways

    def refresh(self) -> Topology:
        """Look now. Blocking."""
        now = self._clock.now()
        day = TimeRange(now - BACK, now)
        self._seen = self._store.seen_services(day), self._store.seen_calls(day)
        return self._take(*self._seen)

    async def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.create_task(self._loop(), name="survey")

    async def stop(self) -> None:
        """Look no more; what was seen last stays."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _take(self, services: Sequence[SeenService], calls: Sequence[SeenCall]) -> Topology:
        fresh = topology(self._catalogue(), services, calls, version=self._latest.version + 1)
        before = self._latest
        if (before.catalogue, before.nodes, before.edges) != (fresh.catalogue, fresh.nodes, fresh.edges):
            self._latest = fresh
        return self._latest

    async def _loop(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self._engine.run(self.refresh)
                self._telemetry.passed(STAGE)
            except Exception as error:
                # What was seen last still holds; the next look may succeed.
                self._telemetry.dropped(STAGE, "failed")
                log.error("topology.not_seen", error=repr(error))
            await self._clock.sleep(max(EVERY, _SHARE * (self._clock.monotonic() - began)))

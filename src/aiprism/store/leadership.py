"""One process for each duty: rules are evaluated, incidents answered and old data dropped by one of many.

In: duties as pairs of start and stop, and a control database. Out: each duty runs in exactly one of the processes that
share the database: the one that holds its PostgreSQL advisory lock on a connection of its own. The lock goes with the
connection, so a killed leader frees it at once; a leader that cannot reach the database stops its duty, and a new one
begins only so long after it got the lock that the former has noticed (`Pace`). On SQLite there is one process.

What a leader writes is in the control database, so one that cannot reach it can neither read what is to be sent nor note
that it was: what was sent before and not noted goes out once more, under the same idempotency key.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from aiprism.clock import Clock
from aiprism.errors import Unavailable
from aiprism.store.records import Hold, Records
from aiprism.telemetry import Telemetry

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `takeover` is longer than a former leader needs to notice: `heartbeat` + `lost`."""

    heartbeat: float = 1.0  # how often a leader makes sure of its lock, and others try to get it
    lost: float = 3.0  # a heartbeat that takes longer ends the leadership
    takeover: float = 5.0  # from getting the lock to beginning


@dataclass(frozen=True, slots=True)
class Duty:
    """What one process at a time does. `start` may be called again after `stop`."""

    name: str
    start: Callable[[], Awaitable[object]]
    stop: Callable[[], Awaitable[object]]


class Leadership:
    """Runs `duties`, in their order, as long as this process leads them."""

    def __init__(
        self, records: Records, clock: Clock, telemetry: Telemetry, *, name: str, pace: Pace | None = None
    ) -> None:
        self._records, self._clock, self._telemetry, self._name = records, clock, telemetry, name
        self._pace = pace or Pace()
        self._leading: set[str] = set()
        self._duties: list[Duty] = []
        self._standing: list[asyncio.Task[None]] = []

    async def start(self, duties: list[Duty]) -> None:
        """Lead what nobody else leads; the rest once its leader is gone."""
        self._duties = duties
        for duty in duties:
            self._telemetry.leads(duty.name, leading=False)
            if self._records.shared:
                self._standing.append(asyncio.create_task(self._stand(duty), name=f"lead {duty.name}"))
            else:
                await self._begin(duty)

    async def stop(self) -> None:
        """End what this process leads, the last begun first, so that another may take over at once."""
        for task in reversed(self._standing):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._standing = []
        for duty in reversed(self._duties):
            await self._end(duty)

    def leads(self, duty: str) -> bool:
        """Whether this process does it now."""
        return duty in self._leading

    def note(self) -> str | None:
        """What an operator should know: the duties this process stands by for."""
        waiting = [duty.name for duty in self._duties if duty.name not in self._leading]
        return f"stands by for: {', '.join(waiting)}" if waiting else None

    # -- inside --------------------------------------------------------------------------------------------------

    async def _stand(self, duty: Duty) -> None:
        while True:
            # The one broad catch of this loop: whatever ends a term, the next one may come.
            try:
                hold = await asyncio.to_thread(
                    self._records.hold, lock_of(duty.name), f"aiprism {duty.name} {self._name}"
                )
                if hold is not None:
                    await self._term(duty, hold)
            except Unavailable as error:
                log.warning("leadership.no_database", duty=duty.name, error=str(error))
            except Exception:
                log.exception("leadership.failed", duty=duty.name)
            await self._clock.sleep(self._pace.heartbeat)

    async def _term(self, duty: Duty, hold: Hold) -> None:
        """From getting the lock to losing it."""
        try:
            for _ in range(round(self._pace.takeover / self._pace.heartbeat)):
                await self._clock.sleep(self._pace.heartbeat)
                if not await self._held(hold):
                    return
            await self._begin(duty)
            while await self._held(hold):
                await self._clock.sleep(self._pace.heartbeat)
            log.error("leadership.lost", duty=duty.name)
        finally:
            await self._end(duty)
            await asyncio.to_thread(hold.release)

    async def _held(self, hold: Hold) -> bool:
        # Not `wait_for`, which in Python 3.11 forgets that it was cancelled when the answer came in the same moment: this task
        # would lead on, and whoever stops it wait for ever.
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self._pace.lost):
                await asyncio.to_thread(hold.confirm)
            return True
        return False

    async def _begin(self, duty: Duty) -> None:
        self._leading.add(duty.name)
        await duty.start()
        self._telemetry.leads(duty.name, leading=True)
        log.info("leadership.begun", duty=duty.name, process=self._name)

    async def _end(self, duty: Duty) -> None:
        if duty.name not in self._leading:
            return
        await duty.stop()
        self._leading.discard(duty.name)
        self._telemetry.leads(duty.name, leading=False)
        log.info("leadership.ended", duty=duty.name, process=self._name)


def lock_of(duty: str) -> int:
    """The number of a duty's lock."""
    return zlib.crc32(f"aiprism duty {duty}".encode()) & 0x7FFFFFFF

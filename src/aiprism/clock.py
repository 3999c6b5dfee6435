"""Time as an argument: whoever needs now or sleep is handed a Clock.

`SystemClock` is the wall clock; `FakeClock` is the one tests drive by hand. Seconds are Unix seconds (float) everywhere
in aiprism unless a name ends in `_ms` or `_ns`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> float:
        """Unix seconds; an administrator or NTP may set them back or forth."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward, to measure how long something takes; their zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...


class SystemClock:
    """The wall clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that moves only when told; sleepers wake in order of their deadlines.

    >>> clock = FakeClock(100.0)
    >>> asyncio.run(clock.advance(5))
    >>> clock.now()
    105.0
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._set_by = 0.0  # how far the wall clock was set, all in all
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now + self._set_by

    def monotonic(self) -> float:
        return self._now

    @property
    def sleeping(self) -> int:
        """How many sleep on it now; who was cancelled does not."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def jump(self, seconds: float) -> None:
        """Set the wall clock by `seconds`, back or forth; no time passes."""
        self._set_by += seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking each sleeper at its own deadline and letting it run before the next."""
        until = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            if not future.done():
                future.set_result(None)
            await _let_others_run()
        self._now = until
        await _let_others_run()


async def _let_others_run() -> None:
    # A woken task may itself wake others; a handful of turns settles chains without depending on real time.
    for _ in range(10):
        await asyncio.sleep(0)

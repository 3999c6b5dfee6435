"""The loop that lets time pass: validation periods, missed deadlines and the steps after them, daily digests.

In: a clock, and a bell that rings when something happened to an incident. Out: calls of `Respond.check`, `check_due` and
`digest.tell_due`, which decide and write. When the next deadline is stands in the control database: it is slept until, to
the moment, and a loop that begins after a restart goes on with what the former one waited for.
"""

from __future__ import annotations

import asyncio
import math

import structlog

from aiprism.clock import Clock
from aiprism.respond.bell import Bell
from aiprism.respond.digest import tell_due
from aiprism.respond.pipeline import Respond

log = structlog.get_logger()

_SHORTEST = 0.05  # seconds between looks, whatever rings
_AGAIN = 5.0  # after a failure


class Watch:
    """Watches as long as `run` runs; every `interval` seconds it looks at all open incidents, also those nothing is due of."""

    def __init__(self, respond: Respond, clock: Clock, interval: float) -> None:
        self._respond, self._clock, self._interval = respond, clock, interval
        self._bell = Bell()
        respond.on_work(self._bell.ring)

    async def run(self) -> None:
        """Watch until cancelled. What is configured may have changed since the last run, so everything is looked at first."""
        everything = -math.inf
        while True:
            # The one broad catch of this loop: a database that is away comes back.
            try:
                if self._clock.monotonic() >= everything:
                    await asyncio.to_thread(self._respond.check)
                    everything = self._clock.monotonic() + self._interval
                due = await asyncio.to_thread(self._respond.check_due)
                digest = await asyncio.to_thread(tell_due, self._respond, self._clock.now())
                next_ = min((at for at in (due, digest) if at is not None), default=math.inf)
                wait = min(everything - self._clock.monotonic(), next_ - self._clock.now())
            except Exception:
                log.exception("incident.check_failed")
                wait = _AGAIN
            await self._bell.wait(self._clock, max(wait, _SHORTEST))

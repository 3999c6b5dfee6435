"""The loop that looks at aggregation groups when they are due.

In: a clock, and a bell that rings when alerts came in. Out: calls of `Respond.flush`, which decides and writes. The times
are in the control database: a loop that begins after a restart goes on with what the former one waited for.
"""

from __future__ import annotations

import asyncio

import structlog

from aiprism.clock import Clock
from aiprism.respond.bell import Bell
from aiprism.respond.pipeline import Respond

log = structlog.get_logger()

_LONGEST = 30.0  # seconds between looks when nothing rings
_AGAIN = 5.0  # after a failure


class Dispatch:
    """Flushes groups as long as `run` runs."""

    def __init__(self, respond: Respond, clock: Clock) -> None:
        self._respond, self._clock = respond, clock
        self._bell = Bell()
        respond.on_work(self._bell.ring)

    async def run(self) -> None:
        """Dispatch until cancelled. Routes may have changed since the last run, so groups are made anew first."""
        begin = self._respond.regroup
        while True:
            # The one broad catch of this loop: a database that is away comes back.
            try:
                await asyncio.to_thread(begin)
                begin = _nothing
                due = await asyncio.to_thread(self._respond.flush)
                wait = due - self._clock.now()
            except Exception:
                log.exception("dispatch.failed")
                wait = _AGAIN
            if wait > 0:
                await self._bell.wait(self._clock, min(wait, _LONGEST))


def _nothing() -> None:
    """Groups are made anew once."""

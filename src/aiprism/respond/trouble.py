"""Why a run that is under way must stop: a person ends it, or acting makes things worse.

In: a run, a way to ask PromQL and a way to read what people said. Out: the reason, as soon as there is one. A query that cannot
be asked is no reason, and what was as bad before the run began is not of its making: it counts from when it was over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import structlog

from aiprism.clock import Clock
from aiprism.errors import AiprismError
from aiprism.respond.bell import Bell
from aiprism.respond.runs import Run

log = structlog.get_logger()

Asked: TypeAlias = Callable[[Run, str], Awaitable[Sequence[tuple[Mapping[str, str], float]]]]
"""The vector a query of a run's runbook gives now."""

_EVERY = 5.0


class Trouble:
    """What `run` is watched for. `said` reads, blocking, why a person ends it, empty while nobody does; who says so rings the
    bell."""

    def __init__(self, run: Run, asked: Asked, said: Callable[[], str], clock: Clock, bell: Bell) -> None:
        self._run, self._asked, self._said, self._clock, self._bell = run, asked, said, clock, bell
        verify = run.runbook.verify
        self._query = verify.worse if verify else ""
        self._every = verify.every if verify else _EVERY
        self._armed = not run.row["data"].get("worse_before")

    async def now(self) -> str:
        """The reason there is now, or an empty string."""
        return await asyncio.to_thread(self._said) or await self._worse()

    async def comes(self) -> str:
        """Return once there is a reason."""
        while True:
            await self.rest(self._every)
            try:
                if found := await self.now():
                    return found
            except Exception:  # the database is away for a moment: no reason to cut off what acts
                log.exception("runbook.watch_failed", run=self._run.id)

    async def rest(self, seconds: float) -> None:
        """Return after that time, or as soon as a person ended it."""
        await self._bell.wait(self._clock, seconds)

    async def _worse(self) -> str:
        if not self._query:
            return ""
        try:
            found = await self._asked(self._run, self._query)
        except AiprismError:
            return ""
        if not found:
            self._armed = True
            return ""
        return f"it got worse: {self._run.query(self._query)} ({found[0][1]:.4g})" if self._armed else ""

"""Series that other processes write: looked for in the table `series` every few seconds, so that queries here find them.

In: an engine, a series index. Out: an index that knows every series of the database, late by at most `RECENT_EVERY`
seconds for samples of about now and `ALL_EVERY` seconds for older ones. An embedded store has one writer and needs none
of this.
"""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import structlog

from aiprism.clock import Clock
from aiprism.errors import AiprismError
from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.store.series import Seen, SeriesIndex
from aiprism.store.seriesload import learn_corrections, learn_native

log = structlog.get_logger()

RECENT_EVERY = 2.0
ALL_EVERY = 60.0
# A row is written before the look that finds it began, by a clock that may go otherwise, of samples that were on the way.
SLACK_MS = 120_000
_AT_ONCE = 10_000

_ROWS = """
SELECT fp, toUnixTimestamp64Milli(min(first_ts)) AS first_ms, toUnixTimestamp64Milli(max(last_ts)) AS last_ms
FROM series WHERE last_ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') GROUP BY fp
"""
_LABELS = "SELECT fp, anyLast(labels) FROM series WHERE fp IN {fps:Array(UInt64)} GROUP BY metric, fp"


class Following:
    """Keeps `index` up with the database from `start()` to `stop()`."""

    def __init__(self, engine: Engine, index: SeriesIndex, clock: Clock) -> None:
        self._engine, self._index, self._clock = engine, index, clock
        self._task: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._looked_at_all = clock.now()

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._loop(), name="follow series")

    async def stop(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            await self._clock.sleep(RECENT_EVERY)
            with contextlib.suppress(
                AiprismError
            ):  # the store is away: readiness tells, and the next look finds it all
                await self._engine.run(self.look)

    def look(self) -> int:
        """Make known what was written since the last look; how many series were new."""
        now = self._clock.now()
        everything = now - self._looked_at_all >= ALL_EVERY
        since = 0 if everything else round(self._looked * 1000) - SLACK_MS
        rows = self._engine.arrow(_ROWS, {"since": since})
        fps, first, last = (rows.column(name).to_numpy() for name in ("fp", "first_ms", "last_ms"))
        unknown = fps[self._index.find(fps) < 0]
        for start in range(0, len(unknown), _AT_ONCE):
            self._admit(unknown[start : start + _AT_ONCE], now)
        seen = Seen(self._index.find(fps), first, last)
        seen = seen.only(seen.positions >= 0)
        self._index.registered(seen)
        self._index.see(seen, 0.0 if everything else now)
        learn_corrections(self._index, self._engine, since / 1000)
        learn_native(self._index, self._engine, since)
        self._looked = now
        if everything:
            self._looked_at_all = now
        if len(unknown):
            log.debug("series.followed", new=len(unknown))
        return len(unknown)

    def _admit(self, fps: np.ndarray, now: float) -> None:
        found = self._engine.query(_LABELS, {"fps": f"[{','.join(map(str, fps.tolist()))}]"})
        self._index.admit([Labels(dict(labels)) for _, labels in found], now)

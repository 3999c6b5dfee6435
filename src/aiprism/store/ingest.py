"""Group commit: an acknowledged request is a stored request (decision D3).

Each signal has one `GroupCommit`: what arrives waits a moment for others, one INSERT stores them all, then each sender
gets its answer. When the INSERT fails because of what is in it, it is halved until the bad item stands alone, so that
only that one is refused. When the store is away the same INSERT is repeated under the same deduplication token, and if
that does not help the senders are told to come again. Nothing waits without a bound.

    GroupCommit.put(item, size) → queue → _commit → write(items, token) → future of each sender
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from aiprism.clock import Clock, SystemClock
from aiprism.config import IngestConfig
from aiprism.errors import BadInput, StoreError, Unavailable
from aiprism.telemetry import Telemetry

log = structlog.get_logger()

Item = TypeVar("Item")

# A store that hiccups gets this many more tries of the same INSERT; a sender waits no longer than their sum.
RETRY_PAUSES = (0.1, 0.4, 1.5)

# p99 of an acknowledgement is to stay below a second.
LONGEST_LINGER = 0.5

# An INSERT of this many bytes costs by its rows, no longer by being an INSERT: it need not wait.
WORTHWHILE_BYTES = 2 * 1024 * 1024


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    item: Item
    size: int
    done: asyncio.Future[None]


class GroupCommit(Generic[Item]):
    """The queue before one table. `write(items, token)` must store all of `items` or raise, and be idempotent by token."""

    def __init__(
        self,
        stage: str,
        write: Callable[[Sequence[Item], str], Awaitable[None]],
        config: IngestConfig,
        telemetry: Telemetry,
        clock: Clock | None = None,
        fault: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._stage, self._write, self._config, self._telemetry = stage, write, config, telemetry
        self._worthwhile = min(WORTHWHILE_BYTES, config.batch_bytes)
        self._fault = fault  # why nothing can be stored just now (a full disk), None when all is well
        self._clock = clock or SystemClock()
        self._queue: deque[_Waiting[Item]] = deque()
        self._queued = 0  # bytes in `_queue`
        self._bytes = 0  # of everything not yet answered, the INSERT under way included
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._next_insert = -math.inf  # when the next INSERT may begin though little waits

    def start(self) -> None:
        """Begin committing."""
        self._task = asyncio.create_task(self._run(), name=f"commit-{self._stage}")

    async def stop(self) -> None:
        """Take nothing more, commit what waits, then return."""
        self._closing = True
        self._arrived.set()
        self._enough.set()
        if self._task:
            await self._task

    async def put(self, item: Item, size: int, count: int) -> None:
        """Return once `item` (`size` bytes, `count` spans, records or samples) is stored.

        Raises BadInput when the store cannot take this very item, Unavailable when the queue is full or the store away.
        """
        if self._closing:
            self._telemetry.dropped(self._stage, "stopping", count)
            raise Unavailable("aiprism is stopping; send this again in a moment", retry_after=2)
        if reason := self._fault():
            self._telemetry.dropped(self._stage, "store_unavailable", count)
            raise Unavailable(f"nothing can be stored now: {reason}", retry_after=10)
        if self._bytes + size > self._config.queue_bytes and self._bytes:
            self._telemetry.dropped(self._stage, "queue_full", count)
            raise Unavailable(
                f"more than {self._config.queue_bytes} bytes wait to be stored (ingest.queue_bytes); send this again later",
                retry_after=2,
            )
        waiting = _Waiting(item, size, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued += size
        self._count(size)
        self._arrived.set()
        if self._queued >= self._worthwhile:
            self._enough.set()
        try:
            # Shielded: a sender that hangs up must not take its neighbours' INSERT with it.
            await asyncio.shield(waiting.done)
        except BadInput:
            self._telemetry.dropped(self._stage, "refused_by_store", count)
            raise
        except Unavailable:
            self._telemetry.dropped(self._stage, "store_unavailable", count)
            raise
        self._telemetry.passed(self._stage, count)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._queue and self._closing:
                return
            await self._linger()
            batch = self._take()
            if batch:
                await self._commit(batch)

    async def _linger(self) -> None:
        if self._closing or self._enough.is_set():
            return
        pause = self._next_insert - self._clock.monotonic()
        if pause <= 0:
            await asyncio.sleep(0)  # whoever sent at the same time goes along
            return
        waited = asyncio.ensure_future(self._clock.sleep(pause))
        enough = asyncio.ensure_future(self._enough.wait())
        _, left = await asyncio.wait((waited, enough), return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()

    def _pause(self, last_insert: float) -> float:
        # A lone request is stored at once. A trickle of small ones must not keep a core busy with INSERTs, whose cost hardly
        # depends on their size: the next waits for company, the longer the more the last one took.
        return max(self._config.linger, min(LONGEST_LINGER, 3 * last_insert))

    def _take(self) -> list[_Waiting[Item]]:
        size = 0
        batch: list[_Waiting[Item]] = []
        while self._queue and (not batch or size + self._queue[0].size <= self._config.batch_bytes):
            batch.append(self._queue.popleft())
            size += batch[-1].size
        self._queued -= size
        if self._queued < self._worthwhile:
            self._enough.clear()
        if not self._queue and not self._closing:
            self._arrived.clear()
        return batch

    async def _commit(self, batch: list[_Waiting[Item]]) -> None:
        try:
            await self._store(batch)
        except StoreError as error:
            if len(batch) > 1:
                # Something in it is bad. Halve it until the bad one stands alone: what is good must not suffer.
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
                return
            log.warning("store.refused", stage=self._stage, error=str(error))
            self._answer(batch, BadInput(f"the store cannot take this: {error}"))
        except Unavailable as error:
            self._answer(batch, error)
        except Exception as error:  # the rim: an unforeseen failure must answer its senders, not end the loop
            log.exception("store.failed", stage=self._stage)
            self._answer(batch, Unavailable(f"storing failed: {type(error).__name__}"))
        else:
            self._answer(batch, None)

    async def _store(self, batch: list[_Waiting[Item]]) -> None:
        token, items = uuid.uuid4().hex, [waiting.item for waiting in batch]
        for pause in (*(() if self._closing else RETRY_PAUSES), None):
            started = self._clock.monotonic()
            try:
                await self._write(items, token)
            except Unavailable as error:
                if pause is None:
                    raise
                log.warning("store.retry", stage=self._stage, error=str(error))
                await self._clock.sleep(pause)
            else:
                ended = self._clock.monotonic()
                self._telemetry.took(self._stage, ended - started)
                self._next_insert = ended + self._pause(ended - started)
                return

    def _answer(self, batch: list[_Waiting[Item]], error: Exception | None) -> None:
        for waiting in batch:
            self._count(-waiting.size)
            if waiting.done.done():
                continue
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)
                waiting.done.exception()  # a sender that hung up will never look; that is no "never retrieved" warning

    def _count(self, size: int) -> None:
        self._bytes += size
        self._telemetry.waiting(self._stage, self._bytes)

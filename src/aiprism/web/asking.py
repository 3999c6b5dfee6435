"""What the doors of our own API share: times and limits as parameters, and how an answer is computed, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request

from aiprism.clock import Clock
from aiprism.errors import BadInput, Cancelled
from aiprism.model.search import Condition
from aiprism.model.signals import Signal
from aiprism.model.timerange import TimeRange
from aiprism.query import saved
from aiprism.web.turns import Turns

STAGE = "query.explore"
SECONDS = 120.0  # what one answer may take
T = TypeVar("T")

MOST_ATTRIBUTES = 20
MAX_SECONDS = 9e9  # the year 2255: what DateTime64 of nanoseconds can hold

Limit = Annotated[int, Query(ge=1, le=10_000, description="most rows of the answer")]
Start = Annotated[float | None, Query(description="Unix seconds; default one hour before the end")]
InArchive = Annotated[bool, Query(description="search the archived days of the range, too")]
End = Annotated[float | None, Query(description="Unix seconds; default now")]


async def meant(asked: Condition, find: saved.Find, signal: Signal) -> Condition:
    """A condition with saved searches in the places that refer to them; they are looked for beside the event loop."""
    if not any(saved.names_in(asked)):
        return asked
    return await asyncio.to_thread(saved.resolved, asked, find, signal)


def check_attributes(parameter: str, count: int) -> None:
    """BadInput for more attributes than are looked for at a time: three hundred of them took seconds of a single span."""
    if count > MOST_ATTRIBUTES:
        raise BadInput(f"{parameter}: {count} are too many: {MOST_ATTRIBUTES} are looked for at a time")


Answering = Callable[[Request, Callable[[], T]], Awaitable[T]]


def answering(turns: Turns, seconds: float) -> Answering[Any]:
    """How a door answers: at once, in so many seconds, as long as its client listens."""

    async def answer(request: Request, compute: Callable[[], T]) -> T:
        return await turns.at_once(request, lambda question: compute(), seconds, stage=STAGE)

    return answer


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: asyncio.Future[Any]
    until: float


class Repeated:
    """Questions that many ask within a moment, as fifty pages do that look at the same hour: each is worked out once for all."""

    def __init__(self, clock: Clock, *, seconds: float = 5.0, most: int = 16) -> None:
        self._clock, self._seconds, self._most = clock, seconds, most
        self._kept: dict[Hashable, _Kept] = {}

    async def answer(self, question: Hashable, work_out: Callable[[], Awaitable[T]]) -> T:
        """What `work_out` gives, or gave to somebody who asked the same some seconds ago. Its error is everybody's who waits for
        it; when the one for whom it is worked out hangs up, it is worked out for the next."""
        while kept := self._still(question):
            try:
                answer: T = await asyncio.shield(kept.answer)
            except asyncio.CancelledError:
                if not kept.answer.cancelled():
                    raise  # who asks here has hung up
            else:
                return answer
        return await self._worked_out(question, work_out)

    def _still(self, question: Hashable) -> _Kept | None:
        now = self._clock.monotonic()
        for each, kept in list(self._kept.items()):
            if kept.answer.done() and kept.until <= now:
                del self._kept[each]
        return self._kept.get(question)

    async def _worked_out(self, question: Hashable, work_out: Callable[[], Awaitable[T]]) -> T:
        kept = _Kept(asyncio.get_running_loop().create_future(), self._clock.monotonic() + self._seconds)
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = kept
        try:
            found = await work_out()
        except BaseException as error:
            if self._kept.get(question) is kept:
                del self._kept[question]
            if isinstance(error, Cancelled | asyncio.CancelledError):
                kept.answer.cancel()
            else:
                kept.answer.set_exception(error)
                kept.answer.exception()  # also where nobody waits for it
            raise
        kept.answer.set_result(found)
        return found


def range_of(clock: Clock, start: float | None, end: float | None) -> TimeRange:
    """What a request means that may leave out both: the last hour."""
    until = clock.now() if end is None else end
    since = until - 3600 if start is None else start
    if not -MAX_SECONDS < since <= until < MAX_SECONDS and not since > until:
        raise BadInput(f"start {since} and end {until} are no times: Unix seconds are expected")
    if since > until:
        raise BadInput(f"start {since} lies after end {until}")
    return TimeRange(since, until)


def nice_step(seconds: float) -> float:
    """The next step that people count in.

    >>> nice_step(61), nice_step(0.3), nice_step(4000)
    (120, 1, 7200)
    """
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
    return next((step for step in steps if step >= seconds), -(-seconds // 86_400) * 86_400)

"""Whose question is answered next, and which one nobody waits for any more.

In: a request and what is to be computed for it in the store's threads. Out: its answer. So many questions are at work at a
time and so many more wait for their turn, in the order in which they came; the next one is sent away. When the client
hangs up, its question loses its place; one at work ends between two steps, and the statement it waits for is ended in the
engine. Every question is counted at the stage of its door: answered, or not and why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from fastapi import Request

from aiprism.errors import AiprismError, Cancelled, LimitExceeded, Refused, TimedOut, Unavailable
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.telemetry import Telemetry

STAGE = "query.promql"
T = TypeVar("T")
Work = Callable[[Question, Callable[[Question], T]], Coroutine[Any, Any, T]]

# Most answers are there before it pays to watch the connection.
_UNWATCHED_SECONDS = 0.05
# A statement may begin just after its question was given up; it is looked for again after this time.
_AGAIN_SECONDS = 0.1


class Turns:
    """Questions to one store: `at_once` at work, `waiting` more in line."""

    def __init__(
        self, engine: Engine, telemetry: Telemetry | None = None, *, at_once: int = 4, waiting: int = 128
    ) -> None:
        self._engine, self._telemetry = engine, telemetry or Telemetry()
        self._at_once, self._most_waiting = at_once, waiting
        self._free = asyncio.Semaphore(at_once)
        self._waiting = self._working = 0
        self._telemetry.asked_now("waiting", lambda: self._waiting)
        self._telemetry.asked_now("working", lambda: self._working)

    async def answer(
        self,
        request: Request,
        compute: Callable[[Question], T],
        seconds: float,
        *,
        stage: str = STAGE,
        among: asyncio.Semaphore | None = None,
    ) -> T:
        """What `compute` makes of a question that may take `seconds`, its wait included. Of those `among` which it is, so many
        have a turn at a time.

        Raises Cancelled when the client has hung up, Unavailable when too many wait, TimedOut, and what `compute` raises.
        """
        return await self._counted(request, partial(self._in_turn, among=among), compute, seconds, stage)

    async def at_once(self, request: Request, compute: Callable[[Question], T], seconds: float, *, stage: str) -> T:
        """As `answer`, of what need not wait for its turn: it is not PromQL, and small or bounded otherwise."""
        return await self._counted(request, self._at_work, compute, seconds, stage)

    async def _counted(
        self, request: Request, work: Work[T], compute: Callable[[Question], T], seconds: float, stage: str
    ) -> T:
        began, question = time.monotonic(), Question(seconds, mark=uuid4().hex)
        try:
            found = await self._watched(request, question, work(question, compute))
        except AiprismError as error:
            self._telemetry.dropped(stage, _reason(error))
            raise
        self._telemetry.passed(stage)
        self._telemetry.took(stage, time.monotonic() - began)
        return found

    async def _watched(self, request: Request, question: Question, answer: Coroutine[Any, Any, T]) -> T:
        work = asyncio.create_task(answer)
        try:
            done, _ = await asyncio.wait({work}, timeout=_UNWATCHED_SECONDS)
            if not done:
                await self._until_answered_or_alone(request, work, question)
            return await work
        except asyncio.CancelledError:
            question.give_up()
            work.cancel()
            raise

    async def _until_answered_or_alone(self, request: Request, work: asyncio.Task[T], question: Question) -> None:
        alone = asyncio.create_task(_hung_up(request))
        try:
            await asyncio.wait({work, alone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            alone.cancel()
        if work.done():
            return
        question.give_up()
        while not work.done():
            if question.waited is None:
                work.cancel()
                raise Cancelled("the query was cancelled while it waited for its turn: who asked has hung up")
            # Not in the store's threads: they may all be at work.
            await asyncio.to_thread(self._engine.end, question.mark)
            await asyncio.wait({work}, timeout=_AGAIN_SECONDS)

    async def _in_turn(
        self, question: Question, compute: Callable[[Question], T], *, among: asyncio.Semaphore | None
    ) -> T:
        places = [self._free] if among is None else [among, self._free]
        async with AsyncExitStack() as held:
            await self._wait(question, places, held)
            self._working += 1
            try:
                return await self._engine.run(self._asked, compute, question)
            finally:
                self._working -= 1

    async def _at_work(self, question: Question, compute: Callable[[Question], T]) -> T:
        question.waited = 0.0
        return await self._engine.run(self._asked, compute, question)

    def _asked(self, compute: Callable[[Question], T], question: Question) -> T:
        with self._engine.asked_by(question):
            return compute(question)

    async def _wait(self, question: Question, places: Sequence[asyncio.Semaphore], held: AsyncExitStack) -> None:
        if any(each.locked() for each in places) and self._waiting >= self._most_waiting:
            raise Unavailable(
                f"{self._at_once} queries are at work (query.concurrency) and {self._waiting} wait for their turn "
                "(query.waiting); come again"
            )
        came = time.monotonic()
        self._waiting += 1
        try:
            async with asyncio.timeout(question.left()):
                for each in places:
                    await held.enter_async_context(each)
        except TimeoutError:
            raise TimedOut(
                f"the query waited {question.seconds:g} s for its turn (limit timeout): {self._at_once} at work "
                "at a time (query.concurrency)"
            ) from None
        finally:
            self._waiting -= 1
        question.waited = time.monotonic() - came


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _reason(error: AiprismError) -> str:
    match error:
        case Cancelled():
            return "cancelled"
        case TimedOut():
            return "timeout"
        case Unavailable():
            return "unavailable"
        case LimitExceeded():
            return "limit"
        case Refused():
            return "refused"
        case _:
            return "failed"

"""What many ask within a moment is worked out once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aiprism.clock import FakeClock
from aiprism.errors import BadInput, Cancelled
from aiprism.web.asking import Repeated


class Work:
    """Answers that are given once they are told, and counted."""

    def __init__(self) -> None:
        self.begun = 0
        self.again = asyncio.Event()
        self.next: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        if self.begun > 1:
            self.again.set()
        self.next = asyncio.get_running_loop().create_future()
        return await self.next


async def asked(repeated: Repeated, work: Callable[[], Awaitable[str]], *questions: object) -> list[asyncio.Task[str]]:
    """The questions, all of which wait."""
    waiting = [asyncio.ensure_future(repeated.answer(each, work)) for each in questions]
    await asyncio.sleep(0)
    return waiting


def test_what_is_asked_while_it_is_worked_out_or_some_seconds_later_is_worked_out_once() -> None:
    async def scene() -> None:
        clock = FakeClock()
        repeated, work = Repeated(clock, seconds=5), Work()
        waiting = await asked(repeated, work, "hour", "hour")
        work.next.set_result("first")
        assert await asyncio.gather(*waiting) == ["first", "first"]
        await clock.advance(4.9)
        assert await repeated.answer("hour", work) == "first"
        await clock.advance(0.1)
        waiting = await asked(repeated, work, "hour")
        work.next.set_result("second")
        assert (await waiting[0], work.begun) == ("second", 2)

    asyncio.run(scene())


def test_when_the_one_it_is_worked_out_for_hangs_up_it_is_worked_out_for_the_next() -> None:
    async def scene() -> None:
        repeated, work = Repeated(FakeClock()), Work()
        first, *others = await asked(repeated, work, "hour", "hour", "hour")
        work.next.set_exception(Cancelled("who asked has hung up"))
        with pytest.raises(Cancelled):
            await first
        await work.again.wait()
        others.pop().cancel()
        work.next.set_result("told")
        assert (await others[0], work.begun) == ("told", 2)

    asyncio.run(scene())


def test_an_error_is_told_to_all_who_wait_and_not_kept() -> None:
    async def scene() -> None:
        repeated, work = Repeated(FakeClock()), Work()
        waiting = await asked(repeated, work, "hour", "hour")
        work.next.set_exception(BadInput("no"))
        assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [BadInput, BadInput]
        waiting = await asked(repeated, work, "hour")
        work.next.set_result("now")
        assert await waiting[0] == "now"

    asyncio.run(scene())


def test_no_more_is_kept_than_so_many_answers() -> None:
    async def scene() -> None:
        repeated, begun = Repeated(FakeClock(), most=2), []

        def worked(question: str) -> Callable[[], Awaitable[str]]:
            async def work() -> str:
                begun.append(question)
                return question

            return work

        for each in ("a", "b", "c", "c", "b", "a"):
            assert await repeated.answer(each, worked(each)) == each
        assert begun == ["a", "b", "c", "a"]

    asyncio.run(scene())

"""Group commit (D3): stored exactly what is good, acknowledged exactly what is stored, refused clearly otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.config import IngestConfig
from aiprism.errors import BadInput, StoreError, Unavailable
from aiprism.store.ingest import LONGEST_LINGER, GroupCommit
from aiprism.telemetry import Telemetry


class Table:
    """A table that refuses rows called bad…, and is away while `away` is positive."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.inserts: list[list[str]] = []
        self.tokens: list[str] = []
        self.away = 0

    async def write(self, items: Sequence[str], token: str) -> None:
        self.tokens.append(token)
        if self.away:
            self.away -= 1
            raise Unavailable("the table is away")
        if any(item.startswith("bad") for item in items):
            raise StoreError("cannot parse", code=33)
        self.inserts.append(list(items))
        self.rows += items


async def put_all(table: Table, items: Sequence[str], config: IngestConfig | None = None) -> list[BaseException | None]:
    clock = FakeClock()
    commit = GroupCommit("store.test", table.write, config or IngestConfig(), Telemetry(), clock)
    commit.start()
    puts = [asyncio.ensure_future(commit.put(item, len(item), 1)) for item in items]
    while not all(put.done() for put in puts):
        await clock.advance(0.5)
    await commit.stop()
    return [put.exception() for put in puts]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=20))
def test_exactly_the_good_bodies_are_stored_and_acknowledged(bodies: list[tuple[bool, int]]) -> None:
    table, items = Table(), [f"{'good' if good else 'bad'}-{at}-{n}" for at, (good, n) in enumerate(bodies)]
    answers = asyncio.run(put_all(table, items))
    assert sorted(table.rows) == sorted(item for item in items if item.startswith("good"))
    assert [answer is None for answer in answers] == [item.startswith("good") for item in items]
    assert all(isinstance(answer, BadInput) for answer in answers if answer)


def test_what_arrives_together_shares_one_insert() -> None:
    table = Table()
    asyncio.run(put_all(table, ["a", "b", "c"]))
    assert table.inserts == [["a", "b", "c"]]


def test_a_batch_is_never_larger_than_its_bound() -> None:
    table = Table()
    asyncio.run(put_all(table, ["aaaa", "bbbb", "cccc"], IngestConfig(batch_bytes=8)))
    assert table.inserts == [["aaaa", "bbbb"], ["cccc"]]


def test_a_store_that_hiccups_gets_the_same_insert_under_the_same_token() -> None:
    table = Table()
    table.away = 2
    assert asyncio.run(put_all(table, ["a"])) == [None]
    assert table.rows == ["a"]
    assert len(table.tokens) == 3
    assert len(set(table.tokens)) == 1


def test_a_store_that_stays_away_is_an_unavailable_for_every_sender() -> None:
    table = Table()
    table.away = 99
    answers = asyncio.run(put_all(table, ["a", "b"]))
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert table.rows == []


def test_a_full_queue_refuses_with_the_name_of_the_limit() -> None:
    async def story() -> None:
        commit = GroupCommit("store.test", Table().write, IngestConfig(queue_bytes=10), Telemetry(), FakeClock())
        first = asyncio.ensure_future(commit.put("x" * 8, 8, 1))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match=r"ingest\.queue_bytes"):
            await commit.put("y" * 8, 8, 1)
        first.cancel()

    asyncio.run(story())


def test_a_full_disk_refuses_before_anything_waits() -> None:
    async def story() -> None:
        commit = GroupCommit("store.test", Table().write, IngestConfig(), Telemetry(), fault=lambda: "the disk is full")
        with pytest.raises(Unavailable, match="the disk is full"):
            await commit.put("x", 1, 1)

    asyncio.run(story())


def test_a_sender_that_hangs_up_takes_nobody_with_it() -> None:
    async def story() -> Table:
        table, clock = Table(), FakeClock()
        commit = GroupCommit("store.test", table.write, IngestConfig(), Telemetry(), clock)
        commit.start()
        gone = asyncio.ensure_future(commit.put("gone", 4, 1))
        stays = asyncio.ensure_future(commit.put("stays", 5, 1))
        await asyncio.sleep(0)
        gone.cancel()
        while not stays.done():
            await clock.advance(0.5)
        await commit.stop()
        return table

    assert "stays" in asyncio.run(story()).rows


def test_stopping_commits_what_waits_and_takes_nothing_more() -> None:
    async def story() -> Table:
        table = Table()
        commit = GroupCommit("store.test", table.write, IngestConfig(), Telemetry(), FakeClock())
        commit.start()
        waiting = asyncio.ensure_future(commit.put("last", 4, 1))
        await asyncio.sleep(0)
        await commit.stop()
        await waiting
        with pytest.raises(Unavailable, match="stopping"):
            await commit.put("late", 4, 1)
        return table

    assert asyncio.run(story()).rows == ["last"]


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wall_clock_that_jumps_holds_nothing_up(hours: int) -> None:
    telemetry = Telemetry()

    async def story() -> Table:
        table, clock = Table(), FakeClock()
        commit = GroupCommit("store.test", table.write, IngestConfig(), telemetry, clock)
        commit.start()
        for item in ("before", "after"):
            waiting = asyncio.ensure_future(commit.put(item, 1, 1))
            await asyncio.sleep(0)
            clock.jump(hours * 3600)  # while it lingers
            begun = clock.monotonic()
            while not waiting.done():
                await clock.advance(0.1)
            assert clock.monotonic() - begun <= 2 * LONGEST_LINGER
        await commit.stop()
        return table

    assert asyncio.run(story()).rows == ["before", "after"]
    sums = [line for line in telemetry.exposition().decode().splitlines() if line.startswith("aiprism_stage_duration")]
    [total] = [line.split()[-1] for line in sums if "_sum" in line and "store.test" in line]
    assert 0 <= float(total) < 1

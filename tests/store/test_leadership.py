"""One process for each duty, on a real PostgreSQL; on SQLite there is only one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aiprism.clock import SystemClock
from aiprism.store.leadership import Duty, Leadership, Pace, lock_of
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from tests.lab.servers import postgresql

pytestmark = pytest.mark.anyio

QUICK = Pace(heartbeat=0.05, lost=2.0, takeover=0.1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Done:
    """A duty that writes down what happens to it."""

    def __init__(self, who: str, log: list[str]) -> None:
        self.who, self.log = who, log

    async def start(self) -> None:
        self.log.append(f"{self.who} starts")

    async def stop(self) -> None:
        self.log.append(f"{self.who} stops")


def process(records: Records, who: str, log: list[str]) -> tuple[Leadership, list[Duty]]:
    done = Done(who, log)
    return Leadership(records, SystemClock(), Telemetry(), name=who, pace=QUICK), [Duty("rules", done.start, done.stop)]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a lock of PostgreSQL rings no bell
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def two(server: str) -> Iterator[tuple[Records, Records]]:
    opened = Records.open(server), Records.open(server)
    yield opened
    for each in opened:
        each.close()


async def test_on_sqlite_the_one_process_leads_at_once(tmp_path: Path) -> None:
    log: list[str] = []
    leadership, duties = process(Records.open(f"sqlite:///{tmp_path / 'control.db'}"), "a", log)
    await leadership.start(duties)
    assert leadership.leads("rules")
    assert leadership.note() is None
    await leadership.stop()
    assert log == ["a starts", "a stops"]


async def test_one_of_two_leads_and_the_other_follows_when_it_stops(two: tuple[Records, Records]) -> None:
    log: list[str] = []
    (first, duties), (second, others) = process(two[0], "a", log), process(two[1], "b", log)
    await first.start(duties)
    await eventually(lambda: first.leads("rules"))
    await second.start(others)
    await eventually(lambda: second.note() == "stands by for: rules")
    await first.stop()
    await eventually(lambda: second.leads("rules"))
    await second.stop()
    assert log == ["a starts", "a stops", "b starts", "b stops"]


async def test_a_leader_whose_connection_is_lost_stops_before_the_next_begins(two: tuple[Records, Records]) -> None:
    log: list[str] = []
    (first, duties), (second, others) = process(two[0], "a", log), process(two[1], "b", log)
    await first.start(duties)
    await eventually(lambda: first.leads("rules"))
    await second.start(others)
    with two[0].begin() as connection:
        found = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aiprism rules a'"
        assert connection.execute(sa.text(found)).scalars().all() == [True]
    await eventually(lambda: len(log) == 3)
    assert log[:2] == ["a starts", "a stops"]
    await first.stop()
    await second.stop()


async def test_a_leader_stops_whenever_it_is_told_to(server: str) -> None:
    # Also in the moment in which PostgreSQL confirms its lock, which with such a pace is nearly always under way.
    records = Records.open(server)
    log: list[str] = []
    pace = Pace(heartbeat=1e-6, lost=2.0, takeover=0.0)
    for _ in range(80):
        done = Done("a", log)
        leadership = Leadership(records, SystemClock(), Telemetry(), name="a", pace=pace)
        await leadership.start([Duty("rules", done.start, done.stop)])
        await eventually(lambda: leadership.leads("rules"))  # noqa: B023
        async with asyncio.timeout(30):
            await leadership.stop()
    records.close()
    assert log == ["a starts", "a stops"] * 80


async def test_a_process_that_starts_while_another_leads_gets_no_lock(two: tuple[Records, Records]) -> None:
    held = two[0].hold(lock_of("rules"), "one")
    assert held is not None
    assert two[1].hold(lock_of("rules"), "two") is None
    other = two[1].hold(lock_of("respond"), "two")
    held.release()
    again = two[1].hold(lock_of("rules"), "two")
    assert other is not None
    assert again is not None
    other.release()
    again.release()

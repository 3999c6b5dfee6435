"""What has changed, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aiprism.clock import SystemClock
from aiprism.errors import Unavailable
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond import journal
from aiprism.respond.incident import Periods, opened
from aiprism.respond.journal import Written
from aiprism.store.records import Records
from aiprism.web import live
from aiprism.web.live import Live

ALERT = Alert(Labels({"alertname": "Down", "severity": "critical"}), Labels(), AlertState.FIRING, 1.0, 1000.0)


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records.open(f"sqlite:///{tmp_path / 'control.db'}")


def _open_an_incident(records: Records) -> None:
    incident, _effects = opened(ALERT, 1000.0, Periods())
    with records.begin() as connection:
        journal.write(connection, [Written(incident, [], None)])


async def _events(stream: AsyncIterator[bytes], topic: str) -> bytes:
    """What is sent up to the event of that topic."""
    seen = b""
    async with asyncio.timeout(60):
        async for part in stream:
            seen += part
            if f"event: {topic}\n".encode() in seen:
                return seen
    raise AssertionError(seen)


def test_every_listener_is_told_that_an_incident_was_opened(records: Records) -> None:
    async def listen() -> None:
        told = Live(records, SystemClock())
        streams = [told.changes() for _ in range(3)]
        waiting = [asyncio.create_task(_events(each, "incidents")) for each in streams]
        await _until(lambda: told.looks > 0)
        await asyncio.to_thread(_open_an_incident, records)
        for each in await asyncio.gather(*waiting):
            assert each.startswith(b"retry: ")
            assert b"event: alerts" not in each

    asyncio.run(listen())


def test_nobody_looks_while_nobody_listens(records: Records) -> None:
    async def leave() -> None:
        told = Live(records, SystemClock())
        stream = told.changes()
        await anext(stream)
        assert told.is_looking
        await stream.aclose()
        await _until(lambda: not told.is_looking)

    asyncio.run(leave())


def test_too_many_listeners_are_sent_away(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crowd() -> None:
        told = Live(records, SystemClock())
        stream = told.changes()
        await anext(stream)
        with pytest.raises(Unavailable, match="as many as may"):
            told.changes()
        await stream.aclose()

    monkeypatch.setattr(live, "_MOST", 1)
    asyncio.run(crowd())


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.02)

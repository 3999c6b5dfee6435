"""Whose question is next: a bounded number at work and in line, and none for a client that has hung up."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import httpx
import pytest
from fastapi import Request

from aiprism.clock import FakeClock
from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.store.schema import migrate
from aiprism.telemetry import Telemetry
from aiprism.web import asking, logs, prometheus, routes
from aiprism.web.turns import STAGE, Turns
from tests.query.promql.stocked import Stocked
from tests.web.serving import serving

# What reads samples is never done: only hanging up ends it, or its time.
_ENDLESS = """
    CREATE VIEW samples AS SELECT *, value FROM stored
    WHERE (SELECT max(sipHash64(number)) FROM numbers(1000000000000)) > 0
"""
_ENDLESS_LOGS = _ENDLESS.replace("*, value", "*, resource").replace("samples", "logs").replace("stored", "stored_logs")


@dataclass
class Asked:
    url: str
    engine: Engine
    telemetry: Telemetry

    def begin(self, query: str = "up", *, path: str = "/api/v1/query", **more: str) -> socket.socket:
        """Ask over a socket of our own, and do not wait for the answer."""
        target = urlsplit(self.url)
        opened = socket.create_connection((target.hostname, target.port), timeout=60)
        text = "&".join(f"{name}={quote(value)}" for name, value in {"query": query, **more}.items())
        opened.sendall(f"GET {path}?{text} HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n\r\n".encode())
        return opened

    def statements(self) -> int:
        """Statements under way that read samples."""
        [row] = self.engine.query(
            "SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND Settings['log_comment'] != ''"
        )
        return int(row[0])

    def queries(self, state: str) -> int:
        return int(self.telemetry.registry.get_sample_value("aiprism_queries", {"state": state}) or 0)

    def dropped(self, reason: str, stage: str = STAGE) -> int:
        labels = {"stage": stage, "reason": reason}
        return int(self.telemetry.registry.get_sample_value("aiprism_items_dropped_total", labels) or 0)


@pytest.fixture(scope="module")
def asked(chdb_url: str) -> Iterator[Asked]:
    engine = Engine.open(chdb_url, database=f"turns_{uuid.uuid4().hex}")
    migrate(engine)
    stocked = Stocked.on(engine)
    stocked.add([(Labels({"__name__": "up"}), [(0, 1.0)])])
    engine.command("RENAME TABLE samples TO stored")
    engine.command(_ENDLESS)
    engine.command("RENAME TABLE logs TO stored_logs")
    engine.command(_ENDLESS_LOGS)
    telemetry = Telemetry()
    turns = Turns(engine, telemetry, at_once=1, waiting=1)
    doors = [
        prometheus.router(stocked.promql, engine, FakeClock(1.0), turns),
        logs.router(engine, FakeClock(1e4), turns=turns, seconds=600),
    ]
    with serving(routes.build(doors, telemetry, checks={}, reload=_never)) as url:
        yield Asked(url, engine, telemetry)
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_hangs_up_ends_its_query_and_the_statement_under_way(asked: Asked) -> None:
    before = asked.dropped("cancelled")
    with asked.begin():
        until(lambda: asked.statements() == 1)
    until(lambda: asked.dropped("cancelled") == before + 1)
    assert (asked.statements(), asked.queries("working")) == (0, 0)
    assert httpx.get(f"{asked.url}/api/v1/query?query=1").json()["data"]["result"] == [1, "1"]


def test_a_client_that_hangs_up_ends_its_search_though_it_had_no_turn_to_wait_for(asked: Asked) -> None:
    before = asked.dropped("cancelled", asking.STAGE)
    with asked.begin(), asked.begin(path="/aiprism/v1/logs"):
        until(lambda: asked.statements() == 2)
    until(lambda: asked.dropped("cancelled", asking.STAGE) == before + 1)
    until(lambda: asked.statements() == 0)


def test_a_client_that_hangs_up_in_line_loses_its_place(asked: Asked) -> None:
    before = asked.dropped("cancelled")
    with asked.begin():
        until(lambda: asked.queries("working") == 1)
        with asked.begin():
            until(lambda: asked.queries("waiting") == 1)
        until(lambda: asked.dropped("cancelled") == before + 1)
        assert (asked.queries("working"), asked.queries("waiting")) == (1, 0)
    until(lambda: asked.dropped("cancelled") == before + 2)


def test_more_than_may_wait_are_sent_away_and_those_that_wait_too_long_are_told(asked: Asked) -> None:
    before = (asked.dropped("unavailable"), asked.dropped("timeout"))
    with asked.begin():
        until(lambda: asked.queries("working") == 1)
        late = asked.begin("1", timeout="1s")
        until(lambda: asked.queries("waiting") == 1)
        away = httpx.get(f"{asked.url}/api/v1/query?query=1")
        assert (away.status_code, away.headers["retry-after"], away.json()["errorType"]) == (503, "5", "unavailable")
        assert "1 queries are at work (query.concurrency) and 1 wait" in away.json()["error"]
        with late:
            answer = late.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"waited 1 s for its turn (limit timeout)" in answer
    until(lambda: asked.queries("working") == 0)
    assert (asked.dropped("unavailable"), asked.dropped("timeout")) == (before[0] + 1, before[1] + 1)


def test_a_query_is_stopped_in_its_statement_when_its_time_is_over(asked: Asked) -> None:
    answer = httpx.get(f"{asked.url}/api/v1/query", params={"query": "up", "timeout": "300ms"})
    assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")
    assert "limit timeout" in answer.json()["error"]


def test_a_storm_of_heavy_queries_ends_in_clear_refusals_while_samples_are_stored(asked: Asked) -> None:
    before = {reason: asked.dropped(reason) for reason in ("timeout", "unavailable")}
    url = f"{asked.url}/api/v1/query?query=sum(up)&timeout=2s"
    with ThreadPoolExecutor(40) as clients:
        answers = [clients.submit(httpx.get, url) for _ in range(40)]
        until(lambda: asked.statements() == 1)
        asked.engine.command("INSERT INTO stored (metric, fp, ts, unscaled) SELECT 'meanwhile', 1, now64(3), 1")
        assert not all(answer.done() for answer in answers)
        ended = [answer.result() for answer in answers]
    assert {answer.status_code for answer in ended} == {503}
    kinds = Counter(answer.json()["errorType"] for answer in ended)
    # One was at work and one in line; the rest were sent away, or had their turn after somebody's time was over.
    assert kinds["unavailable"] >= 30
    assert kinds["timeout"] >= 2
    assert kinds.total() == 40
    assert asked.dropped("timeout") - before["timeout"] == kinds["timeout"]
    assert asked.dropped("unavailable") - before["unavailable"] == kinds["unavailable"]
    assert (asked.queries("working"), asked.queries("waiting"), asked.statements()) == (0, 0, 0)
    assert list(asked.engine.query("SELECT count() FROM stored WHERE metric = 'meanwhile'")) == [(1,)]


def test_of_some_questions_only_so_many_have_a_turn_and_the_others_pass_them_by(engine: Engine) -> None:
    """What nothing can end takes the places of its kind, not those of everybody."""

    async def asked_together() -> list[str]:
        turns, among, free = Turns(engine, at_once=3), asyncio.Semaphore(1), threading.Event()
        done: list[str] = []

        async def ask(name: str, compute: Callable[[Question], object], among: asyncio.Semaphore | None) -> None:
            await turns.answer(_Staying(), compute, 60, among=among)
            done.append(name)

        held = [asyncio.create_task(ask("stuck", lambda _: free.wait(60), among))]
        held += [asyncio.create_task(ask(f"as it {n}", lambda _: None, among)) for n in range(3)]
        await asyncio.gather(*(ask("other", lambda _: None, None) for _ in range(3)))
        free.set()
        await asyncio.gather(*held)
        return done

    assert asyncio.run(asked_together()) == [*["other"] * 3, "stuck", "as it 0", "as it 1", "as it 2"]


class _Staying(Request):
    """Of a client that does not hang up."""

    def __init__(self) -> None:
        super().__init__({"type": "http"}, receive=asyncio.Event().wait)  # type: ignore[arg-type]

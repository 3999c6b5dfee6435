"""The same schema and statements on a ClickHouse reached over HTTP, and what happens while it is away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprism.errors import StoreError, Unavailable
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from tests.store.test_engine import insert_traces, trace_body

SERVER = Path(__file__).parent.parent / "clickhouse_http.py"


class ClickHouse:
    """A ClickHouse server process; `stop()` and `start()` again keep its port and its data."""

    def __init__(self, directory: Path, cluster: str = "") -> None:
        self.directory, self.port = directory, 0
        self._more = [cluster] if cluster else []

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), str(self.directory), str(self.port), *self._more],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline().split()[1])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[ClickHouse]:
    running = ClickHouse(tmp_path / "clickhouse")
    running.start()
    yield running
    running.stop()


def test_the_same_migrations_and_inserts_work_over_http(clickhouse: ClickHouse) -> None:
    engine = Engine.open(clickhouse.url)
    assert migrate(engine) == migrate(engine)
    for _ in range(2):
        insert_traces(engine, trace_body(3), "token")
    assert engine.query("SELECT count() FROM spans") == [(3,)]
    assert engine.query("SELECT sum(spans) FROM span_red_1m") == [(3,)]
    assert engine.query("SELECT {v:String}", {"v": "it's"}) == [("it's",)]
    assert engine.arrow("SELECT toUInt64(7) AS n").to_pylist() == [{"n": 7}]
    with pytest.raises(StoreError):
        insert_traces(engine, trace_body()[:-7], "bad")
    engine.close()


def test_a_server_that_goes_away_is_unavailable_and_comes_back(clickhouse: ClickHouse) -> None:
    engine = Engine.open(clickhouse.url)
    migrate(engine)
    clickhouse.stop()
    with pytest.raises(Unavailable):
        engine.query("SELECT 1")
    clickhouse.start()
    assert engine.query("SELECT 1") == [(1,)]
    engine.close()

"""The same schema and statements on a ClickHouse reached over HTTP, and what happens while it is away."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aiprism.errors import StoreError, Unavailable
from aiprism.store import usage
from aiprism.store.archive import Archive
from aiprism.store.backup import backup
from aiprism.store.engine import Engine, quoted
from aiprism.store.place import Access, Place
from aiprism.store.records import Records
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


class Gatekeeper(ThreadingHTTPServer):
    """Passes requests on to the server at `port` and keeps what a proxy on the way would log: everything but bodies."""

    def __init__(self, port: int) -> None:
        seen = self.seen = []  # type: list[str]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                seen.append(f"{self.requestline}\n{self.headers}")
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server = http.client.HTTPConnection("127.0.0.1", port)
                server.request("POST", self.path, body, dict(self.headers))
                answer = server.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.startswith("X-ClickHouse"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                server.close()

            def log_message(self, *args: object) -> None:
                return None

        super().__init__(("127.0.0.1", 0), Handler)


def test_the_keys_of_a_bucket_are_in_no_address(
    clickhouse: ClickHouse, s3: Access, bucket: Callable[[], str], tmp_path: Path
) -> None:
    straight = Engine.open(clickhouse.url)
    migrate(straight)
    insert_traces(straight, trace_body(3), "token")
    straight.close()
    gate = Gatekeeper(clickhouse.port)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    engine = Engine.open(f"http://127.0.0.1:{gate.server_port}")
    access = replace(s3, key="the'key\\", secret="the{secret:String}%s'\\")
    archive = Archive(engine, Place.of(f"s3://{bucket()}", access))
    for partition in usage.partitions(engine):
        if partition.table == "spans":
            assert list(archive.export(partition, 1.0))
    [day] = archive.listed()
    relation, bound = archive.relation("spans", 0, 4e9)
    assert (day.rows, engine.query(f"SELECT count() FROM {relation}", bound)) == (3, [(6,)])
    records = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    assert backup(engine, records, Place.of(f"s3://{bucket()}", access), now=1.0, version="1").rows["spans"] == 3
    records.close()
    engine.close()
    gate.shutdown()
    gate.server_close()
    assert any("param_place=http" in line for line in gate.seen)  # a parameter is seen
    assert not [line for line in gate.seen if "secret" in line or "the%27key" in line]


@pytest.mark.parametrize("text", ["", "it's", "a\\", "\\'", "{a:String}", "%s%%", "ö\n\t"])
def test_a_literal_is_read_as_it_was_written(engine: Engine, text: str) -> None:
    assert engine.query(f"SELECT {quoted(text)}, {{b:String}}", {"b": "c"}) == [(text, "c")]

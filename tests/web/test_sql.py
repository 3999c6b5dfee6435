"""SQL over HTTP and in a terminal: answered within limits, refused in words, and of nothing but telemetry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from aiprism.clock import FakeClock
from aiprism.config import QueryConfig
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.store.sqlcatalogue import NAMES
from aiprism.telemetry import Telemetry
from aiprism.web import routes, sql
from aiprism.web.turns import Turns
from tests.cli.conftest import Run, aiprism  # noqa: F401 - a fixture
from tests.query.test_log_search import AT, body
from tests.web.serving import serving

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"


def application(engine: Engine, config: QueryConfig) -> FastAPI:
    async def nothing() -> None:
        return None

    doors = [sql.router(engine, FakeClock(AT + 60), Turns(engine), config)]
    return routes.build(doors, Telemetry(), checks={}, reload=nothing)


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    with serving(application(engine, QueryConfig(sql_rows=6))) as url, httpx.Client(base_url=url) as made:
        yield made


def test_rows_come_with_the_names_and_types_of_their_columns(client: httpx.Client) -> None:
    asked = {
        "query": "SELECT level, count() AS lines FROM logs WHERE ts >= {from:DateTime64} GROUP BY level ORDER BY level"
    }
    answer = client.post("/aiprism/v1/sql", json={**asked, "from": AT - 3600, "to": AT + 60}).json()
    assert answer["columns"] == [
        {"name": "level", "type": "LowCardinality(String)"},
        {"name": "lines", "type": "UInt64"},
    ]
    assert {row[0] for row in answer["rows"]} <= {"ERROR", "INFO", "WARN", "DEBUG", "FATAL"}
    assert sum(row[1] for row in answer["rows"]) > 0
    assert (answer["truncated"], answer["limit"]) == (False, 6)
    assert client.post("/aiprism/v1/sql", json={**asked, "from": AT + 50}).json()["rows"] == []


def test_an_answer_is_cut_at_the_limit_of_the_server_whatever_is_asked(client: httpx.Client) -> None:
    answer = client.post("/aiprism/v1/sql", json={"query": "SELECT arrayJoin(range(9)) AS n", "limit": 100}).json()
    assert (answer["rows"], answer["truncated"]) == ([[0], [1], [2], [3], [4], [5]], True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"query": "SELECT * FROM file('/etc/passwd')"}, 400, "table functions are not allowed"),
        ({"query": "DROP TABLE logs"}, 400, "'DROP' does not read"),
        ({"query": "SELECT nonsense FROM logs"}, 400, "nonsense"),
        ({"query": "SELECT 1", "from": 10, "to": 10}, 400, "the range is empty"),
        ({"query": "SELECT 1", "to": "tomorrow"}, 400, "to"),
        ({}, 400, "query"),
    ],
)
def test_what_is_refused_says_why(client: httpx.Client, body: object, status: int, said: str) -> None:
    answer = client.post("/aiprism/v1/sql", json=body)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True)


def test_there_is_told_what_can_be_asked(client: httpx.Client) -> None:
    answer = client.get("/aiprism/v1/sql").json()
    assert [each["name"] for each in answer["tables"]] == list(NAMES)
    [logs] = [each for each in answer["tables"] if each["name"] == "logs"]
    assert logs["time"] == "ts"
    assert {"name": "body", "type": "String"}.items() <= next(
        each for each in logs["columns"] if each["name"] == "body"
    ).items()
    assert "quantileTDigest" in answer["functions"]
    assert answer["limits"]["rows"] == 6
    for example in answer["examples"]:
        assert client.post("/aiprism/v1/sql", json={"query": example["sql"]}).status_code == 200, example["title"]


def test_sql_can_be_switched_off(engine: Engine) -> None:
    with serving(application(engine, replace(QueryConfig(), sql=False))) as url:
        answer = httpx.post(f"{url}/aiprism/v1/sql", json={"query": "SELECT 1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_a_terminal_asks_it_too(client: httpx.Client, aiprism: Run) -> None:  # noqa: F811
    server = str(client.base_url).rstrip("/")
    _, out, _ = aiprism("sql", "SELECT 'a' AS name, arrayJoin(range(9)) AS n", "--limit", "2", "--server", server)
    assert [line.split() for line in out.splitlines() if line.strip()][-3:-1] == [["a", "0"], ["a", "1"]]
    assert "there is more: these are the first 2 rows" in out
    _, out, _ = aiprism("sql", "SELECT 1 AS one", "-o", "json", "--server", server)
    assert json.loads(out)["rows"] == [[1]]
    code, _, err = aiprism("sql", "SELECT * FROM system.users", "--server", server)
    assert (code, "there is no table 'system.users'" in err) == (1, True)


EXAMPLES = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_the_documentation_can_be_asked(client: httpx.Client) -> None:
    assert len(EXAMPLES) >= 4
    for example in EXAMPLES:
        answer = client.post("/aiprism/v1/sql", json={"query": example})
        assert answer.status_code == 200, answer.text

"""Logs over our API: pages, counts, files and what comes in, as clients on a real socket get them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from aiprism.cli.remote import Remote
from aiprism.clock import SystemClock
from aiprism.model.logs import LogRecord
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.telemetry import Telemetry
from aiprism.web import logs, routes
from aiprism.web.following import unseen
from aiprism.web.logtail import identity
from tests.query.test_log_search import AT, RECORDS, body, log_record
from tests.web.serving import serving

SPAN: dict[str, Any] = {"start": AT - 60, "end": AT + 60}


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    engine.insert_arrow("logs_received", log_columns(body()), token="t")
    app = routes.build([logs.router(engine, SystemClock())], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1", params=SPAN, timeout=60) as opened:
        yield opened


def bodies(answer: Any) -> list[str]:
    return [record["body"] for record in answer["logs"]]


def test_a_query_is_answered_in_pages(client: httpx.Client) -> None:
    wanted = SPAN | {"query": "-level:DEBUG", "limit": 2}
    seen: list[str] = []
    for _ in range(3):
        answer = client.get("/logs", params=wanted).json()
        seen += bodies(answer)
        wanted["cursor"] = answer["cursor"]
    assert wanted["cursor"] is None
    assert seen == [line for level, _, line, _ in reversed(RECORDS) if level != "DEBUG"]
    oldest = client.get("/logs", params=SPAN | {"order": "oldest", "limit": 1}).json()
    assert bodies(oldest) == [RECORDS[0][2]]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("", {"query": "(a"}),
        ("", {"cursor": "x"}),
        ("/histogram", {"step": 0.01}),
        ("/facets", {}),
        ("/export", {"format": "xls"}),
        ("/export", {"archive": "true"}),
        ("/tail", {"archive": "true"}),
        ("/histogram", {"step": "inf"}),
        ("/context", {"ts_ns": str(2**63 - 1)}),
    ],
)
def test_a_mistake_is_the_askers(client: httpx.Client, path: str, parameters: dict[str, str]) -> None:
    answer = client.get(f"/logs{path}", params=SPAN | parameters)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (400, True)


def test_what_fits_is_counted(client: httpx.Client) -> None:
    answer = client.get("/logs/histogram", params=SPAN | {"query": "level:>=ERROR", "step": 60}).json()
    assert answer["step"] == 60
    assert [(each["level"], each["records"]) for each in answer["buckets"]] == [("ERROR", 1), ("FATAL", 1)]
    assert client.get("/logs/histogram").json()["step"] == 2
    answer = client.get("/logs/facets", params=SPAN | {"field": ["service", "who.name"]}).json()
    assert answer == {
        "facets": {
            "service": [{"value": "api", "records": 3}, {"value": "cart", "records": 3}],
            "who.name": [{"value": "Bob", "records": 1}],
        },
        "records": 6,
    }
    answer = client.get("/logs/context", params={"ts_ns": (AT + 1) * 10**9, "service": "api", "lines": 1}).json()
    assert [[record["body"] for record in answer[part]] for part in ("before", "from")] == [
        [RECORDS[0][2]],
        [RECORDS[1][2]],
    ]


def test_files_hold_every_record_that_fits(client: httpx.Client) -> None:
    def export(kind: str) -> httpx.Response:
        answer = client.get("/logs/export", params=SPAN | {"query": "service:cart", "format": kind})
        assert f'filename="logs.{kind}"' in answer.headers["content-disposition"]
        return answer

    lines = [line for _, service, line, _ in reversed(RECORDS) if service == "cart"]
    rows = [json.loads(line) for line in export("ndjson").text.splitlines()]
    assert [row["body"] for row in rows] == lines
    assert (rows[0]["time"], rows[2]["attributes"]) == ("2027-01-15T08:00:04.000000000Z", {"wait": "0.25"})
    table = list(csv.DictReader(io.StringIO(export("csv").text)))
    assert [(row["body"], row["level"]) for row in table] == [(row["body"], row["level"]) for row in rows]
    parquet = pq.read_table(io.BytesIO(export("parquet").content))
    assert parquet["body"].to_pylist() == lines
    assert parquet["time"].cast("int64").to_pylist() == [(AT + number) * 10**9 for number in (4, 3, 2)]


def test_what_comes_in_is_followed(client: httpx.Client, engine: Engine) -> None:
    url = str(client.base_url).removesuffix("/aiprism/v1/")
    now = time.time_ns()
    events = Remote(url).events("/aiprism/v1/logs/tail", query="level:ERROR failed", start=now / 1e9 - 1)
    for number, (level, line) in enumerate(
        [("ERROR", "it failed"), ("INFO", "failed"), ("ERROR", "fine"), ("ERROR", "failed again")]
    ):
        record = log_record(now + number, level, line)
        engine.insert_arrow("logs_received", log_columns(record), token=str(number))
    assert [(event, record["body"]) for event, record in (next(events), next(events))] == [
        ("log", "it failed"),
        ("log", "failed again"),
    ]
    events.close()  # type: ignore[attr-defined]


def test_equal_records_are_told_as_often_as_they_are_there() -> None:
    def record(at: int) -> LogRecord:
        return LogRecord(at, "api", "INFO", "line", "", "", {}, {})

    fresh, told = unseen([record(2), record(1)], Counter(), identity)
    assert [each.ts_ns for each in fresh] == [2, 1]
    fresh, told = unseen([record(2), record(2), record(1)], told, identity)
    assert [each.ts_ns for each in fresh] == [2]
    assert unseen([record(2), record(2)], told, identity)[0] == []

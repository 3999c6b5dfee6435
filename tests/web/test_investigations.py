"""Investigations over HTTP and on the command line, as docs/investigation.md tells it."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from pathlib import Path

import httpx
import pytest

from aiprism.cli import run
from aiprism.store.engine import Engine
from aiprism.store.records import Records
from aiprism.store.schema import migrate
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, investigations, routes
from tests.learn.trouble import ONSET, Trouble
from tests.respond.making import alert
from tests.web.serving import serving

PAGE = (Path(__file__).parents[2] / "docs" / "investigation.md").read_text(encoding="utf-8")
BASE = "/aiprism/v1/incidents"


@pytest.fixture(scope="module")
def trouble(chdb_url, tmp_path_factory):
    engine = Engine.open(chdb_url, database=f"investigations_{uuid.uuid4().hex}")
    migrate(engine)
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('investigations')}/control.db")
    trouble = Trouble(records, engine)
    trouble.metrics(failing=("orders",))
    trouble.logs(error="order cannot be placed")
    yield trouble
    records.close()
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


@pytest.fixture(scope="module")
def incident(trouble):
    return trouble.open(alert("HighErrorRate", "orders", at=ONSET))


@pytest.fixture(scope="module")
def url(trouble):
    class Room:  # what the door of incidents asks of a responder
        records, policy, pipeline = trouble.records, trouble.respond.policy, trouble.respond

    doors = [investigations.router(trouble.investigations), incidents.router(Room())]  # type: ignore[arg-type]
    with serving(routes.build(doors, Telemetry(), checks={}, reload=_never)) as served:
        yield served


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


def test_the_example_of_the_documentation_asks_for_one_which_is_read_once_it_is_done(trouble, url, incident):
    where = f"{url}{BASE}/{incident}/investigation"
    assert httpx.get(where).status_code == 404
    asked = httpx.post(where, json=json.loads(PAGE.partition("```json\n")[2].partition("```")[0]))
    assert (asked.status_code, asked.json()["number"], asked.json()["state"]) == (202, 1, "waiting")
    assert httpx.get(where).json()["state"] == "waiting"
    asyncio.run(trouble.investigations.work())
    found = httpx.get(where).json()
    assert (found["state"], found["actor"], found["reason"]) == ("done", "ann", "asked for")
    assert found["findings"]["hypotheses"][0]["service"] == "orders"
    assert [each["phase"] for each in found["findings"]["phases"]] == ["metrics", "logs", "traces", "hypotheses"]


def test_the_command_shows_what_was_found_of_an_incident(trouble, url, incident, capsys):
    if not trouble.timeline(incident, "investigated"):
        trouble.investigations.ask(incident, "ann")
        asyncio.run(trouble.investigations.work())
    assert run(["incidents", "show", incident, "--server", url]) == 0
    told = capsys.readouterr().out
    assert "investigation\norders fails" in told
    assert "http_requests_total{status_code=500}" in told
    assert "orders new, 20 lines: order cannot be placed <*>" in told


def test_the_command_asks_for_one_and_shows_it_once_it_is_done(trouble, url, incident, capsys):
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            asyncio.run(trouble.investigations.work())
            done.wait(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert run(["incidents", "investigate", incident, "--as", "bob", "--server", url]) == 0
    finally:
        done.set()
        worker.join()
    assert capsys.readouterr().out.startswith("orders fails")
    assert trouble.investigations.read(incident)["actor"] == "bob"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "INC_1/investigation", None, 404),
        ("GET", "{id}/investigation?number=99", None, 404),
        ("GET", "{id}/investigation?number=0", None, 400),
        ("POST", "INC_1/investigation", {"actor": "ann"}, 404),
        ("POST", "{id}/investigation", {"actor": ""}, 400),
        ("POST", "{id}/investigation", {}, 400),
    ],
)
def test_what_cannot_be_is_refused(url, incident, method, path, body, status):
    answer = httpx.request(method, f"{url}{BASE}/{path.format(id=incident)}", json=body)
    assert answer.status_code == status, answer.text

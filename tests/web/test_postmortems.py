"""Postmortems over HTTP and on the command line, as docs/postmortems.md tells it."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import httpx
import pytest

from aiprism.cli import run
from aiprism.store.engine import Engine
from aiprism.store.records import Records
from aiprism.store.schema import migrate
from aiprism.telemetry import Telemetry
from aiprism.web import postmortems, routes
from tests.learn.past import FIRST, Past
from tests.respond.making import again
from tests.web.serving import serving

PAGE = (Path(__file__).parents[2] / "docs" / "postmortems.md").read_text(encoding="utf-8")
BASE = "/aiprism/v1/incidents"


@pytest.fixture(scope="module")
def past(chdb_url, tmp_path_factory):
    engine = Engine.open(chdb_url, database=f"postmortems_{uuid.uuid4().hex}")
    migrate(engine)
    directory = tmp_path_factory.mktemp("postmortems")
    records = Records.open(f"sqlite:///{directory}/control.db")
    past = Past(records, engine, directory)
    past.telemetry()
    yield past
    records.close()
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


@pytest.fixture(scope="module")
def incident(past):
    return past.trouble()


@pytest.fixture(scope="module")
def url(past, incident):
    router = postmortems.router(past.postmortems, lambda: "http://aiprism.example.com/")
    with serving(routes.build([router], Telemetry(), checks={}, reload=_never)) as served:
        assert httpx.post(f"{served}{BASE}/{incident}/postmortem", json={"actor": "ann"}).status_code == 200
        yield served


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


def test_the_example_of_the_documentation_changes_the_postmortem(url, incident):
    body = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    changed = httpx.put(f"{url}{BASE}/{incident}/postmortem", json=body)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    told = httpx.get(f"{url}{BASE}/{incident}/postmortem").json()
    assert (told["text"], [each["author"] for each in told["versions"]]) == (body["text"], [body["author"], "ann"])
    late = httpx.put(f"{url}{BASE}/{incident}/postmortem", json=body)
    assert (late.status_code, late.json()["error"]["details"]) == (409, {"version": 2})
    assert "<h1>The pool was too small</h1>" in httpx.get(f"{url}{BASE}/{incident}/postmortem.html").text


def test_it_is_taken_away_in_three_forms(url, incident):
    at = f"{url}{BASE}/{incident}/postmortem"
    text = httpx.get(f"{at}.md?version=1").text
    [chart] = re.findall(r"\]\(http://aiprism.example.com(/\S+\.svg)\)", text)
    drawn = httpx.get(f"{url}{chart}")
    assert (drawn.headers["content-type"], drawn.text.startswith("<svg")) == ("image/svg+xml", True)
    page = httpx.get(f"{at}.html?version=1")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text.count("<svg") == 1
    assert "<h2>Contributing factors, with evidence</h2>" in page.text
    whole = httpx.get(f"{at}.json?version=1").json()
    assert (whole["version"], whole["incident"]["id"], len(whole["evidence"]["lines"])) == (1, incident, 30)
    assert {each["name"]: each["met"] for each in whole["figures"]}["acknowledged"] is False


@pytest.mark.parametrize("form", ["md", "html", "json"])
def test_the_command_line_gives_the_same(url, incident, form, capsys):
    assert run(["incidents", "postmortem", incident, "-o", form, "--version", "1", "--server", url]) == 0
    written = httpx.get(f"{url}{BASE}/{incident}/postmortem.{form}?version=1").text
    assert capsys.readouterr().out == written


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "INC_1/postmortem", None, 404),
        ("GET", "INC_1/similar", None, 404),
        ("POST", "INC_1/postmortem", {"actor": "ann"}, 404),
        ("POST", "{id}/postmortem", {"actor": "ann"}, 409),
        ("POST", "{id}/postmortem", {}, 400),
        ("PUT", "{id}/postmortem", {"version": 1, "author": "", "text": "x"}, 400),
        ("GET", "{id}/postmortem?version=99", None, 404),
        ("GET", "{id}/postmortem/charts/9.svg", None, 404),
        ("GET", "{id}/postmortem.pdf", None, 400),
    ],
)
def test_what_cannot_be_is_refused_in_words(url, incident, method, path, body, status):
    answer = httpx.request(method, f"{url}{BASE}/{path.replace('{id}', incident)}", json=body)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True), answer.text


def test_similar_incidents_are_told_with_their_reasons(url, incident, past):
    past.clock._now += 86_400
    second = past.trouble(again(FIRST, past.clock.now() - 30), None)
    [found] = httpx.get(f"{url}{BASE}/{second}/similar").json()["similar"]
    assert (found["id"], found["reasons"][0]) == (incident, "the same alerts: HighErrorRate")

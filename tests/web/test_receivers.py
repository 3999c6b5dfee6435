"""Receivers over HTTP and in a terminal: where they lead, how they were reached, and a test that is one for everybody."""

from __future__ import annotations

import asyncio
import json

import pytest

from aiprism.clock import FakeClock
from aiprism.config import Config, HooksConfig
from aiprism.respond.responder import Responder
from aiprism.respond.trial import Trials
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import alertmanager, receivers, routes
from tests.cli.conftest import aiprism  # noqa: F401 - a fixture
from tests.respond.making import T0, alert, everyone, receiver, serving, telling


async def nothing():
    return None


@pytest.fixture
def clock():
    return FakeClock(T0)


@pytest.fixture
def desk():
    with receiver() as kept:
        yield kept


@pytest.fixture
def responder(tmp_path, clock, desk):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    policy = telling(everyone(desk.url, extra="  - name: nobody\n  - name: team/nobody"))
    yield Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=clock)
    records.close()


@pytest.fixture
def client(responder, clock, tmp_path):
    config = Config(data=tmp_path, base=tmp_path, hooks=HooksConfig(github_secret="s"))
    doors = [
        receivers.router(responder, Trials(responder.pipeline, clock, "http://here"), clock, lambda: config),
        alertmanager.router(responder, clock),
    ]
    with serving(routes.build(doors, Telemetry(), {}, nothing)) as client:
        yield client


def listed(client):
    return {each["name"]: each for each in client.get("/aiprism/v1/receivers").json()["receivers"]}


def test_receivers_are_told_with_where_they_lead_and_without_secrets(client, desk):
    answer = client.get("/aiprism/v1/receivers")
    told = {each["name"]: each for each in answer.json()["receivers"]}
    assert [each["channel"] for each in told["everyone"]["integrations"]] == ["webhook", "slack", "pagerduty"]
    assert {each["where"] for each in told["everyone"]["integrations"]} == {desk.url}
    assert (told["everyone"]["used"], told["nobody"]["used"], told["nobody"]["integrations"]) == (True, False, [])
    assert "xyzsecret" not in answer.text
    assert "pdsecretkey" not in answer.text
    others = {each["setting"]: each["configured"] for each in answer.json()["others"]}
    assert (others["hooks.github_secret"], others["hooks.slack_secret"]) == (True, False)


def test_a_test_goes_the_way_of_every_letter_and_says_what_it_is(client, desk):
    answer = client.post("/aiprism/v1/receivers/everyone/test", json={"by": "ann"}).json()
    assert [(each["channel"], each["delivered"]) for each in answer["tried"]] == [
        ("webhook", True), ("slack", True), ("pagerduty", True),
    ]  # fmt: skip
    [webhook] = desk.at("webhook")
    assert webhook.body["receiver"] == "everyone"
    assert webhook.body["alerts"][0]["labels"]["alertname"] == "AiprismTest"
    assert "ann tried whether" in webhook.body["alerts"][0]["annotations"]["description"]
    assert "test" in json.dumps(desk.at("slack")[0].body).lower()
    # What PagerDuty would hold open is closed at once, under the same key.
    pages = [got.body for got in desk.at("pagerduty")]
    assert [page["event_action"] for page in pages] == ["trigger", "resolve"]
    assert len({page["dedup_key"] for page in pages}) == 1


def test_a_test_is_kept_as_one_and_is_no_alert(client, responder, desk):
    client.post("/aiprism/v1/receivers/everyone/test")
    last = listed(client)["everyone"]["integrations"][0]
    assert (last["sent"], last["last"]["event"], last["last"]["state"]) == (1, "test", "sent")
    assert client.get("/api/v2/alerts").json() == []
    assert responder.during(0, T0 + 10) == []
    before = len(desk.got)
    asyncio.run(responder.delivery.deliver_due())
    assert len(desk.got) == before


def test_what_is_not_taken_says_why_without_secrets(client, desk):
    desk.answer = lambda got: (403, {})
    desk.body = b"no such hook: /slack/T0/B0/xyzsecret"
    answer = client.post("/aiprism/v1/receivers/everyone/test")
    slack = answer.json()["tried"][1]
    assert (answer.json()["delivered"], slack["delivered"]) == (False, False)
    assert slack["reason"].startswith("HTTP 403")
    assert "xyzsecret" not in slack["reason"]
    kept = listed(client)["everyone"]["integrations"][1]
    assert (kept["failed"], kept["last"]["state"], kept["last"]["error"]) == (1, "failed", slack["reason"])


def test_a_receiver_is_tried_once_in_a_while_and_only_if_it_is_there(client, clock, desk):
    assert client.post("/aiprism/v1/receivers/nobody/test").json() == {
        "receiver": "nobody",
        "delivered": True,
        "tried": [],
    }
    again = client.post("/aiprism/v1/receivers/nobody/test")
    assert (again.status_code, "tried just now" in again.json()["error"]["message"]) == (429, True)
    asyncio.run(clock.advance(10))
    assert client.post("/aiprism/v1/receivers/nobody/test").status_code == 200
    unknown = client.post("/aiprism/v1/receivers/nobdy/test")
    assert (unknown.status_code, "known: everyone, nobody, team/nobody" in unknown.json()["error"]["message"]) == (
        404,
        True,
    )
    assert desk.got == []


def test_a_receiver_whose_name_has_a_slash_is_tried_too(client):
    answer = client.post("/aiprism/v1/receivers/team%2Fnobody/test")
    assert (answer.status_code, answer.json()["receiver"]) == (200, "team/nobody")


def test_letters_of_alerts_are_counted_by_what_became_of_them(client, responder, desk):
    desk.answer = lambda got: (404, {}) if "slack" in got.path else (200, {})
    responder.accept([alert()])
    asyncio.run(responder.delivery.deliver_due())
    webhook, slack, _ = listed(client)["everyone"]["integrations"]
    assert webhook["sent"] + webhook["waiting"] >= 1
    assert (slack["failed"] + slack["waiting"] >= 1, slack["sent"]) == (True, 0)


def test_a_terminal_tries_one_and_fails_when_it_is_not_reached(client, clock, desk, aiprism):  # noqa: F811
    server = str(client.base_url).rstrip("/")
    code, out, _ = aiprism("receivers", "test", "everyone", "--server", server)
    assert (code, out.count("delivered")) == (0, 3)
    asyncio.run(clock.advance(10))
    desk.answer = lambda got: (500, {})
    code, out, _ = aiprism("receivers", "test", "everyone", "--server", server)
    assert (code, out.count("HTTP 500")) == (1, 3)
    _, out, _ = aiprism("receivers", "list", "--server", server)
    assert "nobody is told" in out

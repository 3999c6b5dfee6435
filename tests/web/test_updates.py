"""Status updates: whom they reach, what a public audience never sees, the log, and the feed."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from aiprism.cli import run
from aiprism.clock import FakeClock
from aiprism.errors import ConfigError
from aiprism.respond import roomplan
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.respond.rooms import Rooms
from aiprism.respond.updates import Updates
from aiprism.store import incidents as store
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, routes, updates
from aiprism.yamlfile import parse
from tests.respond.making import T0, alert, receiver, routing, serving

PAGE = (Path(__file__).parents[2] / "docs" / "war-room.md").read_text(encoding="utf-8")
[PLAN] = re.findall(r"tests/web/test_updates.py runs this block -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
SECRET = alert("PoolExhausted", "billing-internal", at=T0, severity="critical", node="db-7")


async def never():
    raise AssertionError("nobody asked for a reload")


@pytest.fixture
def world(tmp_path):
    """An incident, people to tell, and a client."""
    with receiver() as desk:
        found = routing(f"""
route: {{receiver: on-call}}
receivers:
  - name: on-call
  - name: leads
    slack_configs: [{{api_url: "{desk.url}/slack/leads"}}]
  - name: status-page
    webhook_configs: [{{url: "{desk.url}/webhook/page"}}]
    pagerduty_configs: [{{routing_key: k, url: "{desk.url}/pagerduty"}}]
""")
        records = Records.open(f"sqlite:///{tmp_path}/control.db")
        plan = roomplan.read(parse(PLAN), found.receivers)
        policy = Policy(routing=found, rooms=plan, external_url="http://aiprism.internal")
        clock = FakeClock(T0 + 5)
        responder = Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=clock)
        responder.accept([SECRET])
        routers = [
            incidents.router(responder),
            updates.router(Updates(responder.pipeline), lambda: "http://status.example"),
        ]
        with serving(routes.build(routers, Telemetry(), {}, never)) as client:
            [one] = client.get("/aiprism/v1/incidents").json()["incidents"]
            yield client, f"/aiprism/v1/incidents/{one['id']}", responder, desk
        records.close()


def test_customers_are_told_what_was_written_and_nothing_else(world):
    client, base, responder, desk = world
    body = json.loads(re.findall(r"test_updates.py runs this block -->\n```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert client.post(f"{base}/updates", json=body).status_code == 200
    asyncio.run(responder.delivery.deliver_due())
    [got] = [each for each in desk.got if "/webhook/page" in each.path]
    assert got.body["incident"] == {"id": None, "event": "update", "text": body["text"]}
    everything = json.dumps(got.body) + client.get("/aiprism/v1/feed/status.json").text
    everything += client.get("/aiprism/v1/feed/status.atom").text
    for ours in ("billing-internal", "PoolExhausted", "db-7", "INC_", "P0", "aiprism.internal", "ann"):
        assert ours not in everything
    assert desk.at("pagerduty") == []


def test_the_log_says_who_was_told_and_whether_it_arrived(world):
    client, base, responder, desk = world
    desk.answer = lambda got: (400, {}) if "page" in got.path else (200, {})
    for audience in ("management", "customers"):
        client.post(f"{base}/updates", json={"actor": "ann", "audience": audience})
    asyncio.run(responder.delivery.deliver_due())
    first, second = client.get(f"{base}/updates").json()["updates"]
    assert (first["audience"], first["author"], first["status"]) == ("management", "ann", "investigating")
    assert [(each["receiver"], each["channel"], each["state"]) for each in first["told"]] == [
        ("leads", "slack", "sent")
    ]
    assert [(each["channel"], each["state"]) for each in second["told"]] == [("webhook", "failed")]
    assert second["told"][0]["error"].startswith("HTTP 400")
    told = client.get(base).json()["timeline"]
    assert [each["actor"] for each in told if each["event"] == "status_update"] == ["ann", "ann"]


def test_who_was_told_an_update_does_not_hear_how_the_incident_goes(world):
    client, base, responder, _ = world
    client.post(f"{base}/updates", json={"actor": "ann", "audience": "customers"})
    client.post(f"{base}/resolve", json={"actor": "ann"})
    with responder.records.reading() as connection:
        rows = store.notification_rows(connection, [base.rpartition("/")[2]])
    assert [(row["receiver"], row["event"]) for row in rows] == [("status-page", "update#1")]


def test_who_can_be_told_is_asked_for(world):
    client, *_ = world
    told = client.get("/aiprism/v1/audiences").json()
    assert told["audiences"] == [
        {"name": "management", "public": False, "title": "", "receivers": ["leads"]},
        {"name": "customers", "public": True, "title": "Document analysis is slow", "receivers": ["status-page"]},
    ]
    assert told["templates"] == ["investigating", "identified", "monitoring", "resolved", "hourly"]


def test_a_preview_tells_nobody(world):
    client, base, responder, desk = world
    draft = {"audience": "management", "template": "hourly"}
    seen = client.post(f"{base}/updates/preview", json=draft).json()
    assert seen["would_tell"] == [{"receiver": "leads", "channel": "slack"}]
    assert re.fullmatch(r"P0: .*billing-internal.*", seen["text"])
    asyncio.run(responder.delivery.deliver_due())
    assert (desk.got, client.get(f"{base}/updates").json()) == ([], {"updates": []})


def test_the_room_and_the_command_line_tell_an_audience_too(world, capsys):
    client, base, responder, _ = world
    incident = base.rpartition("/")[2]
    rooms = Rooms(responder.pipeline, responder.remediation)
    rooms.say(incident, "ann", "/status management identified it is the pool")
    rooms.say(incident, "ann", "/status press it is the pool")
    answers = [each["text"] for each in rooms.messages(incident) if each["kind"] == "answered"]
    assert answers[0] == "management is told by leads: it is the pool"
    assert "there is no audience 'press'" in answers[1]
    asked = ["incidents", "update", incident, "--server", str(client.base_url)]
    assert run([*asked, "--to", "customers", "--preview", "--text", "not yet"]) == 0
    assert "status-page by webhook: would be told" in capsys.readouterr().out
    assert run([*asked, "--to", "customers", "--text", "Nothing is lost.", "--as", "bob"]) == 0
    capsys.readouterr()
    assert run(asked) == 0
    shown = capsys.readouterr().out
    assert ("ann to management" in shown, "it is the pool" in shown) == (True, True)
    assert ("bob to customers (public)" in shown, "Nothing is lost." in shown, "not yet" in shown) == (
        True,
        True,
        False,
    )
    assert run([*asked, "--text", "to nobody"]) == 1
    assert "name the audience that is told: --to AUDIENCE" in capsys.readouterr().err


def test_the_feed_is_atom_whatever_was_written(world):
    client, base, *_ = world
    client.post(f"{base}/updates", json={"actor": "ann", "audience": "customers", "text": "<b>5 % & more</b>"})
    feed = Xml.fromstring(client.get("/aiprism/v1/feed/status.atom").content)
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert feed.findtext("a:entry/a:content", "", names) == "<b>5 % & more</b>"
    assert feed.findtext("a:entry/a:title", "", names) == "Investigating: Document analysis is slow"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"audience": "press"}, 404),
        ({"audience": "customers", "template": "sorry"}, 404),
        ({"audience": "customers", "status": "fine"}, 400),
        ({"audience": "customers", "text": "   "}, 400),
        ({}, 400),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(world, body, status):
    client, base, *_ = world
    answer = client.post(f"{base}/updates", json={"actor": "ann", **body})
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)


def test_an_audience_names_receivers_that_there_are():
    with pytest.raises(ConfigError, match=r"'status-page' is no receiver of alertmanager.yml; known: on-call"):
        roomplan.read(parse("audiences: {customers: {receivers: [status-page]}}"), ["on-call"])

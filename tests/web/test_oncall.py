"""Who is on call over HTTP and in calendars, overrides, and the command that asks."""

from __future__ import annotations

import re
from datetime import UTC

import pytest

from aiprism import yamlfile
from aiprism.cli import oncall as command
from aiprism.clock import FakeClock
from aiprism.respond.incident import Periods
from aiprism.respond.oncall import ical, reading
from aiprism.respond.responder import Responder
from aiprism.respond.tiers import usual
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, oncall, routes
from tests.cli.conftest import aiprism  # noqa: F401 - a fixture
from tests.respond.making import T0, alert, everyone, serving, telling

DAY = 86_400.0
# T0 is Monday, 2026-11-23 14:15 UTC, an hour later in Berlin.
FILE = """
people:
  ann: {name: Ann Lee, email: ann@example.org, receivers: [everyone, {receiver: everyone, after: 2m}]}
  bob: {name: Bob Roe, receivers: everyone}
schedules:
  primary:
    zone: Europe/Berlin
    layers: [{name: weekly, start: 2026-11-16, every: 1w, people: [ann, bob]}]
    overrides: [{people: ann, start: 2026-11-24T08:00, end: 2026-11-24T10:00, reason: swapped}]
  short:
    layers: [{start: 2026-11-23, end: 2026-11-25, every: 1d, people: ann}]
policies:
  default: {tiers: P0, levels: [{oncall: primary}]}
"""
ANN, BOB = {"id": "ann", "name": "Ann Lee"}, {"id": "bob", "name": "Bob Roe"}


async def nothing():
    return None


@pytest.fixture
def clock():
    return FakeClock(T0)


@pytest.fixture
def responder(tmp_path, clock):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    rota = reading.read(yamlfile.parse(FILE, file="oncall.yml"), ["everyone"])
    policy = telling(everyone("http://127.0.0.1:9"), periods=Periods(1800.0, usual(), rota))
    yield Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=clock)
    records.close()


@pytest.fixture
def client(responder, clock):
    ids = iter(f"o{n}" for n in range(1, 9))
    doors = [oncall.router(responder, clock, lambda: next(ids)), incidents.router(responder)]
    with serving(routes.build(doors, Telemetry(), {}, nothing)) as client:
        yield client


def test_who_is_on_call_is_told_with_until_when_and_who_comes_then(client):  # R6
    primary, short = client.get("/aiprism/v1/oncall").json()["schedules"]
    assert primary == {
        "name": "primary", "zone": "Europe/Berlin", "people": [BOB], "why": "weekly",
        "until": T0 + 16.75 * 3600, "next": [ANN],
    }  # fmt: skip
    assert (short["people"], short["until"], short["next"]) == ([ANN], T0 + 2 * DAY - 5.25 * 3600, [])
    later = client.get("/aiprism/v1/oncall", params={"at": T0 + 10 * DAY}).json()
    assert [(each["people"], each["why"]) for each in later["schedules"]] == [([ANN], "weekly"), ([], "gap")]
    assert later["policies"] == [
        {"name": "default", "tiers": ["P0"], "match": [], "repeat": 0, "then": None,
         "levels": [{"oncall": ["primary"], "people": [], "receivers": [], "acknowledge_within": 300.0}]}
    ]  # fmt: skip
    assert later["people"][0]["receivers"] == [
        {"receiver": "everyone", "after": 0.0},
        {"receiver": "everyone", "after": 120.0},
    ]


def test_an_override_is_asked_for_shown_marked_and_ended(client, responder, clock):
    asked = {
        "schedule": "primary",
        "people": ["ann"],
        "start": "2026-11-23T20:00",
        "duration": "2h",
        "author": "bob",
        "reason": "away",
    }
    answer = client.post("/aiprism/v1/oncall/overrides", json=asked)
    made = {
        "schedule": "primary", "people": [ANN], "start": T0 + 4.75 * 3600, "end": T0 + 6.75 * 3600, "id": "o1", "reason": "away",
        "author": "bob", "created_at": T0,
    }  # fmt: skip
    assert (answer.status_code, answer.json()) == (201, made)
    assert client.get("/aiprism/v1/oncall/overrides").json() == {"overrides": [made]}
    found = client.get("/aiprism/v1/oncall/schedules/primary", params={"end": T0 + DAY}).json()
    assert [(each["people"], each["why"], each["override"]) for each in found["shifts"]] == [
        ([BOB], "weekly", None), ([ANN], "override", "o1"), ([BOB], "weekly", None), ([ANN], "override", None),
        ([BOB], "weekly", None),
    ]  # fmt: skip
    assert [each["id"] for each in found["overrides"]] == [None, "o1"]
    assert found["gaps"] == []
    clock._now = T0 + 5 * 3600
    assert client.delete("/aiprism/v1/oncall/overrides/o1").json()["end"] == T0 + 5 * 3600
    assert client.get("/aiprism/v1/oncall").json()["schedules"][0]["people"] == [BOB]
    past = client.get("/aiprism/v1/oncall/schedules/primary", params={"start": T0, "end": T0 + DAY}).json()
    assert (past["shifts"][1]["start"], past["shifts"][1]["end"]) == (T0 + 4.75 * 3600, T0 + 5 * 3600)
    to_come = client.post("/aiprism/v1/oncall/overrides", json={**asked, "start": T0 + DAY, "duration": "1h"}).json()
    client.delete(f"/aiprism/v1/oncall/overrides/{to_come['id']}")
    assert client.get("/aiprism/v1/oncall/overrides").json() == {"overrides": []}
    assert client.delete(f"/aiprism/v1/oncall/overrides/{to_come['id']}").status_code == 404


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ({"schedule": "none"}, 404, "there is no schedule 'none'; known: primary, short"),
        ({"people": ["zoe"]}, 400, "nobody is called 'zoe'; known: ann, bob"),
        ({"end": T0 + 60}, 400, "give either `end` or `duration`"),
        ({"start": "noon"}, 400, "'noon' is no time; write for example 2026-12-05T22:00"),
        ({"start": 1e12}, 400, "is not of our time"),
        ({"start": T0 - 7200}, 400, "the override is over before it begins"),
        ({"duration": "2y"}, 400, "an override lasts a year at most"),
    ],
)
def test_an_override_that_nobody_could_mean_is_refused(client, more, status, told):
    answer = client.post(
        "/aiprism/v1/oncall/overrides", json={"schedule": "primary", "people": ["ann"], "duration": "1h", **more}
    )
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_what_is_not_there_is_not_found_and_a_period_has_an_end(client):
    for path in ("schedules/none", "schedules/none.ics", "people/none.ics", "weeks/none.ics"):
        assert client.get(f"/aiprism/v1/oncall/{path}").status_code == 404
    for period in ({"start": T0, "end": T0}, {"start": T0, "end": T0 + 400 * DAY}):
        assert client.get("/aiprism/v1/oncall/schedules/primary", params=period).status_code == 400
    assert client.get("/aiprism/v1/oncall", params={"at": 1e15}).status_code in (400, 422)


def events(client, path):
    """(summary, start, end, uid) of each event of a calendar."""
    answer = client.get(f"/aiprism/v1/oncall/{path}")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    uids = re.findall(r"UID:(\S+)", answer.text)
    return [
        (each.summary, *next(each.event.times(UTC, 0, T0 + 1000 * DAY)), uid)
        for each, uid in zip(ical.read(answer.text), uids, strict=True)
    ]


def test_schedules_and_people_are_calendars_to_subscribe_to(client, clock):
    found = events(client, "schedules/primary.ics")
    assert [each[:3] for each in found[:2]] == [
        ("Ann Lee", T0 - 7 * DAY - 6.25 * 3600, T0 - 6.25 * 3600), ("Bob Roe", T0 - 6.25 * 3600, T0 + 16.75 * 3600),
    ]  # fmt: skip
    clock._now += 5 * DAY
    later = events(client, "schedules/primary.ics")
    assert {each[3] for each in found[:-1]} <= {each[3] for each in later}
    assert {each[0] for each in events(client, "people/ann.ics")} == {"on call: primary", "on call: short"}


def test_an_incident_says_whom_it_pages_next(client, responder, clock):
    responder.accept([alert()])
    [listed] = client.get("/aiprism/v1/incidents").json()["incidents"]
    found = client.get(f"/aiprism/v1/incidents/{listed['id']}").json()
    assert found["paging"] == [{"policy": "default", "next_at": T0 + 300}]
    assert [entry["text"] for entry in found["timeline"] if entry["event"] == "paged"] == [
        "Bob Roe is paged on call in primary (level 1 of policy default): by everyone"
    ]
    said = client.post(f"/aiprism/v1/incidents/{listed['id']}/acknowledge", json={"actor": "bob"}).json()
    assert said["paging"] == []


def test_the_commands_say_who_is_on_call_draw_a_schedule_and_make_overrides(client, aiprism):  # noqa: F811
    server = ("--server", str(client.base_url))
    status, out, _ = aiprism("oncall", *server)
    assert (status, [line.split() for line in out.splitlines()[2:]]) == (0, [
        ["primary", "Bob", "Roe", "weekly", "2026-11-24", "07:00", "16", "h", "45", "min", "Ann", "Lee"],
        ["short", "Ann", "Lee", "layer", "1", "2026-11-25", "09:00", "1", "d", "18", "h", "nobody"],
    ])  # fmt: skip
    status, out, _ = aiprism(
        "oncall", "override", "primary", "ann", "bob", "--duration", "2h", "--reason", "both", *server
    )
    assert (status, out) == (
        0,
        "Ann Lee, Bob Roe: on call in 'primary', 2026-11-23 14:15:00 to 2026-11-23 16:15:00 (o1)\n",
    )
    status, out, _ = aiprism("oncall", "overrides", *server)
    assert "o1" in out
    assert "both" in out
    status, out, _ = aiprism("oncall", "--schedule", "primary", "--days", "2", "--at", str(T0), *server)
    assert out.splitlines()[2:5] == [
        "Mon 23 Nov                 ══━━━━━━━  Ann Lee, Bob Roe (override), 17:15 Bob Roe",
        "Tue 24 Nov  ━━━━━━━━══━━━━━━━━━━━━━━  Bob Roe, 08:00 Ann Lee (override), 10:00 Bob Roe",
        "Wed 25 Nov  ━━━━━━━━━━━━━━━           Bob Roe",
    ]
    assert aiprism("oncall", "end", "o1", *server)[0] == 0
    status, _, err = aiprism("oncall", "--schedule", "none", *server)
    assert (status, "there is no schedule 'none'" in err) == (1, True)


def test_a_gap_stands_out_in_the_calendar(client):
    answer = client.get("/aiprism/v1/oncall/schedules/short", params={"start": T0, "end": T0 + 3 * DAY}).json()
    lines = [line.plain for line in command.calendar(answer, 140)]
    assert lines[4].startswith("Wed 25 Nov  " + "━" * 18 + "╌" * 30 + "  Ann Lee, 09:00 nobody")
    assert lines[-1] == "╌ nobody from Wed 25 Nov 09:00 to Thu 26 Nov 14:15"

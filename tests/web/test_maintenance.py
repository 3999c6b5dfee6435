"""Maintenance windows, what is held back, and the declared services over HTTP, and the commands that ask for them."""

from __future__ import annotations

import json

import pytest

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.respond.mute import holding
from aiprism.respond.responder import Responder
from aiprism.services import Catalogue, Service
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import alertmanager, catalogue, maintenance, routes
from tests.cli.conftest import aiprism  # noqa: F401 - a fixture
from tests.respond.making import T0, alert, everyone, serving, telling

FILE = "maintenance: [{name: nightly, matchers: [job=batch], start: 2026-11-23T22:00, duration: 1h, recurrence: FREQ=DAILY}]"
KNOWN = Catalogue([Service("shop", owner="ann", aliases=("shop-api",), dependencies=("db",)), Service("db")])


async def nothing():
    return None


@pytest.fixture
def clock():
    return FakeClock(T0)


@pytest.fixture
def responder(tmp_path, clock):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    planned = holding.read(yamlfile.parse(FILE, file="maintenance.yml"))
    policy = telling(everyone("http://127.0.0.1:9"), planned=planned, services=KNOWN)
    yield Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=clock)
    records.close()


@pytest.fixture
def client(responder, clock):
    ids = iter(f"w{n}" for n in range(1, 9))
    doors = [
        maintenance.router(responder, clock, lambda: next(ids)),
        alertmanager.router(responder, clock),
        catalogue.router(lambda: responder.policy.services),
    ]
    with serving(routes.build(doors, Telemetry(), {}, nothing)) as client:
        yield client


def test_a_window_is_planned_shown_and_ended_and_what_it_holds_is_shown_with_the_reason(client, responder, clock):
    asked = {
        "name": "upgrade",
        "matchers": ['service="api-gateway"'],
        "duration": "1h",
        "author": "ann",
        "comment": "c",
    }
    answer = client.post("/aiprism/v1/maintenance", json=asked)
    assert (answer.status_code, answer.json()) == (201, {
        "id": "w1", "name": "upgrade", "from_file": False, "state": "active", "matchers": ['service="api-gateway"'],
        "start": "2026-11-23T14:15", "end": None, "duration": 3600.0, "zone": "UTC", "recurrence": "",
        "comment": "c", "author": "ann",
        "holds": {"start": T0, "end": T0 + 3600}, "next": None, "ended_at": None,
    })  # fmt: skip
    assert client.post("/aiprism/v1/maintenance", json=asked).status_code == 409
    found = client.get("/aiprism/v1/maintenance").json()["windows"]
    assert [(each["name"], each["state"], each["from_file"]) for each in found] == [
        ("nightly", "pending", True), ("upgrade", "active", False)
    ]  # fmt: skip

    responder.accept([alert("ServiceDown", at=T0 - 5)])
    [one] = client.get("/aiprism/v1/suppressed").json()["suppressed"]
    assert (one["alert"], one["receiver"], one["stage"], one["reason"], one["since"], one["until"]) == (
        "ServiceDown", "everyone", "maintenance", "maintenance:upgrade", T0 - 5, None
    )  # fmt: skip
    [status] = [each["status"] for each in client.get("/api/v2/alerts").json()]
    assert (status["state"], status["mutedBy"]) == ("suppressed", ["maintenance:upgrade"])
    assert client.get("/aiprism/v1/suppressed", params={"stage": "silenced"}).json() == {"suppressed": []}

    clock._now += 60
    responder.pipeline.flush()
    clock._now += 60
    ended = client.delete("/aiprism/v1/maintenance/upgrade").json()
    assert (ended["state"], ended["ended_at"]) == ("over", T0 + 120)
    responder.pipeline.flush()
    # Its incident is opened, and tells this receiver: the group need not.
    left = client.get("/aiprism/v1/suppressed").json()["suppressed"]
    assert [each["stage"] for each in left] == ["told_by_incident"]
    [past] = client.get("/aiprism/v1/suppressed", params={"state": "past"}).json()["suppressed"]
    assert (past["stage"], past["since"], past["until"]) == ("maintenance", T0 + 60, T0 + 120)


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        ({"duration": ""}, 400, "give either `end` or `duration`"),
        ({"matchers": ["a"]}, 400, "bad matcher format"),
        ({"recurrence": "weekly"}, 400, "write an RRULE, for example FREQ=WEEKLY;BYDAY=SA"),
        ({"zone": "Mars"}, 400, "unknown time zone 'Mars'"),
    ],
)
def test_a_window_that_nobody_could_mean_is_refused(client, more, status, told):
    answer = client.post("/aiprism/v1/maintenance", json={"name": "a", "matchers": ["a=b"], "duration": "1h", **more})
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_a_window_that_is_not_there_or_stands_in_the_file_cannot_be_ended(client):
    assert client.delete("/aiprism/v1/maintenance/none").status_code == 404
    assert client.delete("/aiprism/v1/maintenance/nightly").status_code == 409


def test_the_commands_plan_list_and_end_windows_and_show_what_is_held(client, responder, aiprism):  # noqa: F811
    server = ("--server", str(client.base_url))
    status, out, _ = aiprism(
        "maintenance", "add", "upgrade", 'service="api-gateway"', "--duration", "2h", "--author", "ann", *server
    )
    assert (status, out) == (0, "maintenance 'upgrade' (w1) is planned, 2026-11-23 14:15:00 to 2026-11-23 16:15:00\n")
    responder.accept([alert("ServiceDown", at=T0 - 5)])
    status, out, _ = aiprism("maintenance", *server)
    assert [line.split()[:2] for line in out.splitlines() if "batch" in line or "api" in line] == [
        ["active", "upgrade"], ["pending", "nightly"]
    ]  # fmt: skip
    status, out, _ = aiprism("alerts", "--suppressed", *server)
    [line] = [line.split() for line in out.splitlines() if "ServiceDown" in line]
    assert (line[:4], line[-1]) == (["maintenance", "ServiceDown", "api-gateway", "everyone"], "maintenance:upgrade")
    _, out, _ = aiprism("alerts", "--suppressed", "-o", "json", *server)
    assert json.loads(out)["suppressed"][0]["stage"] == "maintenance"
    status, out, _ = aiprism("maintenance", "end", "upgrade", *server)
    assert (status, out.splitlines()[-1]) == (0, "maintenance 'upgrade' (w1) has ended")
    assert aiprism("alerts", "--suppressed", *server) == (0, "nothing is held back\n", "")
    status, _, err = aiprism("maintenance", "end", "nightly", *server)
    assert (status, err) == (
        1, "aiprism: maintenance window 'nightly' stands in maintenance.yml: change it there, and reload\n"
    )  # fmt: skip


def test_the_declared_services_are_shown_by_name_and_alias(client):
    assert [each["name"] for each in client.get("/aiprism/v1/catalogue").json()["services"]] == ["shop", "db"]
    shop = client.get("/aiprism/v1/catalogue/shop-api").json()
    assert (shop["name"], shop["owner"], shop["dependencies"], shop["beneath"]) == ("shop", "ann", ["db"], ["db"])
    assert client.get("/aiprism/v1/catalogue/unknown").status_code == 404

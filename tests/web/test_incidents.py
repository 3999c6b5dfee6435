"""Incidents over HTTP: what is listed, what one holds, and what people may do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from aiprism.clock import FakeClock
from aiprism.respond.actions.act import Done
from aiprism.respond.incident import Periods
from aiprism.respond.responder import Responder
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, routes, tiers
from tests.respond.making import T0, alert, cleared, everyone, runbooks, serving, telling

BASE = "/aiprism/v1/incidents"
DOWN = alert("ServiceDown", "document-processor", at=T0 - 5)
BOOK = """
name: restart
match: [alertname="ServiceDown"]
guard: {approval: required}
steps: [{process: {service: "${labels.service}", action: restart}}]
"""


class Supervisor:
    async def act(self, order):
        return Done(True, "restarted")


async def nothing():
    return None


@pytest.fixture
def responder(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    policy = telling(everyone("http://127.0.0.1:9"), runbooks=runbooks(BOOK), periods=Periods(validation=1800))
    yield Responder(
        records, policy=policy, actuators={"process": Supervisor()}, ask=lambda query, at: [], clock=FakeClock(T0)
    )
    records.close()


@pytest.fixture
def client(responder):
    app = routes.build([incidents.router(responder), tiers.router(responder)], Telemetry(), {}, nothing)
    with serving(app) as client:
        yield client


def only(client, status="open"):
    [found] = client.get(BASE, params={"status": status}).json()["incidents"]
    return found


def test_a_list_shows_what_the_contract_names(client, responder):
    responder.accept([DOWN])
    found = only(client)
    assert {key: found[key] for key in ("title", "priority", "status", "services", "created_at", "resolved_at")} == {
        "title": "document-processor down since 14:14 UTC", "priority": "P0", "status": "investigating",
        "services": ["document-processor"], "created_at": T0, "resolved_at": None,
    }  # fmt: skip
    [held] = found["alerts"]
    assert (held["fingerprint"], held["name"], held["state"]) == (DOWN.fingerprint, "ServiceDown", "firing")
    assert (held["active_at"], held["fired_at"], held["resolved_at"]) == (T0 - 5, T0 - 5, None)


def test_one_incident_tells_its_whole_story(client, responder):
    responder.accept([DOWN])
    asyncio.run(responder.remediation.carry_out_all())
    asyncio.run(responder.delivery.deliver_due())
    told = client.get(f"{BASE}/{only(client)['id']}").json()
    assert [entry["event"] for entry in told["timeline"]][:2] == ["incident_created", "runbook_waiting"]
    assert set(told["timeline"][0]) == {"id", "at", "event", "actor", "text", "data"}
    letter = next(row for row in told["notifications"] if row["channel"] == "slack")
    assert (letter["receiver"], letter["event"], letter["state"], letter["attempts"]) == (
        "everyone",
        "opened",
        "pending",
        1,
    )
    assert letter["error"] == "cannot be reached: connect error"
    assert "payload" not in letter
    [run] = told["runs"]
    assert (run["runbook"], run["state"], run["steps"]) == ("restart", "waiting_approval", [])
    assert told["durations"] == {"detect": 5.0}


def test_people_acknowledge_identify_comment_resolve_and_reopen(client, responder):
    responder.accept([DOWN])
    address = f"{BASE}/{only(client)['id']}"
    for word in ("acknowledge", "identify", "comment", "resolve", "reopen"):
        assert client.post(f"{address}/{word}", json={"actor": "ann", "text": f"I {word}"}).status_code == 200
    told = client.get(address).json()
    assert (told["status"], told["acknowledged_by"], told["reopened"]) == ("investigating", None, 1)
    assert [(entry["event"], entry["text"]) for entry in told["timeline"] if entry["actor"] == "ann"] == [
        ("acknowledged", "I acknowledge"), ("identified", "I identify"), ("comment", "I comment"),
        ("resolved", "I resolve (while ServiceDown fires)"), ("reopened", "I reopen"),
    ]  # fmt: skip


def test_a_move_that_is_not_legal_is_a_conflict_that_names_the_state(client, responder):
    responder.accept([DOWN])
    responder.accept([cleared(DOWN, T0 + 1)])
    answer = client.post(f"{BASE}/{only(client)['id']}/identify", json={"actor": "ann"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert "is monitoring: cannot identify it" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/INC_none", None, 404),
        ("POST", "/INC_none/acknowledge", {"actor": "ann"}, 404),
        ("POST", "/INC_none/acknowledge", {"actor": ""}, 400),
        ("POST", "/INC_none/acknowledge", {}, 400),
        ("POST", "/INC_none/comment", {"actor": "ann"}, 400),
        ("POST", "/INC_none/runs/RUN_none/approve", {"actor": "ann"}, 404),
        ("POST", "/INC_none/runs", {"actor": "ann", "runbook": "restart", "reason": "x"}, 404),
        ("POST", "/INC_none/runs", {"actor": "ann", "runbook": "restart"}, 400),
        ("POST", "/INC_none/runs/RUN_none/abort", {"actor": "ann"}, 404),
        ("GET", "?status=broken", None, 400),
        ("GET", "?limit=0", None, 400),
    ],
)
def test_bad_requests_are_refused_in_the_common_form(client, method, path, body, status):
    answer = client.request(method, BASE + path, json=body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "details"}


def test_lists_are_filtered_by_status_and_limited(client, responder):
    responder.accept([alert("ServiceDown", f"service-{number}") for number in range(3)])
    first = client.get(BASE).json()["incidents"][0]["id"]
    client.post(f"{BASE}/{first}/resolve", json={"actor": "ann"})
    counts = {
        status: len(client.get(f"{BASE}?status={status}").json()["incidents"]) for status in ("open", "resolved", "all")
    }
    assert counts == {"open": 2, "resolved": 1, "all": 3}
    assert len(client.get(f"{BASE}?status=all&limit=2").json()["incidents"]) == 2


@pytest.mark.parametrize(("word", "state"), [("approve", "succeeded"), ("refuse", "skipped")])
def test_a_runbook_that_waits_is_approved_or_refused(client, responder, word, state):
    responder.accept([DOWN])
    asyncio.run(responder.remediation.carry_out_all())
    told = client.get(f"{BASE}/{only(client)['id']}").json()
    address = f"{BASE}/{told['id']}/runs/{told['runs'][0]['id']}/{word}"
    assert client.post(address, json={"actor": "ann"}).status_code == 200
    asyncio.run(responder.remediation.carry_out_all())
    assert client.get(f"{BASE}/{told['id']}").json()["runs"][0]["state"] == state
    assert client.post(address, json={"actor": "ann"}).status_code == 409


def test_a_runbook_is_started_by_hand_and_ended_by_hand(client, responder):
    responder.accept([DOWN])
    place = f"{BASE}/{only(client)['id']}/runs"
    started = client.post(place, json={"actor": "ann", "runbook": "restart", "reason": "it hangs"})
    assert started.status_code == 201
    assert started.json()["timeline"][-1]["text"] == "ann asked for runbook restart because of ServiceDown: it hangs"
    ended = client.post(f"{place}/{started.json()['run']}/abort", json={"actor": "ann", "reason": "it came back"})
    by_id = {run["id"]: (run["state"], run["outcome"]) for run in ended.json()["runs"]}
    assert by_id[started.json()["run"]] == ("skipped", "ann ended it: it came back")
    assert client.post(f"{place}/{started.json()['run']}/abort", json={"actor": "ann"}).status_code == 409
    nobody = client.post(place, json={"actor": "ann", "runbook": "restrat", "reason": "x"})
    assert (nobody.status_code, "there are restart" in nobody.json()["error"]["message"]) == (404, True)


def test_who_lacks_the_role_is_told_who_has_it(client, responder):
    asked = BOOK.replace("approval: required", "approval: {role: sre}")
    responder.reload(replace(responder.policy, runbooks=runbooks(asked), roles={"sre": ("bob",)}))
    responder.accept([DOWN])
    asyncio.run(responder.remediation.carry_out_all())
    told = client.get(f"{BASE}/{only(client)['id']}").json()
    answer = client.post(f"{BASE}/{told['id']}/runs/{told['runs'][0]['id']}/approve", json={"actor": "ann"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "ann may not let runbook restart go ahead" in answer.json()["error"]["message"]
    assert "which bob has now" in answer.json()["error"]["message"]


@pytest.mark.parametrize("word", ["approve", "refuse", "abort"])
def test_a_run_of_another_incident_is_not_found_and_stays_as_it_is(client, responder, word):
    responder.accept([DOWN, alert("ServiceDown", "other", at=T0 - 5)])
    asyncio.run(responder.remediation.carry_out_all())
    one, other = (client.get(f"{BASE}/{item['id']}").json() for item in client.get(BASE).json()["incidents"])
    answer = client.post(f"{BASE}/{one['id']}/runs/{other['runs'][0]['id']}/{word}", json={"actor": "ann"})
    assert answer.status_code == 404
    assert client.get(f"{BASE}/{other['id']}").json()["runs"][0]["state"] == "waiting_approval"


@pytest.mark.parametrize(("word", "state"), [("approve", "planned"), ("refuse", "skipped"), ("abort", "skipped")])
def test_a_run_is_decided_on_by_the_name_of_an_incident_that_was_merged(client, responder, word, state):
    responder.accept([alert("SlowAnswers", "other", at=T0 - 5)])
    into = only(client)["id"]
    responder.accept([DOWN])
    gone = next(each["id"] for each in client.get(BASE).json()["incidents"] if each["id"] != into)
    asyncio.run(responder.remediation.carry_out_all())
    run = client.get(f"{BASE}/{gone}").json()["runs"][0]["id"]
    assert client.post(f"{BASE}/{into}/merge", json={"actor": "ann", "other": gone}).status_code == 200
    answer = client.post(f"{BASE}/{gone}/runs/{run}/{word}", json={"actor": "ann"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["id"], {each["id"]: each["state"] for each in answer.json()["runs"]}[run]) == (into, state)
    again = [
        client.post(f"{BASE}/{gone}/runs", json={"actor": "ann", "runbook": "restart", "reason": "it hangs"}).json()
        for _ in range(2)
    ]
    assert {each["id"] for each in again} == {into}
    assert again[0]["run"] != again[1]["run"]


def test_who_begins_to_work_has_seen_it_and_may_hand_it_back(client, responder):
    responder.accept([DOWN])
    place = f"{BASE}/{only(client)['id']}"
    waited = client.get(place).json()
    assert waited["deadlines"] == {"acknowledgement": T0 + 300, "response": T0 + 900, "resolution": T0 + 3600}
    assert waited["next_due"] == T0 + 300
    at_work = client.post(f"{place}/respond", json={"actor": "ann"}).json()
    assert (at_work["responded_at"], at_work["acknowledged_by"]) == (T0, "ann")
    assert at_work["deadlines"] == {"acknowledgement": None, "response": None, "resolution": T0 + 3600}
    left = client.post(f"{place}/unacknowledge", json={"actor": "ann", "text": "my shift is over"}).json()
    assert (left["acknowledged_by"], left["responded_at"]) == (None, T0)
    assert [entry["event"] for entry in left["timeline"]][-3:] == ["acknowledged", "responded", "unacknowledged"]


def test_the_tiers_that_hold_are_shown_with_whom_they_tell(client):
    shown = client.get("/aiprism/v1/tiers").json()
    assert [tier["tier"] for tier in shown["tiers"]] == ["P0", "P1", "P2", "P3"]
    assert shown["otherwise"] == "P2"
    urgent = shown["tiers"][0]
    assert (urgent["receivers"], urgent["acknowledge_within"], urgent["opens_incident"]) == (["everyone"], 300.0, True)
    assert urgent["severities"] == ["critical", "p0", "p0_critical", "page"]


def test_why_its_alerts_are_one_incident_is_answered(client, responder):
    responder.accept([DOWN, alert("HighErrorRate", "document-processor", at=T0)])
    told = client.get(f"{BASE}/{only(client)['id']}/correlation").json()
    assert [(each["from"], each["to"]) for each in told["edges"]] == [
        (alert("HighErrorRate", "document-processor").fingerprint, DOWN.fingerprint)
    ]
    assert client.get(f"{BASE}/INC_none/correlation").status_code == 404

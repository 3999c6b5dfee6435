"""What people do about an incident over HTTP: each answers with how it stands now, and may be sent again."""

from __future__ import annotations

import pytest

from aiprism.clock import FakeClock
from aiprism.respond.responder import Responder
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, routes
from tests.respond.making import T0, alert, everyone, serving, telling

BASE = "/aiprism/v1/incidents"
SLOW, DOWN = alert("SlowAnswers", "api-gateway", severity="high"), alert("ServiceDown", "billing", at=T0 + 1)


async def nothing():
    return None


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server for all of these: each test opens incidents of its own."""
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('work')}/control.db")
    policy = telling(everyone("http://127.0.0.1:9"))
    responder = Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=FakeClock(T0))
    with serving(routes.build([incidents.router(responder)], Telemetry(), {}, nothing)) as client:
        yield client, responder
    records.close()


@pytest.fixture
def client(served):
    return served[0]


@pytest.fixture
def two(served, request):
    """The ids of two incidents that nobody else knows."""
    client, responder = served
    own = [alert(each.name, f"{each.labels['service']}-{request.node.name}", severity=each.labels["severity"], at=at)
           for each, at in ((SLOW, T0), (DOWN, T0 + 1))]  # fmt: skip
    for each in own:
        responder.accept([each])
    listed = client.get(BASE).json()["incidents"]
    return [next(row["id"] for row in listed if each.fingerprint in _held(row)) for each in own]


def _held(row):
    return {each["fingerprint"] for each in row["alerts"]}


def say(client, path, **body):
    answer = client.post(f"{BASE}/{path}", json={"actor": "ann", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_roles_tasks_and_evidence_stand_on_the_incident_and_on_its_timeline(client, two):
    one, _ = two
    say(client, f"{one}/assign", to="ben")
    say(client, f"{one}/roles", role="commander", person="ann")
    say(client, f"{one}/tasks", text="drain the pool", assignee="ben", due=T0 + 3600, key="k1")
    say(client, f"{one}/tasks/T1/done", text="drained")
    now = say(client, f"{one}/pin", what="https://wiki.example.com/pool")
    assert (now["assignee"], now["roles"]) == ("ben", {"commander": "ann"})
    [task] = now["tasks"]
    assert (task["id"], task["assignee"], task["due"], task["done_by"]) == ("T1", "ben", T0 + 3600, "ann")
    assert [pin["what"] for pin in now["pins"]] == ["https://wiki.example.com/pool"]
    lines = [(line["event"], line["actor"]) for line in now["timeline"] if line["actor"] == "ann"]
    assert [event for event, _ in lines] == ["assigned", "role_taken", "task_added", "task_done", "pinned"]


def test_a_request_sent_again_changes_nothing(client, two):
    one, other = two
    sent = [
        ("assign", {"to": "ben"}), ("roles", {"role": "scribe", "person": "cy"}),
        ("tasks", {"text": "look", "key": "k"}), ("tasks/T1/done", {}), ("pin", {"what": "a trace"}),
        ("priority", {"impact": "extensive", "text": "all customers"}), ("merge", {"other": other}),
    ]  # fmt: skip
    for path, body in sent:
        first = say(client, f"{one}/{path}", **body)
        assert say(client, f"{one}/{path}", **body)["timeline"] == first["timeline"], path


def test_a_priority_said_by_hand_has_its_reason_and_its_targets(client, two):
    one, _ = two
    now = say(client, f"{one}/priority", impact="extensive", text="every customer sees it")
    assert (now["priority"], now["impact"], now["urgency"]) == ("P0", "extensive", "high")
    assert now["target_at"] == now["created_at"] + 3600
    line = next(line for line in now["timeline"] if line["event"] == "priority_changed")
    assert (line["data"]["from"], line["data"]["to"], line["data"]["reason"]) == ("P1", "P0", "every customer sees it")
    back = say(client, f"{one}/priority", text="not so many after all")
    assert (back["priority"], back["impact"], back["target_at"]) == ("P1", "moderate", back["created_at"] + 4 * 3600)


def test_a_merge_answers_with_what_goes_on_and_a_split_with_what_is_new(client, two):
    one, other = two
    merged = say(client, f"{one}/merge", other=other, text="one fault")
    assert (merged["id"], merged["absorbed"], len(merged["alerts"])) == (one, [other], 2)
    gone = client.get(f"{BASE}/{other}").json()
    assert (gone["status"], gone["merged_into"]) == ("resolved", one)
    moved = next(each["fingerprint"] for each in merged["alerts"] if each["name"] == "ServiceDown")
    split = say(client, f"{one}/split", alerts=[moved])
    assert (split["split_from"], [each["fingerprint"] for each in split["alerts"]]) == (one, [moved])


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("tasks/T9/done", {}, 404, "T9"),
        ("roles", {"role": "king", "person": "ann"}, 400, "role"),
        ("priority", {"impact": "minor"}, 400, "text"),
        ("priority", {"impact": "minor", "priority": "P0", "text": "x"}, 400, "not both"),
        ("merge", {"other": "INC_20200101_000000_0000"}, 404, "INC_20200101"),
        ("split", {"alerts": ["0" * 16]}, 404, "no alert"),
    ],
)
def test_what_cannot_be_is_refused_with_what_and_why(client, two, path, body, status, word):
    answer = client.post(f"{BASE}/{two[0]}/{path}", json={"actor": "ann", **body})
    assert (answer.status_code, word in answer.text) == (status, True), answer.text

"""The control channel through a real server: httpx as operator, the SDK's own channel as service."""

from __future__ import annotations

import os
import time

import httpx
import pytest

from aiprism.clock import SystemClock
from aiprism.respond.actions.control import ControlHub
from aiprism.sdk.channel import ControlChannel
from aiprism.sdk.channel import Instance as SdkInstance
from aiprism.sdk.control import Controls
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import control, routes
from tests.respond.making import serving

TOKEN = "t0ken"
BASE = "/aiprism/v1/control"
POLL = {"service": "ai", "instance": "i1", "controls": [{"name": "m", "kind": "circuit_breaker"}], "wait_seconds": 0}


async def nothing():
    return None


def at(hub, token=TOKEN):
    """The control routes on a real server, as httpx client without a token."""
    return serving(routes.build([control.router(hub, token)], Telemetry(), {}, nothing))


def wait_for(true, what, deadline=20.0):
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


@pytest.fixture
def hub(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield ControlHub(records, SystemClock())
    records.close()


@pytest.fixture
def client(hub):
    with at(hub) as client:
        yield client


@pytest.fixture
def operator(client):
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client


@pytest.fixture
def service(client):
    """A service with a breaker and a traffic weight, on the SDK's own channel."""
    controls = Controls()
    controls.circuit_breaker("ai-model")
    controls.traffic_weight("route", {"a": 1.0, "b": 0.0})
    me = SdkInstance("ai", "i1", "1.0", "test", os.getpid())
    channel = ControlChannel(controls, str(client.base_url), TOKEN, me, wait_seconds=5.0)
    channel.start()
    wait_for(lambda: client.get(f"{BASE}/services").json()["services"], "the service to be known")
    yield controls
    channel.stop(5.0)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_without_the_token_nothing_is_given_and_nothing_is_taken(client, header):
    answers = [
        client.post(f"{BASE}/poll", json=POLL, headers=header),
        client.post(f"{BASE}/commands", json={"service": "ai", "control": "m", "action": "open"}, headers=header),
        client.delete(f"{BASE}/commands/CMD_1", headers=header),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].json()["error"]["code"] == "unauthorized"
    assert client.get(f"{BASE}/services").json() == {"services": []}


def test_an_empty_token_lets_nobody_in(hub):
    with at(hub, token="") as client:
        assert client.post(f"{BASE}/poll", json=POLL, headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.post(f"{BASE}/poll", json=POLL).status_code == 401


@pytest.mark.parametrize(
    ("change", "says"),
    [({"service": ""}, "service"), ({"wait_seconds": 3600}, "wait_seconds"), ({"acks": [{"status": "maybe"}]}, "acks")],
)
def test_a_malformed_poll_is_refused_with_the_field(operator, change, says):
    answer = operator.post(f"{BASE}/poll", json={**POLL, **change})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_data")
    assert says in answer.json()["error"]["message"]


def test_a_service_on_the_sdks_channel_follows_a_command_and_its_revocation(operator, service):  # R8
    command = operator.post(
        f"{BASE}/commands",
        json={"service": "ai", "control": "ai-model", "action": "open", "ttl_seconds": 600, "reason": "slow model"},
    ).json()
    address = f"{BASE}/commands/{command['id']}"
    wait_for(lambda: operator.get(address).json()["state"] == "applied", "the command to be applied")
    assert service.circuit_breaker("ai-model").is_open
    assert [ack["status"] for ack in operator.get(address).json()["acks"]] == ["applied"]
    operator.delete(address)
    wait_for(lambda: operator.get(address).json()["state"] == "undone", "the command to be undone")
    assert not service.circuit_breaker("ai-model").is_open


def test_a_command_the_service_cannot_follow_fails_with_its_reason(operator, service):
    command = operator.post(
        f"{BASE}/commands",
        json={"service": "ai", "control": "route", "action": "set", "params": {"weights": {"nope": 1}}, "reason": ""},
    ).json()
    address = f"{BASE}/commands/{command['id']}"
    wait_for(lambda: operator.get(address).json()["state"] == "failed", "the refusal")
    assert "unknown target 'nope'" in operator.get(address).json()["acks"][0]["message"]


def test_a_command_with_a_ttl_is_reported_expired_by_the_service(operator, service):
    command = operator.post(
        f"{BASE}/commands",
        json={"service": "ai", "control": "ai-model", "action": "open", "ttl_seconds": 0.4, "reason": ""},
    ).json()
    address = f"{BASE}/commands/{command['id']}"
    wait_for(lambda: [a["status"] for a in operator.get(address).json()["acks"]] == ["expired"], "the end of its time")
    assert not service.circuit_breaker("ai-model").is_open


def test_the_services_and_their_controls_are_listed(operator, service):
    [listed] = operator.get(f"{BASE}/services").json()["services"]
    assert (listed["service"], listed["instance"], listed["version"], listed["pid"]) == ("ai", "i1", "1.0", os.getpid())
    assert sorted((item["kind"], item["name"]) for item in listed["controls"]) == [
        ("circuit_breaker", "ai-model"), ("traffic_weight", "route")
    ]  # fmt: skip


def test_unknown_controls_actions_and_commands_are_refused(operator, service):
    wrong = operator.post(f"{BASE}/commands", json={"service": "ai", "control": "x", "action": "open"})
    assert wrong.status_code == 400
    assert "its controls: circuit_breaker ai-model, traffic_weight route" in wrong.json()["error"]["message"]
    assert operator.get(f"{BASE}/commands/CMD_none").status_code == 404
    assert operator.delete(f"{BASE}/commands/CMD_none").status_code == 404


def test_a_service_that_died_is_not_waited_for(operator, hub):
    for instance in ("alive", "dead"):
        operator.post(f"{BASE}/poll", json={**POLL, "instance": instance})
    with pytest.raises(httpx.ReadTimeout):  # its poll ends as that of a killed process does: the connection closes
        operator.post(f"{BASE}/poll", json={**POLL, "instance": "dead", "wait_seconds": 60}, timeout=0.3)
    wait_for(lambda: [item.instance for item in hub.live()] == ["alive"], "the dead one to be noticed")
    command = operator.post(f"{BASE}/commands", json={"service": "ai", "control": "m", "action": "open"}).json()
    ack = {"command_id": command["id"], "status": "applied", "at": 1.0}
    operator.post(f"{BASE}/poll", json={**POLL, "instance": "alive", "acks": [ack]})
    assert operator.get(f"{BASE}/commands/{command['id']}").json()["state"] == "applied"

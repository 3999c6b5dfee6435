"""Runbooks over HTTP, and through `aiprism runbooks`."""

from __future__ import annotations

import asyncio
import json

import pytest

from aiprism import cli
from aiprism.clock import FakeClock
from aiprism.respond import runbook
from aiprism.respond.actions.act import Done
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import incidents, routes, runbooks
from tests.respond import making
from tests.respond.making import T0, alert, serving

BOOK = """
name: restart
match: [alertname="ServiceDown"]
guard: {approval: required}
steps: [{process: {service: "${labels.service}", action: restart}}]
"""
BASE = "/aiprism/v1/runbooks"
LABELS = {"alertname": "ServiceDown", "severity": "critical", "service": "api"}


class Supervisor:
    async def act(self, order):
        return Done(True, "restarted")


async def nothing():
    return None


@pytest.fixture
def responder(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    policy = Policy(runbooks=making.runbooks(BOOK))
    yield Responder(
        records, policy=policy, actuators={"process": Supervisor()}, ask=lambda query, at: [], clock=FakeClock(T0)
    )
    records.close()


@pytest.fixture
def client(responder):
    rooms = [runbooks.router(responder, FakeClock(T0)), incidents.router(responder)]
    with serving(routes.build(rooms, Telemetry(), {}, nothing)) as client:
        yield client


@pytest.fixture
def aiprism(client, capsys):
    def run(*words):
        status = cli.run(["runbooks", *words, "--server", str(client.base_url)])
        out, err = capsys.readouterr()
        return status, out + err

    return run


def test_a_list_one_and_the_schema(client):
    [told] = client.get(BASE).json()["runbooks"]
    assert (told["name"], told["approval"], told["success_rate"]) == ("restart", "required", None)
    assert client.get(f"{BASE}/restart").json()["steps"][0]["kind"] == "process"
    assert client.get(f"{BASE}/nose").status_code == 404
    assert client.get(f"{BASE}/schema").json() == json.loads(json.dumps(runbook.SCHEMA))


def test_what_an_alert_would_call_for(client):
    [told] = client.post(f"{BASE}/test", json={"labels": LABELS}).json()["runbooks"]
    assert (told["runs"], told["guards"]) == (True, ["approval of a person"])
    assert client.post(f"{BASE}/test", json={"labels": {}}).status_code == 400
    assert client.post(f"{BASE}/test", json={"labels": LABELS, "priority": "P7"}).status_code == 400


def test_the_commands_list_show_test_start_approve_and_end(aiprism, responder):
    assert aiprism("list") == aiprism()
    assert "restart" in aiprism("list")[1]
    assert "api" in aiprism("test", "alertname=ServiceDown", "severity=critical", "service=api")[1]
    status, said = aiprism("test", "alertname=Other", "severity=critical")
    assert (status, "no runbook answers such an alert of P0" in said) == (1, True)
    assert aiprism("show", "nose")[0] == 1
    responder.accept([alert("ServiceDown", "api")])
    asyncio.run(responder.remediation.carry_out_all())
    status, said = aiprism("approve", "last", "--as", "ann")
    assert (status, "approved by ann" in said) == (0, True)
    asyncio.run(responder.remediation.carry_out_all())
    assert "succeeded" in aiprism("show", "restart")[1]
    status, said = aiprism("run", "restart", "last", "--reason", "once more", "--as", "ann")
    assert (status, "_hand1" in said) == (0, True)
    assert "ended by ann" in aiprism("abort", "last", "--as", "ann")[1]
    status, said = aiprism("refuse", "last")
    assert (status, "is waiting_approval" in said) == (1, True)


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "\\ude00\\ud83d", "\\ud83d"])
def test_text_that_cannot_be_written_again_is_refused_in_words(client, half):
    body = f'{{"labels": {{"alertname": "ServiceDown", "service": "{half}"}}}}'
    answer = client.post(f"{BASE}/test", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_data")
    assert "half of a surrogate pair stands alone" in answer.json()["error"]["message"]


def test_text_of_any_other_kind_is_taken(client):
    body = json.dumps({"labels": {**LABELS, "service": "\U0001f600 \u00e9 \\\\ud800"}})
    assert client.post(f"{BASE}/test", content=body, headers={"Content-Type": "application/json"}).status_code == 200

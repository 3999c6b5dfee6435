"""The stand-ins for Slack, PagerDuty and a webhook accept and refuse what the real ones do."""

import json
from typing import Any

import pytest

from aiprism_lab import receivers
from aiprism_lab.wiring import Settings
from tests.lab.appclient import AppClient

KEY = "0123456789abcdef0123456789abcdef"
EVENT = {
    "routing_key": KEY,
    "event_action": "trigger",
    "payload": {"summary": "High latency", "source": "aiprism", "severity": "critical"},
}


@pytest.fixture
def client(tmp_path):
    return AppClient(receivers.build(Settings(service="receivers", instance="receivers-1", data=tmp_path / "lab")))


def received(client, kind) -> list[Any]:
    return [entry["body"] for entry in client.get("/received", params={"kind": kind}).json()["received"]]


def test_slack_takes_text_blocks_attachments_and_form_fields(client):
    messages = [{"text": "hi"}, {"blocks": [{"type": "divider"}]}, {"attachments": [{"text": "hi"}]}]
    for message in messages:
        answer = client.post("/slack/services/T/B/x", json=message)
        assert (answer.status_code, answer.text) == (200, "ok")
    answer = client.post("/slack/services/T/B/x", data={"payload": json.dumps({"text": "form"})})
    assert answer.text == "ok"
    assert received(client, "slack") == [*messages, {"text": "form"}]


@pytest.mark.parametrize(
    ("body", "text"), [(b"{}", "no_text"), (b"[]", "invalid_payload"), (b"no json", "invalid_payload")]
)
def test_slack_refuses_what_slack_refuses(client, body, text):
    answer = client.post("/slack/services/T/B/x", content=body)
    assert (answer.status_code, answer.text) == (400, text)
    assert received(client, "slack") == []


def test_pagerduty_accepts_an_event_and_returns_its_dedup_key(client):
    answer = client.post("/pagerduty/v2/enqueue", json=EVENT | {"dedup_key": "incident-1"})
    assert (answer.status_code, answer.json()["status"], answer.json()["dedup_key"]) == (202, "success", "incident-1")
    made_up = client.post("/pagerduty/v2/enqueue", json=EVENT).json()["dedup_key"]
    closed = {"routing_key": KEY, "event_action": "resolve", "dedup_key": made_up}
    assert client.post("/pagerduty/v2/enqueue", json=closed).status_code == 202
    assert [event["dedup_key"] for event in received(client, "pagerduty")] == ["incident-1", made_up, made_up]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"routing_key": "short"}, "routing_key"),
        ({"event_action": "open"}, "event_action"),
        ({"event_action": "resolve"}, "dedup_key"),
        ({"dedup_key": "x" * 256}, "dedup_key"),
        ({"payload": None}, "payload"),
        ({"payload": {"summary": "", "source": "s", "severity": "info"}}, "payload.summary"),
        ({"payload": {"summary": "x" * 1025, "source": "s", "severity": "info"}}, "payload.summary"),
        ({"payload": {"summary": "s", "source": "s", "severity": "P0"}}, "payload.severity"),
    ],
)
def test_pagerduty_refuses_an_invalid_event_and_says_what_is_wrong(client, change, error):
    answer = client.post("/pagerduty/v2/enqueue", json=EVENT | change)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert f"'{error}'" in " ".join(answer.json()["errors"])
    assert received(client, "pagerduty") == []


def test_a_webhook_takes_anything(client):
    client.post("/webhook/alerts", json={"status": "firing"})
    client.post("/webhook/alerts", content=b"plain words")
    assert received(client, "webhook") == [{"status": "firing"}, "plain words"]


def test_what_came_is_kept_in_a_file_and_can_be_forgotten(client, tmp_path):
    client.post("/webhook/a", json=1)
    client.post("/slack/a", json={"text": "x"})
    kept = [json.loads(line) for line in (tmp_path / "lab" / "received.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["path"]) for entry in kept] == [("webhook", "/webhook/a"), ("slack", "/slack/a")]
    assert client.delete("/received").status_code == 204
    assert client.get("/received").json() == {"received": []}

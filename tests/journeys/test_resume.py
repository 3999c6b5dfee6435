"""kill -9 of the platform: a pending alert keeps its `for`, an open incident and its runbook go on, nobody is told twice."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Server, eventually

RULES = """
groups:
- name: faults
  interval: 1s
  rules:
  - alert: Broken
    expr: vector(1)
    for: 10s
    labels: {severity: critical, service: api}
    annotations: {summary: "{{ $labels.service }} is broken"}
"""
CONFIG = """
rules: {files: [rules.yml]}
respond: {alertmanager: alertmanager.yml, runbooks: [runbook.yml], progress: 1s}
"""
RUNBOOK = """
name: repair
match: [alertname="Broken"]
steps:
  - {{name: drain, webhook: {{url: "{url}/drain", method: PUT}}}}
  - {{name: tell, webhook: {{url: "{url}/tell", method: POST}}}}
"""


class Receiver:
    """A webhook that remembers what it was sent, and by which key each step of a runbook came. The first step gets no answer
    before `patience` is set."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.steps: list[tuple[str, str]] = []
        self.patience = threading.Event()
        received, steps, patience = self.received, self.steps, self.patience

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/hook":
                    received.append(json.loads(body))
                else:
                    steps.append((self.path, self.headers["Idempotency-Key"]))
                    patience.wait(60)
                self.send_response(200)
                with contextlib.suppress(OSError):  # who asked was killed
                    self.end_headers()

            do_PUT = do_POST

            def log_message(self, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[Server]:
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_wait: 1s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: '{receiver.url}/hook'}}]}}]",
        encoding="utf-8",
    )
    (tmp_path / "runbook.yml").write_text(RUNBOOK.format(url=receiver.url), encoding="utf-8")
    (tmp_path / "aiprism.yml").write_text(CONFIG, encoding="utf-8")
    running = Server(tmp_path / "data", tmp_path / "aiprism.yml").start()
    yield running
    running.stop()


def alerts(server: Server) -> list[dict[str, Any]]:
    return list(server.get("/api/v1/alerts")["data"]["alerts"])


def incidents(server: Server) -> list[dict[str, Any]]:
    return list(server.get("/aiprism/v1/incidents", status="all")["incidents"])


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def sent(server: Server, incident_id: str) -> bool:
    shown = server.get(f"/aiprism/v1/incidents/{incident_id}")["notifications"]
    return [each["state"] for each in shown] == ["sent"]


def ended(server: Server, incident_id: str) -> list[dict[str, Any]]:
    runs = server.get(f"/aiprism/v1/incidents/{incident_id}")["runs"]
    return [run for run in runs if run["finished_at"] is not None]


def happened(server: Server, incident_id: str) -> list[str]:
    """What its timeline tells, but for an investigation, which is done when it is done."""
    timeline = server.get(f"/aiprism/v1/incidents/{incident_id}")["timeline"]
    return [each["event"] for each in timeline if each["event"] != "investigated"]


def test_for_goes_on_and_the_incident_stays_open_and_is_told_once(server: Server, receiver: Receiver) -> None:
    [pending] = eventually(lambda: alerts(server), what="a pending alert")
    assert pending["state"] == "pending"
    waited = seconds_of(pending["activeAt"]) + 3
    eventually(lambda: time.time() > waited, what="three seconds of pending")
    killed = time.time()
    server.kill()
    server.start()
    back = time.time()
    [resumed] = eventually(lambda: alerts(server), what="the alert after the restart")
    # The restart shifts the start of a pending alert by the time away, give or take an interval at either end:
    # `for` does not begin anew.
    assert seconds_of(resumed["activeAt"]) - seconds_of(pending["activeAt"]) < back - killed + 3
    [opened] = eventually(lambda: incidents(server), what="an incident")
    # What is killed between sending and noting that it was sent is sent again, under the same idempotency key.
    eventually(lambda: sent(server, opened["id"]), what="the notification noted as sent")
    eventually(lambda: receiver.steps, what="the first step of the runbook under way")
    server.kill()  # in the midst of the step
    receiver.patience.set()
    server.start()
    [run] = eventually(lambda: ended(server, opened["id"]), what="the runbook at its end")
    assert ([step["state"] for step in run["steps"]], run["state"]) == (["done", "done"], "succeeded")
    # The step that was cut off came again by the same key; the next one once.
    [first, again, then] = receiver.steps
    assert (first, first[0], then[0]) == (again, "/drain", "/tell")
    [still] = eventually(lambda: incidents(server), what="the incident after the restart")
    assert (still["id"], still["status"]) == (opened["id"], "investigating")
    assert [alert["state"] for alert in still["alerts"]] == ["firing"]
    seen = happened(server, opened["id"])
    evaluated = time.time() + 3
    eventually(lambda: time.time() > evaluated and alerts(server)[0]["state"] == "firing", what="evaluations since")
    assert [alert["fingerprint"] for alert in incidents(server)[0]["alerts"]] == [
        alert["fingerprint"] for alert in still["alerts"]
    ]
    assert happened(server, opened["id"]) == seen
    assert len(receiver.received) == 1

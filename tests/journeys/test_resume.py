"""kill -9 of the platform: a pending alert keeps its `for`, an open incident goes on, nobody is told twice."""

from __future__ import annotations

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
respond: {alertmanager: alertmanager.yml, progress: 1s}
"""


class Receiver:
    """A webhook that remembers what it was sent."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
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
        f"route: {{receiver: hook, group_wait: 1s}}\nreceivers: [{{name: hook, webhook_configs: [{{url: '{receiver.url}'}}]}}]",
        encoding="utf-8",
    )
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
    server.kill()
    server.start()
    [still] = eventually(lambda: incidents(server), what="the incident after the restart")
    assert (still["id"], still["status"]) == (opened["id"], "investigating")
    assert [alert["state"] for alert in still["alerts"]] == ["firing"]
    seen = len(server.get(f"/aiprism/v1/incidents/{opened['id']}")["timeline"])
    evaluated = time.time() + 3
    eventually(lambda: time.time() > evaluated and alerts(server)[0]["state"] == "firing", what="evaluations since")
    assert [alert["fingerprint"] for alert in incidents(server)[0]["alerts"]] == [
        alert["fingerprint"] for alert in still["alerts"]
    ]
    assert len(server.get(f"/aiprism/v1/incidents/{opened['id']}")["timeline"]) == seen
    assert len(receiver.received) == 1

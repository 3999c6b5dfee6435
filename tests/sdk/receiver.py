"""A platform in miniature: a real HTTP server that decodes OTLP and speaks the control protocol, and can misbehave."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ROOT = Path(__file__).parent.parent.parent
TOKEN = "a-token-of-this-test"
MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def eventually(condition: Callable[[], object], what: str = "the condition", within: float = 20.0) -> object:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come true within {within} s")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, in which warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
    )


def plain(attributes) -> dict[str, Any]:
    """OTLP attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def number(point) -> float:
    """The value of an OTLP number data point."""
    return float(getattr(point, point.WhichOneof("value")))


class Platform:
    """Receives on a port of its own. `status` is what OTLP posts are answered with, `rejected` the partial success."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[Any]] = {path: [] for path in MESSAGES}
        self.headers: list[dict[str, str]] = []
        self.status, self.rejected = 200, 0
        self.answering = threading.Event()
        self.answering.set()
        self.polls: list[dict[str, Any]] = []
        # As the contract of the channel wants it: told at every poll until acknowledged.
        self.waiting: list[dict[str, Any]] = []
        self.revoked: list[str] = []
        self.nonsense: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that give up are part of the tests
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.answering.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for body in self.bodies["/v1/traces"]
            for resource in body.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list[Any]:
        return [
            record
            for body in self.bodies["/v1/logs"]
            for resource in body.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metric(self, name: str):
        """The newest snapshot of one metric; None when it never came."""
        for body in reversed(self.bodies["/v1/metrics"]):
            for resource in body.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            return metric
        return None

    def span(self, name: str):
        """The span of that name, once it has come."""
        return eventually(lambda: next((span for span in self.spans if span.name == name), None), f"span {name}")

    def command(self, **command) -> None:
        """Have the polls bring this command until it is acknowledged."""
        with self.news:
            self.waiting.append({"issued_at": time.time(), "ttl_seconds": None, "params": {}, **command})
            self.news.notify_all()

    def revoke(self, command_id: str) -> None:
        """Have the polls bring this revocation until it is acknowledged."""
        with self.news:
            self.revoked.append(command_id)
            self.news.notify_all()

    def say(self, answer: dict[str, Any]) -> None:
        """Have one poll bring this answer, whatever it is."""
        with self.news:
            self.nonsense.append(answer)
            self.news.notify_all()

    def answer_to(self, poll: dict[str, Any]) -> dict[str, Any]:
        """What this poll is told, after at most a second."""
        with self.news:
            self.polls.append(poll)
            acked = {ack["command_id"] for ack in poll["acks"]}
            ended = {ack["command_id"] for ack in poll["acks"] if ack["status"] != "applied"}
            self.waiting = [command for command in self.waiting if command["id"] not in acked]
            self.revoked = [command_id for command_id in self.revoked if command_id not in ended]
            if not acked:
                self.news.wait_for(lambda: self.waiting or self.revoked or self.nonsense, 1.0)
            answer = {"commands": self.waiting, "revoked": self.revoked, "server_time": time.time()}
            return {**answer, **self.nonsense.pop(0)} if self.nonsense else answer

    def acks(self, command_id: str) -> list[str]:
        """The statuses that were acknowledged for one command, in order."""
        acks = [ack for poll in list(self.polls) for ack in poll["acks"]]
        return [ack["status"] for ack in acks if ack["command_id"] == command_id]

    def _handler(platform):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                platform.headers.append(dict(self.headers))
                if self.path == "/aiprism/v1/control/poll":
                    self._poll(json.loads(body))
                else:
                    self._otlp(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)

            def _otlp(self, body: bytes) -> None:
                platform.answering.wait(600)
                if platform.status == 200:
                    platform.bodies[self.path].append(MESSAGES[self.path].FromString(body))
                rejected = ExportTracePartialSuccess(rejected_spans=platform.rejected, error_message="too old")
                answer = ExportTraceServiceResponse(partial_success=rejected).SerializeToString()
                self._answer(platform.status, answer if platform.rejected else b"", "application/x-protobuf")

            def _poll(self, poll: dict[str, Any]) -> None:
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    self._answer(401, b"{}")
                    return
                self._answer(200, json.dumps(platform.answer_to(poll)).encode())

            def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has given up

            def log_message(self, *args) -> None:
                pass

        return Handler

"""Alerts, incidents and real receivers for the tests of the response room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import uvicorn

from aiprism import yamlfile
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.respond import route, runbook
from aiprism.respond.desk import Policy

T0 = 1_795_443_300.0  # 2026-11-23 14:15:00 UTC


def alert(name="HighErrorRate", service="api-gateway", at=T0, severity="critical", state="firing", **more):
    """A firing alert whose onset is `at`."""
    annotations = more.pop("annotations", {"summary": f"{name} on {service}"})
    labels = {"alertname": name, "service": service, "severity": severity, **more}
    return Alert(Labels(labels), Labels(annotations), AlertState(state), 1.5, at, at, source="rules.yml/g/" + name)


def cleared(firing, at):
    """The same alert, quiet since `at`."""
    return replace(firing, state=AlertState.RESOLVED, resolved_at=at)


def again(firing, at):
    """The same alert in a new episode that began at `at`."""
    return replace(firing, state=AlertState.FIRING, active_at=at, fired_at=at, resolved_at=None)


def routing(text):
    return route.read(yamlfile.parse(text, file="alertmanager.yml"))


def telling(routing, **more):
    """A policy whose receivers hear how incidents go."""
    return Policy(routing=routing, incident_receivers=tuple(routing.receivers), **more)


def runbooks(text):
    return runbook.read(yamlfile.parse(text, file="runbook.yml"))


def everyone(url, *, send_resolved="true", extra=""):
    """An alertmanager.yml that tells one webhook, one Slack and one PagerDuty at `url`."""
    return routing(
        f"""
route:
  receiver: everyone
receivers:
  - name: everyone
    webhook_configs: [{{url: "{url}/webhook/a"}}]
    slack_configs: [{{api_url: "{url}/slack/T0/B0/xyzsecret", send_resolved: {send_resolved}}}]
    pagerduty_configs: [{{routing_key: pdsecretkey, url: "{url}/pagerduty/v2/enqueue"}}]
{extra}"""
    )


@dataclass(slots=True)
class Got:
    """One request a receiver got."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """A real HTTP server that keeps what it is sent and answers `body` with what `answer` says: (status, headers)."""

    url: str = ""
    body: bytes = b"ok"
    got: list[Got] = field(default_factory=list)
    answer: Callable[[Got], tuple[int, dict[str, str]]] = lambda got: (200, {})

    def at(self, part):
        return [got for got in self.got if part in got.path]

    def events(self, part="webhook"):
        return [got.body["incident"]["event"] for got in self.at(part)]


@contextlib.contextmanager
def receiver(port=0) -> Iterator[Receiver]:
    """A receiver on a free port (or on `port`, for one that comes back)."""
    kept = Receiver()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
            kept.got.append(got)
            status, headers = kept.answer(got)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(kept.body)))
            self.end_headers()
            self.wfile.write(kept.body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def serving(app):
    """The application on a real server and a free port, as an httpx client."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended before it started"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def threads() -> Iterator[set[asyncio.Future[Any]]]:
    """What is at work in threads for this loop meanwhile. A fake clock that went on without waiting for it would have
    minutes pass between two statements, on a machine that is busy with something else."""
    loop, at_work = asyncio.get_running_loop(), set()
    begin = loop.run_in_executor

    def counted(*call):
        future = begin(*call)
        at_work.add(future)
        future.add_done_callback(at_work.discard)
        return future

    vars(loop)["run_in_executor"] = counted
    try:
        yield at_work
    finally:
        vars(loop)["run_in_executor"] = begin


async def settled(at_work: set[asyncio.Future[Any]]) -> None:
    """Return when nothing is at work any more, but for what waits for the clock or for the network."""
    while True:
        for _ in range(10):
            await asyncio.sleep(0)
        if not at_work:
            return
        await asyncio.wait(at_work)


async def pass_by(clock, seconds, at_work: set[asyncio.Future[Any]]):
    """Let whole seconds pass, each once nothing is at work in `threads`: who computes how long to sleep does it at one moment."""
    for _ in range(seconds):
        await settled(at_work)
        await clock.advance(1)
    await settled(at_work)


async def until(true, what="the condition", deadline=20.0):
    """Wait until `true()`; the deadline is generous and only ends a test that would never end."""
    end = time.monotonic() + deadline
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for {what}")
        await asyncio.sleep(0.005)

"""kill -9 of the platform: what was acknowledged is there after the restart; alerts and incidents go on."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.journeys.conftest import Server, eventually

KILLS = 2


def body_of(spans: int) -> tuple[bytes, list[str]]:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "sender"
    scoped, ids = resource.scope_spans.add(), []
    for _ in range(spans):
        ids.append(os.urandom(8).hex())
        scoped.spans.add(
            trace_id=b"\7" * 16, span_id=bytes.fromhex(ids[-1]), name="work", kind=2,
            start_time_unix_nano=time.time_ns(), end_time_unix_nano=time.time_ns() + 1000,
        )  # fmt: skip
    return request.SerializeToString(), ids


class Sender(threading.Thread):
    """Sends bodies one after another to wherever the server is, and remembers what it was told was accepted."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.accepted, self.stop = server, set[str](), threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self.stop.is_set():
                body, ids = body_of(20)
                try:
                    answer = client.post(
                        f"{self.server.url}/v1/traces", content=body, headers={"Content-Type": "application/x-protobuf"}
                    )
                except httpx.HTTPError:
                    continue  # killed before it answered: nothing was promised
                if answer.status_code == 200:
                    self.accepted.update(ids)


def acknowledged(senders: list[Sender]) -> int:
    return sum(len(sender.accepted) for sender in senders)


def has_more(senders: list[Sender], than: int) -> bool:
    return acknowledged(senders) > than


def test_every_acknowledged_span_survives_kill_minus_nine(data: Path) -> None:
    server = Server(data).start(by_command=True)
    senders = [Sender(server) for _ in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        enough = acknowledged(senders) + 200
        eventually(partial(has_more, senders, enough), what="acknowledged spans")
        server.kill()
        server.start()
    for sender in senders:
        sender.stop.set()
    for sender in senders:
        sender.join()
    accepted = set[str]().union(*(sender.accepted for sender in senders))
    stored = {span["span_id"] for span in server.get(f"/aiprism/v1/traces/{'07' * 16}")["spans"]}
    server.stop()
    assert len(accepted) > 400
    assert accepted <= stored


def test_a_stopping_server_stores_what_it_has_taken_and_ends(data: Path) -> None:
    server = Server(data).start(by_command=True)
    senders = [Sender(server) for _ in range(4)]
    for sender in senders:
        sender.start()
    eventually(partial(has_more, senders, 100), what="acknowledged spans")
    assert server.stop() == 0  # requests are under way while it is told to
    for sender in senders:
        sender.stop.set()
        sender.join()
    accepted = set[str]().union(*(sender.accepted for sender in senders))
    server.start()
    stored = {span["span_id"] for span in server.get(f"/aiprism/v1/traces/{'07' * 16}")["spans"]}
    server.stop()
    assert accepted <= stored

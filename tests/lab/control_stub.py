"""The platform's half of the control channel, as small as it can be: hands out commands, collects acknowledgements."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTROL_TOKEN = "control-token-for-tests"


class ControlStub:
    def __init__(self) -> None:
        self.url = ""
        self.controls: dict[str, set[tuple[str, str]]] = {}
        self.acks: dict[str, str] = {}
        self._commands: list[tuple[str, dict[str, object]]] = []
        self._revoked: set[str] = set()
        self._numbers = itertools.count(1)

    def command(self, service: str, kind: str, control: str, action: str, **params: object) -> str:
        command_id = f"command-{next(self._numbers)}"
        command = {"id": command_id, "control": control, "kind": kind, "action": action, "params": params}
        self._commands.append((service, command | {"issued_at": time.time(), "ttl_seconds": None}))
        return command_id

    def revoke(self, command_id: str) -> None:
        self._revoked.add(command_id)

    def answer(self, request: dict[str, Any]) -> dict[str, object]:
        self.controls[request["service"]] = {(each["kind"], each["name"]) for each in request["controls"]}
        self.acks |= {ack["command_id"]: ack["status"] for ack in request["acks"]}
        own = [command for service, command in self._commands if service == request["service"]]
        open_commands = [command for command in own if command["id"] not in self.acks]
        undone = [c["id"] for c in own if c["id"] in self._revoked and self.acks.get(c["id"]) == "applied"]
        if not open_commands and not undone:
            time.sleep(0.2)
        return {"commands": open_commands, "revoked": undone, "server_time": time.time()}


@contextmanager
def control_stub() -> Iterator[ControlStub]:
    stub = ControlStub()

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known = self.headers["authorization"] == f"Bearer {CONTROL_TOKEN}"
            body = json.dumps(stub.answer(request) if known else {}).encode()
            with suppress(ConnectionError):  # a service with news gives its present poll up
                self.send_response(200 if known else 401)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A server that answers from a table, for tests of what the commands make of an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

# (query parameters, body) → (status, answer)
Answer = Callable[[Mapping[str, list[str]], Any], tuple[int, Any]]


@dataclass
class Pretended:
    """Answers by path; `asked` holds every request as (method, path, parameters, body)."""

    answers: dict[str, Any]
    asked: list[tuple[str, str, dict[str, list[str]], Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        parameters = parse_qs(parts.query)
        body = json.loads(raw) if raw else None
        self.asked.append((method, parts.path, parameters, body))
        known = self.answers.get(parts.path)
        if known is None:
            message = f"nothing at {parts.path}; see /docs"
            return 404, {"error": {"code": "not_found", "message": message, "details": {}}}
        if callable(known):
            status, content = known(parameters, body)
            return status, content
        return 200, known


@contextmanager
def pretended(answers: dict[str, Any]) -> Iterator[Pretended]:
    """A server on a free port of loopback."""
    state = Pretended(answers)

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, content = state.answer(self.command, self.path, raw)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if isinstance(content, bytes) else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

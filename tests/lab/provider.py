"""A hosted provider of models, as far as its client can tell: one answer, and a record of what was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, dict[str, object]]] = []


@contextmanager
def provider(content: str) -> Iterator[Provider]:
    found = Provider()
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}).encode()

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.requests.append((self.path, self.headers["authorization"], body))
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

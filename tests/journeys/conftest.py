"""A real server in a process of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.loaded import Forked

START_SECONDS = 180
DEADLINE_SECONDS = 120


class Server:
    """`aiprism serve` on free ports. `kill()` is kill -9; `start()` may be called again on the same data."""

    def __init__(self, data: Path, config: Path | None = None) -> None:
        self.data, self.config = data, config
        self.url = self.grpc = ""
        self.doors: dict[str, tuple[str, int]] = {}  # address of each door that has a port of its own
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | Forked | None = None

    def start(self, *, by_command: bool = False) -> Server:
        """Return once it serves; `by_command` in a process that begins with nothing, as users run it."""
        arguments = ["serve", "--data", str(self.data), "--listen", "127.0.0.1:0"]
        arguments += ["--otlp-http", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0"]
        arguments += ["--config", str(self.config)] if self.config else []
        environment = {**os.environ, "NO_COLOR": "1"}
        if by_command:
            command = [sys.executable, "-m", "aiprism", *arguments]
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
            )
        else:
            self._process = Forked(arguments, environment)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, lines), daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not self.url_in(lines, deadline):
            pass
        return self

    def url_in(self, lines: queue.Queue[str], deadline: float) -> bool:
        assert self._process
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            assert self._process.poll() is None, "the server ended:\n" + "".join(self.log)
            assert time.monotonic() < deadline, "the server did not get ready:\n" + "".join(self.log)
            return False
        if match := re.search(r"otlp grpc (\S+:\d+)", line):
            self.grpc = match.group(1)
        if match := re.search(r"(syslog \w+|fluent(?: tls)?) (\S+):(\d+)", line):
            self.doors[match.group(1)] = (match.group(2), int(match.group(3)))
        if match := re.search(r"aiprism ready (http://\S+)", line):
            self.url = match.group(1)
            return True
        return False

    def _read(self, process: subprocess.Popen[str] | Forked, lines: queue.Queue[str]) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                self.log.append(line)
                lines.put(line)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def get(self, path: str, **params: Any) -> Any:
        answer = httpx.get(self.url + path, params=params, timeout=30)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def instant(self, query: str) -> list[dict[str, Any]]:
        """The result vector of a PromQL query, now."""
        return list(self.get("/api/v1/query", query=query)["data"]["result"])


def eventually(condition: Callable[[], Any], *, within: float = DEADLINE_SECONDS, what: str = "") -> Any:
    """The first truthy answer of `condition`; fails after `within` seconds with its last answer or error."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, httpx.HTTPError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"{what or condition} did not come true within {within} s; last: {last!r}")


@pytest.fixture
def server(data: Path) -> Iterator[Server]:
    """A running server with an empty data directory."""
    running = Server(data).start()
    yield running
    running.stop()

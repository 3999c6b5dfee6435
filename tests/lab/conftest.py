"""A whole lab in processes of its own, as `aiprism demo` runs it."""

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
import psutil
import pytest

from aiprism_lab import generate
from aiprism_lab.documents import DocumentFormat
from tests.lab.sink import OtlpSink, otlp_sink

DEADLINE_SECONDS = 90
TOKEN = "a-token-for-tests"


def eventually(condition: Callable[[], Any], what: str, within: float = DEADLINE_SECONDS) -> Any:
    """The first truthy answer of `condition`; fails after `within` seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except httpx.HTTPError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {within} s; last: {last!r}")


class Lab:
    """`python -m aiprism_lab up` on free ports."""

    def __init__(
        self, data: Path, otlp: str, *arguments: str, platform: str = "", control_token: str = "", **environment: str
    ) -> None:
        self.data = data
        self.lines: list[str] = []
        command = [sys.executable, "-m", "aiprism_lab", "up", "--data", str(data), "--otlp", otlp, *arguments]
        command += ["--platform", platform] if platform else []
        # Without a token for it a service has no control channel.
        tokens = {"AIPRISM_LAB_TOKEN": TOKEN, "AIPRISM_CONTROL_TOKEN": control_token}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | tokens | environment
        )
        said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(said,), daemon=True)
        self._reader.start()
        self.url = ""
        try:
            eventually(lambda: self._ready(said), "lab ready")
        except AssertionError:
            self._end(signal.SIGKILL)
            raise
        self.http = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)

    def _read(self, said: queue.Queue[str]) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            said.put(line)

    def _ready(self, said: queue.Queue[str]) -> bool:
        assert self.process.poll() is None, "the lab ended:\n" + "".join(self.lines)
        while not said.empty():
            if found := re.match(r"lab ready (http://\S+)", said.get()):
                self.url = found[1]
        return bool(self.url)

    def act(self, service: str, action: str, key: str = "", **body: Any) -> dict[str, Any]:
        headers = {"idempotency-key": key} if key else {}
        answer = self.http.post(f"/processes/{service}/{action}", json=body or None, headers=headers)
        assert answer.status_code == 200, answer.text
        outcome: dict[str, Any] = answer.json()
        return outcome

    def processes(self, service: str = "") -> list[dict[str, Any]]:
        every = self.http.get("/processes").json()["processes"]
        return [each for each in every if service in ("", each["service"])]

    def url_of(self, service: str) -> str:
        [first, *_] = self.http.get("/topology").json()["services"][service]
        return f"http://127.0.0.1:{first['port']}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        status = self._end(number)
        self.http.close()
        return status

    def _end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=10)
        if self.process.stdout:
            self.process.stdout.close()
        return status


class Visitor:
    """A user of the lab, at the gateway."""

    def __init__(self, lab: Lab, email: str = "ada@alder.example", tier: str = "premium") -> None:
        self.http = httpx.Client(base_url=lab.url_of("api-gateway"), timeout=60)
        account = {"email": email, "password": "a-long-password"}
        self.http.post("/signup", json=account | {"organization": email.split("@")[1], "tier": tier})
        answer = self.http.post("/login", json=account)
        assert answer.status_code == 201, answer.text

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, seed: int = 2, document_format: DocumentFormat = DocumentFormat.MARKDOWN) -> str:
        content = generate.render(generate.draft(seed), document_format)
        answer = self.http.post("/documents", files={"file": (f"upload.{document_format}", content)})
        assert answer.status_code == 202, answer.text
        document_id: str = answer.json()["id"]
        return document_id

    def outcome(self, document_id: str) -> dict[str, Any]:
        """The document's row, once it is completed or failed."""

        def done() -> Any:
            row = self.http.get(f"/documents/{document_id}").json()
            return row if row.get("status") in ("completed", "failed") else None

        return dict(eventually(done, f"document {document_id}"))

    def result(self, document_id: str) -> dict[str, Any]:
        assert self.outcome(document_id)["status"] == "completed"
        return dict(self.http.get(f"/documents/{document_id}/result").json())


def alive(pids: list[int]) -> list[int]:
    """Those that run; a zombie has ended."""
    return [pid for pid in pids if psutil.pid_exists(pid) and _status(pid) != psutil.STATUS_ZOMBIE]


def _status(pid: int) -> str:
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with otlp_sink() as running:
        yield running


@pytest.fixture(scope="module")
def lab(sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for a module's tests, without users of its own."""
    running = Lab(tmp_path_factory.mktemp("lab"), sink.url, "--no-load")
    yield running
    running.stop()

"""Debian's Alertmanager as a child process on a free port."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest


def tool(name: str) -> str:
    """The path of a program of Debian's prometheus-alertmanager or prometheus."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} is not installed: apt-get install -y prometheus prometheus-alertmanager"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@dataclass(slots=True)
class Alertmanager:
    """A running Alertmanager; `kill` and `start` again keep its storage."""

    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            tool("prometheus-alertmanager"),
            f"--config.file={self.config}",
            f"--storage.path={self.config.parent / 'storage'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.external-url=http://alerts.example",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        ]
        with self.config.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/-/ready").status_code == 200:
                    return
            assert self.process.poll() is None, self.config.with_suffix(".log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "the Alertmanager is not ready"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as a service is ended, so that it writes what it keeps."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)


@contextlib.contextmanager
def alertmanager(folder: Path, text: str) -> Iterator[Alertmanager]:
    """An Alertmanager with this configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text(text, encoding="utf-8")
    running = Alertmanager(config, free_port())
    running.start()
    try:
        yield running
    finally:
        running.stop()

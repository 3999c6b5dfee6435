"""One process of the lab as its supervisor sees it: started on a socket, watched, stopped, killed.

In: a service's name, its release, its environment. Out: a `Replica` with pid, port, state and resource use. When to
start or stop one is the supervisor's decision.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx
import psutil

from aiprism_lab.nursery import Child, Nursery
from aiprism_lab.serving import listening_socket
from aiprism_lab.wiring import FIRST_VERSION, ReleaseBug

STOP_SECONDS = 8.0  # from SIGTERM to SIGKILL
MISSES = 3
HOST = "127.0.0.1"


class CannotStartError(Exception):
    """A process was not started, for the reason said."""


class State(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Release:
    """What runs: a version, and the defect it came with if any."""

    version: str = FIRST_VERSION
    bug: ReleaseBug | None = None


class Replica:
    """One process of a service. It keeps its name and, when it can, its port from start to start."""

    check_type = "http"  # how it is asked whether it is well
    stop_signal = signal.SIGTERM

    def __init__(self, service: str, number: int, data: Path, environment: Mapping[str, str], nursery: Nursery) -> None:
        self.service, self.number = service, number
        self.name = f"{service}-{number}"
        self.port = 0
        self.started_at: float | None = None
        self.starts = 0
        self.release = Release()
        self.healthy = False
        self._misses = 0
        self._data, self._environment, self._nursery = data, environment, nursery
        self._child: Child | None = None
        self._meter: psutil.Process | None = None
        self._wanted = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    @property
    def wanted(self) -> bool:
        """True from `start` to `stop`: it should be running, whether it is or not."""
        return self._wanted

    @property
    def state(self) -> State:
        if self.pid is not None:
            return State.RUNNING if self.healthy else State.STARTING
        return State.CRASHED if self._wanted else State.STOPPED

    async def start(self, release: Release) -> None:
        """Spawn the process; it is not yet healthy when this returns."""
        self.release, self.healthy, self._wanted = release, False, True
        self._misses = MISSES
        self.starts += 1
        logs = self._data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        sock = self._socket()
        try:
            with (logs / f"{self.name}.log").open("ab") as output:
                environment = self._child_environment(release)
                self._child = await self._nursery.spawn(self.service, environment, sock, output.fileno())
        finally:
            # The child alone holds the socket: when it dies, callers are refused at once instead of waiting.
            sock.close()
        self.started_at = time.time()
        with suppress(psutil.Error):
            self._meter = psutil.Process(self._child.pid)
            self._meter.cpu_percent()

    async def stop(self) -> None:
        """End it as one ends a service: its own signal, and SIGKILL when it takes too long."""
        self._wanted = False
        if self._child is None or self._child.returncode is not None:
            return
        self._child.send_signal(self.stop_signal)
        try:
            await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
        except TimeoutError:
            self._child.send_signal(signal.SIGKILL)
            await self._child.wait()
        self.healthy = False

    async def kill(self) -> None:
        """End it as a crash does: SIGKILL, and nobody wanted it."""
        if self._child is None or self._child.returncode is not None:
            return
        self._child.send_signal(signal.SIGKILL)
        await self._child.wait()
        self.healthy = False

    async def probe(self, client: httpx.AsyncClient) -> bool:
        """Ask /healthz. A running process counts as ill after `MISSES` probes without an answer, a dead one at once."""
        if self.pid is None:
            self.healthy = False
            return False
        self._misses = 0 if await self._answers(client) else self._misses + 1
        self.healthy = self._misses < MISSES and self.pid is not None
        return self.healthy

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            answer = await client.get(f"http://{HOST}:{self.port}/healthz")
            # Right after a restart the port may still be another's.
            return answer.status_code == 200 and answer.json().get("instance") == self.name
        except (httpx.HTTPError, ValueError):
            return False

    def usage(self) -> tuple[float, int]:
        """Percent of one core since the last look, and resident bytes; zeros when it does not run."""
        if self.pid is None or self._meter is None:
            return 0.0, 0
        try:
            return self._meter.cpu_percent(), self._meter.memory_info().rss
        except psutil.Error:
            return 0.0, 0

    def _socket(self) -> socket.socket:
        try:
            sock = listening_socket(HOST, self.port)
        except OSError:
            sock = listening_socket(HOST, 0)  # the old port has been taken in the meantime
        self.port = sock.getsockname()[1]
        return sock

    def _child_environment(self, release: Release) -> dict[str, str]:
        child = {**self._environment, "LAB_INSTANCE": self.name, "LAB_VERSION": release.version}
        child.pop("LAB_BUG", None)
        if release.bug is not None:
            child["LAB_BUG"] = f'{{"error_rate": {release.bug.error_rate}}}'
        return child

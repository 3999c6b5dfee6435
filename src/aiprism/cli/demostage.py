"""The demonstration's stage: a platform and a lab as child processes, on free ports, in one directory.

In: a directory and where the platform shall serve. Out: `Stage`, with HTTP clients of platform, supervisor and
receivers. Whatever happens, leaving the `with` block ends every child; should this very process be killed, the kernel
ends them.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from aiprism.cli.remote import Away, Refusal, Remote
from aiprism.errors import AiprismError

# Where nobody has compiled the decoders yet, the first start does, which takes a busy machine more than a minute.
PLATFORM_SECONDS = 240.0
LAB_SECONDS = 120.0
# Enough for every service to be asked every few seconds; a small machine has something left for the platform.
DOCUMENTS_PER_SECOND = "1"
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.2
_RECEIVERS_IN_THE_FILE = "127.0.0.1:9099"
# Processes of the lab that are no services: nobody asks them anything that would be measured.
AROUND = frozenset({"load", "receivers", "database-1", "database-2"})
# Not imported here, but without it the lab's processes could not start.
_NEEDED = ("psutil", "docx", "fpdf", "pypdf", "multipart")

# Runs the real command once the kernel has been asked to end it with its parent (prctl(2), PR_SET_PDEATHSIG = 1).
_TETHERED = (
    "import ctypes, os, signal, sys; "
    "sys.platform == 'linux' and ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

# (part, how many are done, of how many, what is being waited for)
Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario is played on."""

    data: Path
    platform: Remote
    supervisor: Remote
    receivers: Remote
    children: tuple[Child, ...]

    def services(self) -> list[str]:
        """The services of the lab."""
        processes = self.supervisor.get("/processes")["processes"]
        return sorted({each["service"] for each in processes} - AROUND)

    def check(self) -> None:
        """AiprismError when platform or lab has ended."""
        for child in self.children:
            child.check()


@dataclass(frozen=True, slots=True)
class Child:
    """A child process, whose output goes to a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """AiprismError when it has ended, with the end of what it said."""
        status = self.process.poll()
        if status is None:
            return
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
        told = "\n".join(f"  {line}" for line in said) or "  (nothing)"
        raise AiprismError(f"the {self.name} ended with status {status}; the last it said ({self.log}):\n{told}")

    def says(self, beginning: str) -> bool:
        """Whether a line of its output begins like this."""
        return any(line.startswith(beginning) for line in self.log.read_text("utf-8", "replace").splitlines())


@contextmanager
def staged(data: Path, listen: str, tell: Tell, database: str = "sqlite") -> Iterator[Stage]:
    """Platform and lab, both ready."""
    _check_installed()
    host, port = _address(listen)
    lab_port, receivers_port, *free = _free_ports(2 if port else 3)
    address = f"{host}:{port or free[0]}"
    control_token, lab_token = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    platform = Remote(f"http://{address}", token=control_token)
    supervisor = Remote(f"http://127.0.0.1:{lab_port}", token=lab_token)
    configuration = _configuration(data / "config", f"127.0.0.1:{receivers_port}")
    tokens = {"AIPRISM_CONTROL_TOKEN": control_token, "AIPRISM_LAB_TOKEN": lab_token}
    respond = {
        "AIPRISM_SERVER_EXTERNAL_URL": platform.url,
        "AIPRISM_RESPOND_SUPERVISOR_URL": supervisor.url,
        "AIPRISM_RESPOND_SUPERVISOR_TOKEN": lab_token,
    }
    serve = ["aiprism", "serve", "--config", str(configuration), "--data", str(data / "platform"), "--listen", address]
    up = ["aiprism_lab", "up", "--data", str(data / "lab"), "--otlp", platform.url, "--platform", platform.url]
    with ExitStack() as children:
        # OTLP over HTTP is taken at the platform's own address, too; its usual ports are left to others.
        server = children.enter_context(
            _child("platform", [*serve, "--otlp-http", "", "--otlp-grpc", ""], tokens | respond, data)
        )
        _until(lambda: _platform_is_up(server, platform, tell), PLATFORM_SECONDS, "the platform is not ready", server)
        ports = ["--port", str(lab_port), "--receivers-port", str(receivers_port), "--rate", DOCUMENTS_PER_SECOND]
        ports += ["--database", database]
        lab = children.enter_context(_child("lab", [*up, *ports], tokens, data))
        _until(lambda: _lab_is_up(lab, supervisor, tell), LAB_SECONDS, "the lab is not ready", lab, server)
        receivers = Remote(supervisor.get("/receivers")["received"].removesuffix("/received"))
        yield Stage(data, platform, supervisor, receivers, (server, lab))


def _platform_is_up(server: Child, platform: Remote, tell: Tell) -> bool:
    up = server.says("aiprism ready")
    tell("platform", int(up), 1, platform.url if up else "starting")
    return up


def _lab_is_up(lab: Child, supervisor: Remote, tell: Tell) -> bool:
    try:
        processes = supervisor.get("/processes")["processes"]
    except (Away, Refusal):
        tell("lab", 0, 1, "starting the supervisor")
        return False
    waiting = [each["name"] for each in processes if each["state"] != "running"]
    tell("lab", len(processes) - len(waiting), len(processes), waiting[0] if waiting else "all processes run")
    return lab.says("lab ready")


@contextmanager
def _child(name: str, module: Sequence[str], variables: Mapping[str, str], data: Path) -> Iterator[Child]:
    """`python -m …`, ended at the end of the block: asked first, then killed with everything it started."""
    log = data / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _TETHERED, sys.executable, "-m", *module]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1", **variables},
            start_new_session=True,  # Ctrl-C is for us alone: children are ended in order
        )
    try:
        yield Child(name, process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # Its process group is its own (start_new_session), so nobody else is hit.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(done: Callable[[], bool], seconds: float, complaint: str, *needed: Child) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        for child in needed:
            child.check()
        if time.monotonic() > deadline:
            raise AiprismError(f"{complaint} after {seconds:g} s; see {needed[0].log}")
        time.sleep(_LOOK_SECONDS)


def _configuration(folder: Path, receivers: str) -> Path:
    """The lab's configuration with the receivers' real address in it; the path of its aiprism.yml."""
    with as_file(files("aiprism_lab") / "demo") as original:
        shutil.copytree(original, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    routing = folder / "alertmanager.yml"
    routing.write_text(routing.read_text(encoding="utf-8").replace(_RECEIVERS_IN_THE_FILE, receivers), encoding="utf-8")
    return folder / "aiprism.yml"


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise AiprismError(f"--listen {listen!r} is no address; write HOST:PORT, for example 127.0.0.1:9090")
    return host, int(port)


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise AiprismError(f"the lab needs {', '.join(missing)}; run: pip install 'aiprism[demo]'")

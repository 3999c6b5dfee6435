"""A PostgreSQL and a Redis of the test's own, where Debian's packages are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _missing(what: str, package: str) -> None:
    why = f"{what} is not installed: apt-get install -y {package}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database. PostgreSQL refuses to run as root, so root lends it another user."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        _missing("PostgreSQL", "postgresql")
    user = "nobody" if os.geteuid() == 0 else None
    # Not below pytest's own directory: every session that starts closes that one to other users again.
    directory = Path(tempfile.mkdtemp(prefix="aiprism-postgresql-"))
    if user:
        shutil.chown(directory, user)
    port = _free_port()

    def run(program: str, *arguments: str) -> None:
        command = [str(found[-1].parent / program), *arguments]
        # Into a file, not a pipe: the server it starts would keep the pipe open.
        with (directory / "output").open("ab") as output:
            subprocess.run(command, cwd=directory, user=user, check=True, timeout=120, stdout=output, stderr=output)

    run("initdb", "-D", "data", "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(directory)


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """The URL of an empty Redis."""
    program = shutil.which("redis-server")
    if program is None:
        _missing("Redis", "redis-server")
    port = _free_port()
    directory.mkdir()
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while not _accepts(port):
                assert time.monotonic() < deadline, "Redis did not start"
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""A PostgreSQL primary with standbys of the test's own, where Debian's package is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

DEADLINE_SECONDS = 60.0
# It is accepted and ignored, and must never be read in what an operator sees.
PASSWORD = "kept-out-of-timelines"


class Node:
    """One server; `kill` is a crash, `freeze` lets it accept connections and answer none."""

    def __init__(self, programs: Path, directory: Path, port: int, user: str | None) -> None:
        self._programs, self._directory, self._user = programs, directory, user
        self.port, self.name = port, f"127.0.0.1:{port}"

    def run(self, program: str, *arguments: str) -> None:
        # Into a file, not a pipe: the server that pg_ctl starts would keep a pipe open.
        with (self._directory.parent / "output").open("ab") as output:
            command = [str(self._programs / program), *arguments]
            subprocess.run(
                command,
                cwd=self._directory.parent,
                user=self._user,
                check=True,
                timeout=120,
                stdout=output,
                stderr=output,
            )

    def init(self) -> None:
        self.run("initdb", "-D", str(self._directory), "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8")

    def follow(self, primary: Node) -> None:
        url = f"host=127.0.0.1 port={primary.port} user=tester application_name=n{self.port}"
        self.run(
            "pg_basebackup", "-D", str(self._directory), "-d", url, "-R", "-c", "fast", "--no-sync", "-X", "stream"
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        options += " -c wal_retrieve_retry_interval=500ms -c max_wal_size=64MB"
        self.run("pg_ctl", "-D", str(self._directory), "-l", f"{self._directory}.log", "-o", options, "-w", "start")

    @property
    def pid(self) -> int | None:
        try:
            return int((self._directory / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def kill(self) -> None:
        """SIGKILL to the postmaster; its children end when they notice."""
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not _listens(self.port), "nobody listens any more")

    def freeze(self) -> None:
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.pid is not None
        os.kill(self.pid, signal.SIGCONT)

    def ask(self, statement: str) -> object:
        """The first column of the first row, or None."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="tester", dbname="postgres", autocommit=True
        ) as there:
            answer = there.execute(statement)
            row = answer.fetchone() if answer.description else None
        return row[0] if row else None

    def end(self) -> None:
        if self.pid is None or not Path(f"/proc/{self.pid}").exists():
            return
        self.thaw()
        if _listens(self.port):
            self.run("pg_ctl", "-D", str(self._directory), "-m", "immediate", "-w", "stop")


class Cluster:
    """`nodes[0]` begins as the primary, the others as its standbys; `file` is where a test writes their addresses."""

    def __init__(self, nodes: list[Node], file: Path) -> None:
        self.nodes, self.file = nodes, file

    def url(self, *nodes: Node, port: int | None = None, user: str = "tester") -> str:
        """A connection string of these nodes, or all; `port` is one more where nobody listens."""
        names = [node.name for node in nodes or self.nodes] + ([f"127.0.0.1:{port}"] if port else [])
        return f"postgresql://{user}:{PASSWORD}@{','.join(names)}/postgres"

    def until_streaming(self, count: int) -> None:
        eventually(
            lambda: self.nodes[0].ask("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == count,
            f"{count} standbys stream",
        )


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:g} s: {what}"
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def programs() -> Path:
    """Where PostgreSQL's programs are; the test is skipped, or fails in CI, without them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        why = "PostgreSQL is not installed: apt-get install -y postgresql"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found[-1].parent


@contextmanager
def cluster(standbys: int, folder: Path) -> Iterator[Cluster]:
    """A primary and so many standbys that stream from it."""
    where = programs()
    # PostgreSQL refuses to run as root, so root lends it another user; and pytest's own directory is closed to others.
    user = "nobody" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="aiprism-postgresql-"))
    if user:
        shutil.chown(directory, user)
    ports = free_ports(standbys + 1)
    nodes = [Node(where, directory / f"node{at}", port, user) for at, port in enumerate(ports)]
    try:
        nodes[0].init()
        nodes[0].start()
        for node in nodes[1:]:
            node.follow(nodes[0])
            node.start()
        made = Cluster(nodes, folder / "cluster.url")
        made.until_streaming(standbys)
        yield made
    finally:
        for node in nodes:
            node.end()
        shutil.rmtree(directory)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

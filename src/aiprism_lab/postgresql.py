"""The lab's database as PostgreSQL: two servers, one of them a standby that confirms every commit of the other.

In: the lab's directory. Out: a `Cluster` with the URL for the services and two `DatabaseServer`s, which the supervisor starts,
kills and watches like its other processes. A crashed primary stays down: who follows it is for the platform to decide. One that
is started again while another leads becomes that one's standby, so that no order of starts makes two primaries.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx
import opentelemetry.metrics as otel
import psycopg
from psycopg.rows import TupleRow

import aiprism
from aiprism_lab.nursery import Nursery, die_with
from aiprism_lab.processes import HOST, CannotStartError, Release, Replica
from aiprism_lab.wiring import LabSettingsError

SERVERS = ("database-1", "database-2")
# What the services depend on, whichever server is the primary; as services.yml calls it.
COMPONENT = "lab-database"
_USER, _DATABASE = "lab", "postgres"
_ANSWER_SECONDS = 2.0
_PREPARE_SECONDS = 60.0
_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",  # it survives kill -9, which is all that is done to it, and spares the disk of whoever looks on
    "shared_buffers": "32MB",
    "wal_keep_size": "64MB",
    "wal_retrieve_retry_interval": "500ms",
    "log_line_prefix": "%m ",
}
_SEEN = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn,
       (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),
       current_setting('synchronous_standby_names') <> ''
"""

log = aiprism.logger("supervisor")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server said of itself: `position` is bytes of write-ahead log, `awaits` whether commits wait for a standby."""

    standby: bool
    position: int
    followers: int
    awaits: bool


class Cluster:
    """Where the two servers are, and which of them led last."""

    def __init__(self, data: Path, programs: Path) -> None:
        self.programs = programs
        # PostgreSQL refuses to run as root, so root lends it another user, who may not enter root's directories.
        self.user = "nobody" if os.geteuid() == 0 else None
        self.home = Path(tempfile.mkdtemp(prefix="aiprism-lab-database-")) if self.user else data / "database"
        self.ports = dict(zip(SERVERS, _free_ports(len(SERVERS)), strict=True))
        self.password = secrets.token_urlsafe(18)
        self.leader = SERVERS[0]
        self._data = data

    @property
    def url(self) -> str:
        """For the services: whichever server takes writes."""
        hosts = "&".join(f"host={HOST}:{port}" for port in self.ports.values())
        return f"postgresql://{_USER}:{self.password}@/{_DATABASE}?{hosts}&target_session_attrs=read-write&connect_timeout=2"

    def lay_out(self) -> None:
        """An empty database, as every start of the lab finds it, and `database.url` for whoever operates it."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, mode=0o700)
        if self.user:
            shutil.chown(self.home, self.user)
        self._data.mkdir(parents=True, exist_ok=True)
        names = ",".join(f"{HOST}:{port}" for port in self.ports.values())
        file = self._data / "database.url"
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(f"postgresql://{_USER}:{self.password}@{names}/{_DATABASE}\n")

    def clear_away(self) -> None:
        """Remove what the servers wrote."""
        shutil.rmtree(self.home, ignore_errors=True)

    def address(self, name: str) -> str:
        """libpq's parameters of one server."""
        return f"host={HOST} port={self.ports[name]} user={_USER} dbname={_DATABASE} password={self.password} connect_timeout=2"

    async def run(self, program: str, *arguments: str, output: Path) -> None:
        """Run one of PostgreSQL's programs; CannotStartError when it fails."""
        # In a thread: uvloop's own way to start a program cannot lend it another user.
        try:
            await asyncio.to_thread(self._run, [str(self.programs / program), *arguments], output)
        except subprocess.SubprocessError as error:
            raise CannotStartError(f"{program} failed: {error}; see {output}") from None

    def _run(self, command: list[str], output: Path) -> None:
        with output.open("ab") as out:
            subprocess.run(
                command, cwd=self.home, user=self.user, check=True, timeout=_PREPARE_SECONDS, stdout=out, stderr=out
            )


class DatabaseServer(Replica):
    """One of the two. What it is, primary or standby, is decided when it starts and by whoever promotes it."""

    check_type = "database"
    stop_signal = signal.SIGINT  # SIGTERM would wait until its last client leaves

    def __init__(
        self, name: str, cluster: Cluster, data: Path, environment: Mapping[str, str], nursery: Nursery
    ) -> None:
        super().__init__(name, 1, data, environment, nursery)
        self.name, self.port = name, cluster.ports[name]
        self.seen: Seen | None = None
        self._cluster, self._home = cluster, cluster.home / name
        self._output = data / "logs" / f"{name}.log"
        self._line: psycopg.AsyncConnection[TupleRow] | None = None

    async def start(self, release: Release) -> None:
        """Spawn it, as a standby when another leads; CannotStartError when that cannot be known."""
        self._output.parent.mkdir(parents=True, exist_ok=True)
        await self._hang_up()
        await self._prepare()
        await super().start(release)

    async def obey(self, statement: str) -> None:
        """Carry out one statement there."""
        if self._line is not None:
            await self._line.execute(statement.encode())

    async def _prepare(self) -> None:
        other = next(name for name in SERVERS if name != self.name)
        if await self._leads(other):
            shutil.rmtree(self._home, ignore_errors=True)
            source = f"{self._cluster.address(other)} application_name={self.name}"
            arguments = ("-D", str(self._home), "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            await self._cluster.run("pg_basebackup", *arguments, output=self._output)
        elif self._cluster.leader != self.name:
            raise CannotStartError(f"{other} was the primary last and has what was written since: start that one first")
        elif not self._home.exists():
            secret = self._cluster.home / "password"
            secret.write_text(self._cluster.password, encoding="utf-8")
            if self._cluster.user:
                shutil.chown(secret, self._cluster.user)
            access = ("-U", _USER, "--auth=scram-sha-256", f"--pwfile={secret}")
            form = ("--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
            await self._cluster.run("initdb", "-D", str(self._home), *access, *form, output=self._output)
            secret.unlink()

    async def _leads(self, name: str) -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(self._cluster.address(name), autocommit=True) as there:
                return not (await _seen(there)).standby
        except psycopg.Error:
            return False

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if self._line is None:
                    address = self._cluster.address(self.name)
                    self._line = await psycopg.AsyncConnection.connect(address, autocommit=True)
                self.seen = await _seen(self._line)
        except (psycopg.Error, OSError, TimeoutError):
            await self._hang_up()
            return False
        return True

    async def _hang_up(self) -> None:
        line, self._line, self.seen = self._line, None, None
        if line is not None:
            await line.close()

    def _socket(self) -> socket.socket:
        return socket.socket()  # PostgreSQL binds its port itself

    def _child_environment(self, release: Release) -> dict[str, str]:
        options = [f"-c{name}={value}" for name, value in {**_OPTIONS, "port": str(self.port)}.items()]
        arguments = [str(self._cluster.programs / "postgres"), "-D", str(self._home), *options]
        return {"LAB_EXECUTE": "\n".join(arguments), "LAB_USER": self._cluster.user or "", "PATH": os.defpath}


class Database:
    """Both servers as the supervisor has them: started in order, told of in metrics, cleared away."""

    def __init__(self, cluster: Cluster, data: Path, environment: Mapping[str, str], nursery: Nursery) -> None:
        self._cluster = cluster
        self.servers = [DatabaseServer(name, cluster, data, environment, nursery) for name in SERVERS]
        meter = otel.get_meter("aiprism_lab")
        self._last_primary = meter.create_gauge(
            "lab_database_last_primary", "", "1 for the server that led last, or leads"
        )
        self._position = meter.create_gauge(
            "lab_database_position_bytes", "", "Log that a server has written or received"
        )

    async def boot(self, until_healthy: Callable[[Replica], Awaitable[bool]]) -> None:
        """The primary, then its standby; RuntimeError when one does not answer."""
        self._cluster.lay_out()
        for server in self.servers:
            try:
                await server.start(Release())
            except CannotStartError as error:
                raise RuntimeError(f"{server.name}: {error}") from None
            if not await until_healthy(server):
                raise RuntimeError(f"{server.name} does not answer; see its log")

    async def look(self) -> None:
        """Say what the last probes saw, and have commits wait for the standby exactly while there is one."""
        leaders = [each for each in self.servers if each.healthy and each.seen and not each.seen.standby]
        aiprism.metrics.system_health(len(leaders) == 1, component=COMPONENT, check_type="primary")
        if len(leaders) == 1:
            self._cluster.leader = leaders[0].name
            await _settle(leaders[0])
        for each in self.servers:
            self._last_primary.set(int(each.name == self._cluster.leader), {"server": each.name})
            if each.healthy and each.seen:
                role = "standby" if each.seen.standby else "primary"
                self._position.set(each.seen.position, {"server": each.name, "role": role})

    def clear_away(self) -> None:
        """Remove what the servers wrote, once they have ended."""
        self._cluster.clear_away()


def programs(where: Path = Path("/usr/lib/postgresql")) -> Path:
    """Where Debian's PostgreSQL has its programs; LabSettingsError when it is not installed."""
    found = sorted(where.glob("*/bin/initdb"))
    if not found:
        raise LabSettingsError(
            "PostgreSQL, which --database postgresql needs, is missing: apt-get install -y postgresql"
        )
    return found[-1].parent


def become_server(environment: Mapping[str, str]) -> NoReturn:
    """Turn this forked process into the PostgreSQL server that its environment describes."""
    parent = os.getppid()
    if environment["LAB_USER"]:
        user = pwd.getpwnam(environment["LAB_USER"])
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        die_with(parent)  # once more: whoever changes their user is freed from it
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = environment["LAB_EXECUTE"].split("\n")
    os.execve(arguments[0], arguments, {"PATH": environment["PATH"]})  # noqa: S606 - a program of Debian's, and no shell


async def _settle(leader: DatabaseServer) -> None:
    """With a standby that streams, a commit is one on both; without, waiting for it would stop everything."""
    seen = leader.seen
    if seen is None or seen.awaits == bool(seen.followers):
        return
    try:
        await leader.obey(f"ALTER SYSTEM SET synchronous_standby_names = '{'*' if seen.followers else ''}'")
        await leader.obey("SELECT pg_reload_conf()")
    except psycopg.Error as error:
        log.error("synchronous replication could not be set", error=error)
        return
    log.info("synchronous replication", primary=leader.name, on=bool(seen.followers))


async def _seen(there: psycopg.AsyncConnection[TupleRow]) -> Seen:
    row = await (await there.execute(_SEEN.encode())).fetchone()
    assert row is not None
    standby, position, followers, awaits = row
    return Seen(standby=standby, position=int(position or 0), followers=followers, awaits=awaits)


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]

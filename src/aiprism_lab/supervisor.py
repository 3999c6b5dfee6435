"""The supervisor: starts the lab's processes, watches them, and lets an operator start, stop, kill, scale and deploy.

In: a `Plan`, then requests with the bearer token. Out: running processes, topology.json for their callers, health and
resource metrics. A crashed process stays down: to notice and repair that is the platform's work. One that takes more memory
than it may is killed, as a container's is.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel, Field

import aiprism
from aiprism_lab.database import create_tables
from aiprism_lab.nursery import Nursery
from aiprism_lab.processes import CannotStartError, Release, Replica
from aiprism_lab.receivers import urls
from aiprism_lab.serving import UNOBSERVED, RefusedError, listening_socket, new_app, serve
from aiprism_lab.wiring import SERVICES, ReleaseBug, Settings, untraced, write_topology

if TYPE_CHECKING:
    from aiprism_lab.postgresql import Cluster, Database

READY_SECONDS = 20.0
BOOT_SECONDS = 60.0
PROBE_SECONDS = 1.0
MAX_REPLICAS = 8
KEYS_REMEMBERED = 1000
SINGLE = frozenset({"load", "receivers"})  # two loads would double the users, two receivers would share out what came

log = aiprism.logger("supervisor")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lab is started with."""

    settings: Settings
    environment: Mapping[str, str]  # of the children
    token: str
    nursery: Nursery
    port: int = 0
    receivers_port: int = 0
    with_load: bool = True
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action came to; `ok` is False when a process did not become healthy in time or the action is refused."""

    ok: bool
    service: str
    pids: list[int]
    message: str


@dataclass(slots=True)
class Group:
    """The replicas of one service, what it runs and what it ran before; one action at a time."""

    replicas: list[Replica]
    releases: list[Release] = field(default_factory=lambda: [Release()])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def healthy(self) -> bool:
        """True when every replica that should run does so and answers, and there is one."""
        wanted = [replica for replica in self.replicas if replica.wanted]
        return bool(wanted) and all(replica.healthy for replica in wanted)


class Supervisor:
    """All processes of a lab."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        names = (*SERVICES, "receivers", *(["load"] if plan.with_load else []))
        self._database = _database(plan)
        # What all others need is started first and stopped last.
        self.groups = {each.name: Group([each]) for each in self._database.servers} if self._database else {}
        self.groups |= {name: Group([self._replica(name, 1)]) for name in names}
        self.groups["receivers"].replicas[0].port = plan.receivers_port
        self._client = httpx.AsyncClient(timeout=2.0, trust_env=False)
        self._ready = False
        self._usage: dict[str, tuple[float, int]] = {}
        self._was_healthy: dict[str, bool] = {}

    async def boot(self) -> None:
        """Start everything and wait until all of it answers; RuntimeError names what did not."""
        settings = self._plan.settings
        self._plan.nursery.attach()
        if self._database:
            await self._database.boot(lambda server: self._until_healthy(server, BOOT_SECONDS))
        with untraced():
            await asyncio.to_thread(create_tables, settings.database_url)
        replicas = [group.replicas[0] for group in self.groups.values()]
        for replica in replicas:
            if not replica.wanted:
                await replica.start(Release())
        self._write_topology()
        healthy = await asyncio.gather(*(self._until_healthy(each, BOOT_SECONDS) for each in replicas))
        ill = [each.name for each, well in zip(replicas, healthy, strict=True) if not well]
        if ill:
            raise RuntimeError(f"not healthy within {BOOT_SECONDS:g} s: {', '.join(ill)}; see {settings.data / 'logs'}")
        self._ready = True
        self._write_topology()

    async def watch(self) -> None:
        """Probe every process each second and say what was found, until cancelled."""
        while True:
            try:
                with untraced():
                    await asyncio.gather(*(each.probe(self._client) for each in self._replicas()))
                self._measure()
                if self._database:
                    await self._database.look()
                await self._enforce_memory()
            except Exception as error:
                log.error("the processes could not be looked at", error=error)
            await asyncio.sleep(PROBE_SECONDS)

    async def shut_down(self) -> None:
        """End all processes, those that call before those that are called."""
        self._ready = False
        self._write_topology()
        for name in reversed(self.groups):
            if name == "receivers":
                continue
            await asyncio.gather(*(each.stop() for each in self.groups[name].replicas))
        await asyncio.gather(*(each.stop() for each in self.groups["receivers"].replicas))
        self._plan.nursery.detach()
        if self._database:
            self._database.clear_away()
        await self._client.aclose()

    async def start(self, service: str) -> Outcome:
        group = self._group(service)
        async with group.lock:
            idle = [each for each in group.replicas if each.pid is None]
            if not idle:
                return self._outcome(service, True, "it was running already")
            return await self._started(service, idle, group.releases[-1], "started")

    async def stop(self, service: str) -> Outcome:
        group = self._group(service)
        async with group.lock:
            pids = _pids(group.replicas)
            await asyncio.gather(*(each.stop() for each in group.replicas))
            self._write_topology()
            return Outcome(True, service, pids, f"stopped {len(pids)} processes")

    async def restart(self, service: str) -> Outcome:
        group = self._group(service)
        async with group.lock:
            return await self._replaced(service, group.releases[-1], "restarted")

    async def kill(self, service: str) -> Outcome:
        group = self._group(service)
        async with group.lock:
            pids = _pids(group.replicas)
            await asyncio.gather(*(each.kill() for each in group.replicas))
            return Outcome(True, service, pids, f"killed {len(pids)} processes")

    async def scale(self, service: str, replicas: int) -> Outcome:
        group = self._group(service)
        refusal = self._scaling_refused(service, replicas)
        if refusal:
            return self._outcome(service, False, refusal)
        async with group.lock:
            surplus, group.replicas = group.replicas[replicas:], group.replicas[:replicas]
            numbers = range(len(group.replicas) + 1, replicas + 1)
            added = [self._replica(service, number) for number in numbers]
            group.replicas.extend(added)
            self._write_topology()
            await asyncio.gather(*(each.stop() for each in surplus))
            return await self._started(service, added, group.releases[-1], f"scaled to {replicas}")

    async def deploy(self, service: str, release: Release) -> Outcome:
        group = self._group(service)
        if self._is_database(service):
            return self._outcome(service, False, f"{service} has no releases")
        async with group.lock:
            group.releases.append(release)
            return await self._rolled_out(service, f"deployed {release.version}")

    async def rollback(self, service: str) -> Outcome:
        group = self._group(service)
        async with group.lock:
            if len(group.releases) < 2:
                return self._outcome(service, False, "there is no earlier release to go back to")
            bad = group.releases.pop()
            return await self._rolled_out(service, f"went back from {bad.version} to {group.releases[-1].version}")

    def processes(self) -> list[dict[str, object]]:
        return [
            {
                "name": each.name,
                "service": each.service,
                "instance": each.name,
                "pid": each.pid,
                "state": each.state.value,
                "port": each.port,
                "version": each.release.version,
                "replicas": len(self.groups[each.service].replicas),
                "started_at": each.started_at,
                "restarts": max(0, each.starts - 1),
                "cpu_percent": self._usage.get(each.name, (0.0, 0))[0],
                "rss_bytes": self._usage.get(each.name, (0.0, 0))[1],
            }
            for each in self._replicas()
        ]

    def topology(self) -> dict[str, list[dict[str, object]]]:
        """Who listens where: every replica that should run, also one that has crashed."""
        return {
            name: [{"instance": each.name, "port": each.port} for each in group.replicas if each.wanted and each.port]
            for name, group in self.groups.items()
        }

    def targets(self) -> list[dict[str, object]]:
        """What there is to scrape, in the form of Prometheus' http_sd_configs."""
        return [
            {"targets": [f"127.0.0.1:{each['port']}"], "labels": {"service": name, "instance": each["instance"]}}
            for name, replicas in self.topology().items()
            if name not in UNOBSERVED and not self._is_database(name)
            for each in replicas
        ]

    def _replica(self, service: str, number: int) -> Replica:
        return Replica(service, number, self._plan.settings.data, self._plan.environment, self._plan.nursery)

    def _replicas(self) -> list[Replica]:
        return [each for group in self.groups.values() for each in group.replicas]

    def _is_database(self, service: str) -> bool:
        return self._database is not None and any(each.name == service for each in self._database.servers)

    def _group(self, service: str) -> Group:
        group = self.groups.get(service)
        if group is None:
            raise RefusedError(404, "not_found", f"no service {service!r}; there are {', '.join(self.groups)}")
        return group

    def _scaling_refused(self, service: str, replicas: int) -> str:
        if replicas == 1:
            return ""
        if service in SINGLE or self._is_database(service):
            return f"{service} runs once"
        if service == "user-service" and not self._plan.settings.redis_url:
            return "user-service keeps its sessions in its own memory; set LAB_REDIS_URL to scale it"
        return ""

    async def _rolled_out(self, service: str, message: str) -> Outcome:
        release = self.groups[service].releases[-1]
        aiprism.metrics.deployment(service=service, version=release.version)
        log.info("deployment", target=service, target_version=release.version)
        return await self._replaced(service, release, message)

    async def _replaced(self, service: str, release: Release, message: str) -> Outcome:
        """Every replica ended and started with the release, one after the other so that the others go on serving."""
        done: list[Outcome] = []
        for replica in self.groups[service].replicas:
            await replica.stop()
            done.append(await self._started(service, [replica], release, message))
        return next((each for each in done if not each.ok), self._outcome(service, True, message))

    async def _started(self, service: str, replicas: list[Replica], release: Release, message: str) -> Outcome:
        try:
            for replica in replicas:
                await replica.start(release)
        except CannotStartError as error:
            return self._outcome(service, False, str(error))
        self._write_topology()
        healthy = await asyncio.gather(*(self._until_healthy(each, READY_SECONDS) for each in replicas))
        ill = [each.name for each, well in zip(replicas, healthy, strict=True) if not well]
        if ill:
            return self._outcome(service, False, f"not healthy within {READY_SECONDS:g} s: {', '.join(ill)}")
        return self._outcome(service, True, message)

    async def _until_healthy(self, replica: Replica, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with untraced():
            while time.monotonic() < deadline and replica.pid is not None:
                if await replica.probe(self._client):
                    return True
                await asyncio.sleep(0.1)
        return False

    def _outcome(self, service: str, ok: bool, message: str) -> Outcome:
        return Outcome(ok, service, _pids(self.groups[service].replicas), message)

    def _write_topology(self) -> None:
        write_topology(self._plan.settings.topology, self.topology(), ready=self._ready)

    async def _enforce_memory(self) -> None:
        limit = self._plan.settings.memory_limit
        for each in self._replicas():
            _, rss = self._usage.get(each.name, (0.0, 0))
            if rss > limit:
                log.error("out of memory: killed", instance=each.name, rss_bytes=rss, limit_bytes=limit)
                await each.kill()

    def _measure(self) -> None:
        for name, group in self.groups.items():
            self._say_health(name, group)
            used = {each.name: each.usage() for each in group.replicas}
            self._usage |= used
            cpu = sum(percent for percent, _ in used.values()) / len(used)
            memory = max(size for _, size in used.values()) / self._plan.settings.memory_limit
            aiprism.metrics.resource_utilization(cpu, resource_type="cpu", service_name=name)
            aiprism.metrics.resource_utilization(100 * memory, resource_type="memory", service_name=name)

    def _say_health(self, name: str, group: Group) -> None:
        healthy = group.healthy
        aiprism.metrics.system_health(healthy, component=name, check_type=group.replicas[0].check_type)
        if self._was_healthy.get(name, True) and not healthy:
            states = {each.name: each.state.value for each in group.replicas}
            log.error("service unhealthy", component=name, states=states)
        elif healthy and not self._was_healthy.get(name, True):
            log.info("service healthy again", component=name)
        self._was_healthy[name] = healthy


class OnceOnly:
    """Runs an action once for each idempotency key; a repeated key gets the first answer."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[str, asyncio.Task[Outcome]]] = OrderedDict()

    async def run(self, key: str, request: str, act: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """The outcome of `act`, or of the same request made before under this key."""
        if not key:
            return await act()
        if key not in self._answers:
            self._answers[key] = (request, asyncio.ensure_future(_awaited(act)))
            while len(self._answers) > KEYS_REMEMBERED:
                self._answers.popitem(last=False)
        earlier, task = self._answers[key]
        if earlier != request:
            raise RefusedError(422, "key_reused", f"Idempotency-Key {key!r} belongs to another request: {earlier}")
        return await asyncio.shield(task)


class ScaleIn(BaseModel):
    replicas: int = Field(ge=1, le=MAX_REPLICAS)


class BugIn(BaseModel):
    error_rate: float = Field(ge=0, le=1)


class DeployIn(BaseModel):
    version: str = Field(min_length=1, max_length=50)
    bug: BugIn | None = None


def build(plan: Plan) -> FastAPI:
    """The supervisor's API; its lifespan is the lab's."""
    supervisor, once = Supervisor(plan), OnceOnly()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        living = asyncio.create_task(_live(supervisor, app))
        yield
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        await supervisor.shut_down()

    app = new_app(plan.settings, lifespan)

    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {plan.token}".encode()):
            raise RefusedError(401, "unauthorized", "send the lab's token as a bearer token")

    guarded = [Depends(authorised)]

    @app.get("/processes", dependencies=guarded)
    async def processes() -> dict[str, list[dict[str, object]]]:
        return {"processes": supervisor.processes()}

    @app.get("/topology", dependencies=guarded)
    async def topology() -> dict[str, dict[str, list[dict[str, object]]]]:
        return {"services": supervisor.topology()}

    @app.get("/targets", dependencies=guarded)
    async def targets() -> list[dict[str, object]]:
        return supervisor.targets()

    @app.get("/receivers", dependencies=guarded)
    async def receivers() -> dict[str, str]:
        return urls(supervisor.groups["receivers"].replicas[0].port)

    @app.post("/processes/{service}/scale", dependencies=guarded)
    async def scale(service: str, wanted: ScaleIn, idempotency_key: Annotated[str, Header()] = "") -> dict[str, object]:
        request = f"scale {service} {wanted.replicas}"
        return asdict(await once.run(idempotency_key, request, lambda: supervisor.scale(service, wanted.replicas)))

    @app.post("/processes/{service}/deploy", dependencies=guarded)
    async def deploy(
        service: str, wanted: DeployIn, idempotency_key: Annotated[str, Header()] = ""
    ) -> dict[str, object]:
        release = Release(wanted.version, ReleaseBug(wanted.bug.error_rate) if wanted.bug else None)
        request = f"deploy {service} {release}"
        return asdict(await once.run(idempotency_key, request, lambda: supervisor.deploy(service, release)))

    plain = {
        "start": supervisor.start,
        "stop": supervisor.stop,
        "restart": supervisor.restart,
        "kill": supervisor.kill,
        "rollback": supervisor.rollback,
    }

    @app.post("/processes/{service}/{action}", dependencies=guarded)
    async def act(service: str, action: str, idempotency_key: Annotated[str, Header()] = "") -> dict[str, object]:
        if action not in plain:
            raise RefusedError(404, "not_found", f"no action {action!r}; there are {', '.join(plain)}, scale, deploy")
        return asdict(await once.run(idempotency_key, f"{action} {service}", lambda: plain[action](service)))

    return app


def run(plan: Plan) -> int:
    """Run the lab until SIGTERM or SIGINT; the exit status is 1 when it did not come up."""
    logs = plan.settings.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    try:
        sock = listening_socket("127.0.0.1", plan.port)
    except OSError as error:
        print(f"lab failed: cannot listen on 127.0.0.1:{plan.port}: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    app = build(plan)
    app.state.port = sock.getsockname()[1]
    app.state.failed = False
    serve(app, plan.settings, sock, logs / "supervisor.log")
    return 1 if app.state.failed else 0


def lab_token(data: Path, given: str) -> str:
    """The token of the supervisor's API; one that had to be made up is written to lab.token for its owner only."""
    if given:
        return given
    token = secrets.token_urlsafe(24)
    data.mkdir(parents=True, exist_ok=True)
    path = data / "lab.token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token


def _database(plan: Plan) -> Database | None:
    if plan.cluster is None:
        return None
    from aiprism_lab.postgresql import Database  # psycopg is loaded only where it is used

    return Database(plan.cluster, plan.settings.data, plan.environment, plan.nursery)


async def _live(supervisor: Supervisor, app: FastAPI) -> None:
    """Boot, tell that the lab is ready, and watch it."""
    try:
        await supervisor.boot()
    except (RuntimeError, OSError) as error:
        print(f"lab failed: {error}", file=sys.stderr, flush=True)
        app.state.failed = True
        app.state.server.should_exit = True
        return
    print(f"lab ready http://127.0.0.1:{app.state.port}", flush=True)
    await supervisor.watch()


async def _awaited(act: Callable[[], Awaitable[Outcome]]) -> Outcome:
    return await act()


def _pids(replicas: list[Replica]) -> list[int]:
    return [each.pid for each in replicas if each.pid is not None]

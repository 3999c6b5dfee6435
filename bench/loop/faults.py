"""The faults of the bench: what is broken, where, and which alerts and runbooks are to answer.

In: a `Stage` and the number of the run, by which victims take turns. Out: a real fault in a real process, and a way to end
it. Most are the demonstration's own (`aiprism.cli.scenarios`), or made of the same parts.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from aiprism.cli.demostage import Stage
from aiprism.cli.remote import Away, Refusal
from aiprism.cli.scenarios import BAD_VERSION, BUG_SHARE, SCENARIOS, Undo, injected
from aiprism_lab import generate
from aiprism_lab.documents import DocumentFormat

BURST = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault; `alerts` are those of which one must fire, `runbooks` those of which one must repair it."""

    name: str
    alerts: tuple[str, ...]
    runbooks: tuple[str, ...]
    strike: Callable[[Stage, int], Undo]


def _scenario(name: str) -> Kind:
    story = SCENARIOS[name]
    return Kind(name, (story.alert,), (story.runbook,), lambda stage, _: story.strike(stage.platform, stage.supervisor))


def _victim(services: Sequence[str], run: int) -> str:
    return services[run % len(services)]


def _quietly(act: Callable[[], object]) -> Undo:
    def undo() -> None:
        with contextlib.suppress(Away, Refusal, ProcessLookupError):
            act()

    return undo


def _fail_one_model(stage: Stage, _run: int) -> Undo:
    fault = injected(stage.platform, "model-server", "model.invoke.claude-sonnet", {"error_rate": 0.9})
    return _quietly(lambda: stage.platform.delete(fault))


def _crash(stage: Stage, run: int) -> Undo:
    services = ("document-processor", "feedback-service", "user-service", "notification-service", "ai-analysis-service")
    service = _victim(services, run)
    stage.supervisor.post(f"/processes/{service}/kill")
    return _quietly(lambda: stage.supervisor.post(f"/processes/{service}/start"))


def _hang(stage: Stage, run: int) -> Undo:
    """SIGSTOP: the process is there, its port takes connections, and nothing is answered."""
    service = _victim(("notification-service", "user-service", "feedback-service", "model-server"), run)
    [pid, *_] = [each["pid"] for each in stage.supervisor.get("/processes")["processes"] if each["service"] == service]
    os.kill(pid, signal.SIGSTOP)
    return _quietly(lambda: os.kill(pid, signal.SIGCONT))


def _deploy_badly(stage: Stage, run: int) -> Undo:
    services = ("document-processor", "user-service", "feedback-service", "notification-service", "ai-analysis-service")
    service = _victim(services, run)
    stage.supervisor.post(f"/processes/{service}/deploy", {"version": BAD_VERSION, "bug": {"error_rate": BUG_SHARE}})

    def withdraw() -> None:
        if any(
            each["service"] == service and each["version"] == BAD_VERSION
            for each in stage.supervisor.get("/processes")["processes"]
        ):
            stage.supervisor.post(f"/processes/{service}/rollback")

    return _quietly(withdraw)


def _burn(stage: Stage, run: int) -> Undo:
    service = _victim(("feedback-service", "notification-service", "user-service"), run)
    fault = injected(stage.platform, service, "http.request", {"cpu_seconds": 300})
    return _quietly(lambda: stage.platform.delete(fault))


def _delay(stage: Stage, run: int) -> Undo:
    """Every request to the service is two and a half seconds on its way."""
    service = _victim(("user-service", "notification-service"), run)
    fault = injected(stage.platform, service, "http.request", {"latency_seconds": 2.5})
    return _quietly(lambda: stage.platform.delete(fault))


def _exhaust_pool(stage: Stage, run: int) -> Undo:
    """For eight seconds no connection comes back; those that were taken by then never do."""
    service = _victim(("notification-service", "feedback-service"), run)
    injected(stage.platform, service, "database.pool", {"error_rate": 1.0}, ttl_seconds=8)
    pool = {"service": service, "control": "database", "action": "reset", "reason": "the bench is done with it"}
    return _quietly(lambda: stage.platform.post("/aiprism/v1/control/commands", pool))


def _flood(stage: Stage, run: int) -> Undo:
    """A few hundred documents at once, from somebody who has an account like anybody else."""
    ports = stage.supervisor.get("/topology")["services"]["api-gateway"]
    with httpx.Client(base_url=f"http://127.0.0.1:{ports[0]['port']}", timeout=60, trust_env=False) as gateway:
        account = {"email": "flood@castell-logistics.example", "password": "a-long-password"}
        gateway.post("/signup", json=account | {"organization": "castell-logistics", "tier": "premium"})
        answer = gateway.post("/login", json=account)
        answer.raise_for_status()
        gateway.headers["authorization"] = f"Bearer {answer.json()['token']}"
        texts = itertools.cycle([generate.render(generate.draft(seed), DocumentFormat.TEXT) for seed in range(10)])
        with ThreadPoolExecutor(8) as uploads:
            list(uploads.map(lambda text: gateway.post("/documents", files={"file": ("a.txt", text)}), _first(texts)))
    return _quietly(lambda: stage.supervisor.post("/processes/document-processor/scale", {"replicas": 1}))


def _first(texts: itertools.cycle[bytes]) -> Sequence[bytes]:
    return list(itertools.islice(texts, BURST))


KINDS: tuple[Kind, ...] = (
    _scenario("model-slow"),
    Kind("model-errors", ("AIModelErrors",), ("avoid-claude-sonnet",), _fail_one_model),
    Kind("service-crash", ("ServiceDown",), ("restart-crashed-service",), _crash),
    Kind("database-pool", ("DatabaseConnectionFailure",), ("reset-database-pool",), _exhaust_pool),
    _scenario("memory-leak"),
    Kind("cpu-stress", ("RunawayCPU",), ("restart-runaway-process",), _burn),
    Kind("service-hang", ("ServiceDown",), ("restart-crashed-service",), _hang),
    Kind("network-latency", ("LatencySpike",), ("replace-slow-processes",), _delay),
    Kind("queue-backlog", ("DocumentProcessingBacklog",), ("scale-document-processor",), _flood),
    Kind("bad-deploy", ("DeploymentErrorRate",), ("rollback-bad-deploy",), _deploy_badly),
)

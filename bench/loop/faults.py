"""The faults of the bench: what is broken, where, and which alerts and runbooks are to answer.

In: a `Stage` and the number of the run, by which victims take turns. Out: a real fault in a real process, and a way to end
it. Most are the demonstration's own (`aiprism.cli.scenarios`), or made of the same parts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiprism.cli.demostage import Stage
from aiprism.cli.remote import Away, Refusal
from aiprism.cli.scenarios import BAD_VERSION, BUG_SHARE, SCENARIOS, Undo, injected
from aiprism_lab import generate
from aiprism_lab.database import open_database
from aiprism_lab.documentqueue import DocumentQueue
from aiprism_lab.documents import DocumentFormat
from aiprism_lab.wiring import Identity

IMPORTED = 600  # of two hundred a quiet machine was done before a rule that waits had fired


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault; `alerts` are those of which one must fire, `runbooks` those of which one must repair it."""

    name: str
    alerts: tuple[str, ...]
    runbooks: tuple[str, ...]
    strike: Callable[[Stage, int], Undo]
    database: str = "sqlite"  # what its lab keeps its data in


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


def _flood(stage: Stage, _run: int) -> Undo:
    """Somebody imports six hundred documents: as files and rows in the queue, where uploads come in one by one."""
    lab = stage.data / "lab"
    engine = open_database(f"sqlite:///{lab / 'lab.db'}")
    queue = DocumentQueue(engine, lab / "documents", "import")
    customer = Identity(request_id="import", user_id="import", organization="castell-logistics", tier="premium")
    texts = [generate.render(generate.draft(seed), DocumentFormat.TEXT) for seed in range(10)]
    for number in range(IMPORTED):
        queue.add(customer, "imported.txt", DocumentFormat.TEXT, texts[number % len(texts)], time.time())
    engine.dispose()
    return _quietly(lambda: stage.supervisor.post("/processes/document-processor/scale", {"replicas": 1}))


def _kill_the_primary(stage: Stage, _run: int) -> Undo:
    """kill -9 of whichever server leads by now; started again, it is the standby of the one that does then."""
    answer = stage.platform.get("/api/v1/query", query="lab_database_last_primary == 1")
    leader = answer["data"]["result"][0]["metric"]["server"]
    stage.supervisor.post(f"/processes/{leader}/kill")
    return _quietly(lambda: stage.supervisor.post(f"/processes/{leader}/start"))


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
    Kind("database-failover", ("DatabasePrimaryDown",), ("database-failover",), _kill_the_primary, "postgresql"),
)

"""What the demonstration breaks, and what is to be expected then.

In: the platform's and the supervisor's HTTP API. Out: a real fault in a real process, and a way to end it. Whether the
loop notices and repairs it is measured in `demoreport`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiprism.cli.remote import Away, Refusal, Remote
from aiprism.errors import AiprismError

SLOWDOWN = 20
BUG_SHARE = 0.3
BAD_VERSION = "2.2.0"
# From a third of the memory it may have to all of it in three quarters of a minute.
LEAK_BYTES_PER_SECOND = 8 * 1024**2
LEAK_BYTES = 1024**3
# The fault ends by itself after this long, should nobody be left to end it.
FAULT_TTL_SECONDS = 300
_APPLIED_WITHIN = 40.0
_COMMANDS = "/aiprism/v1/control/commands"

Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story: `strike` breaks something and gives the way to end it; `alert` and `runbook` are to answer."""

    name: str
    says: str
    alert: str
    runbook: str
    strike: Callable[[Remote, Remote], Undo]
    database: str = "sqlite"  # what its lab keeps its data in


def slow_down_the_model(platform: Remote, _supervisor: Remote) -> Undo:
    """Have the model server take twenty times as long, through the control channel."""
    fault = injected(platform, "model-server", "model.invoke", {"latency_factor": SLOWDOWN})
    return lambda: _quietly(lambda: _speed_up_the_model(platform, fault))


def _speed_up_the_model(platform: Remote, fault: str) -> None:
    """End the fault, and let the models be asked again: the runbook's breaker would else stay open until its time is over."""
    platform.delete(fault)
    breaker = {"service": "ai-analysis-service", "control": "ai-model", "action": "close"}
    platform.post(_COMMANDS, {**breaker, "reason": "the model is well again", "actor": "aiprism demo"})


def kill_the_document_processor(_platform: Remote, supervisor: Remote) -> Undo:
    """kill -9; the supervisor leaves it dead."""
    _ordered(supervisor, "document-processor", "kill")
    return lambda: _quietly(lambda: supervisor.post("/processes/document-processor/start"))


def deploy_a_bad_version(_platform: Remote, supervisor: Remote) -> Undo:
    """Roll out a release of document-processor that fails for three requests in ten."""
    release = {"version": BAD_VERSION, "bug": {"error_rate": BUG_SHARE}}
    _ordered(supervisor, "document-processor", "deploy", release)
    return lambda: _quietly(lambda: _withdraw(supervisor))


def _withdraw(supervisor: Remote) -> None:
    processes = supervisor.get("/processes")["processes"]
    if any(each["service"] == "document-processor" and each["version"] == BAD_VERSION for each in processes):
        supervisor.post("/processes/document-processor/rollback")


def kill_the_primary(_platform: Remote, supervisor: Remote) -> Undo:
    """kill -9 of the database's primary; started again, it is the standby of whoever leads then."""
    _ordered(supervisor, "database-1", "kill")
    return lambda: _quietly(lambda: supervisor.post("/processes/database-1/start"))


def leak_memory(platform: Remote, _supervisor: Remote) -> Undo:
    """Have document-processor keep more and more memory, until it would be killed for it."""
    params = {"memory_bytes": LEAK_BYTES, "memory_bytes_per_second": LEAK_BYTES_PER_SECOND}
    fault = injected(platform, "document-processor", "http.request", params)
    return lambda: _quietly(lambda: platform.delete(fault))


def injected(
    platform: Remote, service: str, point: str, params: Mapping[str, object], ttl_seconds: float = FAULT_TTL_SECONDS
) -> str:
    """The address of a fault that all instances of the service have taken; to delete it ends it."""
    command = platform.post(
        _COMMANDS,
        {
            "service": service,
            "control": point,
            "action": "inject",
            "params": params,
            "ttl_seconds": ttl_seconds,
            "reason": "demonstration of a fault",
            "actor": "aiprism demo",
        },
    )
    address = f"{_COMMANDS}/{command['id']}"
    deadline = time.monotonic() + _APPLIED_WITHIN
    while (state := platform.get(address)["state"]) == "pending" and time.monotonic() < deadline:
        time.sleep(0.2)
    if state != "applied":
        raise AiprismError(f"{service} did not take the fault: the command is {state} after {_APPLIED_WITHIN:g} s")
    return address


def _ordered(supervisor: Remote, service: str, action: str, body: Mapping[str, object] | None = None) -> None:
    outcome = supervisor.post(f"/processes/{service}/{action}", body)
    if not outcome["ok"]:
        raise AiprismError(f"the supervisor could not {action} {service}: {outcome['message']}")


def _quietly(act: Callable[[], object]) -> None:
    """Ending a fault is tried, not insisted on: what it was injected into may be gone, and it ends by itself."""
    with contextlib.suppress(Away, Refusal):
        act()


SCENARIOS: Mapping[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            "model-slow",
            f"the model server takes {SLOWDOWN} times as long to answer",
            "AIModelLatencyHigh",
            "open-ai-model-circuit-breaker",
            slow_down_the_model,
        ),
        Scenario(
            "service-crash",
            "document-processor is killed",
            "ServiceDown",
            "restart-crashed-service",
            kill_the_document_processor,
        ),
        Scenario(
            "bad-deploy",
            f"document-processor {BAD_VERSION} is deployed, which fails {BUG_SHARE:.0%} of its requests",
            "DeploymentErrorRate",
            "rollback-bad-deploy",
            deploy_a_bad_version,
        ),
        Scenario(
            "memory-leak",
            f"document-processor leaks {LEAK_BYTES_PER_SECOND // 1024**2} MiB of memory each second",
            "MemoryLeak",
            "restart-leaking-service",
            leak_memory,
        ),
        Scenario(
            "database-failover",
            "the primary of the database is killed",
            "DatabasePrimaryDown",
            "database-failover",
            kill_the_primary,
            database="postgresql",
        ),
    )
}

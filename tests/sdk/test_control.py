"""Controls obey commands, and no order of commands and undos leaves anything behind."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import aiprism
from aiprism.sdk import faults
from aiprism.sdk.control import STACK_LIMIT, Command, Controls
from tests.sdk.receiver import eventually


def command(
    control: str, kind: str, action: str, command_id: str = "c1", ttl: float | None = None, **params
) -> Command:
    return Command(command_id, control, kind, action, params, ttl)


def opened(command_id: str = "c1", ttl: float | None = None) -> Command:
    return command("ai-model", "circuit_breaker", "open", command_id, ttl)


class CommandsInAnyOrder(RuleBasedStateMachine):
    """Three controls under random commands, revocations and time, against the obvious model: the newest live one wins."""

    INITIAL: ClassVar = {"circuit_breaker": False, "traffic_weight": {"a": 1.0, "b": 0.0}, "fault_point": 0.0}

    def __init__(self) -> None:
        super().__init__()
        self.controls = Controls()
        self.breaker = self.controls.circuit_breaker("x")
        self.weight = self.controls.traffic_weight("x", {"a": 1.0, "b": 0.0})
        self.fault = self.controls.fault_point("x")
        self.now = 100.0
        self.issued = 0
        self.live: dict[str, list[tuple[str, object, float | None]]] = {kind: [] for kind in self.INITIAL}
        self.revoked_early: set[str] = set()

    ttls = st.none() | st.floats(0.1, 50)

    def apply(self, kind: str, action: str, ttl: float | None, means: object, **params) -> None:
        self.issued += 1
        command_id = str(self.issued)
        ack = self.controls.apply(command("x", kind, action, command_id, ttl, **params), self.now)
        if command_id in self.revoked_early:
            assert ack.status == "undone"
            return
        assert ack.status == "applied"
        self.live[kind].append((command_id, means, None if ttl is None else self.now + ttl))

    @rule(open_it=st.booleans(), ttl=ttls)
    def steer_the_breaker(self, open_it: bool, ttl: float | None) -> None:
        self.apply("circuit_breaker", "open" if open_it else "close", ttl, open_it)

    @rule(share=st.floats(0.1, 1), ttl=ttls)
    def shift_traffic(self, share: float, ttl: float | None) -> None:
        self.apply("traffic_weight", "set", ttl, {"a": 1.0, "b": share}, weights={"a": 1.0, "b": share})

    @rule(latency=st.floats(0.1, 5), ttl=ttls)
    def inject(self, latency: float, ttl: float | None) -> None:
        self.apply("fault_point", "inject", ttl, latency, latency_seconds=latency)

    @rule(ttl=ttls)
    def clear(self, ttl: float | None) -> None:
        self.apply("fault_point", "clear", ttl, 0.0)

    @rule(which=st.integers(1, 30))
    def revoke(self, which: int) -> None:
        command_id = str(which)
        self.controls.revoke(command_id)
        if which > self.issued:
            self.revoked_early.add(command_id)
        for kind in self.live:
            self.live[kind] = [entry for entry in self.live[kind] if entry[0] != command_id]

    @rule(which=st.integers(1, 30))
    def deliver_again(self, which: int) -> None:
        if which <= self.issued:
            assert self.controls.apply(opened(str(which)), self.now).status in ("applied", "undone", "expired")

    @rule(seconds=st.floats(0, 30))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        expired = {ack.command_id for ack in self.controls.expire(self.now)}
        over = {e[0] for entries in self.live.values() for e in entries if e[2] is not None and e[2] <= self.now}
        assert expired == over
        for kind in self.live:
            self.live[kind] = [entry for entry in self.live[kind] if entry[0] not in expired]

    def settings_now(self) -> dict[str, object]:
        fault = self.fault.state
        return {
            "circuit_breaker": self.breaker.is_open,
            "traffic_weight": self.weight.weights,
            "fault_point": fault.get("latency_seconds", 0.0),
        }

    @invariant()
    def the_newest_live_command_decides(self) -> None:
        expected = {k: entries[-1][1] if entries else self.INITIAL[k] for k, entries in self.live.items()}
        assert self.settings_now() == expected

    @invariant()
    def the_next_deadline_is_the_earliest(self) -> None:
        deadlines = [entry[2] for entries in self.live.values() for entry in entries if entry[2] is not None]
        assert self.controls.next_deadline() == (min(deadlines) if deadlines else None)

    def teardown(self) -> None:
        self.controls.undo_all()
        assert self.settings_now() == self.INITIAL


TestCommandsInAnyOrder = CommandsInAnyOrder.TestCase
TestCommandsInAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.fixture
def controls():
    fresh = Controls()
    yield fresh
    fresh.undo_all()


# Commands ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            opened().__class__("c1", "nobody", "circuit_breaker", "open", {}),
            "no circuit_breaker 'nobody' here; registered: ",
        ),
        (command("ai-model", "circuit_breaker", "explode"), "a circuit breaker knows open and close, not 'explode'"),
        (command("ai-model", "circuit_breaker", "open", force=1), "unknown parameter 'force'; known: none"),
        (command("ai-model", "circuit_breaker", "open", ttl=-1), "ttl_seconds must be positive, not -1"),
        (command("ai-model", "circuit_breaker", "open", ttl=float("nan")), "ttl_seconds must be positive, not nan"),
        (command("model", "traffic_weight", "set"), 'params need "weights": {target: weight}'),
        (command("model", "traffic_weight", "set", weights={"gpt": 1}), "unknown target 'gpt'; known: sonnet, haiku"),
        (command("model", "traffic_weight", "set", weights={"sonnet": 0}), "at least one weight must be above zero"),
        (command("model", "traffic_weight", "set", weights={"sonnet": "1"}), "sonnet must be a number, not '1'"),
        (
            command("invoke", "fault_point", "inject", latency=3),
            "unknown parameter 'latency'; known: latency_seconds, ",
        ),
        (command("invoke", "fault_point", "inject", error_rate=1.5), "error_rate must be between 0 and 1, not 1.5"),
        (command("invoke", "fault_point", "inject", latency_factor=0.5), "latency_factor must be at least 1"),
        (
            command("invoke", "fault_point", "inject", disk_bytes=10**15),
            "disk_bytes 1000000000000000 would leave less than ",
        ),
        (
            command("invoke", "fault_point", "inject", memory_bytes=5 * 1024**3),
            "memory_bytes must be between 0 and ",
        ),
        (
            command("invoke", "fault_point", "inject", memory_bytes_per_second=1),
            "memory_bytes_per_second needs memory_bytes, at which the leak ends",
        ),
        (command("database", "pool", "drain"), "a pool knows reset, not 'drain'"),
    ],
)
def test_a_command_that_cannot_be_followed_fails_with_a_reason_and_changes_nothing(controls, bad, message):
    controls.circuit_breaker("ai-model")
    controls.traffic_weight("model", {"sonnet": 1.0, "haiku": 0.0})
    controls.fault_point("invoke")
    controls.pool("database", reset=lambda: None)
    before = [dict(control.state) for control in controls]
    ack = controls.apply(bad, 0.0)
    assert ack.status == "failed"
    assert ack.message.startswith(message)
    assert [dict(control.state) for control in controls] == before


def test_a_command_that_arrives_too_late_is_expired_and_not_applied(controls):
    breaker = controls.circuit_breaker("ai-model")
    late = Command("c1", "ai-model", "circuit_breaker", "open", {}, ttl_seconds=10, age=11)
    assert controls.apply(late, 0.0).status == "expired"
    assert not breaker.is_open


def test_the_age_of_a_command_counts_against_its_ttl(controls):
    controls.circuit_breaker("ai-model")
    controls.apply(Command("c1", "ai-model", "circuit_breaker", "open", {}, ttl_seconds=10, age=4), 100.0)
    assert controls.next_deadline() == 106.0


def test_a_revocation_may_overtake_its_command(controls):
    breaker = controls.circuit_breaker("ai-model")
    controls.revoke("c1")
    assert controls.apply(opened(), 0.0).status == "undone"
    assert not breaker.is_open


def test_a_control_takes_a_bounded_number_of_commands(controls):
    controls.circuit_breaker("ai-model")
    for number in range(STACK_LIMIT):
        assert controls.apply(opened(f"c{number}", ttl=10), 0.0).status == "applied"
    assert controls.apply(opened("one more", ttl=10), 0.0).status == "failed"


def test_permanent_commands_do_not_pile_up(controls):
    breaker = controls.circuit_breaker("ai-model")
    for number in range(3 * STACK_LIMIT):
        assert controls.apply(opened(f"c{number}"), 0.0).status == "applied"
    assert breaker.is_open


def test_the_same_name_is_the_same_control(controls):
    assert controls.circuit_breaker("ai-model") is controls.circuit_breaker("ai-model")
    assert controls.fault_point("ai-model") is controls.fault_point("ai-model")


# Circuit breakers ----------------------------------------------------------------------------------------------------


def test_an_open_breaker_refuses_and_a_closed_one_lets_through(controls):
    breaker = controls.circuit_breaker("ai-model")
    with breaker:
        pass
    controls.apply(opened(), 0.0)
    with pytest.raises(aiprism.CircuitOpen, match="'ai-model' is open"), breaker:
        pass

    async def call() -> None:
        async with breaker:
            pass

    with pytest.raises(aiprism.CircuitOpen):
        asyncio.run(call())


def test_a_breaker_with_a_threshold_opens_by_itself_and_tries_again_later():
    now = [0.0]
    breaker = aiprism.sdk.control.CircuitBreaker(
        "x", failure_threshold=2, recovery_seconds=30, monotonic=lambda: now[0]
    )

    def call(fails: bool) -> str:
        try:
            with breaker:
                if fails:
                    raise OSError
        except (OSError, aiprism.CircuitOpen) as error:
            return type(error).__name__
        return "ok"

    assert [call(True), call(False), call(True), call(True), call(False)] == [
        "OSError",
        "ok",
        "OSError",
        "OSError",
        "CircuitOpen",
    ]
    now[0] = 31.0
    assert [call(True), call(False)] == ["OSError", "CircuitOpen"]  # the trial failed
    now[0] = 62.0
    assert [call(False), call(False)] == ["ok", "ok"]
    assert not breaker.is_open


def test_a_close_command_holds_against_failures(controls):
    breaker = controls.circuit_breaker("ai-model", failure_threshold=1)
    controls.apply(command("ai-model", "circuit_breaker", "close"), 0.0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), breaker:
            1 / 0  # noqa: B018
    assert not breaker.is_open
    controls.revoke("c1")
    assert breaker.state == {"open": True, "forced": None, "failures": 3}


# Traffic weights -----------------------------------------------------------------------------------------------------


def test_targets_are_picked_by_weight(controls):
    weight = controls.traffic_weight("model", {"sonnet": 3.0, "haiku": 1.0, "off": 0.0})
    rng = random.Random(7)
    picked = Counter(weight.pick(rng) for _ in range(4000))
    assert set(picked) == {"sonnet", "haiku"}
    assert 2850 < picked["sonnet"] < 3150


def test_targets_that_a_command_leaves_out_get_nothing(controls):
    weight = controls.traffic_weight("model", {"sonnet": 1.0, "haiku": 0.0})
    controls.apply(command("model", "traffic_weight", "set", weights={"haiku": 2}), 0.0)
    assert weight.weights == {"sonnet": 0.0, "haiku": 2.0}
    assert weight.pick() == "haiku"


def test_weights_of_the_program_itself_must_make_sense(controls):
    with pytest.raises(ValueError, match="traffic weight 'model': at least one weight must be above zero"):
        controls.traffic_weight("model", {"sonnet": 0.0})


# Pools ---------------------------------------------------------------------------------------------------------------


def test_a_pool_is_reset_once_per_command(controls):
    resets = []
    controls.pool("database", reset=lambda: resets.append(1))
    reset = command("database", "pool", "reset")
    assert [controls.apply(reset, 0.0).status for _ in range(2)] == ["applied", "applied"]
    assert resets == [1]


def test_an_async_pool_is_reset_in_its_own_loop(controls):
    async def serve() -> tuple[str, bool]:
        ran_in = []

        async def reset() -> None:
            ran_in.append(asyncio.get_running_loop())

        controls.pool("database", reset=reset)
        ack = await asyncio.to_thread(controls.apply, command("database", "pool", "reset"), 0.0)
        return ack.status, ran_in == [asyncio.get_running_loop()]

    assert asyncio.run(serve()) == ("applied", True)


def test_a_reset_that_fails_is_acknowledged_as_failed(controls):
    controls.pool("database", reset=lambda: 1 / 0)
    ack = controls.apply(command("database", "pool", "reset"), 0.0)
    assert (ack.status, ack.message) == ("failed", "the reset failed: ZeroDivisionError: division by zero")


def test_a_reset_that_hangs_is_given_up(controls, monkeypatch):
    monkeypatch.setattr("aiprism.sdk.control.POOL_RESET_SECONDS", 0.05)
    release = threading.Event()
    controls.pool("database", reset=lambda: release.wait(30))
    ack = controls.apply(command("database", "pool", "reset"), 0.0)
    release.set()
    assert ack.status == "failed"
    assert ack.message.startswith("the reset did not finish within 0.05 s")


# Fault points --------------------------------------------------------------------------------------------------------


def inject(controls: Controls, command_id: str = "c1", **params):
    return controls.apply(command("model.invoke", "fault_point", "inject", command_id, **params), 0.0)


def test_an_idle_fault_point_does_nothing(controls):
    fault = controls.fault_point("model.invoke")
    fault.strike_sync()
    asyncio.run(fault.strike())
    with fault.around():
        pass
    assert fault.state == {"active": False}


def test_injected_errors_are_raised_sync_and_async(controls):
    fault = controls.fault_point("model.invoke")
    inject(controls, error_rate=1, error_message="model melted")
    with pytest.raises(aiprism.InjectedFault, match="model melted"):
        fault.strike_sync()
    with pytest.raises(aiprism.InjectedFault, match="model melted"):
        asyncio.run(fault.strike())
    controls.revoke("c1")
    fault.strike_sync()


def test_errors_come_at_their_rate():
    rng = random.Random(3)
    fault = faults.Fault(error_rate=0.3)
    failed = 0
    for _ in range(2000):
        try:
            fault.raise_by_chance(rng.random)
        except faults.InjectedFault:
            failed += 1
    assert 540 < failed < 660


def test_latency_is_added_and_stretched(controls, monkeypatch):
    slept = []
    monkeypatch.setattr("aiprism.sdk.control.wait", lambda seconds, alive: slept.append(round(seconds, 6)))
    fault = controls.fault_point("model.invoke")
    inject(controls, latency_seconds=0.5, latency_factor=20)
    fault.strike_sync()
    fault.strike_sync(work_seconds=0.1)
    assert slept == [0.5, 2.4]


def test_work_in_a_block_is_measured_and_stretched(controls):
    fault = controls.fault_point("model.invoke")
    inject(controls, latency_factor=3)
    waits = []

    async def work() -> None:
        async with fault.around_async():
            await asyncio.sleep(0.02)

    original = faults._slices

    def noted(seconds, alive):
        waits.append(seconds)
        return original(0, alive)

    faults._slices = noted
    try:
        asyncio.run(work())
    finally:
        faults._slices = original
    assert waits[0] == 0
    assert waits[1] >= 0.04


def test_undoing_a_fault_lets_go_of_the_calls_it_holds(controls):
    fault = controls.fault_point("model.invoke")
    inject(controls, latency_seconds=500, error_rate=1)
    held = threading.Thread(target=fault.strike_sync, daemon=True)
    held.start()
    controls.revoke("c1")
    held.join(20)
    assert not held.is_alive()


def fault_files() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"aiprism-fault-{os.getpid()}-*/fill"))


def test_an_occupied_disk_is_given_back(controls):
    controls.fault_point("model.invoke")
    assert inject(controls, disk_bytes=5_000_000).status == "applied"
    (file,) = fault_files()
    assert file.stat().st_blocks * 512 >= 5_000_000
    controls.revoke("c1")
    assert fault_files() == []


def test_when_the_newer_fault_goes_the_older_one_takes_its_disk_again(controls):
    controls.fault_point("model.invoke")
    inject(controls, "c1", disk_bytes=1_000_000)
    inject(controls, "c2", disk_bytes=2_000_000)
    assert [file.stat().st_size for file in fault_files()] == [2_000_000]
    controls.revoke("c2")
    assert [file.stat().st_size for file in fault_files()] == [1_000_000]
    controls.undo_all()
    assert fault_files() == []


def test_a_fault_that_cannot_be_had_leaves_the_present_one(controls):
    fault = controls.fault_point("model.invoke")
    inject(controls, "c1", latency_seconds=1)
    assert inject(controls, "c2", disk_bytes=10**15).status == "failed"
    assert fault.state["latency_seconds"] == 1


def test_files_of_killed_processes_are_swept(controls):
    dead = 2**22 + 1  # above the kernel's largest process id
    left = Path(tempfile.mkdtemp(prefix=f"aiprism-fault-{dead}-"))
    controls.fault_point("model.invoke")
    inject(controls, disk_bytes=1000)
    assert not left.exists()
    shutil.rmtree(left, ignore_errors=True)


LEAK = """
import psutil
from aiprism.sdk.control import Command, Controls
from tests.sdk.receiver import eventually

def resident():
    return psutil.Process().memory_info().rss

controls, size = Controls(), 200_000_000
controls.fault_point("model.invoke")
before = resident()
leak = {"memory_bytes": size, "memory_bytes_per_second": size}
assert controls.apply(Command("c1", "model.invoke", "fault_point", "inject", leak, None), 0.0).status == "applied"
eventually(lambda: resident() > before + size * 0.9, "the whole leak")
controls.revoke("c1")
eventually(lambda: resident() < before + size * 0.5, "the memory again")
"""


def test_a_leak_grows_to_its_size_and_is_given_back():
    """In a process of its own: what this one holds shrinks when it will, by what the tests before left to be freed."""
    root = Path(__file__).parents[2]
    leak = [sys.executable, "-c", LEAK]
    seen = subprocess.run(leak, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert seen.returncode == 0, seen.stderr


def test_memory_that_the_machine_cannot_spare_is_not_taken(controls, monkeypatch):
    controls.fault_point("model.invoke")
    monkeypatch.setattr("aiprism.sdk.faults._available_memory", lambda: 600 * 1024**2)
    ack = inject(controls, memory_bytes=100 * 1024**2)
    assert (ack.status, ack.message.partition(" would leave")[0]) == ("failed", "memory_bytes 104857600")


def burning() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aiprism-fault-cpu"]


def test_a_busy_core_is_one_thread_and_ends_with_the_command(controls):
    controls.fault_point("model.invoke")
    inject(controls, "c1", cpu_seconds=600)
    assert len(burning()) == 1
    inject(controls, "c2", cpu_seconds=600)
    eventually(lambda: len(burning()) == 1, "the first burner's end")
    controls.undo_all()
    eventually(lambda: burning() == [], "the end of the burning")


def test_a_busy_core_ends_by_itself(controls):
    controls.fault_point("model.invoke")
    inject(controls, cpu_seconds=0.01)
    eventually(lambda: burning() == [], "the end of the burning")

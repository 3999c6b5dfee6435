"""What an operator may steer in this process, and the rules of commands: apply, expire, revoke, undo.

A service registers *controls* (circuit breaker, traffic weight, pool, fault point) under a name; the platform sends
commands for them (`channel.py` carries them). Each control keeps its own setting and a stack of live commands; the
newest live command decides, and when it goes (ttl passed, revoked) the one below it decides again, at last the
service's own setting. So whatever the order of commands and undos, nothing is left behind. Time comes in as `now`
(monotonic seconds); there is no I/O here except what a pool's reset or a fault point does.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from aiprism.sdk.faults import Fault, Strain, amount, wait, wait_async

log = logging.getLogger("aiprism.sdk")

S = TypeVar("S")
C = TypeVar("C", bound="AnyControl")
Json = Mapping[str, object]

# A permanent command (no ttl) can be revoked as long as it is among the newest this many of its control.
STACK_LIMIT = 64
# Commands whose fate is remembered, so that a repeated delivery is acknowledged and not applied again.
REMEMBERED = 2048
POOL_RESET_SECONDS = 10.0


class CircuitOpen(Exception):
    """The circuit breaker refuses the call; what it protects was not touched."""


class BadCommand(ValueError):
    """A command that this control cannot follow; the message says why and goes into the acknowledgement."""


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction from the platform. `ttl_seconds` None means until revoked; `age` is what passed since issue."""

    id: str
    control: str
    kind: str
    action: str
    params: Json
    ttl_seconds: float | None = None
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of a command: applied, failed, undone or expired; `at` is Unix seconds."""

    command_id: str
    status: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class _Live(Generic[S]):
    command_id: str
    setting: S
    deadline: float | None


class Control(Generic[S]):
    """One steerable thing. A subclass says what a command means (`_follow`) and makes a setting effective (`_settle`)."""

    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name
        self._stack: list[_Live[S]] = []

    @property
    def state(self) -> Json:
        """What the platform is told about this control."""
        raise NotImplementedError

    def _follow(self, action: str, params: Json) -> S | None:
        """The setting a command asks for; None when it has acted once and there is nothing to undo."""
        raise NotImplementedError

    def _settle(self, commanded: S | None) -> None:
        """Make `commanded` effective; None is the service's own setting."""
        raise NotImplementedError

    def _push(self, command: Command, setting: S, deadline: float | None) -> None:
        if len(self._stack) >= STACK_LIMIT and not self._forget_oldest():
            raise BadCommand(f"{STACK_LIMIT} commands with a ttl are alive on {self.kind} {self.name!r}; revoke some")
        try:
            self._settle(setting)
        except Exception:
            self._undo_to(self._stack[-1].setting if self._stack else None)
            raise
        self._stack.append(_Live(command.id, setting, deadline))

    def _forget_oldest(self) -> bool:
        # Below another permanent command a permanent one can only matter again when all above it are revoked.
        for index, live in enumerate(self._stack[:-1]):
            if live.deadline is None:
                del self._stack[index]
                return True
        return False

    def _drop(self, command_id: str) -> bool:
        """Take the command off the stack; True when it was there."""
        kept = [live for live in self._stack if live.command_id != command_id]
        if len(kept) == len(self._stack):
            return False
        decided = self._stack[-1].command_id == command_id
        self._stack = kept
        if decided:
            self._undo_to(kept[-1].setting if kept else None)
        return True

    def _undo_to(self, setting: S | None) -> None:
        try:
            self._settle(setting)
        except Exception:
            log.exception(
                "%s %r could not take back its earlier setting; using the service's own", self.kind, self.name
            )
            self._settle(None)


AnyControl = Control[Any]


class CircuitBreaker(Control[bool]):
    """Refuses calls while open. Opened by command, or by `failure_threshold` failures in a row.

    `with breaker:` (or `async with`) around a call raises `CircuitOpen` when open and counts the call's failure or
    success. After `recovery_seconds` one call is let through to try; its success closes the breaker again. A command
    outranks the count: "open" stays open, "close" stays closed, until it is undone.
    """

    kind = "circuit_breaker"

    def __init__(
        self,
        name: str,
        *,
        failure_threshold: int | None = None,
        recovery_seconds: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name)
        self._threshold, self._recovery, self._monotonic = failure_threshold, recovery_seconds, monotonic
        self._commanded: bool | None = None
        self._failures = 0
        # No lock: a race between calls costs one more trial, and a lock held across a fork would cost the child.
        self._tripped_at: float | None = None

    @property
    def is_open(self) -> bool:
        """True when the next call would be refused."""
        if self._commanded is not None:
            return self._commanded
        return self._tripped_at is not None and self._monotonic() - self._tripped_at < self._recovery

    @property
    def state(self) -> Json:
        forced = {None: None, True: "open", False: "closed"}[self._commanded]
        return {"open": self.is_open, "forced": forced, "failures": self._failures}

    def __enter__(self) -> Self:
        if self.is_open:
            raise CircuitOpen(f"circuit breaker {self.name!r} is open")
        if self._tripped_at is not None:
            # This call is the trial; the others keep being refused until it is back.
            self._tripped_at = self._monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._threshold is None or (kind is not None and not issubclass(kind, Exception)):
            return
        if error is None:
            self._failures, self._tripped_at = 0, None
            return
        self._failures += 1
        if self._failures >= self._threshold:
            self._tripped_at = self._monotonic()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self.__exit__(kind, e, t)

    def _follow(self, action: str, params: Json) -> bool:
        if action not in ("open", "close"):
            raise BadCommand(f"a circuit breaker knows open and close, not {action!r}")
        _no_more_than(params, ())
        return action == "open"

    def _settle(self, commanded: bool | None) -> None:
        self._commanded = commanded
        if commanded is False:
            self._failures, self._tripped_at = 0, None


class SupportsRandom(Protocol):
    """Anything with `random()` in [0, 1): the `random` module, a `random.Random`."""

    def random(self) -> float: ...


class TrafficWeight(Control[Mapping[str, float]]):
    """Shares traffic between named targets; the weights need not sum to one."""

    kind = "traffic_weight"

    def __init__(self, name: str, weights: Mapping[str, float]) -> None:
        super().__init__(name)
        self._own: Mapping[str, float] = {}
        self.weights: Mapping[str, float] = {}
        self.reweigh(weights)

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Replace the service's own weights; a live command still outranks them."""
        try:
            self._own = _checked_weights(weights, weights)
        except BadCommand as error:
            raise ValueError(f"traffic weight {self.name!r}: {error}") from None
        self._settle(self._stack[-1].setting if self._stack else None)

    def pick(self, rng: SupportsRandom = random) -> str:
        """The name of one target, drawn by weight.

        >>> TrafficWeight("model", {"sonnet": 1.0, "haiku": 0.0}).pick()
        'sonnet'
        """
        weights = self.weights
        point = rng.random() * sum(weights.values())
        chosen = ""
        for name, weight in weights.items():
            if weight > 0:
                chosen = name
                point -= weight
                if point < 0:
                    break
        return chosen

    @property
    def state(self) -> Json:
        return {"weights": dict(self.weights)}

    def _follow(self, action: str, params: Json) -> Mapping[str, float]:
        if action != "set":
            raise BadCommand(f"a traffic weight knows set, not {action!r}")
        _no_more_than(params, ("weights",))
        weights = params.get("weights")
        if not isinstance(weights, Mapping):
            raise BadCommand('params need "weights": {target: weight}')
        return _checked_weights(weights, self._own)

    def _settle(self, commanded: Mapping[str, float] | None) -> None:
        weights = {name: (commanded or self._own).get(name, 0.0) for name in self._own}
        # The service may have renamed its targets under a live command; then its own weights are the better guess.
        self.weights = weights if sum(weights.values()) > 0 else self._own


class Pool(Control[None]):
    """A pool of connections that can be thrown away and made anew; a reset acts once and has nothing to undo."""

    kind = "pool"

    def __init__(self, name: str, reset: Callable[[], object]) -> None:
        super().__init__(name)
        self.reset = reset
        self._resets = 0
        self._last: float | None = None
        try:
            # An async pool belongs to the loop that registered it; its reset must run there.
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    @property
    def state(self) -> Json:
        return {"resets": self._resets, "last_reset": self._last}

    def _follow(self, action: str, params: Json) -> None:
        if action != "reset":
            raise BadCommand(f"a pool knows reset, not {action!r}")
        _no_more_than(params, ())
        _finish_within(POOL_RESET_SECONDS, self._reset_now)
        self._resets, self._last = self._resets + 1, time.time()

    def _settle(self, commanded: None) -> None:
        pass

    def _reset_now(self) -> None:
        result = self.reset()
        if not inspect.isawaitable(result):
            return
        if self._loop is not None and self._loop.is_running():
            asyncio.run_coroutine_threadsafe(_awaited(result), self._loop).result(POOL_RESET_SECONDS)
        else:
            asyncio.run(_awaited(result))


class FaultPoint(Control[Fault]):
    """A place in the code where an operator may let things go wrong; free while nothing is injected.

    `await point.strike()` (or `strike_sync`) before the work, or `with point.around():` (`around_async`) around it, which
    measures the work that `latency_factor` stretches.
    """

    kind = "fault_point"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._fault: Fault | None = None
        self._strain = Strain()

    async def strike(self, work_seconds: float = 0.0) -> None:
        """Wait and raise `InjectedFault` as commanded; `work_seconds` is what the work takes, for `latency_factor`."""
        fault = self._fault
        if fault is not None:
            await wait_async(fault.latency_seconds + fault.stretch(work_seconds), lambda: self._fault is fault)
            if self._fault is fault:
                fault.raise_by_chance()

    def strike_sync(self, work_seconds: float = 0.0) -> None:
        """`strike` for code that is not a coroutine."""
        fault = self._fault
        if fault is not None:
            wait(fault.latency_seconds + fault.stretch(work_seconds), lambda: self._fault is fault)
            if self._fault is fault:
                fault.raise_by_chance()

    @contextmanager
    def around(self) -> Iterator[None]:
        """Strike, then stretch what the block took by `latency_factor`."""
        self.strike_sync()
        started = time.monotonic()
        yield
        fault = self._fault
        if fault is not None:
            wait(fault.stretch(time.monotonic() - started), lambda: self._fault is fault)

    @asynccontextmanager
    async def around_async(self) -> AsyncIterator[None]:
        """`around` for coroutines."""
        await self.strike()
        started = time.monotonic()
        yield
        fault = self._fault
        if fault is not None:
            await wait_async(fault.stretch(time.monotonic() - started), lambda: self._fault is fault)

    @property
    def state(self) -> Json:
        return {"active": False} if self._fault is None else {"active": True, **asdict(self._fault)}

    def _follow(self, action: str, params: Json) -> Fault:
        if action == "inject":
            return Fault.parse(params)
        if action != "clear":
            raise BadCommand(f"a fault point knows inject and clear, not {action!r}")
        _no_more_than(params, ())
        return Fault()

    def _settle(self, commanded: Fault | None) -> None:
        # The old effects go first: their disk may be what the new ones need.
        self._strain.stop()
        fault = None if commanded == Fault() else commanded
        self._fault = None
        if fault is not None:
            self._strain.start(fault)
        self._fault = fault


class Controls:
    """Every control of this process, and the life of the commands on them. Thread-safe."""

    def __init__(self) -> None:
        self._controls: dict[tuple[str, str], AnyControl] = {}
        self._fates: OrderedDict[str, Ack] = OrderedDict()
        # RLock: a pool's reset or a settling control may register or read another control.
        self._lock = threading.RLock()
        self._changed: Callable[[], None] = lambda: None

    def circuit_breaker(
        self, name: str, *, failure_threshold: int | None = None, recovery_seconds: float = 30.0
    ) -> CircuitBreaker:
        """The circuit breaker of that name; registered at the first call, which fixes its threshold."""
        return self._registered(
            CircuitBreaker,
            name,
            lambda: CircuitBreaker(name, failure_threshold=failure_threshold, recovery_seconds=recovery_seconds),
        )

    def traffic_weight(self, name: str, weights: Mapping[str, float]) -> TrafficWeight:
        """The traffic weight of that name; calling again replaces the service's own weights."""
        control = self._registered(TrafficWeight, name, lambda: TrafficWeight(name, weights))
        control.reweigh(weights)
        return control

    def pool(self, name: str, *, reset: Callable[[], object]) -> Pool:
        """Register a pool; `reset` (sync or async) is called when an operator asks, and calling again replaces it."""
        control = self._registered(Pool, name, lambda: Pool(name, reset))
        control.reset = reset
        return control

    def fault_point(self, name: str) -> FaultPoint:
        """The fault point of that name."""
        return self._registered(FaultPoint, name, lambda: FaultPoint(name))

    def __iter__(self) -> Iterator[AnyControl]:
        with self._lock:
            return iter(tuple(self._controls.values()))

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when a control has been registered, so that the platform hears of it."""
        self._changed = changed

    def apply(self, command: Command, now: float) -> Ack:
        """Follow `command` unless it is too old or was seen before; the acknowledgement says what happened."""
        with self._lock:
            known = self._fates.get(command.id)
        if known is not None:
            return known
        try:
            with self._lock:
                deadline = _deadline(command, now)
                if deadline is not None and deadline <= now:
                    return self._remember(command.id, "expired", "it was older than its ttl when it arrived")
                control = self._addressed(command)
            # Outside the lock: a pool's reset may take its time, and expiring others must not wait for it.
            setting = control._follow(command.action, command.params)
            with self._lock:
                if command.id in self._fates:
                    return self._fates[command.id]
                if setting is not None:
                    control._push(command, setting, deadline)
            log.info("command %s applied: %s on %s %r", command.id, command.action, command.kind, command.control)
            return self._remember(command.id, "applied", "")
        except Exception as error:
            log.warning("command %s on %s %r failed: %s", command.id, command.kind, command.control, error)
            return self._remember(command.id, "failed", str(error) or type(error).__name__)

    def revoke(self, command_id: str) -> Ack:
        """Undo the command; one that has not arrived yet will not be applied when it does."""
        with self._lock:
            fate = self._fates.get(command_id)
            if fate is not None and fate.status in ("expired", "failed", "undone"):
                return fate
            for control in self._controls.values():
                control._drop(command_id)
            return self._remember(command_id, "undone", "")

    def expire(self, now: float) -> list[Ack]:
        """Undo every command whose ttl has passed."""
        with self._lock:
            over = [
                (control, live.command_id)
                for control in self._controls.values()
                for live in control._stack
                if live.deadline is not None and live.deadline <= now
            ]
            for control, command_id in over:
                control._drop(command_id)
            return [self._remember(command_id, "expired", "") for _, command_id in over]

    def next_deadline(self) -> float | None:
        """When `expire` will next have something to do, in monotonic seconds."""
        with self._lock:
            deadlines = [
                live.deadline for c in self._controls.values() for live in c._stack if live.deadline is not None
            ]
        return min(deadlines, default=None)

    def undo_all(self) -> None:
        """Take back every command: each control returns to the service's own setting."""
        with self._lock:
            for control in self._controls.values():
                for live in control._stack:
                    control._drop(live.command_id)
                    self._remember(live.command_id, "undone", "")

    def restart_after_fork(self) -> None:
        """A forked child is a new instance: commands given to its parent are not its own."""
        self._lock = threading.RLock()
        self.undo_all()
        self._fates.clear()

    def _registered(self, kind: type[C], name: str, make: Callable[[], C]) -> C:
        with self._lock:
            found = self._controls.get((kind.kind, name))
            if isinstance(found, kind):
                return found
            control = make()
            self._controls[(kind.kind, name)] = control
        self._changed()
        return control

    def _addressed(self, command: Command) -> AnyControl:
        control = self._controls.get((command.kind, command.control))
        if control is None:
            here = ", ".join(f"{kind} {name!r}" for kind, name in sorted(self._controls)) or "none"
            raise BadCommand(f"no {command.kind} {command.control!r} here; registered: {here}")
        return control

    def _remember(self, command_id: str, status: str, message: str) -> Ack:
        ack = Ack(command_id, status, message, time.time())
        with self._lock:
            self._fates[command_id] = ack
            self._fates.move_to_end(command_id)
            while len(self._fates) > REMEMBERED:
                self._fates.popitem(last=False)
        return ack


controls = Controls()
"""The controls of this process."""


def _deadline(command: Command, now: float) -> float | None:
    if command.ttl_seconds is None:
        return None
    if not math.isfinite(command.ttl_seconds) or command.ttl_seconds <= 0:
        raise BadCommand(f"ttl_seconds must be positive, not {command.ttl_seconds}")
    return now + command.ttl_seconds - max(0.0, command.age)


def _checked_weights(weights: Mapping[str, object], known: Iterable[str]) -> dict[str, float]:
    targets = list(known)
    unknown = [str(name) for name in weights if name not in targets]
    if unknown:
        raise BadCommand(f"unknown target {unknown[0]!r}; known: {', '.join(targets)}")
    checked = {name: amount(weights, name, 0.0, math.inf) for name in targets}
    if not sum(checked.values()) > 0:
        raise BadCommand("at least one weight must be above zero")
    return checked


def _no_more_than(params: Json, known: Iterable[str]) -> None:
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise BadCommand(f"unknown parameter {unknown[0]!r}; known: {', '.join(known) or 'none'}")


def _finish_within(seconds: float, act: Callable[[], None]) -> None:
    """Run `act` in a thread of its own, so that one that hangs costs a thread and not the control channel."""
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            act()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=attempt, name="aiprism-pool-reset", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise BadCommand(f"the reset did not finish within {seconds:g} s; it may still be running")
    if failure:
        raise BadCommand(f"the reset failed: {type(failure[0]).__name__}: {failure[0]}") from failure[0]


async def _awaited(result: Awaitable[object]) -> None:
    await result

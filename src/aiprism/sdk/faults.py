"""What an injected fault does: latency, errors, a busy core, a full disk, a memory leak; and how it ends without a trace.

In comes the parameter map of a command; out go delays, an `InjectedFault`, one burning thread, one that hoards memory, one
big file. When and where a fault strikes is the fault point's to say (`control.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

# An injected fault may make a service bad, not its machine unusable.
MOST_LATENCY_SECONDS = 600.0
MOST_LATENCY_FACTOR = 1000.0
MOST_CPU_SECONDS = 3600.0
DISK_RESERVE_BYTES = 256 * 1024 * 1024
MOST_MEMORY_BYTES = 4 * 1024**3
MEMORY_RESERVE_BYTES = 512 * 1024 * 1024
# A strike sleeps in slices, so that an undone fault lets go of the calls it holds.
_SLICE_SECONDS = 0.25
_DIRECTORY = "aiprism-fault-"


class InjectedFault(Exception):
    """The error an operator asked a fault point to raise."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault point does while a command is live.

    `latency_seconds` is added to every strike and `latency_factor` stretches the work itself; `error_rate` (0…1) is the
    share of strikes that raise. `cpu_seconds` keeps one core busy once, `disk_bytes` occupies that much disk until undone,
    `memory_bytes` that much memory: at once, or leaked by and by at `memory_bytes_per_second`.
    """

    latency_seconds: float = 0.0
    latency_factor: float = 1.0
    error_rate: float = 0.0
    error_message: str = "injected fault"
    cpu_seconds: float = 0.0
    disk_bytes: float = 0.0
    memory_bytes: float = 0.0
    memory_bytes_per_second: float = 0.0

    @classmethod
    def parse(cls, params: Mapping[str, object]) -> Self:
        """The fault that `params` describe; ValueError says which of them is wrong."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(params) - set(known))
        if unknown:
            raise ValueError(f"unknown parameter {unknown[0]!r}; known: {', '.join(known)}")
        fault = cls(
            latency_seconds=amount(params, "latency_seconds", 0.0, MOST_LATENCY_SECONDS),
            latency_factor=amount(params, "latency_factor", 1.0, MOST_LATENCY_FACTOR),
            error_rate=amount(params, "error_rate", 0.0, 1.0),
            error_message=str(params.get("error_message") or "injected fault")[:500],
            cpu_seconds=amount(params, "cpu_seconds", 0.0, MOST_CPU_SECONDS),
            disk_bytes=amount(params, "disk_bytes", 0.0, math.inf),
            memory_bytes=amount(params, "memory_bytes", 0.0, MOST_MEMORY_BYTES),
            memory_bytes_per_second=amount(params, "memory_bytes_per_second", 0.0, MOST_MEMORY_BYTES),
        )
        if fault.latency_factor < 1:
            raise ValueError("latency_factor must be at least 1")
        if fault.memory_bytes_per_second and not fault.memory_bytes:
            raise ValueError("memory_bytes_per_second needs memory_bytes, at which the leak ends")
        return fault

    def stretch(self, work_seconds: float) -> float:
        """How much longer than `work_seconds` the work shall take."""
        return (self.latency_factor - 1) * work_seconds

    def raise_by_chance(self, draw: Callable[[], float] = random.random) -> None:
        """Raise `InjectedFault` in `error_rate` of the calls."""
        if self.error_rate and draw() < self.error_rate:
            raise InjectedFault(self.error_message)


def wait(seconds: float, alive: Callable[[], bool]) -> None:
    """Sleep, but not on after `alive` has turned false."""
    for part in _slices(seconds, alive):
        time.sleep(part)


async def wait_async(seconds: float, alive: Callable[[], bool]) -> None:
    """`wait` for coroutines."""
    for part in _slices(seconds, alive):
        await asyncio.sleep(part)


class Strain:
    """The effects that last: a busy core, occupied memory, an occupied disk. `stop` ends all; at most one of each exists."""

    def __init__(self) -> None:
        self._over: threading.Event | None = None  # set, it ends the threads of this strain
        self._directory: Path | None = None
        self._pid = os.getpid()

    def start(self, fault: Fault) -> None:
        """Begin what `fault` asks for; OSError or ValueError when disk or memory cannot give that much."""
        self._pid = os.getpid()
        _check_memory(int(fault.memory_bytes))
        if fault.disk_bytes:
            self._fill(int(fault.disk_bytes))
        self._over = over = threading.Event()
        if fault.cpu_seconds:
            _begin("cpu", lambda: _burn(fault.cpu_seconds, over))
        if fault.memory_bytes:
            _begin("memory", lambda: _hoard(int(fault.memory_bytes), fault.memory_bytes_per_second, over))

    def stop(self) -> None:
        """End all effects; the file is gone when this returns, memory and core are free within a moment."""
        if self._over is not None:
            self._over.set()
            self._over = None
        directory, self._directory = self._directory, None
        # After a fork the file is the parent's.
        if directory is not None and self._pid == os.getpid():
            shutil.rmtree(directory, ignore_errors=True)

    def _fill(self, size: int) -> None:
        _sweep()
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if size > free - DISK_RESERVE_BYTES:
            raise ValueError(f"disk_bytes {size} would leave less than {DISK_RESERVE_BYTES} of {free} free bytes")
        self._directory = Path(tempfile.mkdtemp(prefix=f"{_DIRECTORY}{os.getpid()}-"))
        try:
            with (self._directory / "fill").open("wb") as file:
                # Allocated, not sparse: the blocks are really taken, without writing them one by one.
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            self.stop()
            raise


def amount(params: Mapping[str, object], name: str, default: float, most: float) -> float:
    """`params[name]` as a finite number between 0 and `most`; ValueError otherwise."""
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} must be between 0 and {most:g}, not {value:g}")
    return float(value)


def _slices(seconds: float, alive: Callable[[], bool]) -> Iterator[float]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and alive():
        yield min(left, _SLICE_SECONDS)


def _burn(seconds: float, stop: threading.Event) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop.is_set():
        sum(range(10_000))


def _begin(effect: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=f"aiprism-fault-{effect}", daemon=True).start()


def _hoard(size: int, per_second: float, over: threading.Event) -> None:
    """Hold `size` bytes, growing by `per_second` when that is given, until `over`."""
    begun, held, blocks = time.monotonic(), 0, []
    while not over.is_set():
        wanted = min(size, int((time.monotonic() - begun) * per_second)) if per_second else size
        if wanted > held:
            # Filled, not zero: pages that nobody has written to take no memory.
            blocks.append(b"\xa5" * (wanted - held))
            held = wanted
        over.wait(_SLICE_SECONDS if held < size else None)


def _check_memory(size: int) -> None:
    """ValueError when holding `size` bytes would leave the machine without a reserve."""
    if size and size > (free := _available_memory()) - MEMORY_RESERVE_BYTES:
        raise ValueError(f"memory_bytes {size} would leave less than {MEMORY_RESERVE_BYTES} of {free} available bytes")


def _available_memory() -> int:
    """Bytes the machine could still give; where it does not say (only Linux does), enough for any fault."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return MOST_MEMORY_BYTES + MEMORY_RESERVE_BYTES


def _sweep() -> None:
    # A process that was killed could not remove its file; the next fault on this machine does.
    for directory in Path(tempfile.gettempdir()).glob(f"{_DIRECTORY}*-*"):
        pid = directory.name.removeprefix(_DIRECTORY).partition("-")[0]
        if not pid.isdecimal() or _runs(int(pid)):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

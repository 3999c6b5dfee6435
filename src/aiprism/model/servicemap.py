"""What telemetry says about services and their calls, as the store gives it back."""

from __future__ import annotations

from dataclasses import dataclass

DATABASE, MESSAGING = "database", "messaging"  # connections; any other is a request


@dataclass(frozen=True, slots=True)
class Load:
    """How requests went in a time: how many, how many failed, and what they took; without any, no latency is known."""

    calls: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None

    @property
    def error_share(self) -> float:
        """The share of failed requests, 0 without any."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class ServiceLoad:
    """The requests a service answered from `start` (Unix seconds) on for one step."""

    start: int
    service: str
    load: Load


@dataclass(frozen=True, slots=True)
class CallLoad:
    """The calls of one service to another from `start` on for one step. A `virtual` callee sends no spans; `system` is what its
    callers say it is, as `postgresql`."""

    start: int
    caller: str
    callee: str
    connection: str
    virtual: bool
    system: str
    load: Load


@dataclass(frozen=True, slots=True)
class SeenService:
    """A service that sent something in a time; first and last are minutes (Unix seconds)."""

    service: str
    signal: str  # traces or logs
    items: int  # spans or records
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class SeenCall:
    """Calls of one kind between two services in a time; first and last are minutes (Unix seconds)."""

    caller: str
    callee: str
    connection: str
    virtual: bool
    system: str
    calls: int
    errors: int
    first_seen: int
    last_seen: int

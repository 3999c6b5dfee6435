"""The memory that requests under way may hold together: their bodies as sent, decompressed, and made columns of.

Each request holds a `Lease` on the budget, which grows as its body arrives and inflates and ends with the answer. Over
the budget a request is refused, never kept waiting: what it held is free at once, so that others can finish. A connection
of a stream protocol has a lease, too, on what it has sent of a message that is not whole; it is not read while there is no room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiprism.clock import Clock
from aiprism.errors import Unavailable
from aiprism.telemetry import Telemetry

STAGE = "receive.in_flight"

_PAUSE = 0.25  # between two looks for room of a connection that waits for some


class InFlight:
    """A budget of `limit` bytes for all requests under way. May be used from any thread.

    A request alone is never refused here, however large: the limits of one body stand elsewhere.
    """

    def __init__(self, limit: int, telemetry: Telemetry) -> None:
        self.limit, self._telemetry = limit, telemetry
        self._lock = threading.Lock()
        self._held = 0
        telemetry.waiting_now(STAGE, lambda: self._held)

    @property
    def held(self) -> int:
        """Bytes held by all requests under way."""
        return self._held

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """A share of the budget for one request, given back at the end."""
        lease = Lease(self._move, self.refusal)
        try:
            yield lease
        finally:
            lease.shrink(lease.size)

    def refusal(self) -> Unavailable:
        """What whoever is one too many is told; it is counted."""
        self._telemetry.dropped(STAGE, "in_flight_bytes")
        return Unavailable(
            f"the requests under way hold {self._held} bytes, over {self.limit} (ingest.in_flight_bytes); "
            "send this again in a moment",
            retry_after=1,
            details={"limit": "ingest.in_flight_bytes"},
        )

    def _move(self, size: int, own: int) -> bool:
        with self._lock:
            others = self._held - own
            if size > 0 and others and self._held + size > self.limit:
                return False
            self._held += size
        return True


class Lease:
    """What one request or connection holds of the budget."""

    __slots__ = ("_move", "_refusal", "size")

    def __init__(self, move: Callable[[int, int], bool], refusal: Callable[[], Unavailable]) -> None:
        self._move, self._refusal, self.size = move, refusal, 0

    def grow(self, size: int) -> None:
        """Hold `size` bytes more; Unavailable when the budget has no room for them."""
        if not self._grown(size):
            raise self._refusal()

    async def grow_patiently(self, size: int, clock: Clock, patience: float) -> None:
        """Hold `size` bytes more as soon as there is room; Unavailable when there is none for `patience` seconds: whoever
        waits for ever may hold what the others wait for."""
        late = clock.monotonic() + patience
        while not self._grown(size):
            if clock.monotonic() >= late:
                raise self._refusal()
            await clock.sleep(_PAUSE)

    def _grown(self, size: int) -> bool:
        grown = self._move(size, self.size)
        self.size += size if grown else 0
        return grown

    def shrink(self, size: int) -> None:
        """Give `size` bytes back."""
        self._move(-size, self.size)
        self.size -= size


def unbounded() -> Lease:
    """A lease on nothing, for callers without a budget."""
    return Lease(lambda size, own: True, lambda: Unavailable("there is no budget"))

"""The memory that requests under way may hold together: their bodies as sent and decompressed.

Each request holds a `Lease` on the budget, which grows as its body arrives and inflates and ends with the answer. Over
the budget a request is refused, never kept waiting: what it held is free at once, so that others can finish.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiprism.errors import Unavailable
from aiprism.telemetry import Telemetry

STAGE = "receive.in_flight"


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
        lease = Lease(self._move)
        try:
            yield lease
        finally:
            lease.shrink(lease.size)

    def _move(self, size: int, own: int) -> None:
        with self._lock:
            others = self._held - own
            if size > 0 and others and self._held + size > self.limit:
                self._telemetry.dropped(STAGE, "in_flight_bytes")
                raise Unavailable(
                    f"the requests under way hold {self._held} bytes, over {self.limit} (ingest.in_flight_bytes); "
                    "send this again in a moment",
                    retry_after=1,
                    details={"limit": "ingest.in_flight_bytes"},
                )
            self._held += size


class Lease:
    """What one request holds of the budget."""

    __slots__ = ("_move", "size")

    def __init__(self, move: Callable[[int, int], None]) -> None:
        self._move, self.size = move, 0

    def grow(self, size: int) -> None:
        """Hold `size` bytes more; Unavailable when the budget has no room for them."""
        self._move(size, self.size)
        self.size += size

    def shrink(self, size: int) -> None:
        """Give `size` bytes back."""
        self._move(-size, self.size)
        self.size -= size


def unbounded() -> Lease:
    """A lease on nothing, for callers without a budget."""
    return Lease(lambda size, own: None)

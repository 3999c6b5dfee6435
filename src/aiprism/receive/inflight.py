"""The memory that requests under way may hold together: their bodies as sent, decompressed, and made columns of.

Each request holds a `Lease` on the budget, which grows as its body arrives and inflates and ends with the answer. Over
the budget a request is refused, never kept waiting: what it held is free at once, so that others can finish. A connection
of a stream protocol has a lease, too, on what it has sent of a message that is not whole; it is not read while there is no
room. Such connections have a quarter of the budget together, so that however many of them say nothing more, the rest of
it is there for requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiprism.clock import Clock
from aiprism.errors import TooLarge, Unavailable
from aiprism.telemetry import Telemetry

STAGE = "receive.in_flight"

_PAUSE = 0.25  # between two looks for room of a connection that waits for some


class InFlight:
    """A budget of `limit` bytes for all requests under way. May be used from any thread.

    One of them may hold half of it (`share`). What needs more would pass only while nobody else sends, so that its sender
    would try for ever; and when it did pass, everybody else would be refused.
    """

    def __init__(self, limit: int, telemetry: Telemetry, *, within: InFlight | None = None) -> None:
        self.limit, self._telemetry, self._within = limit, telemetry, within
        self.share: int = within.share if within else limit // 2
        self._lock: threading.Lock = within._lock if within else threading.Lock()
        self._held = 0
        self._ahead: Lease | None = None
        if not within:
            telemetry.waiting_now(STAGE, lambda: self._held)

    def of_streams(self) -> InFlight:
        """The quarter of this budget that the connections of stream protocols have together; what they hold counts in both.

        One of them at a time may go over it, up to its `share`: the largest message must have a way in, and of those that each
        hold a part of theirs one must be able to finish.
        """
        return InFlight(self.limit // 4, self._telemetry, within=self)

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

    def refusal(self) -> Unavailable:
        """What whoever is one too many is told; it is counted."""
        self._telemetry.dropped(STAGE, "in_flight_bytes")
        who = "connections of stream protocols hold" if self._within else "requests under way hold"
        setting = "a quarter of ingest.in_flight_bytes" if self._within else "ingest.in_flight_bytes"
        return Unavailable(
            f"the {who} {self._held} bytes, over {self.limit} ({setting}); send this again in a moment",
            retry_after=1,
            details={"limit": "ingest.in_flight_bytes"},
        )

    def _move(self, lease: Lease, size: int) -> InFlight | None:
        """Hold `size` bytes more for `lease`; the budget that has no room for them, if one has none."""
        if size > 0 and lease.size + size > self.share:
            raise self._over_share(lease.size + size)
        with self._lock:
            if size > 0 and (full := self._full(lease, size)):
                return full
            self._hold(size)
            lease.size += size
        return None

    def _full(self, lease: Lease, size: int) -> InFlight | None:
        if self._held + size > self.limit and not self._goes_ahead(lease):
            return self
        return self._within._full(lease, size) if self._within else None

    def _goes_ahead(self, lease: Lease) -> bool:
        if self._within and self._ahead is None:
            self._ahead = lease
        return self._ahead is lease

    def _hold(self, size: int) -> None:
        self._held += size
        if size <= 0 and self._held <= self.limit:
            self._ahead = None  # who is over the limit stays ahead until it is not
        if self._within:
            self._within._hold(size)

    def _over_share(self, size: int) -> TooLarge:
        self._telemetry.dropped(STAGE, "share")
        return TooLarge(
            f"this needs {size} bytes of memory or more, over {self.share}, which is the half of ingest.in_flight_bytes "
            "that one request may hold; send smaller batches",
            details={"limit": "ingest.in_flight_bytes", "needed": size},
        )


class Lease:
    """What one request or connection holds of the budget. `move` adds so many bytes to it, or gives the budget that has no room
    for them."""

    __slots__ = ("_move", "size")

    def __init__(self, move: Callable[[Lease, int], InFlight | None]) -> None:
        self._move, self.size = move, 0

    def grow(self, size: int) -> None:
        """Hold `size` bytes more; Unavailable when the budget has no room for them, TooLarge when it never will."""
        if full := self._move(self, size):
            raise full.refusal()

    async def grow_patiently(self, size: int, clock: Clock, patience: float) -> None:
        """Hold `size` bytes more as soon as there is room; Unavailable when there is none for `patience` seconds: whoever
        waits for ever may hold what the others wait for. TooLarge at once when there never will be."""
        late = clock.monotonic() + patience
        while full := self._move(self, size):
            if clock.monotonic() >= late:
                raise full.refusal()
            await clock.sleep(_PAUSE)

    def shrink(self, size: int) -> None:
        """Give `size` bytes back."""
        self._move(self, -size)


def unbounded() -> Lease:
    """A lease on nothing, for callers without a budget."""
    return Lease(lambda lease, size: None)

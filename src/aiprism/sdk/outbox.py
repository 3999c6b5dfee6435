"""What waits to be sent to the platform, and what happens to it when the platform is away.

One `Outbox` per signal: a bounded queue that the host application fills without ever waiting, and one daemon thread that
empties it through an OpenTelemetry exporter. A batch that could not be delivered stays at the head of the queue and is
tried again; when the queue is full the oldest item goes; what the receiver refuses goes too. Every lost item is counted
with its reason. OpenTelemetry's own batch processors are not used because their flush ignores its timeout, a failed
batch is lost at once, and what they dropped cannot be read.
"""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from aiprism.sdk.logs import exporting

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

log = logging.getLogger("aiprism.sdk")

QUEUE_FULL, REFUSED, SHUTDOWN = "queue_full", "refused", "shutdown"
REASONS = (QUEUE_FULL, REFUSED, SHUTDOWN)

# OTLP/HTTP, "Failures": these may be sent again; every other 4xx/5xx must not be.
_COME_AGAIN = frozenset({408, 429, 502, 503, 504})


class Outcome(enum.Enum):
    """What became of a batch."""

    SENT = "sent"
    AWAY = "away"
    REFUSED = "refused"


class Sender(Protocol[T_contra]):
    """Delivers one batch; may block for as long as its own timeout says."""

    def send(self, batch: Sequence[T_contra]) -> tuple[Outcome, int]:
        """What became of the batch, and how many of its items the receiver turned down although it took the rest."""
        ...

    @property
    def struggling(self) -> bool:
        """True while the present delivery has been put off by the receiver."""
        ...

    def close(self) -> None:
        """Abort a delivery that is waiting to retry; later ones fail at once."""
        ...


class Outbox(Generic[T]):
    """A bounded queue with a thread that empties it.

    `gather`, when given, is called in that thread every `interval` seconds and may `put` (metrics are collected so).
    `size` says how many items (data points) one queue entry stands for in the counts.
    """

    def __init__(
        self,
        signal: str,
        sender: Sender[T],
        *,
        capacity: int,
        batch: int,
        interval: float,
        gather: Callable[[], None] | None = None,
        size: Callable[[T], int] = lambda _: 1,
    ) -> None:
        self.signal = signal
        self._sender, self._capacity, self._batch, self._interval = sender, capacity, min(batch, capacity), interval
        self._gather, self._size = gather, size
        self._failing = False
        self._started = False
        self._reset()

    def _reset(self) -> None:
        # RLock: a signal handler or a finalizer that logs may come back into `put` in the same thread.
        self._settled = threading.Condition(threading.RLock())
        self._wake = threading.Event()
        self._queue: deque[T] = deque()
        self._in_flight: list[T] = []
        self._abandoned = False
        self._accepted = self._done = 0
        self._dropped: Counter[str] = Counter()
        self._flushing = self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"aiprism-{self.signal}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._started = True
        self._thread.start()

    def restart_after_fork(self) -> None:
        """Begin afresh in a forked child: what the parent had queued is the parent's to send."""
        closed = self._closed
        self._reset()
        self._closed = closed
        if self._started and not closed:
            self._thread.start()

    def put(self, item: T) -> None:
        """Queue `item`; never waits and never raises. The oldest item gives way when the queue is full."""
        with self._settled:
            self._accepted += 1
            # What the worker gathers for its last delivery still gets in.
            if self._abandoned or (self._closed and threading.current_thread() is not self._thread):
                self._lose(SHUTDOWN, item)
                return
            self._queue.append(item)
            if len(self._queue) + len(self._in_flight) > self._capacity:
                self._lose(QUEUE_FULL, self._queue.popleft())
            enough = len(self._queue) >= self._batch
        if enough and not self._failing and not self._wake.is_set():
            self._wake.set()

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many items were lost, by reason."""
        return {reason: self._dropped[reason] for reason in REASONS}

    def flush(self, timeout: float) -> bool:
        """Deliver what is queued now; False when `timeout` seconds were not enough."""
        with self._settled:
            if self._closed:
                return not self._queue
            self._flushing = True
            self._wake.set()
            if self._gather is not None:
                # What a flush must wait for is gathered by the worker, so wait for that first.
                deadline = time.monotonic() + timeout
                self._settled.wait_for(lambda: not self._flushing, timeout)
                timeout = max(0.0, deadline - time.monotonic())
            until = self._accepted
            return self._settled.wait_for(lambda: self._done >= until, timeout)

    def close(self) -> None:
        """Take nothing more and deliver what is left; returns at once. `join` waits for it."""
        with self._settled:
            if self._closed:
                return
            self._closed = True
        if self._failing or self._sender.struggling:
            # The platform was away at the last attempt: the host should not wait for another one to fail.
            self._sender.close()
        self._wake.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the last delivery; what is left then is counted as dropped."""
        if self._started:
            self._thread.join(timeout)
        self._sender.close()
        with self._settled:
            # A batch still on its way may yet arrive, but nobody will be there to hear of it: it counts as lost.
            self._abandoned = True
            before = self._dropped[SHUTDOWN]
            for item in (*self._in_flight, *self._queue):
                self._lose(SHUTDOWN, item)
            self._queue.clear()
            lost = self._dropped[SHUTDOWN] - before
        if lost:
            log.warning("%d %s could not be delivered before the end", lost, self.signal)

    def _lose(self, reason: str, item: T) -> None:
        self._done += 1
        self._dropped[reason] += self._size(item)

    def _work(self) -> None:
        exporting.set(True)
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        due = time.monotonic() + self._interval
        while True:
            self._wake.wait(self._pause(due))
            self._wake.clear()
            closed = self._closed
            if closed or self._flushing or time.monotonic() >= due:
                self._collect()
                due = time.monotonic() + self._interval
            self._deliver()
            if closed:
                return

    def _pause(self, due: float) -> float:
        if self._failing:
            return random.uniform(0.5, 1.5) * min(self._interval, 5.0)
        return max(0.0, due - time.monotonic())

    def _collect(self) -> None:
        if self._gather is not None:
            try:
                self._gather()
            except Exception:
                log.exception("%s could not be collected; trying again in %.0f s", self.signal, self._interval)
        with self._settled:
            self._flushing = False
            self._settled.notify_all()

    def _deliver(self) -> None:
        while batch := self._take():
            try:
                outcome, turned_down = self._sender.send(batch)
            except Exception:
                # An exporter that cannot encode a batch would fail on it for ever.
                log.exception("a batch of %d %s could not be encoded", len(batch), self.signal)
                outcome, turned_down = Outcome.REFUSED, 0
            self._settle(batch, outcome, turned_down)
            if outcome is Outcome.AWAY:
                return

    def _take(self) -> list[T]:
        with self._settled:
            self._in_flight = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            return self._in_flight

    def _settle(self, batch: Sequence[T], outcome: Outcome, turned_down: int) -> None:
        with self._settled:
            if self._abandoned:
                return
            self._in_flight = []
            if outcome is Outcome.AWAY:
                self._queue.extendleft(reversed(batch))
            elif outcome is Outcome.REFUSED:
                for item in batch:
                    self._lose(REFUSED, item)
            else:
                self._done += len(batch)
                self._dropped[REFUSED] += turned_down
            self._settled.notify_all()
        self._say(outcome, len(batch), turned_down)

    def _say(self, outcome: Outcome, count: int, turned_down: int) -> None:
        # Once per change: a platform that is away for an hour is one line, not a thousand.
        if outcome is Outcome.AWAY and not self._failing and not self._closed:
            log.warning("%s cannot be delivered; up to %d are kept and retried", self.signal, self._capacity)
        elif outcome is Outcome.SENT and self._failing:
            log.warning("%s are delivered again; lost so far: %s", self.signal, dict(self._dropped))
        elif outcome is Outcome.REFUSED:
            log.warning("the receiver refused %d %s", count, self.signal)
        if turned_down:
            log.warning("the receiver turned down %d of %d %s", turned_down, count, self.signal)
        self._failing = outcome is Outcome.AWAY


class Wire:
    """What one exporter saw on the wire during its last delivery; an exporter's own answer is only yes or no."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the last delivery."""
        self._asked, self._status, self.turned_down = False, 0, 0

    @property
    def worth_another_try(self) -> bool:
        """True when the receiver was away or asked us to come again."""
        # Never asked: the batch could not be encoded or is too large, and would be so for ever.
        return self._asked and (self._status == 0 or self.put_off)

    @property
    def put_off(self) -> bool:
        """True when the receiver answered that it should be asked again."""
        return self._status in _COME_AGAIN

    def session(self) -> requests.Session:
        """The HTTP session to give to the exporter."""
        # The exporters' own HTTP client, and 0.2 s that importing this module should not cost.
        import requests

        wire = self

        class Watched(requests.Session):
            def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
                wire._asked = True
                try:
                    response = super().send(request, **kwargs)
                except requests.Timeout as error:
                    raise _Undelivered(error) from error
                except requests.ConnectionError:
                    # Once more at once: a kept connection that the receiver has closed is found out only by using it.
                    try:
                        response = super().send(request, **kwargs)
                    except requests.RequestException as error:
                        raise _Undelivered(error) from error
                wire._note(response.status_code, response.content if response.ok else b"")
                return response

        return Watched()

    def _note(self, status: int, answer: bytes) -> None:
        self._status = status
        if answer:
            # The three Export…ServiceResponse messages have one wire form: partial_success.rejected is field 1.1.
            with suppress(Exception):
                self.turned_down = int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)


class _Undelivered(Exception):
    """Raised for errors after which the exporter would retry by itself: the outbox does that, and can be interrupted."""


class ExporterSender(Generic[T]):
    """An OpenTelemetry exporter as a `Sender`. Without a `wire` to watch, every failure counts as away."""

    def __init__(self, exporter: Exporter[T], wire: Wire | None) -> None:
        self._exporter, self._wire = exporter, wire
        self._closed = False

    def send(self, batch: Sequence[T]) -> tuple[Outcome, int]:
        if self._closed:
            return Outcome.AWAY, 0
        if self._wire is not None:
            self._wire.clear()
        if self._exporter.export(batch).name == "SUCCESS":
            return Outcome.SENT, self._wire.turned_down if self._wire is not None else 0
        if self._wire is None or self._wire.worth_another_try:
            return Outcome.AWAY, 0
        return Outcome.REFUSED, 0

    @property
    def struggling(self) -> bool:
        return self._wire is not None and self._wire.put_off

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()


class _Result(Protocol):
    @property
    def name(self) -> str: ...


class Exporter(Protocol[T_contra]):
    """The part the three OpenTelemetry exporters have in common."""

    def export(self, batch: Sequence[T_contra], /) -> _Result: ...

    def shutdown(self) -> None: ...

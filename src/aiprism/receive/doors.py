"""What every door does with a request, of OTLP or another protocol: decode, store, tell how much was taken.

In: a body and its signal. Out: `Receipt` once it is stored; Refused when it is not. Transport (status codes, headers,
compression) is left to web/ingest.py and receive/otlp_grpc.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from aiprism.clock import Clock, SystemClock
from aiprism.config import OtlpConfig
from aiprism.errors import Refused, TooMany, Unavailable
from aiprism.receive import otlp
from aiprism.receive.items import ANYTHING, Bounds, SeriesFault, no_fault
from aiprism.receive.otlp_bodies import MetricBodies
from aiprism.receive.otlp_metrics import Decoded
from aiprism.store.writing import Writing
from aiprism.telemetry import Telemetry

T = TypeVar("T")
A = TypeVar("A", bound=otlp.Accepted)
B = TypeVar("B", bound=Sized)

# The last stored values of series given as (metric, fingerprint), by fingerprint.
Levels = Callable[[Sequence[tuple[str, int]]], Awaitable[Mapping[int, float]]]

# Past this size decoding moves to a thread, so that one large body does not hold up every other request.
_LARGE = 256 * 1024


class Signal(Enum):
    """The three signals of OTLP, named as their HTTP paths."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


# What the items of each signal are called in the settings of their limits.
_NAMES = {Signal.TRACES: "spans", Signal.LOGS: "logs", Signal.METRICS: "samples"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a stored request held: `items` stored, `rejected` left out because of `reason`."""

    items: int
    rejected: int = 0
    reason: str = ""
    causes: Mapping[str, int] = field(default_factory=dict, kw_only=True)  # rejected items by the code of their fault


class OtlpDoors:
    """`receive(signal, body)` for all transports.

    `levels` tells from where deltas of levels that go up and down go on, `bounds(signal)` what single items may be like,
    `series_fault(labels)` what is wrong with a series; `alone` says that no other process takes metrics of these senders.
    """

    def __init__(
        self,
        writing: Writing,
        telemetry: Telemetry,
        config: OtlpConfig | None = None,
        levels: Levels | None = None,
        clock: Clock | None = None,
        *,
        bounds: Callable[[str], Bounds] = lambda signal: ANYTHING,
        series_fault: SeriesFault = no_fault,
        alone: bool = True,
    ) -> None:
        self._writing, self._telemetry, self._bounds = writing, telemetry, bounds
        self._levels, self._clock = levels or _no_levels, clock or SystemClock()
        self._metrics = MetricBodies(writing.admit, config, series_fault, alone=alone)
        self._decode_metrics, self._asking = asyncio.Lock(), asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._receivers: dict[Signal, Callable[[bytes, bool], Awaitable[Receipt]]] = {
            Signal.TRACES: self._traces,
            Signal.METRICS: self._metric_points,
            Signal.LOGS: self._logs,
        }

    async def receive(self, signal: Signal, body: bytes, *, is_json: bool = False, door: str = "otlp_http") -> Receipt:
        """Return once what `body` holds is stored; BadInput, Unavailable … when it is not."""
        stage = f"receive.{door}.{signal.value}"
        try:
            receipt = await self._receivers[signal](body, is_json)
        except Refused as refused:
            self._telemetry.dropped(stage, refused.code)
            raise
        self._telemetry.passed(stage, receipt.items)
        self._count_rejected(stage, receipt)
        return receipt

    def bounds(self, signal: Signal) -> Bounds:
        """What the items of `signal` must keep to just now."""
        return self._bounds(_NAMES[signal])

    async def take(
        self,
        signal: Signal,
        door: str,
        body: B,
        decode: Callable[[B], A],
        *,
        size: int | None = None,
        comes_again: bool = False,
    ) -> A:
        """What `decode` made of `body`, once its spans or log records are stored: the way in of every other protocol.

        Refused as for `receive`, or as `decode` raises it. `size` is that of a body which is not bytes. A caller that
        `comes_again` keeps what is refused for now, so that is no drop.
        """
        stage = f"receive.{door}"
        write = self._writing.spans if signal is Signal.TRACES else self._writing.logs
        try:
            decode_bounded = partial(_bounded, decode, signal, self.bounds(signal))
            large = (len(body) if size is None else size) > _LARGE
            accepted = await asyncio.to_thread(decode_bounded, body) if large else decode_bounded(body)
            if accepted.items:
                await write(accepted.body, accepted.items)
        except Refused as refused:
            if not (comes_again and isinstance(refused, Unavailable | TooMany)):
                self._telemetry.dropped(stage, refused.code)
            raise
        self._telemetry.passed(stage, accepted.items)
        self._count_rejected(stage, accepted)
        return accepted

    def _count_rejected(self, stage: str, receipt: Receipt | otlp.Accepted) -> None:
        for code, items in receipt.causes.items():
            self._telemetry.dropped(stage, code, items)
        if unnamed := receipt.rejected - sum(receipt.causes.values()):
            self._telemetry.dropped(stage, "rejected_item", unnamed)

    async def _traces(self, body: bytes, is_json: bool) -> Receipt:
        accepted = await _decoded(partial(otlp.traces, within=self.bounds(Signal.TRACES)), body, is_json)
        if accepted.items:
            await self._writing.spans(accepted.body, accepted.items)
        return Receipt(accepted.items, accepted.rejected, accepted.reason, causes=accepted.causes)

    async def _logs(self, body: bytes, is_json: bool) -> Receipt:
        accepted = await _decoded(partial(otlp.logs, within=self.bounds(Signal.LOGS)), body, is_json)
        if accepted.items:
            await self._writing.logs(accepted.body, accepted.items)
        return Receipt(accepted.items, accepted.rejected, accepted.reason, causes=accepted.causes)

    async def _metric_points(self, body: bytes, is_json: bool) -> Receipt:
        decoded = await self._metrics_of(body, is_json, {})
        if decoded.levels:
            # One after the other: points of a stream that begins here must be decoded in the order they came. Requests
            # that ask for no level pass by.
            async with self._asking:
                known: dict[int, float] = {}
                while decoded.levels:
                    found = await self._levels(decoded.levels)
                    known |= {fingerprint: found.get(fingerprint, 0.0) for _, fingerprint in decoded.levels}
                    decoded = await self._metrics_of(body, is_json, known)
        if decoded.refusal and not decoded.points:  # nothing is stored, so all of it may come again
            await self._undone(decoded)
            raise decoded.refusal
        # Shielded: what waits for its INSERT is stored though the sender hung up, and if it is not it must not count.
        await asyncio.shield(self._begun(self._stored(decoded)))
        return Receipt(decoded.points, decoded.rejected, decoded.reason, causes=decoded.causes)

    async def _metrics_of(self, body: bytes, is_json: bool, levels: Mapping[int, float]) -> Decoded:
        """What `body` holds, counted from now on, unless it asks for more than `levels`: then nothing of it counts."""

        def decode() -> Decoded:
            read = self._metrics.decode_json if is_json else self._metrics.decode
            self._metrics.seed(levels)
            return read(body, self._clock.now(), self.bounds(Signal.METRICS))

        if len(body) <= _LARGE:
            async with self._decode_metrics:  # what the decoder remembers belongs to one request at a time
                return decode()
        await self._decode_metrics.acquire()
        given_up = asyncio.Event()
        decoding = self._begun(
            self._in_a_thread(decode, given_up)
        )  # which nobody can stop: it keeps the lock till then
        try:
            return await asyncio.shield(decoding)
        except asyncio.CancelledError:
            given_up.set()
            if decoding.done() and not decoding.cancelled() and not decoding.exception():
                self._begun(self._undone(decoding.result()))
            raise

    async def _in_a_thread(self, decode: Callable[[], Decoded], given_up: asyncio.Event) -> Decoded:
        try:
            decoded = await asyncio.to_thread(decode)
            if given_up.is_set() and not decoded.levels:  # nobody is left to store it; whoever waits must not add to it
                self._metrics.undo(decoded)
            return decoded
        finally:
            self._decode_metrics.release()

    async def _stored(self, decoded: Decoded) -> None:
        try:
            await self._writing.samples(decoded.batch)
        except BaseException:
            await self._undone(decoded)
            raise

    async def _undone(self, decoded: Decoded) -> None:
        if not decoded.levels:  # those are undone already
            async with self._decode_metrics:
                self._metrics.undo(decoded)

    def _begun(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        """`work` as a task of its own, which a sender that hangs up does not end."""
        task = asyncio.create_task(work)
        self._under_way.add(task)  # the loop alone would not keep it
        task.add_done_callback(self._under_way.discard)
        return task


async def _no_levels(_: Sequence[tuple[str, int]]) -> Mapping[int, float]:
    return {}


def _bounded(decode: Callable[[B], A], signal: Signal, within: Bounds, body: B) -> A:
    """What `decode` makes of `body`, without what is not `within` bounds."""
    accepted = decode(body)
    if accepted.is_bounded:
        return accepted
    kept = (otlp.traces if signal is Signal.TRACES else otlp.logs)(accepted.body, within=within)
    return replace(
        accepted,
        body=kept.body,
        items=kept.items,
        rejected=accepted.rejected + kept.rejected,
        reason=accepted.reason or kept.reason,
        causes=kept.causes,
    )


async def _decoded(decode: Callable[..., T], body: bytes, is_json: bool) -> T:
    if len(body) > _LARGE:
        return await asyncio.to_thread(decode, body, is_json=is_json)
    return decode(body, is_json=is_json)

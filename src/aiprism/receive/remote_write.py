"""Prometheus remote write, 1.0 and 2.0: from an uncompressed body to what the store takes, and what of it was refused.

In: protobuf bytes and the version of the message. Out: `Written` once the sound part is stored. Most of a body is read
by wirescan.py; the messages of the rest (unknown series, histograms, exemplars, metadata) by writerequests.py.

    body → scan → known series: columns of positions, times, values ──┐
                → unknown series → labels → admitted, remembered ─────┼→ SampleBatch → stored → Written
                → histograms, exemplars, metadata ────────────────────┘

A body that is not well formed is refused whole. A series that breaks the specification is refused alone: its neighbours
are stored and the answer says so. When a tenant has too many series, the series it has already go on.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from aiprism.clock import Clock, SystemClock
from aiprism.errors import BadInput, Refused, TooLarge, TooMany
from aiprism.model.labels import METRIC_NAME, Labels
from aiprism.receive.inflight import Lease, unbounded
from aiprism.receive.items import (
    ANYTHING,
    Bounds,
    OutOfBounds,
    SeriesFault,
    cause_of,
    new_series_fault,
    no_fault,
    time_fault,
    without_stray_exemplars,
)
from aiprism.receive.writerequests import (
    LAST_MS,
    Request,
    Request1,
    Request2,
    checked_time,
    exemplars_of,
    label_set,
    native_histogram,
    out_of_time,
)
from aiprism.store.batches import Exemplar, HistogramSample, MetricMetadata, SampleBatch, description_turns
from aiprism.store.columns import FingerprintTable
from aiprism.store.writing import Admit, Writing
from aiprism.telemetry import Telemetry

if TYPE_CHECKING:
    from aiprism.receive.wirescan import Scanned

STAGE = "receive.remote_write"

# In which turn keys are, each of which is said once in one.
Turns = Callable[[NDArray[np.uint64]], NDArray[np.int64]]

# A counter that began shortly before its first sample is given a zero where it began, so that its first increase counts.
CREATED_AT_MOST_BEFORE_MS = 300_000

_ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads small numbers over 64 bits

# Series that are new or broken are looked at one by one; a body of nothing else must not stall the door.
_MOST_BROKEN = 1000

# Of memory, about: the labels of a series while it is met.
_LABELS_BYTES = 2000

# Metrics that one request may describe without bringing samples of them.
_MOST_METADATA = 20_000

# So many keys for each series before a table of them starts anew.
_MOST_WAYS = 4


@dataclass(frozen=True, slots=True)
class Written:
    """What of a request is stored, how many of its samples and histograms are not, and why; `error` is the worst reason."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    refused: int = 0
    error: Refused | None = None
    causes: Mapping[str, int] = field(default_factory=dict)  # what was refused, by the code of its fault


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request made a batch, and what it said that need not be read again once the batch is stored: till the next of
    the `turns` if it is metadata."""

    batch: SampleBatch
    written: Written
    said: NDArray[np.uint64]
    turns: NDArray[np.int64]


class RemoteWriteDoor:
    """`receive(body, version)` for whoever speaks HTTP."""

    def __init__(
        self,
        writing: Writing,
        telemetry: Telemetry,
        *,
        bounds: Callable[[str], Bounds] = lambda signal: ANYTHING,
        series_fault: SeriesFault = no_fault,
        clock: Clock | None = None,
    ) -> None:
        self._writing, self._telemetry, self._bounds = writing, telemetry, bounds
        self._clock = clock or SystemClock()
        self._decoder = RemoteWriteDecoder(writing.admit, series_fault)
        # Bodies are decoded one after the other, here rather than in the pool that all doors share: they wait for nobody else.
        # Those that wait stand at the lock: a sender that hangs up there leaves no body behind in the queue of the thread.
        self._decoding, self._turn = ThreadPoolExecutor(1, "remote-write"), asyncio.Lock()

    async def receive(self, body: bytes, *, version: int, lease: Lease | None = None) -> Written:
        """Return once the sound part of `body` is stored; BadInput when it is no request, Unavailable … as the store says.

        `lease` holds the memory of the body, and from here on of what is made of it.
        """
        try:
            decoded = await self._decoded(body, version, lease or unbounded())
            await self._writing.samples(decoded.batch)
            if len(decoded.said):
                # There, too: a body being decoded holds the lock, and the event loop must not wait for it.
                self._decoding.submit(self._decoder.remember, decoded)
        except Refused as refused:
            self._telemetry.dropped(STAGE, refused.code)
            raise
        written = decoded.written
        self._telemetry.passed(STAGE, written.samples + written.histograms)
        for code, items in written.causes.items():
            self._telemetry.dropped(STAGE, code, items)
        return written

    async def _decoded(self, body: bytes, version: int, lease: Lease) -> Decoded:
        decode = partial(self._decoder.decode, body, version, self._bounds("samples"), lease, self._clock.now())
        async with self._turn:
            decoding = asyncio.get_running_loop().run_in_executor(self._decoding, decode)
            try:
                return await asyncio.shield(decoding)
            except asyncio.CancelledError:
                await asyncio.wait([decoding])  # nobody can stop it: its memory and its turn are taken till then
                raise


class RemoteWriteDecoder:
    """Turns bodies into batches; remembers the series, metadata and start times it has met. May be called from any thread."""

    def __init__(self, admit: Admit, fault: SeriesFault = no_fault) -> None:
        self._admit, self._fault = admit, fault
        self._salt = secrets.randbits(64)
        self._known = FingerprintTable()
        self._said = FingerprintTable()  # metadata and start times, each with its series
        self._series = 0  # of the index, as far as was seen here
        self._lock = threading.Lock()

    def decode(
        self, body: bytes, version: int, within: Bounds = ANYTHING, lease: Lease | None = None, now: float = 0.0
    ) -> Decoded:
        """The batch of a request of major `version` that came at `now`, its new series admitted; BadInput when it is not
        well formed.

        What is not `within` bounds is left out, as what breaks the specification is. `lease` holds the memory it takes;
        Unavailable when there is none.
        """
        lease = lease or unbounded()
        # Imported with the first body: who receives no remote write should not pay for the compiler.
        from aiprism.receive import wirescan

        with self._lock:
            scanned = wirescan.scan(body, self._known, self._salt, lease, version=version)
            if scanned is None:
                raise BadInput("the body is not a well-formed remote-write request")
            try:
                request = Request2(body, scanned) if version == 2 else Request1(body, scanned)
                return self._decoded(scanned, request, within, lease, now)
            except (DecodeError, UnicodeDecodeError) as error:
                raise BadInput(f"the body is not a well-formed remote-write request: {error}") from None

    def remember(self, decoded: Decoded) -> None:
        """`decoded` is stored: the start times it brought need not be stored again, its metadata not in this turn."""
        with self._lock:
            self._said = self._bounded(self._said)
            self._said.put(decoded.said, decoded.turns)

    def _decoded(self, scanned: Scanned, request: Request, within: Bounds, lease: Lease, now: float) -> Decoded:
        faults = _Faults()
        positions = scanned.positions
        if (positions < 0).any():
            self._meet(scanned, request, faults, within, lease)
        lease.grow(8 * len(scanned.ts_ms))  # the positions of samples, and where they are checked
        others = self._others(scanned, request, faults, within, now)
        columns = _samples(scanned, faults, within)
        batch = SampleBatch(*columns, others.histograms, others.exemplars, others.metadata)
        batch = without_stray_exemplars(_followed_by(batch, others.zeros), within)
        counts = (len(columns[0]), len(others.histograms), len(batch.exemplars))
        written = Written(*counts, faults.total, faults.error(), faults.causes)
        return Decoded(batch, written, np.concatenate(others.said), np.concatenate(others.turns))

    def _meet(self, scanned: Scanned, request: Request, faults: _Faults, within: Bounds, lease: Lease) -> None:
        """Give unknown series their positions; those that may not have one stay below zero."""
        from aiprism.receive.wirescan import RARE, SAMPLES

        positions, holds = scanned.positions, scanned.holds
        sets: dict[int, Labels] = {}
        broken = 0
        unmet = np.flatnonzero((positions < 0) & (holds & (SAMPLES | RARE) != 0)).tolist()
        if len(unmet) > within.new_series:
            raise TooLarge(new_series_fault(within, f"{len(unmet)}").message)
        lease.grow(_LABELS_BYTES * len(unmet))
        for at in unmet:
            message = request.series(at)
            try:
                sets[at] = self._checked(label_set(request.labels(message)))
            except BadInput as error:
                faults.add(error, _items(message))
                broken += 1
                if broken > _MOST_BROKEN:
                    raise BadInput(
                        f"more than {_MOST_BROKEN} series of the request break the specification or a limit, such as: {error}"
                    ) from None
        if not sets:
            return
        places = np.fromiter(sets, np.int64, len(sets))
        found, refusal = self._admit(list(sets.values()))
        positions[places] = found
        if refusal:
            for at in places[found < 0].tolist():
                faults.add(refusal, _items(request.series(at)))
            places = places[found >= 0]
        self._series = max(self._series, int(found.max(initial=-1)) + 1)
        self._known = self._bounded(self._known)
        self._known.put(scanned.hashes[places], positions[places])

    def _bounded(self, table: FingerprintTable) -> FingerprintTable:
        """`table`, or an empty one when it holds far more than there are series.

        A series may be written in several ways (the order of its labels, empty ones), and a sender that always finds another
        one must not fill the memory.
        """
        return table if len(table) <= _MOST_WAYS * (self._series + 1000) else FingerprintTable()

    def _checked(self, labels: Labels) -> Labels:
        if fault := self._fault(labels):
            raise OutOfBounds(fault)
        return labels

    def _others(self, scanned: Scanned, request: Request, faults: _Faults, within: Bounds, now: float) -> _Others:
        from aiprism.receive.wirescan import CREATED, METADATA, RARE

        others = _Others()
        for said in request.metadata():
            if fault := self._fault({METRIC_NAME: said.metric}):
                faults.add(OutOfBounds(fault), 1)
            elif len(others.metadata) < _MOST_METADATA:
                others.metadata.append(said)
            else:
                raise TooLarge(f"the request describes more than {_MOST_METADATA} metrics; send smaller batches")
        for at in np.flatnonzero((scanned.holds & RARE != 0) & (scanned.positions >= 0)).tolist():
            position, message = int(scanned.positions[at]), request.series(at)
            for histogram in message.histograms:
                try:
                    others.histograms.append(
                        HistogramSample(
                            position, checked_time(histogram.timestamp, within), native_histogram(histogram)
                        )
                    )
                except BadInput as error:
                    faults.add(error, 1)
            others.exemplars += exemplars_of(position, message, request)
        metadata_keys = scanned.hashes ^ scanned.metadata_hashes
        for at in self._unsaid(scanned, METADATA, metadata_keys, others, partial(description_turns, now=now)):
            others.metadata += request.metadata_of(request.series(at))
        created_keys = scanned.hashes ^ (scanned.created_ms.view(np.uint64) * _ODD)
        for at in self._unsaid(scanned, CREATED, created_keys, others, _once):
            others.zeros += _zeros(int(scanned.positions[at]), request.series(at), within)
        return others

    def _unsaid(
        self, scanned: Scanned, what: int, keys: NDArray[np.uint64], others: _Others, turns_of: Turns
    ) -> list[int]:
        """The stored series that hold `what` and whose key is met for the first time in its turn."""
        at = np.flatnonzero((scanned.holds & what != 0) & (scanned.positions >= 0))
        turns = turns_of(keys[at])
        due = self._said.find(keys[at]) < turns
        at = at[due]
        others.said.append(keys[at])
        others.turns.append(turns[due])
        return [int(place) for place in at]


@dataclass(slots=True)
class _Others:
    """What came beside plain samples."""

    metadata: list[MetricMetadata] = field(default_factory=list)
    histograms: list[HistogramSample] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    zeros: list[tuple[int, int]] = field(default_factory=list)  # (position, ms)
    said: list[NDArray[np.uint64]] = field(default_factory=lambda: [np.empty(0, np.uint64)])
    turns: list[NDArray[np.int64]] = field(default_factory=lambda: [np.empty(0, np.int64)])


class _Faults:
    """Why samples and histograms were refused, and how many."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._worst: Refused | None = None

    def add(self, error: Refused, items: int) -> None:
        """`items` are refused because of `error`."""
        self._counts[str(error)] += items
        self._codes[cause_of(error)] += items
        # 429 asks the sender to come again, 400 not to: one series too many must not hide behind a bad one.
        if self._worst is None or error.status > self._worst.status:
            self._worst = error

    @property
    def causes(self) -> Mapping[str, int]:
        """How many items were refused, by code."""
        return dict(self._codes)

    @property
    def total(self) -> int:
        """How many items were refused."""
        return sum(self._counts.values())

    def error(self) -> Refused | None:
        """All of it in one refusal, the first few reasons in words; None when nothing was refused."""
        if self._worst is None:
            return None
        reasons = "; ".join(f"{count} × {reason}" for reason, count in self._counts.most_common(3))
        more = f"; and {len(self._counts) - 3} more reasons" if len(self._counts) > 3 else ""
        text = f"not stored: {reasons}{more}. What else the request held is stored"
        if isinstance(self._worst, TooMany):
            return TooMany(text, details=self._worst.details, retry_after=self._worst.retry_after)
        return BadInput(text)


def _once(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The one turn there is of what is said once and for all."""
    return np.zeros(len(keys), np.int64)


def _items(message: Any) -> int:
    return len(message.samples) + len(message.histograms)


def _samples(
    scanned: Scanned, faults: _Faults, within: Bounds
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Position, time and value of the samples to store."""
    positions = scanned.positions[scanned.sample_series]
    ts_ms, values = scanned.ts_ms, scanned.values
    known = positions >= 0
    # Rounded inwards: what is kept is within bounds.
    earliest_ms, latest_ms = -(-within.earliest_ns // 1_000_000), min(within.latest_ns // 1_000_000, LAST_MS - 1)
    in_time = (ts_ms >= earliest_ms) & (ts_ms <= latest_ms)
    if known.all() and in_time.all():
        return positions, ts_ms, values
    imaginary = (ts_ms < 0) | (ts_ms >= LAST_MS)
    if items := int((known & imaginary).sum()):
        faults.add(out_of_time(), items)
    for outside in (known & ~imaginary & (ts_ms < earliest_ms), known & ~imaginary & (ts_ms > latest_ms)):
        if outside.any() and (fault := time_fault("sample", int(ts_ms[outside][0]) * 1_000_000, within)):
            faults.add(OutOfBounds(fault), int(outside.sum()))
    kept = known & in_time
    return positions[kept], ts_ms[kept], values[kept]


def _followed_by(batch: SampleBatch, zeros: Sequence[tuple[int, int]]) -> SampleBatch:
    """`batch` with a sample of value zero at each (position, ms)."""
    if not zeros:
        return batch
    positions, ts_ms = np.array(zeros, np.int64).T
    return SampleBatch(
        np.concatenate([positions, batch.positions]),
        np.concatenate([ts_ms, batch.ts_ms]),
        np.concatenate([np.zeros(len(zeros)), batch.values]),
        batch.histograms,
        batch.exemplars,
        batch.metadata,
    )


def _zeros(position: int, message: Any, within: Bounds) -> list[tuple[int, int]]:
    """Where a zero belongs before the first sample of a series that began at `created_timestamp`; nowhere out of bounds."""
    created, times = message.created_timestamp, [sample.timestamp for sample in message.samples]
    if not times or not 0 < min(times) - created <= CREATED_AT_MOST_BEFORE_MS:
        return []
    try:
        return [(position, checked_time(created, within))]
    except BadInput:
        return []

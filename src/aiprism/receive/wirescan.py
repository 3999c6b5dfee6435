"""Remote-write bodies read where they lie, by machine code: the samples in columns, each with the series it belongs to.

In: the uncompressed protobuf of a remote-write request, 1.0 or 2.0, and the table of series met before. Out: for each
time series the position it is known under (or that it is not), for each sample its series, time and value. Nothing is
decoded but numbers: a series is known by a 64-bit hash of its label bytes, salted so that nobody can aim at a collision.
The labels of a known series are not looked at again: they are the bytes that were found sound when it was met.
What is rare (unknown series, exemplars, histograms, metadata) is only found, and read by remote_write.py.

Every read is bounded by the message it lies in; a message that is not well formed is an answer, not an exception.
Importing this module imports numba: do it when the first body arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.receive.bytehash import finished, hashed, mixed, multiplier, position
from aiprism.receive.inflight import Lease
from aiprism.store.columns import FingerprintTable
from aiprism.store.wire import field, fixed64, inlined, kernel, varint

# What a time series holds besides samples (bits of `Scanned.holds`).
SAMPLES, RARE, METADATA, CREATED = 1, 2, 4, 8

UNKNOWN, BAD_REFERENCE = -1, -2

# Series, symbols and metadata of one body. Senders bring some thousands.
MOST_SERIES = 1_000_000
SERIES_BYTES, SAMPLE_BYTES = 49 + 16, 24  # of memory: a row of `_Series` and one of `others`, a row of `_Samples`
# In a large body there may be one for each eight of its bytes, which is what the
# shortest with a time of these years takes.
_MOST_SAMPLES, _LEAST_SAMPLE = 1_000_000, 8
_FULL, _MALFORMED = -1, -2  # answers of a scan instead of counts; _FULL with the room there was, and for what
_SERIES, _SAMPLE, _OTHER = 0, 1, 2
_MANY = ("series", "samples", "symbols or metadata")


@dataclass(frozen=True, slots=True)
class Scanned:
    """A request. By series: hash, position (or UNKNOWN, BAD_REFERENCE), what it holds, and where its message lies.

    By sample: the number of its series, Unix milliseconds, the value. `symbols` says where each symbol of a 2.0 request
    lies, `others` where each other field of a 1.0 request does (its metadata).
    """

    hashes: NDArray[np.uint64]
    positions: NDArray[np.int64]
    holds: NDArray[np.uint8]
    spans: NDArray[np.int64]  # [series, (start, end)]
    metadata_hashes: NDArray[np.uint64]
    created_ms: NDArray[np.int64]
    sample_series: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    symbols: NDArray[np.int64]
    others: NDArray[np.int64]


def scan(body: bytes, known: FingerprintTable, salt: int, lease: Lease, *, version: int) -> Scanned | None:
    """What `body` holds, a remote-write request of major `version`; None when it is not well formed.

    The columns are held by `lease`; Unavailable when there is no room for them.
    """
    buf = np.frombuffer(body, dtype=np.uint8)
    run: Callable[..., tuple[int, int, int]] = _scan_2 if version == 2 else _scan_1
    most = max(_MOST_SAMPLES, len(body) // _LEAST_SAMPLE)
    room = len(body) // 24 + 16
    while True:
        few = min(room, MOST_SERIES)
        held = few * SERIES_BYTES + room * SAMPLE_BYTES
        lease.grow(held)
        series, samples, others = _Series(few), _Samples(room), np.empty((few, 2), np.int64)
        counts = run(buf, np.uint64(salt), known.keys, known.places, *series.columns, *samples.columns, others)
        if counts[0] == _MALFORMED:
            return None
        if counts[0] != _FULL:
            break
        if room >= most or (counts[2] != _SAMPLE and few == MOST_SERIES):
            raise BadInput(f"the body holds more than {counts[1]} {_MANY[counts[2]]}; send smaller batches")
        room = min(most, room * 4)  # bodies of tiny messages; the smallest takes two bytes
        del series, samples, others
        lease.shrink(held)
    n, m, k = counts
    lease.shrink(held - max(n, k) * SERIES_BYTES - m * SAMPLE_BYTES)  # memory never written to is none
    empty = others[:0]
    return Scanned(
        series.hashes[:n],
        series.positions[:n],
        series.holds[:n],
        series.spans[:n],
        series.metadata_hashes[:n],
        series.created_ms[:n],
        samples.series[:m],
        samples.ts_ms[:m],
        samples.bits[:m].view(np.float64),  # bit for bit: the staleness marker is one NaN among many
        others[:k] if version == 2 else empty,
        others[:k] if version == 1 else empty,
    )


class _Series:
    def __init__(self, room: int) -> None:
        self.hashes = np.empty(room, np.uint64)
        self.positions = np.empty(room, np.int64)
        self.holds = np.empty(room, np.uint8)
        self.spans = np.empty((room, 2), np.int64)
        self.metadata_hashes = np.empty(room, np.uint64)
        self.created_ms = np.empty(room, np.int64)

    @property
    def columns(self) -> tuple[NDArray[np.generic], ...]:
        return (self.hashes, self.positions, self.holds, self.spans, self.metadata_hashes, self.created_ms)


class _Samples:
    def __init__(self, room: int) -> None:
        self.series = np.empty(room, np.int64)
        self.ts_ms = np.empty(room, np.int64)
        self.bits = np.empty(room, np.uint64)

    @property
    def columns(self) -> tuple[NDArray[np.generic], ...]:
        return (self.series, self.ts_ms, self.bits)


# -- compiled --------------------------------------------------------------------------------------------------------
# A tag is number·8 + wire type: 10 is field 1 with a length, 9 is field 1 of eight bytes.


@inlined
def _look_up(keys, places, hashes, positions, n):
    """Fill in the positions of known series; in a loop of its own, so that the waits for memory overlap."""
    for at in range(n):
        if positions[at] == UNKNOWN:
            positions[at] = position(keys, places, hashes[at])


@inlined
def _sample(buf, at, end, out, m, series, ts_ms, bits):
    """Write the Sample message from `at` to `end` into row m: value 1, timestamp 2. False when it is not well formed."""
    series[m], ts_ms[m], bits[m] = out, 0, 0
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 9:
            bits[m] = fixed64(buf, start)
        elif tag == 16:
            ts_ms[m] = np.int64(value)
    return True


@kernel
def _scan_1(
    buf, salt, keys, places, hashes, positions, holds, spans, metadata_hashes, created, series, ts_ms, bits, others
):
    """WriteRequest: 1 timeseries, 3 metadata. (series, samples, other fields) found, or an answer in the first place."""
    n, m, k = 0, 0, 0
    at, size = 0, len(buf)
    by = multiplier(salt)
    while at < size:
        tag, _, start, at = field(buf, at, size)
        if at < 0:
            return _MALFORMED, 0, 0
        if tag == 26:
            if k == len(others):
                return _FULL, k, _OTHER
            others[k, 0], others[k, 1] = start, at
            k += 1
        elif tag == 10:
            if n == len(hashes):
                return _FULL, n, _SERIES
            spans[n, 0], spans[n, 1] = start, at
            hashes[n], holds[n], m = _series_1(buf, start, at, salt, by, n, m, series, ts_ms, bits)
            if m == _MALFORMED:
                return _MALFORMED, 0, 0
            if m == _FULL:
                return _FULL, len(ts_ms), _SAMPLE
            positions[n] = UNKNOWN
            n += 1
    _look_up(keys, places, hashes, positions, n)
    return n, m, k


@inlined
def _series_1(buf, at, end, salt, by, n, m, series, ts_ms, bits):
    """TimeSeries: labels 1, samples 2, exemplars 3, histograms 4. (hash of the labels, what it holds, samples or an answer)."""
    state, held = salt, 0
    labels = -1  # where the labels read last begin
    while at < end:
        begin = at
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return state, held, _MALFORMED
        if tag == 10:
            if labels < 0:
                labels = begin
            at = _past_short(buf, at, end)
            continue
        if labels >= 0:
            state = hashed(buf, labels, begin, state, by)
            labels = -1
        if tag == 18:
            if m == len(ts_ms):
                return state, held, _FULL
            if not _sample(buf, start, at, n, m, series, ts_ms, bits):
                return state, held, _MALFORMED
            m += 1
            held |= SAMPLES
        elif tag == 26 or tag == 34:
            held |= RARE
    if labels >= 0:
        state = hashed(buf, labels, end, state, by)
    return finished(state), held, m


@inlined
def _past_short(buf, at, end):
    """Where the labels shorter than 128 bytes that begin at `at` end. Nearly all are: one byte of tag, one of length."""
    while at + 2 <= end and buf[np.uint64(at)] == 10:
        short = np.int64(buf[np.uint64(at + 1)])
        if short >= 128 or short > end - at - 2:
            break
        at += 2 + short
    return at


@kernel
def _scan_2(
    buf, salt, keys, places, hashes, positions, holds, spans, metadata_hashes, created, series, ts_ms, bits, others
):
    """Request: 4 symbols, 5 timeseries. (series, samples, symbols) found, or an answer in the first place."""
    by = multiplier(salt)
    # Symbols may stand anywhere, so all of them are found before any series is read.
    k = _find_symbols(buf, others)
    if k < 0:
        return k, len(others), _OTHER
    symbols = np.empty(k, np.uint64)
    for symbol in range(k):
        symbols[symbol] = finished(hashed(buf, others[symbol, 0], others[symbol, 1], salt, by))
    n, m, at, size = 0, 0, 0, len(buf)
    while at < size:
        tag, _, start, at = field(buf, at, size)
        if tag != 42:
            continue
        if n == len(hashes):
            return _FULL, n, _SERIES
        spans[n, 0], spans[n, 1] = start, at
        hashes[n], holds[n], positions[n], metadata_hashes[n], created[n], m = _series_2(
            buf, start, at, salt, by, symbols, n, m, series, ts_ms, bits
        )
        if m == _MALFORMED:
            return _MALFORMED, 0, 0
        if m == _FULL:
            return _FULL, len(ts_ms), _SAMPLE
        n += 1
    _look_up(keys, places, hashes, positions, n)
    return n, m, k


@inlined
def _find_symbols(buf, symbols):
    """Note where each symbol lies. How many there are, or an answer."""
    k, at = 0, 0
    while at < len(buf):
        tag, _, start, at = field(buf, at, len(buf))
        if at < 0:
            return _MALFORMED
        if tag == 34:
            if k == len(symbols):
                return _FULL
            symbols[k, 0], symbols[k, 1] = start, at
            k += 1
    return k


@inlined
def _series_2(buf, at, end, salt, by, symbols, n, m, series, ts_ms, bits):
    """TimeSeries: references 1, samples 2, histograms 3, exemplars 4, metadata 5, created 6.

    (hash of the labels, what it holds, UNKNOWN or BAD_REFERENCE, hash of the metadata, created, samples or an answer).
    """
    state, held, references, sound = salt, 0, 0, True
    metadata, created = np.uint64(0), np.int64(0)
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return state, held, UNKNOWN, metadata, created, _MALFORMED
        if tag == 10:
            while start < at:
                value, start = varint(buf, start, at)
                if start < 0:
                    return state, held, UNKNOWN, metadata, created, _MALFORMED
                state, found = _followed(symbols, value, state, by)
                sound = sound and found
                references += 1
        elif tag == 8:  # each in a field of its own
            state, found = _followed(symbols, value, state, by)
            sound = sound and found
            references += 1
        elif tag == 18:
            if m == len(ts_ms):
                return state, held, UNKNOWN, metadata, created, _FULL
            if not _sample(buf, start, at, n, m, series, ts_ms, bits):
                return state, held, UNKNOWN, metadata, created, _MALFORMED
            m += 1
            held |= SAMPLES
        elif tag == 42:
            metadata = _metadata(buf, start, at, symbols, salt, by)
            held |= METADATA
        elif tag == 48:
            created = np.int64(value)
            held |= CREATED
        elif tag == 26 or tag == 34:
            held |= RARE
    sound = sound and references % 2 == 0
    state = finished(mixed(state, np.uint64(references), by))
    return state, held, UNKNOWN if sound else BAD_REFERENCE, metadata, created, m


@inlined
def _followed(symbols, reference, state, by):
    """`state` with the symbol of that number stirred in, and whether there is one."""
    if reference < np.uint64(len(symbols)):
        return mixed(state, symbols[reference], by), True
    return state, False


@kernel
def _metadata(buf, at, end, symbols, salt, by):
    """A hash of what a Metadata message says, so that what was said before need not be read again.

    Anything odd about it makes it merely new: the message is read in full then, and refused if it must be.
    """
    state = salt
    while at < end:
        tag, at = varint(buf, at, end)
        if at < 0:
            return finished(state)
        value, at = varint(buf, at, end)
        if at < 0:
            return finished(state)
        if tag != 8:
            value = symbols[value] if value < np.uint64(len(symbols)) else np.uint64(0)
        state = mixed(mixed(state, tag, by), value, by)
    return finished(state)

"""Remote-write bodies read where they lie, by machine code: the samples in columns, each with the series it belongs to.

In: the uncompressed protobuf of a remote-write request, 1.0 or 2.0, and the table of series met before. Out: for each
time series the position it is known under (or that it is not), for each sample its series, time and value. Nothing is
decoded but numbers: a series is known by a 64-bit hash of its label bytes, salted so that nobody can aim at a collision.
The labels of a known series are not looked at again: they are the bytes that were found sound when it was met.
What is rare (unknown series, exemplars, histograms, metadata) is only found, and read by remote_write.py.

Every read is bounded by the message it lies in; a message that is not well formed is an answer, not an exception.
Importing this module imports numba: do it when the first body arrives. The compiled code is kept beside this file, or
in the user's cache directory, when that can be written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.receive.inflight import Lease
from aiprism.receive.protowire import (
    compiled,
    finished,
    hashed,
    inlined,
    length,
    mixed,
    multiplier,
    octet_at,
    skipped,
    varint,
    word_at,
)
from aiprism.store.columns import FingerprintTable

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
    octets = np.frombuffer(body, dtype=np.uint8)
    run: Callable[..., tuple[int, int, int]] = _scan_2 if version == 2 else _scan_1
    most = max(_MOST_SAMPLES, len(body) // _LEAST_SAMPLE)
    room = len(body) // 24 + 16
    while True:
        few = min(room, MOST_SERIES)
        held = few * SERIES_BYTES + room * SAMPLE_BYTES
        lease.grow(held)
        series, samples, others = _Series(few), _Samples(room), np.empty((few, 2), np.int64)
        counts = run(octets, np.uint64(salt), known.keys, known.places, *series.columns, *samples.columns, others)
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


# -- compiled -----------------------------------------------------------------------------------------------------


@inlined
def _position(keys, places, state):
    """The position known under a hash; the table is that of store/columns.py."""
    mask = np.uint64(len(keys) - 1)
    slot = state & mask
    while places[slot] >= 0:
        if keys[slot] == state:
            return np.int64(places[slot])
        slot = (slot + np.uint64(1)) & mask
    return -1


@inlined
def _look_up(keys, places, hashes, positions, n):
    """Fill in the positions of known series; in a loop of its own, so that the waits for memory overlap."""
    for at in range(n):
        if positions[at] == UNKNOWN:
            positions[at] = _position(keys, places, hashes[at])


@inlined
def _sample(octets, at, end, out, m, series, ts_ms, bits):
    """Write the Sample message from `at` to `end` into row m; False when it is not well formed."""
    value = np.uint64(0)
    time = np.uint64(0)
    while at < end:
        tag, at = varint(octets, at, end)
        if at < 0:
            return False
        if tag == np.uint64(0x09):
            if at + 8 > end:
                return False
            value = word_at(octets, at)
            at += 8
        elif tag == np.uint64(0x10):
            time, at = varint(octets, at, end)
        else:
            at = skipped(octets, tag, at, end)
        if at < 0:
            return False
    series[m] = out
    ts_ms[m] = np.int64(time)
    bits[m] = value
    return True


@compiled
def _scan_1(
    octets, salt, keys, places, hashes, positions, holds, spans, metadata_hashes, created, series, ts_ms, bits, others
):
    """WriteRequest: 1 timeseries, 3 metadata. (series, samples, other fields) found."""
    n, m, k = 0, 0, 0
    at, size = 0, len(octets)
    by = multiplier(salt)
    while at < size:
        tag, at = varint(octets, at, size)
        if at < 0:
            return _MALFORMED, 0, 0
        if tag != np.uint64(0x0A):
            start = at
            at = skipped(octets, tag, at, size)
            if at < 0:
                return _MALFORMED, 0, 0
            if tag == np.uint64(0x1A):
                if k == len(others):
                    return _FULL, k, _OTHER
                others[k, 0], others[k, 1] = length(octets, start, size)
                k += 1
            continue
        at, end = length(octets, at, size)
        if at < 0:
            return _MALFORMED, 0, 0
        if n == len(hashes):
            return _FULL, n, _SERIES
        spans[n, 0], spans[n, 1] = at, end
        state, held = salt, 0
        labels = -1  # where the labels read last begin
        while at < end:
            field = at
            tag, at = varint(octets, at, end)
            if at < 0:
                return _MALFORMED, 0, 0
            if tag == np.uint64(0x0A):
                if labels < 0:
                    labels = field
                at = length(octets, at, end)[1]
                if at < 0:
                    return _MALFORMED, 0, 0
                # The labels that follow are nearly always shorter than 128 bytes: one byte of tag, one of length.
                while at + 2 <= end and octet_at(octets, at) == np.uint64(0x0A):
                    short = octet_at(octets, at + 1)
                    if short >= np.uint64(0x80) or short > np.uint64(end - at - 2):
                        break
                    at += 2 + np.int64(short)
                continue
            if labels >= 0:
                state = hashed(octets, labels, field, state, by)
                labels = -1
            if tag == np.uint64(0x12):
                at, stop = length(octets, at, end)
                if at < 0:
                    return _MALFORMED, 0, 0
                if m == len(ts_ms):
                    return _FULL, m, _SAMPLE
                if not _sample(octets, at, stop, n, m, series, ts_ms, bits):
                    return _MALFORMED, 0, 0
                m += 1
                held |= SAMPLES
                at = stop
                continue
            if tag == np.uint64(0x1A) or tag == np.uint64(0x22):
                held |= RARE
            at = skipped(octets, tag, at, end)
            if at < 0:
                return _MALFORMED, 0, 0
        if labels >= 0:
            state = hashed(octets, labels, end, state, by)
        state = finished(state)
        hashes[n], holds[n], positions[n] = state, held, UNKNOWN
        n += 1
    _look_up(keys, places, hashes, positions, n)
    return n, m, k


@compiled
def _scan_2(
    octets, salt, keys, places, hashes, positions, holds, spans, metadata_hashes, created, series, ts_ms, bits, others
):
    """Request: 4 symbols, 5 timeseries. (series, samples, symbols) found."""
    n, m, k = 0, 0, 0
    at, size = 0, len(octets)
    by = multiplier(salt)
    # Symbols may stand anywhere, so all of them are found before any series is read.
    while at < size:
        tag, at = varint(octets, at, size)
        if at < 0:
            return _MALFORMED, 0, 0
        start = at
        at = skipped(octets, tag, at, size)
        if at < 0:
            return _MALFORMED, 0, 0
        if tag == np.uint64(0x22):
            if k == len(others):
                return _FULL, k, _OTHER
            others[k, 0], others[k, 1] = length(octets, start, size)
            k += 1
    symbols = np.empty(k, np.uint64)
    for symbol in range(k):
        symbols[symbol] = finished(hashed(octets, others[symbol, 0], others[symbol, 1], salt, by))
    at = 0
    while at < size:
        tag, at = varint(octets, at, size)
        if tag != np.uint64(0x2A):
            at = skipped(octets, tag, at, size)
            continue
        at, end = length(octets, at, size)
        if n == len(hashes):
            return _FULL, n, _SERIES
        spans[n, 0], spans[n, 1] = at, end
        state, held, references, sound = salt, 0, 0, True
        metadata_hashes[n], created[n] = np.uint64(0), 0
        while at < end:
            tag, at = varint(octets, at, end)
            if at < 0:
                return _MALFORMED, 0, 0
            if tag == np.uint64(0x0A) or tag == np.uint64(0x08):
                # References to symbols, packed into one field or each in its own.
                stop = end
                if tag == np.uint64(0x0A):
                    at, stop = length(octets, at, end)
                    if at < 0:
                        return _MALFORMED, 0, 0
                while at < stop:
                    reference, at = varint(octets, at, stop)
                    if at < 0:
                        return _MALFORMED, 0, 0
                    if reference < np.uint64(k):
                        state = mixed(state, symbols[reference], by)
                    else:
                        sound = False
                    references += 1
                    if tag == np.uint64(0x08):
                        break
            elif tag == np.uint64(0x12):
                at, stop = length(octets, at, end)
                if at < 0:
                    return _MALFORMED, 0, 0
                if m == len(ts_ms):
                    return _FULL, m, _SAMPLE
                if not _sample(octets, at, stop, n, m, series, ts_ms, bits):
                    return _MALFORMED, 0, 0
                m += 1
                held |= SAMPLES
                at = stop
            elif tag == np.uint64(0x2A):
                at, stop = length(octets, at, end)
                if at < 0:
                    return _MALFORMED, 0, 0
                metadata_hashes[n] = _metadata(octets, at, stop, symbols, salt, by)
                held |= METADATA
                at = stop
            elif tag == np.uint64(0x30):
                value, at = varint(octets, at, end)
                if at < 0:
                    return _MALFORMED, 0, 0
                created[n] = np.int64(value)
                held |= CREATED
            else:
                if tag == np.uint64(0x1A) or tag == np.uint64(0x22):
                    held |= RARE
                at = skipped(octets, tag, at, end)
                if at < 0:
                    return _MALFORMED, 0, 0
        state = finished(mixed(state, np.uint64(references), by))
        hashes[n], holds[n] = state, held
        sound = sound and references % 2 == 0
        positions[n] = UNKNOWN if sound else BAD_REFERENCE
        n += 1
    _look_up(keys, places, hashes, positions, n)
    return n, m, k


@compiled
def _metadata(octets, at, end, symbols, salt, by):
    """A hash of what a Metadata message says, so that what was said before need not be read again.

    Anything odd about it makes it merely new: the message is read in full then, and refused if it must be.
    """
    state = salt
    while at < end:
        tag, at = varint(octets, at, end)
        if at < 0:
            return finished(state)
        value, at = varint(octets, at, end)
        if at < 0:
            return finished(state)
        if tag != np.uint64(0x08):
            value = symbols[value] if value < np.uint64(len(symbols)) else np.uint64(0)
        state = mixed(mixed(state, tag, by), value, by)
    return finished(state)

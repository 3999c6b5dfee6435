"""Reading protobuf's wire format in compiled code: the primitives that the kernels over bodies are made of.

A kernel is a Python function of numpy arrays and numbers that numba compiles; it runs without the GIL. Every primitive
keeps within the bounds it is given: a damaged body gives a negative position, never a read outside. Importing this
module loads numba (100 MB, half a second), so whoever needs a kernel imports it when the first body arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numba import njit

from aiprism.errors import StoreError

F = TypeVar("F", bound=Callable[..., object])

DAMAGED = -1

# Of a tag or a length: protobuf's own parsers take no longer ones.
_MOST_OCTETS = 5


def kernel(function: F) -> F:
    """`function`, compiled on its first call and kept compiled on disk for the next process, where that can be written."""
    try:
        compiled: F = njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        compiled = njit(nogil=True, error_model="numpy")(function)
    return compiled


def inlined(function: F) -> F:
    """`function` as a part of the kernels that call it: where a call is not worth the reference it counts for each array."""
    made: F = njit(nogil=True, error_model="numpy", inline="always")(function)
    return made


@kernel
def varint(buf, at, end):
    """(value, position behind it); the position is negative when it does not end within ten bytes.

    Bits above the 64th are dropped, which is what protobuf's own parsers do.
    """
    if at < end and buf[np.uint64(at)] < 0x80:
        return np.uint64(buf[np.uint64(at)]), at + 1
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < end and shift < 64:
        byte = np.uint64(buf[np.uint64(at)])
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < 0x80:
            return value, at
        shift += np.uint64(7)
    return np.uint64(0), DAMAGED


@kernel
def field(buf, at, end):
    """The field at `at`: (tag, value, start, next).

    `tag` is number·8 + wire type. The content lies between `start` and `next`; a varint's content is in `value`.
    `next` is negative when the field is damaged or a group.
    """
    tag, at = varint(buf, at, min(end, at + _MOST_OCTETS))
    if at < 0 or tag >> np.uint64(32) or tag < 8:
        return np.int64(0), np.uint64(0), at, DAMAGED
    kind = np.int64(tag) & 7
    if kind == 2:
        size, at = varint(buf, at, min(end, at + _MOST_OCTETS))
        if at < 0 or size > np.uint64(end - at):
            return np.int64(0), np.uint64(0), at, DAMAGED
        return np.int64(tag), size, at, at + np.int64(size)
    if kind == 0:
        value, after = varint(buf, at, end)
        return np.int64(tag), value, at, after
    size_fixed = 8 if kind == 1 else 4 if kind == 5 else end - at + 1
    if size_fixed > end - at:
        return np.int64(0), np.uint64(0), at, DAMAGED
    return np.int64(tag), np.uint64(0), at, at + size_fixed


def joined(bodies: Sequence[bytes]) -> bytes:
    """The bodies as one message: repeated fields of protobuf messages merge when their bytes are joined.

    StoreError when one is no whole row of fields: it would swallow the beginning of its neighbour.
    """
    for body in bodies:
        if not _is_whole(np.frombuffer(body, np.uint8)):
            raise StoreError("a body ends within a field", code=33)
    return b"".join(bodies)


@kernel
def _is_whole(buf):
    at = 0
    while 0 <= at < buf.size:
        _, _, _, at = field(buf, at, buf.size)
    return at == buf.size


# An index that may be negative costs a test of each byte, and keeps the compiler from reading or copying many at once:
# the loops over bytes count without sign.


@kernel
def fixed64(buf, at):
    """Eight bytes, little endian; the caller has made sure they are there."""
    value, first = np.uint64(0), np.uint64(at)
    for k in range(8):
        value |= np.uint64(buf[first + np.uint64(k)]) << np.uint64(8 * k)
    return value


@kernel
def fixed32(buf, at):
    """Four bytes, little endian; the caller has made sure they are there."""
    value, first = np.uint32(0), np.uint64(at)
    for k in range(4):
        value |= np.uint32(buf[first + np.uint64(k)]) << np.uint32(8 * k)
    return value


@kernel
def copy(buf, start, end, out, to):
    """Copy the bytes between `start` and `end` to `to`; the position behind them. The caller has made sure of the room."""
    source, target = np.uint64(start), np.uint64(to)
    for k in range(np.uint64(end - start)):
        out[target + k] = buf[source + k]
    return to + end - start


@kernel
def is_utf8(buf, at, end):
    """True when the bytes are UTF-8 as RFC 3629 has it: shortest forms, no surrogates, nothing above U+10FFFF."""
    high = np.uint8(0)
    for k in range(np.uint64(at), np.uint64(end)):
        high |= buf[k]
    if high < 0x80:
        return True
    while at < end:
        lead = buf[at]
        if lead < 0x80:
            at += 1
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
        if at + more >= end:
            return False
        second = buf[at + 1]
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        top = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if second < low or second > top:
            return False
        for k in range(2, more + 1):
            if buf[at + k] & 0xC0 != 0x80:
                return False
        at += more + 1
    return True


@kernel
def all_zero(buf, at, end):
    """True when no bit is set between `at` and `end`."""
    set_bits = np.uint8(0)
    for k in range(np.uint64(at), np.uint64(end)):
        set_bits |= buf[k]
    return set_bits == 0

"""The pattern of a log line: the line with its variable parts masked, so that lines of one statement count as one.

In: lines, as Arrow lays texts out (bytes and offsets). Out: for each line the number of its pattern, and the patterns.
One pass in compiled code; six regular expressions one after the other took ten times as long. What is masked, the first
that fits wins:

    <uuid>   8-4-4-4-12 hexadecimal digits
    <email>  name@host.tld
    <time>   2026-09-21T13:00:05.123Z, with a space for T, a comma for the point, any offset or none
    <ip>     four numbers of up to three digits, with a port or without
    <hex>    0x…; a word of 16 hexadecimal digits or more; a shorter one in which a letter follows a digit five from the end
             or sooner
    <num>    digits at the start of a word, with sign and decimals
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiprism.store.wire import copy, fixed64, kernel

# What follows in a longer line is a stack trace or a payload.
LONGEST = 1024

Bytes = npt.NDArray[np.uint8]


def pattern_of(line: str) -> str:
    """The pattern of one line.

    >>> pattern_of("order 17 of ada@example.com failed after 0.25s at 10.0.0.7:443")
    'order <num> of <email> failed after <num>s at <ip>'
    """
    data = np.frombuffer(line.encode(), np.uint8)
    return str(patterns_of(data, np.array([0, len(data)], np.int32)).to_pylist()[0])


def patterns_of(data: Bytes, offsets: npt.NDArray[np.int32]) -> pa.DictionaryArray:
    """The patterns of the lines between `offsets[i]` and `offsets[i + 1]`, each different one held once."""
    lines = len(offsets) - 1
    codes, starts = np.empty(lines, np.int32), np.empty(lines + 1, np.int32)
    # A mask may be longer than what it hides (7 → <num>), at worst every other byte.
    texts = np.empty(3 * int(np.minimum(np.diff(offsets), LONGEST).sum()) + 16, np.uint8)
    slots = np.full(1 << max(4, (2 * lines).bit_length()), -1, np.int32)
    found = _code(data, offsets, codes, texts, starts, slots, np.empty(lines, np.uint64))
    used = int(starts[found])
    buffers = [None, pa.py_buffer(starts[: found + 1]), pa.py_buffer(texts[:used])]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.Array.from_buffers(pa.string(), found, buffers))


# -- compiled --------------------------------------------------------------------------------------------------------

# Classes of bytes, as bits
_DIGIT, _HEX, _ALPHA, _WORD, _LOCAL, _HOST = 1, 2, 4, 8, 16, 32


def _classes() -> Bytes:
    table = np.zeros(256, np.uint8)
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = b"0123456789"
    for bit, members in (
        (_DIGIT, digits),
        (_HEX, digits + b"abcdefABCDEF"),
        (_ALPHA, letters),
        (_WORD, letters + digits + b"_"),
        (_LOCAL, letters + digits + b"._%+-"),
        (_HOST, letters + digits + b".-"),
    ):
        for member in members:
            table[member] |= bit
    return table


_CLASS = _classes()
_MASKS = b"<uuid><email><time><ip><hex><num>"
_MASK = np.frombuffer(_MASKS, np.uint8)
# Where each mask begins and ends in _MASKS.
_UUID, _EMAIL, _TIME, _IP, _HEXED, _NUM = (0, 6), (6, 13), (13, 19), (19, 23), (23, 28), (28, 33)


@kernel
def _code(data, offsets, codes, texts, starts, slots, hashes):
    """Mask every line; equal patterns get one code. The number of different patterns."""
    found, to = 0, 0
    starts[0] = 0
    last_slot = slots.size - 1
    for row in range(codes.size):
        end = _mask(data, np.int64(offsets[row]), np.int64(offsets[row + 1]), texts, to)
        seen = _hash(texts, to, end)
        slot = np.int64(seen) & last_slot
        while slots[slot] >= 0:
            code = slots[slot]
            if hashes[code] == seen and starts[code + 1] - starts[code] == end - to:
                break
            slot = (slot + 1) & last_slot
        if slots[slot] < 0:
            slots[slot] = found
            hashes[found] = seen
            found += 1
            to = end
            starts[found] = end
        codes[row] = slots[slot]
    return found


@kernel
def _hash(data, at, end):
    value = np.uint64(end - at) * np.uint64(0x9E3779B97F4A7C15)
    while at + 8 <= end:
        value = (value ^ fixed64(data, at)) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
        at += 8
    while at < end:
        value = (value ^ np.uint64(data[at])) * np.uint64(0xC4CEB9FE1A85EC53)
        value ^= value >> np.uint64(29)
        at += 1
    return value


@kernel
def _mask(data, at, end, out, to):
    """Write the pattern of the line between `at` and `end` at `to`; the position behind it."""
    if end - at > LONGEST:
        end = at + LONGEST
        while end > at and data[end] & 0xC0 == 0x80:  # not within a character
            end -= 1
    has_at = False
    for k in range(np.uint64(at), np.uint64(end)):
        has_at |= data[k] == 64
    before = 0  # class of the byte before
    local = False  # within a run of characters of an address's name that is none
    while at < end:
        byte = data[np.uint64(at)]
        kind = _CLASS[byte]
        if not kind & _LOCAL:
            local = False
        elif has_at and not local:
            after = _email(data, at, end)
            if after:
                to = _put(out, to, _EMAIL)
                at, before = after, _WORD
                continue
            local = True
        if kind & _WORD:
            if kind & _HEX and not before & _WORD:
                after, what = _word(data, at, end)
                if after:
                    to = _put(out, to, what)
                    before, at = _CLASS[data[after - 1]], after
                    continue
            # Within a word nothing begins.
            after = _run(data, at, end, _WORD)
            to = copy(data, at, after, out, to)
            at, before = after, _WORD
            continue
        if (byte == 43 or byte == 45) and at + 1 < end and _CLASS[data[at + 1]] & _DIGIT:
            # A sign belongs to the number behind it, unless that is something else.
            after, what = _word(data, at + 1, end)
            if after:
                if what[0] != _NUM[0]:
                    out[to] = byte
                    to += 1
                to = _put(out, to, what)
                before, at = _CLASS[data[after - 1]], after
                continue
        out[np.uint64(to)] = byte
        to += 1
        at += 1
        before = kind
    return to


@kernel
def _put(out, to, what):
    return copy(_MASK, what[0], what[1], out, to)


@kernel
def _run(data, at, end, kind):
    """Where the bytes of class `kind` from `at` on end."""
    while at < end and _CLASS[data[np.uint64(at)]] & kind:
        at += 1
    return at


@kernel
def _word(data, at, end):
    """(position behind it, mask) of what begins at `at`, the start of a word; (0, …) when that stays as it is."""
    word_end = _run(data, at, end, _WORD)
    hexes = _run(data, at, word_end, _HEX)
    if hexes == at:
        return 0, _NUM
    if hexes - at == 8 and hexes < end and data[hexes] == 45:
        after = _uuid(data, at, end)
        if after:
            return after, _UUID
    digits = _run(data, at, word_end, _DIGIT)
    if digits - at == 4 and digits < end and data[digits] == 45:
        after = _time(data, at, end)
        if after:
            return after, _TIME
    if 0 < digits - at <= 3 and digits < end and data[digits] == 46:
        after = _ip(data, at, end)
        if after:
            return after, _IP
    if word_end - at > 2 and data[at] == 48 and data[at + 1] == 120 and _run(data, at + 2, word_end, _HEX) == word_end:
        return word_end, _HEXED
    if hexes == word_end:
        if word_end - at >= 16:
            return word_end, _HEXED
        seen_digit = False
        for k in range(at, word_end - 4):
            if _CLASS[data[k]] & _DIGIT:
                seen_digit = True
            elif seen_digit:
                return word_end, _HEXED
    if digits == at:
        return 0, _NUM
    if digits + 1 < end and data[digits] == 46 and _CLASS[data[digits + 1]] & _DIGIT:
        digits = _run(data, digits + 1, end, _DIGIT)
    return digits, _NUM


@kernel
def _uuid(data, at, end):
    if end - at < 36:
        return 0
    for k in range(36):
        byte = data[at + k]
        if k == 8 or k == 13 or k == 18 or k == 23:
            if byte != 45:
                return 0
        elif not _CLASS[byte] & _HEX:
            return 0
    return at + 36


@kernel
def _time(data, at, end):
    if end - at < 19:
        return 0
    for k in range(19):
        byte = data[at + k]
        if k == 4 or k == 7:
            good = byte == 45
        elif k == 10:
            good = byte == 84 or byte == 32
        elif k == 13 or k == 16:
            good = byte == 58
        else:
            good = _CLASS[byte] & _DIGIT != 0
        if not good:
            return 0
    at += 19
    if at + 1 < end and (data[at] == 46 or data[at] == 44) and _CLASS[data[at + 1]] & _DIGIT:
        at = _run(data, at + 1, end, _DIGIT)
    if at < end and data[at] == 90:
        return at + 1
    if at < end and (data[at] == 43 or data[at] == 45) and _run(data, at + 1, min(end, at + 3), _DIGIT) == at + 3:
        minutes = at + 4 if at + 3 < end and data[at + 3] == 58 else at + 3
        if _run(data, minutes, min(end, minutes + 2), _DIGIT) == minutes + 2:
            return minutes + 2
    return at


@kernel
def _ip(data, at, end):
    for group in range(4):
        after = _run(data, at, end, _DIGIT)
        if not 0 < after - at <= 3:
            return 0
        if group < 3:
            if after == end or data[after] != 46:
                return 0
            after += 1
        at = after
    if at < end and _CLASS[data[at]] & _WORD:
        return 0
    if at + 1 < end and data[at] == 58:
        port = _run(data, at + 1, end, _DIGIT)
        if port > at + 1 and not (port < end and _CLASS[data[port]] & _WORD):
            return port
    return at


@kernel
def _email(data, at, end):
    name_end = _run(data, at, end, _LOCAL)
    if name_end == at or name_end >= end or data[name_end] != 64:
        return 0
    host_end = _run(data, name_end + 1, end, _HOST)
    # The last point that two letters follow, and a host before it.
    for dot in range(host_end - 1, name_end + 1, -1):
        if data[dot] == 46:
            after = _run(data, dot + 1, host_end, _ALPHA)
            if after - dot > 2:
                return after
    return 0

"""Attributes of OTLP items as columns: keys, values as text, and one letter each that says what the value was.

In: places of KeyValue messages in a body, as the kernels over items note them (`note_pair`). Out: Arrow arrays. Text of a
value: numbers in decimal, booleans as true and false, bytes in base64, arrays and maps as JSON. The letters (KINDS) tell
them apart again.

Compiled code here takes plain arrays and numbers only: an array inside a tuple costs numba a locked reference count on
every call, which was three quarters of the time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import types
from numba.core.typing import signature

from aiprism.store.wire import DAMAGED, copy, field, fixed64, kernel

# By the field number of AnyValue: nothing, string, bool, int, double, array, map, bytes.
KINDS = "nsbidamy"
_KINDS = np.frombuffer(KINDS.encode(), np.uint8)

# Arrays and maps within each other; protobuf's own parser stops at a hundred messages.
_MAX_DEPTH = 100

# No text is longer than this many times what it was on the wire (a control character in JSON: one byte → six).
_GROWTH = 6

Body = npt.NDArray[np.uint8]
Ends = npt.NDArray[np.int32]
Pairs = npt.NDArray[np.int32]
Column = npt.NDArray[np.int64]


def new_pairs(size: int) -> Pairs:
    """Room for the places of all pairs of a body of `size` bytes. Memory that is not written to is never touched."""
    return np.empty((size // 2 + 1, 4), np.int32)


def map_array(body: Body, pairs: Pairs, ends: Column) -> tuple[pa.Array, pa.Array]:
    """Maps of which the i-th holds the pairs before `ends[i]`, and for each map the letters of its values."""
    count = int(ends[-1]) if len(ends) else 0
    size = int((pairs[:count, 1] - pairs[:count, 0]).sum())
    keys, key_ends = np.empty(size, np.uint8), np.empty(count + 1, np.int32)
    longest = _GROWTH * int((pairs[:count, 3] - pairs[:count, 2]).sum()) + 12 * count + 32
    values, value_ends = np.empty(longest, np.uint8), np.empty(count + 1, np.int32)
    kinds = np.empty(count, np.uint8)
    if not _copy_pairs(body, pairs, count, keys, key_ends, values, value_ends, kinds):
        raise ValueError("an attribute that cannot be read")
    offsets = np.concatenate((np.zeros(1, np.int32), ends.astype(np.int32)))
    # Keys repeat: coded once here they need no hashing where they are stored.
    coded = _strings(key_ends, keys).dictionary_encode()
    maps = pa.MapArray.from_arrays(pa.array(offsets), coded, _strings(value_ends, values))
    return maps, _strings(offsets, kinds).dictionary_encode()


def text_array(body: Body, starts: Column, ends: Column) -> pa.Array:
    """The texts between `starts[i]` and `ends[i]`."""
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    _copy_texts(body, starts, ends, offsets, data)
    return _strings(offsets, data)


def id_array(body: Body, starts: Column, ends: Column, width: int) -> pa.Array:
    """Ids of `width` bytes (8 or 16); a shorter one ends in zeros, of a longer one the front is kept."""
    ids = np.zeros(len(starts) * width // 8, np.uint64)
    _copy_ids(body, starts, ends, width // 8, ids)
    return pa.Array.from_buffers(pa.binary(width), len(starts), [None, pa.py_buffer(ids)])


def value_array(body: Body, starts: Column, ends: Column) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    """The texts of AnyValues, and the number of the field each was in (as an index into KINDS)."""
    longest = _GROWTH * int((ends - starts).sum()) + 32 * len(starts) + 32
    data, offsets, kinds = (
        np.empty(longest, np.uint8),
        np.zeros(len(starts) + 1, np.int32),
        np.empty(len(starts), np.int8),
    )
    if not _copy_values(body, starts, ends, data, offsets, kinds):
        raise ValueError("a value that cannot be read")
    return _strings(offsets, data), kinds


def _strings(offsets: Ends, data: Body) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


# -- compiled --------------------------------------------------------------------------------------------------------


@kernel
def note_pair(buf, at, end, pairs, number):
    """Note where key and value of the KeyValue between `at` and `end` lie; False when it is damaged."""
    key, key_end, value, value_end = at, at, at, at
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return False
        if tag == 10:
            key, key_end = start, at
        elif tag == 18:
            value, value_end = start, at
    pairs[number, 0], pairs[number, 1], pairs[number, 2], pairs[number, 3] = key, key_end, value, value_end
    return True


@kernel
def _copy_pairs(buf, pairs, count, keys, key_ends, values, value_ends, kinds):
    key_to, value_to = 0, 0
    key_ends[0], value_ends[0] = 0, 0
    for number in range(count):
        key_to = copy(buf, np.int64(pairs[number, 0]), np.int64(pairs[number, 1]), keys, key_to)
        kind, value_to = put_value(buf, np.int64(pairs[number, 2]), np.int64(pairs[number, 3]), values, value_to)
        if kind < 0:
            return False
        key_ends[number + 1], value_ends[number + 1], kinds[number] = key_to, value_to, _KINDS[kind]
    return True


@kernel
def _copy_texts(buf, starts, ends, offsets, data):
    for row in range(starts.size):
        copy(buf, starts[row], ends[row], data, np.int64(offsets[row]))


@kernel
def _copy_ids(buf, starts, ends, words, ids):
    for row in range(starts.size):
        start, size, to = starts[row], ends[row] - starts[row], row * words
        if size >= 8 * words:
            for k in range(words):
                ids[to + k] = fixed64(buf, start + 8 * k)
        else:
            for k in range(size):
                ids[to + k // 8] |= np.uint64(buf[start + k]) << np.uint64(8 * (k % 8))


@kernel
def _copy_values(buf, starts, ends, data, offsets, kinds):
    to = 0
    for row in range(starts.size):
        kind, to = put_value(buf, starts[row], ends[row], data, to)
        if kind < 0:
            return False
        kinds[row], offsets[row + 1] = kind, to
    return True


@kernel
def put_value(buf, at, end, out, to):
    """Write the text of an AnyValue at `to`: (its kind as field number, position behind it); a negative kind is damage."""
    kind, number, start, stop = value_parts(buf, at, end)
    if kind == 1:
        return kind, copy(buf, start, stop, out, to)
    if kind == 3:
        return kind, _put_int(np.int64(number), out, to)
    if kind == 2:
        return kind, _put_bool(number, out, to)
    if kind == 4:
        return kind, _put_double(fixed64(buf, start), out, to, False)
    if kind == 5 or kind == 6:
        to = _put_json(buf, start, stop, kind == 6, out, to)
        return (kind if to >= 0 else DAMAGED), to
    if kind == 7:
        return kind, _put_base64(buf, start, stop, out, to)
    return kind, to


@kernel
def pair_parts(buf, at, end):
    """(key, its end, value, its end) of a KeyValue; an absent one is empty, a damaged one negative."""
    key, key_end, value, value_end = at, at, at, at
    while at < end:
        tag, _, start, at = field(buf, at, end)
        if at < 0:
            return DAMAGED, 0, 0, 0
        if tag == 10:
            key, key_end = start, at
        elif tag == 18:
            value, value_end = start, at
    return key, key_end, value, value_end


@kernel
def value_parts(buf, at, end):
    """(field number that is set, 0 for none; its varint; start; end) of an AnyValue; a negative number is damage."""
    kind, number, value_start, value_end = 0, np.uint64(0), at, at
    while at < end:
        tag, value, start, at = field(buf, at, end)
        if at < 0:
            return DAMAGED, number, value_start, value_end
        if tag == 10 or tag == 16 or tag == 24 or tag == 33 or tag == 42 or tag == 50 or tag == 58:
            kind, number, value_start, value_end = tag >> 3, value, start, at
    return kind, number, value_start, value_end


@kernel
def _put_bool(value, out, to):
    if value:
        out[to], out[to + 1], out[to + 2], out[to + 3] = 116, 114, 117, 101
        return to + 4
    out[to], out[to + 1], out[to + 2], out[to + 3], out[to + 4] = 102, 97, 108, 115, 101
    return to + 5


@kernel
def _put_int(value, out, to):
    left = np.uint64(value)
    if value < 0:
        out[to] = 45
        to += 1
        left = np.uint64(0) - left
    digits, rest = 1, left
    while rest >= 10:
        rest //= np.uint64(10)
        digits += 1
    for k in range(to + digits - 1, to - 1, -1):
        out[k] = 48 + left % np.uint64(10)
        left //= np.uint64(10)
    return to + digits


_gcvt = types.ExternalFunction("gcvt", signature(types.intp, types.float64, types.int32, types.intp))
_strtod = types.ExternalFunction("strtod", signature(types.float64, types.intp, types.intp))


@kernel
def _put_double(bits, out, to, json):
    """The shortest decimal text that reads back as the same number; in JSON whole numbers keep their .0."""
    value = np.uint64(bits).view(np.float64)
    if np.isnan(value) or np.isinf(value):
        return _put_unreal(value, out, to, json)
    if value == np.floor(value) and abs(value) < 1e17:
        if value == 0 and bits:
            out[to] = 45  # minus zero
            to += 1
        to = _put_int(np.int64(value), out, to)
        if json:
            out[to], out[to + 1] = 46, 48
            to += 2
        return to
    if abs(value) >= 1e-5:
        scale = 1.0
        for decimals in range(1, 16):
            scale *= 10.0  # exact up to 10^22
            whole = np.rint(value * scale)
            if abs(whole) >= 9007199254740992.0:
                break
            # Both are exact, so the division rounds as reading the decimal text would.
            if whole / scale == value:
                return _put_decimal(np.int64(whole), decimals, out, to)
    for digits in range(15, 18):
        _gcvt(value, digits, out.ctypes.data + to)
        if _strtod(out.ctypes.data + to, 0) == value:
            break
    while out[to]:
        to += 1
    return to


@kernel
def _put_decimal(whole, decimals, out, to):
    """`whole` / 10^`decimals`, whose last digit is not zero."""
    if whole < 0:
        out[to] = 45
        to += 1
        whole = -whole
    scale = np.int64(1)
    for _ in range(decimals):
        scale *= 10
    to = _put_int(whole // scale, out, to)
    out[to] = 46
    rest = whole % scale
    for k in range(decimals, 0, -1):
        out[to + k] = 48 + rest % 10
        rest //= 10
    return to + decimals + 1


@kernel
def _put_unreal(value, out, to, json):
    # As Python writes them, in text and in JSON.
    if np.isnan(value):
        out[to], out[to + 1], out[to + 2] = (78, 97, 78) if json else (110, 97, 110)
        return to + 3
    if value < 0:
        out[to] = 45
        to += 1
    out[to], out[to + 1], out[to + 2] = (73 if json else 105), 110, 102
    to += 3
    if json:  # Infinity
        out[to], out[to + 1], out[to + 2], out[to + 3], out[to + 4] = 105, 110, 105, 116, 121
        to += 5
    return to


_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)


@kernel
def _put_base64(buf, at, end, out, to):
    while at < end:
        some = min(3, end - at)
        group = np.uint32(buf[at]) << 16
        if some > 1:
            group |= np.uint32(buf[at + 1]) << 8
        if some > 2:
            group |= np.uint32(buf[at + 2])
        out[to], out[to + 1] = _BASE64[group >> 18], _BASE64[group >> 12 & 63]
        out[to + 2] = _BASE64[group >> 6 & 63] if some > 1 else 61
        out[to + 3] = _BASE64[group & 63] if some > 2 else 61
        at += 3
        to += 4
    return to


_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
# What JSON writes behind a backslash, for the characters that have such a form.
_ESCAPES = np.zeros(256, np.uint8)
for _character, _letter in (("\b", "b"), ("\t", "t"), ("\n", "n"), ("\f", "f"), ("\r", "r"), ('"', '"'), ("\\", "\\")):
    _ESCAPES[ord(_character)] = ord(_letter)


@kernel
def _put_quoted(buf, at, end, out, to):
    out[to] = 34
    to += 1
    for k in range(at, end):
        byte = buf[k]
        if _ESCAPES[byte]:
            out[to], out[to + 1] = 92, _ESCAPES[byte]
            to += 2
        elif byte < 32:
            out[to], out[to + 1], out[to + 2], out[to + 3] = 92, 117, 48, 48
            out[to + 4], out[to + 5] = _HEX[byte >> 4], _HEX[byte & 15]
            to += 6
        else:
            out[to] = byte
            to += 1
    out[to] = 34
    return to + 1


@kernel
def _put_json(buf, at, end, is_map, out, to):
    """An ArrayValue or KeyValueList as JSON; negative when damaged. With a stack: numba cannot keep recursion on disk."""
    ends, behind = np.empty(_MAX_DEPTH, np.int64), np.empty(_MAX_DEPTH, np.int64)
    maps, counts = np.empty(_MAX_DEPTH, np.int64), np.empty(_MAX_DEPTH, np.int64)
    level = 0
    ends[0], behind[0], maps[0], counts[0] = end, end, is_map, 0
    out[to] = 123 if is_map else 91
    to += 1
    while True:
        if at >= ends[level]:
            out[to] = 125 if maps[level] else 93
            to += 1
            at = behind[level]
            level -= 1
            if level < 0:
                return to
            continue
        tag, _, start, after = field(buf, at, ends[level])
        if after < 0:
            return DAMAGED
        at = after
        if tag != 10:
            continue
        if counts[level]:
            out[to] = 44
            to += 1
        counts[level] += 1
        stop = after
        if maps[level]:
            key, key_end, start, stop = pair_parts(buf, start, after)
            if key < 0:
                return DAMAGED
            to = _put_quoted(buf, key, key_end, out, to)
            out[to] = 58
            to += 1
        kind, number, start, stop = value_parts(buf, start, stop)
        if kind < 0:
            return DAMAGED
        if kind == 5 or kind == 6:
            level += 1
            if level == _MAX_DEPTH:
                return DAMAGED
            ends[level], behind[level], maps[level], counts[level] = stop, after, kind == 6, 0
            out[to] = 123 if kind == 6 else 91
            to += 1
            at = start
        else:
            to = _put_json_scalar(buf, kind, number, start, stop, out, to)


@kernel
def _put_json_scalar(buf, kind, number, start, stop, out, to):
    if kind == 1:
        return _put_quoted(buf, start, stop, out, to)
    if kind == 2:
        return _put_bool(number, out, to)
    if kind == 3:
        return _put_int(np.int64(number), out, to)
    if kind == 4:
        return _put_double(fixed64(buf, start), out, to, True)
    if kind == 7:
        out[to] = 34
        to = _put_base64(buf, start, stop, out, to + 1)
        out[to] = 34
        return to + 1
    out[to], out[to + 1], out[to + 2], out[to + 3] = 110, 117, 108, 108
    return to + 4

"""The points of time series as the text of JSON, written by compiled code: `[1700000000,"0.25"],[1700000015,"+Inf"],…`.

In: values, and the time of each in milliseconds. Out: bytes, and where in them each series ends. A number is the shortest text that
reads back as the same number, as Go's strconv writes it: with an exponent below 1e-6 and from 1e21 on.
Shortest digits by Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles"): what the interval of all numbers that
are read as this one holds in multiples of powers of ten, by one multiplication with a power that is rounded up to 128 bits.
Importing this module imports numba: do it when there is much to write.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiprism.store.columns import Floats, Ints
from aiprism.store.wire import kernel

Octets = NDArray[np.uint8]

# A number has at most a sign, 17 digits, a point and `e-308`, or six zeros behind the point; a time a sign, 16 digits, a point and
# three more; around them stand seven signs.
_LONGEST_POINT = 28 + 21 + 7
_FIRST_POWER, _LAST_POWER = -292, 324


def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """10 to each power, times the power of two that gives it 128 bits, rounded up: the upper and the lower half."""
    upper, lower = [], []
    for power in range(_FIRST_POWER, _LAST_POWER + 1):
        shift = 127 - ((power * 1741647) >> 19)  # by the logarithm of two, rounded down
        over, under = 10 ** max(power, 0) << max(shift, 0), 10 ** max(-power, 0) << max(-shift, 0)
        scaled = -(-over // under)
        upper.append(scaled >> 64)
        lower.append(scaled & 0xFFFF_FFFF_FFFF_FFFF)
    return np.array(upper, np.uint64), np.array(lower, np.uint64)


_UPPER, _LOWER = _powers()
_HALF, _BITS_OF_HALF = np.uint64(0xFFFF_FFFF), np.uint64(32)
_FRACTION, _HIDDEN = np.uint64((1 << 52) - 1), np.uint64(1 << 52)
_U0, _U1, _U2, _U4, _U10, _U40, _U52 = (np.uint64(each) for each in (0, 1, 2, 4, 10, 40, 52))
_U100, _U1000, _ZERO = np.uint64(100), np.uint64(1000), np.uint64(48)
_EXPONENT, _SIGN = np.uint64(0x7FF), np.uint64(63)
_TENS = np.array([10**power for power in range(18)], np.uint64)
_PAIRS = np.frombuffer(b"".join(b"%02d" % pair for pair in range(100)), np.uint8)


@kernel
def _upper_of_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 of 128 bits."""
    a0, a1, b0, b1 = a & _HALF, a >> _BITS_OF_HALF, b & _HALF, b >> _BITS_OF_HALF
    middle = a1 * b0 + ((a0 * b0) >> _BITS_OF_HALF)
    rest = (middle & _HALF) + a0 * b1
    return a1 * b1 + (middle >> _BITS_OF_HALF) + (rest >> _BITS_OF_HALF)


@kernel
def _rounded_to_odd(upper: np.uint64, lower: np.uint64, factor: np.uint64) -> np.uint64:
    """The upper 64 of 192 bits of the product; the last one says whether anything is lost."""
    carried = _upper_of_product(lower, factor)
    under = upper * factor + carried
    over = _upper_of_product(upper, factor)
    if under < carried:
        over += _U1
    return over | _U1 if under > _U1 else over


@kernel
def _shortest(bits: np.uint64) -> tuple[np.uint64, np.int64]:
    """Digits and exponent of ten of a finite number above zero."""
    fraction, exponent = bits & _FRACTION, np.int64((bits >> _U52) & _EXPONENT)
    whole = fraction | _HIDDEN if exponent else fraction
    two = exponent - 1075 if exponent else np.int64(-1074)
    nearer = fraction == _U0 and exponent > 1  # the number below is half as far as the one above
    odd = whole & _U1
    ten = (two * 1262611 - (524031 if nearer else 0)) >> 22
    shift = np.uint64(two + ((-ten * 1741647) >> 19) + 1)
    at = -ten - _FIRST_POWER
    upper, lower = _UPPER[at], _LOWER[at]
    quarter = whole * _U4
    below = _rounded_to_odd(upper, lower, (quarter - (_U1 if nearer else _U2)) << shift) + odd
    here = _rounded_to_odd(upper, lower, quarter << shift)
    above = _rounded_to_odd(upper, lower, (quarter + _U2) << shift) - odd
    digits = here // _U4
    if digits >= _U10:
        fewer = digits // _U10
        down, up = below <= _U40 * fewer, _U40 * fewer + _U40 <= above
        if down != up:
            return (fewer + _U1 if up else fewer), ten + 1
    down, up = below <= _U4 * digits, _U4 * digits + _U4 <= above
    if down != up:
        return (digits + _U1 if up else digits), ten
    middle = _U4 * digits + _U2
    if here > middle or (here == middle and digits & _U1):
        return digits + _U1, ten
    return digits, ten


@kernel
def _put_digits(out: Octets, at: np.int64, digits: np.uint64, count: np.int64) -> None:
    """Two at a time, from the last one on: each division waits for the one before."""
    place = np.uint64(at + count)
    while count > 1:
        rest = digits // _U100
        pair = (digits - rest * _U100) * _U2
        place -= _U2
        out[place], out[place + _U1] = _PAIRS[pair], _PAIRS[pair + _U1]
        digits = rest
        count -= 2
    if count:
        out[place - _U1] = np.uint8(_ZERO + digits)


@kernel
def _count_of_digits(digits: np.uint64) -> np.int64:
    count = np.int64(1)
    while count < 17 and digits >= _TENS[np.uint64(count)]:
        count += 1
    return count


@kernel
def _put_word(out: Octets, at: np.int64, first: int, second: int, third: int) -> np.int64:
    out[at], out[at + 1], out[at + 2] = first, second, third
    return at + 3


@kernel
def put_number(out: Octets, at: np.int64, value: float, bits: np.uint64) -> np.int64:
    """Write a number from place `at` on; gives the place behind it."""
    if value != value:
        return _put_word(out, at, 78, 97, 78)  # NaN
    if np.isinf(value):
        out[at] = 43 if value > 0 else 45
        return _put_word(out, at + 1, 73, 110, 102)  # Inf
    if bits >> _SIGN:
        out[at] = 45
        at += 1
    size = abs(value)
    if size < 9007199254740992.0 and np.float64(np.int64(size)) == size:
        digits = np.uint64(np.int64(size))
        count = _count_of_digits(digits)
        _put_digits(out, at, digits, count)
        return at + count
    digits, ten = _shortest(bits & ~(_U1 << _SIGN))
    rest = digits // _U10
    while rest * _U10 == digits:
        digits, ten = rest, ten + 1
        rest = digits // _U10
    count = _count_of_digits(digits)
    point = count + ten  # digits before the point
    if point < -5 or point > 21:
        return _put_scientific(out, at, digits, count, point - 1)
    if point <= 0:
        out[at], out[at + 1] = 48, 46
        for place in range(-point):
            out[at + 2 + place] = 48
        _put_digits(out, at + 2 - point, digits, count)
        return at + 2 - point + count
    if ten >= 0:
        _put_digits(out, at, digits, count)
        for place in range(ten):
            out[at + count + place] = 48
        return at + point
    _put_digits(out, at + 1, digits, count)
    for place in range(point):
        out[at + place] = out[at + place + 1]
    out[at + point] = 46
    return at + count + 1


@kernel
def _put_scientific(out: Octets, at: np.int64, digits: np.uint64, count: np.int64, exponent: np.int64) -> np.int64:
    _put_digits(out, at + 1, digits, count)
    out[at] = out[at + 1]
    if count > 1:
        out[at + 1] = 46
        at += count + 1
    else:
        at += 1
    out[at], out[at + 1] = 101, 43 if exponent > 0 else 45
    size = np.uint64(abs(exponent))
    wide = np.int64(3 if size >= _U100 else 2)
    _put_digits(out, at + 2, size, wide)
    return at + 2 + wide


@kernel
def _put_time(out: Octets, at: np.int64, ts_ms: np.int64) -> np.int64:
    """Milliseconds as seconds, with three decimals unless they are whole."""
    if ts_ms < 0:
        out[at] = 45
        at += 1
    size = np.uint64(abs(ts_ms))
    whole = size // _U1000
    count = _count_of_digits(whole)
    _put_digits(out, at, whole, count)
    at += count
    if size == whole * _U1000:
        return at
    out[at] = 46
    _put_digits(out, at + 1, size - whole * _U1000, np.int64(3))
    return at + 4


@kernel
def _put_points(out: Octets, values: Floats, bits: NDArray[np.uint64], ts_ms: Ints, sizes: Ints, ends: Ints) -> None:
    at = point = np.int64(0)
    for series in range(len(sizes)):
        for rank in range(sizes[series]):
            if rank:
                out[at] = 44
                at += 1
            out[at] = 91
            at = _put_time(out, at + 1, ts_ms[point])
            out[at], out[at + 1] = 44, 34
            at = put_number(out, at + 2, values[point], bits[point])
            out[at], out[at + 1] = 34, 93
            at += 2
            point += 1
        ends[series] = at


def points(values: Floats, ts_ms: Ints, sizes: Ints) -> tuple[memoryview, Ints]:
    """The text of all points, series by series, and where that of each ends: series i has ``sizes[i]`` of them, with commas
    between."""
    values, ends = np.ascontiguousarray(values), np.zeros(len(sizes), np.int64)
    out = np.empty(len(values) * _LONGEST_POINT, np.uint8)
    _put_points(out, values, values.view(np.uint64), ts_ms, sizes, ends)
    return memoryview(out.data), ends

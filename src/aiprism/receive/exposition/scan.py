"""Pages of the text formats read where they lie, by machine code: a line that came before costs one look-up.

In: the body of a scrape, in Prometheus' text format or OpenMetrics, and the table of the lines that were met before. Out:
for each sample the place its series is known under (or that it is not), its value and time; where the comments and the
exemplars lie. A series is known by a salted 64-bit hash of what stands before its value. Whether those bytes are sound is
looked at once, by text.py, when they are new.

Numbers of few digits are made here; the others are found here and made by Arrow, which rounds as the standard asks.
Importing this module imports numba: do it when the first body arrives.
Sources: Prometheus documentation, "Exposition formats"; the OpenMetrics 1.0 specification.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.errors import BadInput
from aiprism.receive.bytehash import finished, hashed, mixed, multiplier, position
from aiprism.receive.exposition.rows import NO_TIME
from aiprism.store.columns import FingerprintTable
from aiprism.store.wire import inlined, kernel

# What is wrong with a line, by the number that the kernel answers.
_WRONG = (
    "",
    "expected a metric name",
    "expected a value after the series",
    "the labels do not end",
    "is no number",
    "expected the end of the line",
    "is no timestamp",
    "an empty line, which OpenMetrics has none of",
    "a line after # EOF",
)
_NAME, _VALUE, _OPEN, _NUMBER, _MORE, _TIME, _BLANK, _EOF = range(1, 9)
_MOST_SECONDS = 9e15
_SHOWN = 80  # bytes of a line that an error repeats

# Ten to the power of k, exactly: up to there one multiplication or division of an exact integer is rounded once.
_EXACT_TENS = 10.0 ** np.arange(23)
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says, by sample: the hash of its series, the place it is known under (or UNKNOWN) and where it stands;
    value and Unix milliseconds (or NO_TIME).

    `exemplars` has a row (sample, start, end) for each exemplar, `comments` (start, end) for each comment, and
    `comments_hash` is the same as long as all of these are.
    """

    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]
    spans: NDArray[np.int64]
    values: NDArray[np.float64]
    ts_ms: NDArray[np.int64]
    exemplars: NDArray[np.int64]
    comments: NDArray[np.int64]
    comments_hash: int


def scan(body: bytes, known: FingerprintTable, salt: int, whose: int, *, openmetrics: bool) -> Page:
    """What `body` says; BadInput with the number of the line when that is not well formed.

    Lines of several targets may be alike and mean different series: `whose` keeps them apart.
    """
    buf = np.frombuffer(body, dtype=np.uint8)
    room = int(np.count_nonzero(buf == 10)) + 1
    hashes, places = np.empty(room, np.uint64), np.empty(room, np.int64)
    spans, exemplars, comments = (
        np.empty((room, 2), np.int64),
        np.empty((room, 3), np.int64),
        np.empty((room, 2), np.int64),
    )
    values, ts_ms = np.empty(room, np.float64), np.empty(room, np.int64)
    hard = np.empty((2 * room, 3), np.int64)
    found = _scan(
        buf, np.uint64(salt), np.uint64(whose), known.keys, known.places, openmetrics,
        hashes, places, spans, values, ts_ms, exemplars, comments, hard, _EXACT_TENS,
    )  # fmt: skip
    n, m, k, h, comments_hash, wrong, at = found
    if wrong:
        raise _fault(body, int(wrong), int(at))
    _fill_in(body, hard[:h], values, ts_ms)
    return Page(
        hashes[:n], places[:n], spans[:n], values[:n], ts_ms[:n], exemplars[:m], comments[:k], int(comments_hash)
    )


def _fault(body: bytes, wrong: int, at: int) -> BadInput:
    start = body.rfind(b"\n", 0, at) + 1
    end = body.find(b"\n", at)
    line = body[start : end if end >= 0 else len(body)].decode("utf-8", "replace")
    token = body[at : at + _SHOWN].split(b"\n")[0].split(b" ")[0].decode("utf-8", "replace")
    number = body.count(b"\n", 0, at) + 1
    what = f"{token!r} {_WRONG[wrong]}" if wrong in (_NUMBER, _TIME) else _WRONG[wrong]
    return BadInput(f"line {number}: {what}: {line[:_SHOWN]!r}")


def _fill_in(body: bytes, hard: NDArray[np.int64], values: NDArray[np.float64], ts_ms: NDArray[np.int64]) -> None:
    """Numbers that need more than an exact integer and a small power of ten: (row, start, end) of each, the row of a time
    counted from -1 downwards."""
    if not len(hard):
        return
    texts = [body[start:end] for _, start, end in hard.tolist()]
    numbers = pc.cast(pa.array(texts, pa.binary()).cast(pa.string()), pa.float64()).to_numpy()
    for (row, start, _), number in zip(hard.tolist(), numbers.tolist(), strict=True):
        if row >= 0:
            values[row] = number
        elif abs(number) < _MOST_SECONDS:
            ts_ms[-1 - row] = int(number * 1000)
        else:
            raise _fault(body, _TIME, start)


# -- compiled --------------------------------------------------------------------------------------------------------


@kernel
def _scan(
    buf, salt, whose, keys, known, openmetrics, hashes, places, spans, values, ts_ms, exemplars, comments, hard, tens
):
    """(samples, exemplars, comments, hard numbers, hash of the comments, what is wrong, where)."""
    by = multiplier(salt)
    seed = mixed(salt, whose, by)
    said = seed
    n, m, k, h = 0, 0, 0, 0
    at, size = 0, len(buf)
    ended = False
    while at < size:
        begin = at
        at = _past_blanks(buf, at, size)
        if at == size:
            break
        if ended:
            return n, m, k, h, said, _EOF, begin
        octet = buf[np.uint64(at)]
        if octet == 10:
            if openmetrics:
                return n, m, k, h, said, _BLANK, begin
            at += 1
            continue
        if octet == 35:  # '#'
            end = _line_end(buf, at, size)
            comments[k, 0], comments[k, 1] = at, end
            k += 1
            said = hashed(buf, at, end, said, by)
            ended = openmetrics and end - at == 5 and buf[at + 2] == 69 and buf[at + 3] == 79 and buf[at + 4] == 70
            at = end + 1
            continue
        # the series: a name, labels in braces, or both
        start = at
        at = _name_end(buf, at, size)
        end = at
        at = _past_blanks(buf, at, size)
        if at < size and buf[np.uint64(at)] == 123:  # '{'
            at = _braces_end(buf, at + 1, size)
            if at < 0:
                return n, m, k, h, said, _OPEN, start
            end = at
            at = _past_blanks(buf, at, size)
        if end == start:
            return n, m, k, h, said, _NAME, start
        hashes[n] = finished(hashed(buf, start, end, seed, by))
        spans[n, 0], spans[n, 1] = start, end
        # the value
        first, at = at, _token_end(buf, at, size)
        if first == at:
            return n, m, k, h, said, _VALUE, start
        kind, number = _number(buf, first, at, tens)
        if kind == _WRONG_NUMBER:
            return n, m, k, h, said, _NUMBER, first
        if kind == _HARD_NUMBER:
            hard[h, 0], hard[h, 1], hard[h, 2] = n, first, at
            h += 1
        values[n] = number
        # a timestamp
        ts_ms[n] = NO_TIME
        at = _past_blanks(buf, at, size)
        if at < size and buf[np.uint64(at)] != 10 and buf[np.uint64(at)] != 35:
            first, at = at, _token_end(buf, at, size)
            kind, when = _time(buf, first, at, openmetrics, tens)
            if kind == _WRONG_NUMBER:
                return n, m, k, h, said, _TIME, first
            if kind == _HARD_NUMBER:
                hard[h, 0], hard[h, 1], hard[h, 2] = -1 - n, first, at
                h += 1
            ts_ms[n] = when
            at = _past_blanks(buf, at, size)
        # an exemplar, and the end
        if at < size and buf[np.uint64(at)] == 35 and openmetrics:
            end = _line_end(buf, at, size)
            exemplars[m, 0], exemplars[m, 1], exemplars[m, 2] = n, at + 1, end
            m += 1
            at = end
        if at < size and buf[np.uint64(at)] != 10:
            return n, m, k, h, said, _MORE, at
        at += 1
        n += 1
    # In a loop of its own, so that the waits for memory overlap.
    for row in range(n):
        places[row] = position(keys, known, hashes[row])
    return n, m, k, h, said, 0, 0


_PLAIN, _HARD_NUMBER, _WRONG_NUMBER = 0, 1, 2


@inlined
def _past_blanks(buf, at, size):
    while at < size and (buf[np.uint64(at)] == 32 or buf[np.uint64(at)] == 9):
        at += 1
    return at


@inlined
def _line_end(buf, at, size):
    while at < size and buf[np.uint64(at)] != 10:
        at += 1
    return at


@inlined
def _token_end(buf, at, size):
    while at < size and buf[np.uint64(at)] > 32:
        at += 1
    return at


@inlined
def _name_end(buf, at, size):
    while at < size and buf[np.uint64(at)] > 32 and buf[np.uint64(at)] != 123:
        at += 1
    return at


@inlined
def _braces_end(buf, at, size):
    """Behind the brace that closes: one in quotes does not, and a line ends all."""
    quoted = False
    while at < size:
        octet = buf[np.uint64(at)]
        at += 1
        if octet == 10:
            return -1
        if octet == 34:
            quoted = not quoted
        elif quoted and octet == 92 and at < size and buf[np.uint64(at)] != 10:
            at += 1
        elif octet == 125 and not quoted:
            return at
    return -1


@kernel
def _number(buf, at, end, tens):
    """(_PLAIN, the number) · (_HARD_NUMBER, 0) for one that takes more care · (_WRONG_NUMBER, 0), from `at` to `end`."""
    negative = buf[at] == 45
    if negative or buf[at] == 43:
        at += 1
    digits, scale, seen, cut = np.uint64(0), np.int64(0), 0, False
    point = False
    begin = at
    while at < end:
        octet = buf[np.uint64(at)]
        if 48 <= octet <= 57:
            seen += 1
            if digits < np.uint64(_EXACT // 10):
                digits = digits * np.uint64(10) + np.uint64(octet - 48)
                scale -= 1 if point else 0
            else:
                cut = True
        elif octet == 46 and not point:
            point = True
        else:
            break
        at += 1
    if seen == 0:
        return _word(buf, begin, end, negative)
    if at < end:
        if buf[np.uint64(at)] | 32 != 101:  # 'e'
            return _WRONG_NUMBER, 0.0
        at += 1
        down = at < end and buf[np.uint64(at)] == 45
        if down or (at < end and buf[np.uint64(at)] == 43):
            at += 1
        if at == end:
            return _WRONG_NUMBER, 0.0
        power = np.int64(0)
        while at < end:
            octet = buf[np.uint64(at)]
            if octet < 48 or octet > 57:
                return _WRONG_NUMBER, 0.0
            if power < 100_000:  # more of them only make it greater
                power = power * 10 + np.int64(octet) - 48
            at += 1
        scale += np.int64(-power if down else power)
    if cut or scale < -22 or scale > 22:
        return _HARD_NUMBER, 0.0
    number = np.float64(digits)
    number = number / tens[-scale] if scale < 0 else number * tens[scale]
    return _PLAIN, -number if negative else number


@kernel
def _word(buf, at, end, negative):
    """The numbers that are words, in capitals or not: inf, infinity, nan."""
    size = end - at
    if size == 3 or size == 8:
        first, second, third = buf[at] | 32, buf[at + 1] | 32, buf[at + 2] | 32
        if first == 110 and second == 97 and third == 110 and size == 3:
            return _PLAIN, np.nan
        if first == 105 and second == 110 and third == 102:
            tail = np.uint8(0)
            if size == 8:  # inity
                tail = (
                    ((buf[at + 3] | 32) ^ 105)
                    | ((buf[at + 4] | 32) ^ 110)
                    | ((buf[at + 5] | 32) ^ 105)
                    | ((buf[at + 6] | 32) ^ 116)
                    | ((buf[at + 7] | 32) ^ 121)
                )
            if tail == 0:
                return _PLAIN, -np.inf if negative else np.inf
    return _WRONG_NUMBER, 0.0


@kernel
def _time(buf, at, end, openmetrics, tens):
    """Unix milliseconds, as `_number`: whole milliseconds in the text format, seconds in OpenMetrics."""
    if openmetrics:
        kind, seconds = _number(buf, at, end, tens)
        if kind == _PLAIN:
            if not abs(seconds) < _MOST_SECONDS:
                return _WRONG_NUMBER, np.int64(0)
            return kind, np.int64(seconds * 1000)
        return kind, np.int64(0)
    negative = buf[at] == 45
    if negative or buf[at] == 43:
        at += 1
    if at == end or end - at > 18:
        return _WRONG_NUMBER, np.int64(0)
    whole = np.int64(0)
    while at < end:
        octet = buf[np.uint64(at)]
        if octet < 48 or octet > 57:
            return _WRONG_NUMBER, np.int64(0)
        whole = whole * 10 + np.int64(octet) - 48
        at += 1
    return _PLAIN, -whole if negative else whole

"""The pattern of a log line: the line with its variable parts masked, so that lines of one statement count as one.

In: lines, as Arrow lays texts out (bytes and offsets). Out: for each line the number of its pattern, and the patterns.
One pass in compiled code; six regular expressions one after the other took ten times as long. `detect/logpatterns.py` goes
on from there with what only many patterns tell. What is masked at the start of a token, the first that fits wins:

    <url>    scheme://… up to white space, a quote or a bracket
    <path>   /… , ./… , ~/… , C:\\… , \\\\…
    <text>   a quoted value right behind an equals sign
    <email>  name@host.tld, and [redacted:email] where one stood
    <uuid>   8-4-4-4-12 hexadecimal digits
    <time>   2026-09-21T13:00:05.123Z, with a space for T, a comma for the point, any offset or none
    <ip>     four numbers of up to three digits, with a port or without; four hexadecimal groups and more with colons between
    <host>   a dotted name that ends in a usual top-level domain or is followed by a port
    <hex>    0x…; eight hexadecimal digits or more
    <num>    a number with sign, decimals, and points or dashes between further ones; a unit of it stays (<num>ms)
    <id>     any other token that holds a digit, unless it is letters with one digit behind (eth0)

What else was redacted (`receive/redaction.py`) stays as it reads: it is the same in every line of a statement.

A token ends at white space, at three dots and at any of = : , ( ) [ ] { } " ' | ; < > # @. White space is one space.
Neighbours of one kind (`10, 20, 30`) are one mask, so that lists of any length are one pattern.
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

    >>> pattern_of("order A-17 of ada@example.com failed after 0.25s at 10.0.0.7:443")
    'order <id> of <email> failed after <num>s at <ip>'
    """
    data = np.frombuffer(line.encode(), np.uint8)
    return str(patterns_of(data, np.array([0, len(data)], np.int32)).to_pylist()[0])


def patterns_of(data: Bytes, offsets: npt.NDArray[np.int32]) -> pa.DictionaryArray:
    """The patterns of the lines between `offsets[i]` and `offsets[i + 1]`, each different one held once."""
    lines = len(offsets) - 1
    codes, starts = np.empty(lines, np.int32), np.empty(lines + 1, np.int32)
    # A mask may be longer than what it hides (7 → <num>), at worst every other byte.
    texts = np.empty(4 * int(np.minimum(np.diff(offsets), LONGEST).sum()) + 16, np.uint8)
    slots = np.full(1 << max(4, (2 * lines).bit_length()), -1, np.int32)
    found = _code(data, offsets, codes, texts, starts, slots, np.empty(lines, np.uint64))
    used = int(starts[found])
    buffers = [None, pa.py_buffer(starts[: found + 1]), pa.py_buffer(texts[:used])]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.Array.from_buffers(pa.string(), found, buffers))


# -- compiled --------------------------------------------------------------------------------------------------------

# Classes of bytes, as bits
_DIGIT, _HEX, _ALPHA, _SPACE, _DELIMITER, _LOCAL, _HOST, _PATH_END, _DOT = 1, 2, 4, 8, 16, 32, 64, 128, 256


def _classes() -> npt.NDArray[np.uint16]:
    table = np.zeros(256, np.uint16)
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = b"0123456789"
    spaces = b" \t\r\n\v\f"
    for bit, members in (
        (_DIGIT, digits),
        (_HEX, digits + b"abcdefABCDEF"),
        (_ALPHA, letters),
        (_SPACE, spaces),
        (_DELIMITER, spaces + b"=:,()[]{}\"'|;<>#@"),
        (_LOCAL, letters + digits + b"._%+-"),
        (_HOST, letters + digits + b".-"),
        (_DOT, b"."),
        (_PATH_END, spaces + b":\"'(),;[]{}<>"),
    ):
        for member in members:
            table[member] |= bit
    return table


def _table(words: str) -> npt.NDArray[np.int64]:
    """Words of up to eight characters as numbers, as `_word_at` reads them, in order."""
    return np.array(sorted(int.from_bytes(word.encode(), "big") for word in words.split()), np.int64)


_CLASS = _classes()
_NAMES = ("uuid", "email", "time", "ip", "hex", "num", "url", "path", "text", "host", "id")
_MASKS = "".join(f"<{name}>" for name in _NAMES)
_MASK = np.frombuffer(_MASKS.encode(), np.uint8)
_UUID, _EMAIL, _TIME, _IP, _HEXED, _NUM, _URL, _PATH, _TEXT, _NAMED, _ID = range(len(_NAMES))
_REDACTED = np.uint64(int.from_bytes(b"[redacte", "little"))
_STARTS = np.array([_MASKS.index(f"<{name}>") for name in (*_NAMES,)] + [len(_MASKS)], np.int64)
_UNITS = _table("s m h d B b k K M G T x % ms us ns KB kB MB GB TB Kb Mb KiB MiB GiB TiB sec min th px bps")
_DOMAINS = _table(
    "com net org edu gov mil int info biz io ai app dev cloud local lan corp internal svc arpa at au be br ca ch cn cz de dk "
    "es eu fi fr gr hk hu ie il in it jp kr mx nl no nz pl pt ro ru se sg tr tw ua uk us za"
)


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
    begin = to
    masked_to, kind = np.int64(-1), -1  # where the last mask ends, and which it is
    while at < end:
        byte = data[np.uint64(at)]
        if _CLASS[byte] & _SPACE:
            at = _run(data, at, end, _SPACE)
            if to > begin and at < end:
                out[np.uint64(to)] = 32
                to += 1
            continue
        after, what = _special(data, at, end, to > begin and out[np.uint64(to - 1)] == 61)
        if what < 0:
            if _CLASS[byte] & _DELIMITER:
                out[np.uint64(to)] = byte
                to += 1
                at += 1
                continue
            if _leader(data, at, end):
                to = copy(data, at, at + 3, out, to)
                at = _run(data, at, end, _DOT)
                continue
            after, what = _token(data, at, end)
            if what < 0:
                to = copy(data, at, after, out, to)
                at = after
                continue
        to = (
            masked_to
            if what == kind and _joins(out, masked_to, to)
            else copy(_MASK, _STARTS[what], _STARTS[what + 1], out, to)
        )
        masked_to, kind, at = to, what, after
        # What follows a mask within its token is no token of its own: a unit or a full stop stays, more values do not.
        after = _rest(data, at, end)
        if not _holds_digit(data, at, after):
            to = copy(data, at, after, out, to)
        at = after
    return to


@kernel
def _joins(out, masked_to, to):
    """Whether nothing but a separator stands between two masks, so that they are members of one list."""
    size = to - masked_to
    if size <= 0:
        return size == 0
    first = out[np.uint64(masked_to)]
    if size == 1:
        return first in (32, 35, 44, 45, 46, 47, 58, 64, 95)  # space # , - . / : @ _
    if size == 2:
        return (first == 44 and out[np.uint64(masked_to + 1)] == 32) or (
            first == 35 and out[np.uint64(masked_to + 1)] == 35
        )
    return False


@kernel
def _rest(data, at, end):
    while at < end and not _CLASS[data[np.uint64(at)]] & _DELIMITER and not _leader(data, at, end):
        at += 1
    return at


@kernel
def _leader(data, at, end):
    return data[at] == 46 and at + 2 < end and data[at + 1] == 46 and data[at + 2] == 46


@kernel
def _holds_digit(data, at, end):
    digits = 0
    for k in range(at, end):
        digits += _CLASS[data[k]] & _DIGIT
    return digits > 0


@kernel
def _run(data, at, end, kind):
    """Where the bytes of class `kind` from `at` on end."""
    while at < end and _CLASS[data[np.uint64(at)]] & kind:
        at += 1
    return at


@kernel
def _word_at(data, at, end, lower):
    """The bytes between `at` and `end` as one number, 0 when there are none or more than eight."""
    if not 0 < end - at <= 8:
        return np.int64(0)
    value = np.int64(0)
    for k in range(at, end):
        byte = np.int64(data[k])
        if lower and 65 <= byte <= 90:
            byte += 32
        value = value << 8 | byte
    return value


@kernel
def _known(table, word):
    k = np.searchsorted(table, word)
    return word != 0 and k < table.size and table[k] == word


# -- what reaches over delimiters --------------------------------------------------------------------------------------


@kernel
def _special(data, at, end, after_equals):
    """(position behind it, mask) of what begins at `at` and may hold delimiters; (0, -1) when nothing does."""
    byte = data[np.uint64(at)]
    if byte == 34:
        if after_equals:
            for k in range(at + 1, end):
                if data[k] == 34:
                    return k + 1, _TEXT
        return 0, -1
    if byte == 91:
        after = _redacted(data, at, end)
        # [redacted:email]
        return (after, _EMAIL) if after - at == 16 and data[after - 2] == 108 else (0, -1)
    if _CLASS[byte] & _DELIMITER and byte != 58:
        return 0, -1
    after = _path(data, at, end)
    if after:
        return after, _PATH
    if byte == 58 or _CLASS[byte] & _HEX:
        after = _groups(data, at, end)
        if after:
            return after, _IP
    if _CLASS[byte] & _DIGIT:
        after = _time(data, at, end)
        if after:
            return after, _TIME
        after = _ip(data, at, end)
        if after:
            return after, _IP
    if _CLASS[byte] & _ALPHA:
        after = _url(data, at, end)
        if after:
            return after, _URL
    if _CLASS[byte] & _LOCAL:
        after = _email(data, at, end)
        if after:
            return after, _EMAIL
        after = _host(data, at, end)
        if after:
            return after, _NAMED
    return 0, -1


@kernel
def _redacted(data, at, end):
    """The end of [redacted:kind] at `at`, 0 when there is none."""
    if at + 10 >= end or fixed64(data, at) != _REDACTED or data[at + 8] != 100 or data[at + 9] != 58:
        return 0
    at += 10
    while at < end and (_CLASS[data[at]] & _ALPHA or data[at] == 95):
        at += 1
    return at + 1 if at < end and data[at] == 93 else 0


@kernel
def _path(data, at, end):
    first = data[at]
    second = data[at + 1] if at + 1 < end else 0
    third = data[at + 2] if at + 2 < end else 0
    if first == 47:  # /x
        start = at + 1
    elif (first == 126 or first == 46) and second == 47:  # ~/ ./
        start = at + 2
    elif first == 46 and second == 46 and third == 47:  # ../
        start = at + 3
    elif first == 92 and second == 92:  # \\server
        start = at + 2
    elif _CLASS[first] & _ALPHA and second == 58 and third == 92:  # C:\
        start = at + 3
    else:
        return 0
    at = start
    while at < end:
        byte = data[at]
        if byte == 91:  # [2026-09-21_10,00] is part of a name
            closing = at + 1
            while closing < end and data[closing] != 93 and not _CLASS[data[closing]] & _SPACE:
                closing += 1
            if closing >= end or data[closing] != 93:
                break
            at = closing + 1
        elif byte == 58 and at + 1 < end and _CLASS[data[at + 1]] & _DIGIT and _CLASS[data[at - 1]] & _DIGIT:
            at += 1
        elif _CLASS[byte] & _PATH_END:
            break
        else:
            at += 1
    while at > start and data[at - 1] == 46:
        at -= 1
    return at if at > start else 0


@kernel
def _url(data, at, end):
    colon = at
    while colon < end and (_CLASS[data[colon]] & (_ALPHA | _DIGIT) or data[colon] in (43, 45, 46)):
        colon += 1
    if colon + 3 >= end or data[colon] != 58 or data[colon + 1] != 47 or data[colon + 2] != 47:
        return 0
    after = colon + 3
    while after < end and not (_CLASS[data[after]] & _SPACE or data[after] in (34, 39, 60, 62, 93, 41, 125)):
        covered = _redacted(data, after, end) if data[after] == 91 else 0
        after = covered if covered else after + 1
    while after > colon + 3 and data[after - 1] in (46, 44, 58, 59):
        after -= 1
    return after


@kernel
def _groups(data, at, end):
    """The end of a hardware or IPv6 address: groups of up to four hexadecimal digits, four of them, or two colons and a
    digit among them."""
    groups, doubled, digits, k = 0, False, False, at
    while k < end:
        after = k
        while after < end and after - k < 5 and _CLASS[data[after]] & _HEX:
            digits |= _CLASS[data[after]] & _DIGIT != 0
            after += 1
        if after - k > 4:
            return 0
        if after > k:
            groups += 1
        elif not (k < end and data[k] == 58):
            break
        k = after
        if k >= end or data[k] != 58:
            break
        if k + 1 < end and data[k + 1] == 58:
            if doubled:
                return 0
            doubled = True
            k += 2
        elif k + 1 < end and _CLASS[data[k + 1]] & _HEX:
            k += 1
        else:
            break
    if k < end and not _CLASS[data[k]] & _DELIMITER and data[k] not in (37, 46, 47):  # % . /
        return 0
    if groups >= 4 or (doubled and groups >= 2 and digits):
        return k
    return 0


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
    if at < end and not _CLASS[data[at]] & _DELIMITER and (data[at] not in (46, 47)):
        return 0
    if at + 1 < end and data[at] == 46 and _CLASS[data[at + 1]] & _DIGIT:  # a version of five numbers
        return 0
    return _port(data, at, end)


@kernel
def _port(data, at, end):
    """Behind the port that follows `at`, or what a slash joins to it (host/10.0.0.7:443); `at` when there is neither."""
    if at < end and data[at] == 47:
        at = _rest(data, at, end)
    if at + 1 < end and data[at] == 58:
        after = _run(data, at + 1, end, _DIGIT)
        if 0 < after - at - 1 <= 5 and (
            after == end or _CLASS[data[after]] & _DELIMITER or data[after] == 47 or data[after] == 46
        ):
            return after
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


@kernel
def _host(data, at, end):
    after = _run(data, at, end, _HOST)
    while after > at and data[after - 1] == 46:  # a full stop
        after -= 1
    if after < end and not _CLASS[data[after]] & _DELIMITER and data[after] not in (46, 47):
        return 0
    dot = after - 1
    while dot > at and data[dot] != 46:
        dot -= 1
    letters = False
    for k in range(at, after):
        letters |= _CLASS[data[k]] & _ALPHA != 0
    if dot <= at or not letters:
        return 0
    behind = _port(data, after, end)
    if behind > after:
        return behind
    return after if _known(_DOMAINS, _word_at(data, dot + 1, after, True)) else 0


# -- a token -----------------------------------------------------------------------------------------------------------


@kernel
def _token(data, at, end):
    """(position behind it, mask or -1) of the token that begins at `at`."""
    token_end = _rest(data, at, end)
    bare = token_end  # without the punctuation behind it
    while bare > at and data[bare - 1] in (33, 46, 63):  # ! . ?
        bare -= 1
    digits, letters, hexes, others = 0, 0, 0, 0
    for k in range(np.uint64(at), np.uint64(bare)):
        kind = _CLASS[data[k]]
        if kind & _DIGIT:
            digits += 1
        elif kind & _ALPHA:
            letters += 1
        else:
            others += 1
        hexes += kind & _HEX != 0
    size = bare - at
    if size >= 8 and hexes == size:
        return bare, _HEXED
    if digits == 0:
        return token_end, -1
    if letters == 0 and _plain(data, at, bare):
        return bare, _NUM
    if size == 36 and digits + letters == 32 and _uuid(data, at):
        return bare, _UUID
    if size > 2 and data[at] == 48 and (data[at + 1] == 120 or data[at + 1] == 88) and hexes == size - 1:
        return bare, _HEXED
    if digits == 1 and others == 0 and letters > 1 and _CLASS[data[bare - 1]] & _DIGIT:
        return token_end, -1
    number = _number(data, at, bare)
    if number > at and (number == bare or _known(_UNITS, _word_at(data, number, bare, False))):
        return number, _NUM
    return bare, _ID


@kernel
def _plain(data, at, end):
    """Whether there is nothing but digits and what stands between or before them."""
    others = 0
    for k in range(at, end):
        others += not (_CLASS[data[k]] & _DIGIT or data[k] in (43, 45, 46, 47, 95, 126))  # + - . / _ ~
    return others == 0


@kernel
def _number(data, at, end):
    """Behind the number at `at`; `at` when there is none."""
    start = at
    if at < end and (data[at] == 43 or data[at] == 45):
        at += 1
    digits = _run(data, at, end, _DIGIT)
    if digits == at:
        return start
    if digits + 1 < end and data[digits] == 46 and _CLASS[data[digits + 1]] & _DIGIT:
        digits = _run(data, digits + 1, end, _DIGIT)
    return digits


@kernel
def _uuid(data, at):
    for k in range(36):
        byte = data[at + k]
        if k == 8 or k == 13 or k == 18 or k == 23:
            if byte != 45:
                return False
        elif not _CLASS[byte] & _HEX:
            return False
    return True

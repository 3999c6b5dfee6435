"""Which texts may hold a secret: one pass of compiled code over their bytes, before any regular expression runs.

In: texts as Arrow lays them out (bytes and offsets). Out: for each a set of kinds, as bits, of which it *may* hold one:
`redaction.py` looks closer at those. Most lines hold none, so most are read once, byte by byte, and never again. A kind is
seen by a byte of it that is rare in logs (the @ of an address, the J of eyJ, the colon behind a word like password) and by
what stands beside that byte. No look goes further than a few bytes, so that no text costs more than its length.

Payment card numbers are told here to the end (`card_ends`), by length, issuer and check digit (ISO/IEC 7812-1, annex B): a
number of sixteen digits alone is an id more often than a card.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aiprism.store.wire import inlined, kernel

Bytes = npt.NDArray[np.uint8]

PRIVATE_KEY, URL, TOKEN, AWS, API_KEY, PASSWORD, EMAIL, CARD = (1 << bit for bit in range(8))


def kinds_in(data: Bytes, offsets: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """The kinds that each text between `offsets[i]` and `offsets[i + 1]` may hold."""
    found = np.zeros(len(offsets) - 1, np.uint8)
    _look(data, offsets, found)
    return found


def card_ends(data: bytes) -> list[tuple[int, int]]:
    """Where the payment card numbers of one text begin and end.

    >>> card_ends(b"paid with 4111 1111 1111 1111, order 4111111111111112")
    [(10, 29)]
    """
    buf = np.frombuffer(data, np.uint8)
    places = np.empty((len(data) // 13 + 1, 2), np.int64)
    return [(start, end) for start, end in places[: _note_cards(buf, places)].tolist()]


# -- compiled --------------------------------------------------------------------------------------------------------

_DIGIT, _LETTER, _TRIGGER, _LOCAL = 1, 2, 4, 8
_NAME = 32  # bytes of a name that are looked at before its = or :


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = b"0123456789"
    for bit, members in (
        (_DIGIT, digits),
        (_LETTER, letters),
        (_TRIGGER, digits + b"@%=:-_bBJKSGz"),
        (_LOCAL, letters + digits + b"._%+-" + bytes(range(128, 256))),
    ):
        for member in members:
            table[member] |= bit
    return table


_CLASS = _classes()


@kernel
def _look(data, offsets, found):
    for row in range(found.size):
        found[row] = _kinds(data, np.int64(offsets[row]), np.int64(offsets[row + 1]))


@inlined
def _kinds(data, begin, end):
    found, at = 0, begin
    while at < end:
        byte = data[np.uint64(at)]
        if not _CLASS[byte] & _TRIGGER:
            at += 1
            continue
        if _CLASS[byte] & _DIGIT:
            after = at + 1
            while after < end and _CLASS[data[np.uint64(after)]] & _DIGIT:
                after += 1
            # A card begins with a group of four digits, or is one group.
            if (after - at == 4 or after - at >= 13) and not found & CARD and _card(data, begin, at, end):
                found |= CARD
            at = after
            continue
        found |= _seen(data, begin, at, end, byte)
        at += 1
    return found


@inlined
def _seen(data, begin, at, end, byte):
    """The kinds of which the trigger `byte` at `at` may be a part."""
    before = data[at - 1] if at > begin else 0
    after = data[at + 1] if at + 1 < end else 0
    if byte == 61 or byte == 58:  # = :
        return _named(data, begin, at)
    if byte == 64:  # @
        return EMAIL | URL if _CLASS[before] & _LOCAL else URL
    if byte == 37:  # %40, an @ in URLs
        is_at = after == 52 and at + 2 < end and data[at + 2] == 48
        return EMAIL if is_at and _CLASS[before] & _LOCAL else 0
    if byte == 45:  # -
        if after == 45:
            return _dashes(data, at, end)
        # sk- xoxb- xapp- glpat- pypi-
        return API_KEY if before == 107 or before == 116 or before == 105 or _slack(data, begin, at) else 0
    if byte == 95:  # _
        # ghp_ github_pat_ sk_ rk_ hf_ npm_ shpat_ v1_
        head = data[at - 2] if at - 1 > begin else 0
        if (
            (head == 104 and (before in (112, 111, 117, 115, 114, 102)))  # gh?_ hf_
            or (head == 97 and before == 116)  # _pat_
            or ((head == 115 or head == 114) and before == 107)  # sk_ rk_
            or (head == 112 and before == 109)  # npm_
            or (head == 118 and before == 49)  # v1_
        ):
            return API_KEY
        return 0
    if byte == 98 or byte == 66:  # Bearer
        return TOKEN if at + 6 < end and _word(data, at + 1, b"earer") else 0
    if byte == 74:  # eyJ
        return TOKEN if before == 121 and at - 1 > begin and data[at - 2] == 101 else 0
    if byte == 75:  # AKIA
        return AWS if before == 65 and after == 73 else 0
    if byte == 83:  # ASIA
        return AWS if before == 65 and after == 73 else 0
    if byte == 71:  # SG.
        return API_KEY if before == 83 and after == 46 else 0
    return API_KEY if before == 73 and after == 97 else 0  # AIza


@inlined
def _word(data, at, word):
    """Whether `word` (lower case) stands at `at` in any case. The caller has made sure of the room."""
    for k in range(len(word)):  # noqa: SIM110
        if data[at + k] | 32 != word[k]:
            return False
    return True


@inlined
def _slack(data, begin, at):
    """xox?- or xapp-"""
    if at - begin < 4 or data[at - 4] != 120:
        return False
    return (data[at - 3] == 111 and data[at - 2] == 120) or (data[at - 3] == 97 and data[at - 2] == 112)


@inlined
def _dashes(data, at, end):
    """-----BEGIN … PRIVATE KEY, or --password and its like."""
    if at + 10 < end and data[at + 2] == 45 and data[at + 5] == 66 and data[at + 6] == 69:
        return PRIVATE_KEY
    return PASSWORD if at + 4 < end and data[at + 2] | 32 == 112 else 0


@inlined
def _named(data, begin, at):
    """What a value may be whose name ends before the = or : at `at`."""
    at -= 1
    least = max(begin, at - _NAME)
    while at >= least and data[at] in (32, 34, 39, 92, 9):  # white space, quotes, backslashes
        at -= 1
    if at - begin < 2:
        return 0
    last, second, third = data[at] | 32, data[at - 1] | 32, data[at - 2] | 32
    if last == 100:  # password, passwd, pwd
        return PASSWORD if second in (114, 119) else 0
    if last == 115 or last == 101:  # pass, passphrase
        return PASSWORD if second == 115 and third == 97 else 0
    if last == 116:  # secret
        return API_KEY if second == 101 and third == 114 else 0
    if last == 121:  # key
        return API_KEY if second == 101 and third == 107 else 0
    if last == 110:  # token, authorization
        if second == 101 and third == 107:
            return TOKEN
        return TOKEN if second == 111 and third == 105 and at - begin > 6 and _word(data, at - 7, b"riza") else 0
    return 0


# -- payment cards -------------------------------------------------------------------------------------------------------


@kernel
def _note_cards(data, places):
    found, at, end = 0, np.int64(0), np.int64(data.size)
    while at < end:
        if not _CLASS[data[at]] & _DIGIT:
            at += 1
            continue
        after = _card(data, np.int64(0), at, end)
        if after:
            places[found, 0], places[found, 1] = at, after
            found += 1
            at = after
        while at < end and _CLASS[data[at]] & _DIGIT:
            at += 1
    return found


@kernel
def _card(data, begin, at, end):
    """The end of the card number that begins with the group of digits at `at`, 0 when none does.

    Written as one, or in groups of 4-4-4-4(-3) or 4-6-4 and 4-6-5 with spaces or dashes between them.
    """
    if at > begin:
        before = data[at - 1]
        escaped = at - 1 > begin and data[at - 2] == 92 and (before == 110 or before == 114 or before == 116)  # \\n
        if not escaped and (_CLASS[before] & (_LETTER | _DIGIT) or before == 95 or before >= 128):
            return 0
        if before == 46 and at - 1 > begin and _CLASS[data[at - 2]] & _DIGIT:  # decimals
            return 0
    digits = np.empty(20, np.int64)
    size, after = _group(data, at, end, digits, 0)
    if size >= 13:
        return after if size <= 19 and _ends(data, after, end) and _is_card(digits, size) else 0
    if size != 4 or after + 1 >= end or (data[after] != 32 and data[after] != 45):
        return 0
    separator, whole = data[after], 0
    for group in range(1, 5):
        if after >= end or data[after] != separator:
            break
        before_group = size
        size, behind = _group(data, after + 1, end, digits, size)
        many = size - before_group
        if many == 0 or size > 19:
            break
        after = behind
        good = size in (14, 15) if _is_464(group, many, size) else many == 4 or (group == 4 and many <= 3)
        if not good and not (group == 1 and many == 6):
            break
        if size >= 14 and _ends(data, after, end) and _is_card(digits, size):
            whole = after  # a longer one may follow
    return whole


@kernel
def _is_464(group, many, size):
    """Whether this is the last group of 4-6-4 or 4-6-5."""
    return group == 2 and size - many == 10


@kernel
def _group(data, at, end, digits, size):
    """Add the digits at `at` to `digits`, up to twenty: (how many there are then, the position behind the group)."""
    while at < end and _CLASS[data[at]] & _DIGIT:
        if size < 20:
            digits[size] = data[at] - 48
        size += 1
        at += 1
        if size > 20:
            break
    return size, at


@kernel
def _ends(data, at, end):
    """Whether a number may end here: not within a word or a longer number."""
    if at >= end:
        return True
    byte = data[at]
    if _CLASS[byte] & (_LETTER | _DIGIT) or byte == 95 or byte >= 128:
        return False
    return not (byte == 46 and at + 1 < end and _CLASS[data[at + 1]] & _DIGIT)


@kernel
def _is_card(digits, size):
    """Whether an issuer gives numbers that begin so and are so long, and the last digit checks."""
    four = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3]
    two = four // 100
    if digits[0] == 4:  # Visa
        known = size == 13 or size == 16 or size == 19
    elif 51 <= two <= 55 or 2221 <= four <= 2720:  # Mastercard
        known = size == 16
    elif two == 34 or two == 37:  # American Express
        known = size == 15
    elif 300 <= four // 10 <= 305 or two == 36 or two == 38 or two == 39:  # Diners Club
        known = size == 14 or size == 16 or size == 19
    elif 3528 <= four <= 3589 or two == 62 or two == 65 or four == 6011 or 644 <= four // 10 <= 649:
        known = 16 <= size <= 19  # JCB, UnionPay, Discover
    elif two == 50 or 56 <= two <= 58 or two == 63 or two == 67:  # Maestro
        known = size == 16 or size == 18 or size == 19
    else:
        known = False
    if not known:
        return False
    total = 0
    for k in range(size):
        digit = digits[size - 1 - k]
        if k & 1:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0

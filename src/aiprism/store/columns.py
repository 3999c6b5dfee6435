"""Columns of series and samples: kinds of arrays, arrays that grow, values coded by a dictionary, the table of fingerprints.

Everything here is bytes in numpy arrays rather than Python objects, so that a million series fit into a few hundred
megabytes. None of it locks: the index does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aiprism.model.labels import Matcher, MatchOp, compiled

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_TRUTH_TABLES = 256  # regular expressions remembered per label
_REGEX_SYNTAX = frozenset(r"\.+*?()[]{}^$")


class Growing:
    """An array that grows at its end in amortised constant time. A view stays valid, and stays as long as it was."""

    __slots__ = ("_array", "_size")

    def __init__(self, dtype: type[np.generic]) -> None:
        self._array: NDArray[Any] = np.zeros(16, dtype=dtype)
        self._size = 0

    def append(self, value: int) -> None:
        """Add one value at the end."""
        self.put(self._size, value)

    def put(self, at: int, value: int) -> None:
        """Set place `at`; places never set are zero."""
        self.reach(at + 1)
        self._array[at] = value

    def extend(self, values: NDArray[Any]) -> None:
        """Add `values` at the end."""
        start = self._size
        self.reach(start + len(values))
        self._array[start : self._size] = values

    def reach(self, size: int) -> None:
        """Be at least `size` long."""
        if size > len(self._array):
            bigger = np.zeros(max(size, 2 * len(self._array)), dtype=self._array.dtype)
            bigger[: len(self._array)] = self._array
            self._array = bigger
        self._size = max(self._size, size)

    def view(self) -> NDArray[Any]:
        """The values; writing into it writes into the array."""
        return self._array[: self._size]

    def __len__(self) -> int:
        return self._size


class FingerprintTable:
    """fingerprint → position, by open addressing; many look-ups at once are one loop in numpy, not one a fingerprint.

    The slot of a fingerprint is its low bits, or the next free one; `places` is -1 where a slot is free. Compiled code
    may look up in `keys` and `places` itself, while nobody writes.
    """

    __slots__ = ("_size", "keys", "places")

    keys: NDArray[np.uint64]
    places: NDArray[np.int32]

    def __init__(self) -> None:
        self._resize(64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def find(self, fps: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The position of each fingerprint, -1 where it is unknown."""
        found = np.full(len(fps), -1, dtype=np.int64)
        left = np.arange(len(fps))
        mask = np.uint64(len(self.keys) - 1)
        slots = (fps & mask).astype(np.int64)
        while len(left):
            places = self.places[slots]
            hit = (places >= 0) & (self.keys[slots] == fps[left])
            found[left[hit]] = places[hit]
            going = (places >= 0) & ~hit
            left, slots = left[going], (slots[going] + 1) & int(mask)
        return found

    def put(self, fps: NDArray[np.uint64], positions: NDArray[np.int64]) -> None:
        """Set the positions of these fingerprints, known or not; of one given twice either position may stay."""
        if 2 * (self._size + len(fps)) > len(self.keys):
            known = self.places >= 0
            fps = np.concatenate([self.keys[known], fps])
            positions = np.concatenate([self.places[known], positions])
            self._resize(4 * len(fps))
            self._size = 0
        mask = len(self.keys) - 1
        slots = (fps & np.uint64(mask)).astype(np.int64)
        while len(fps):
            free = self.places[slots] < 0
            # Of those that want one slot the last one written has it; the others see another's key there and go on.
            self.keys[slots[free]] = fps[free]
            placed = self.keys[slots] == fps
            self._size += len(np.unique(slots[free]))
            self.places[slots[placed]] = positions[placed]
            fps, positions, slots = fps[~placed], positions[~placed], (slots[~placed] + 1) & mask

    def _resize(self, least: int) -> None:
        slots = 1 << (least - 1).bit_length()
        self.keys = np.zeros(slots, dtype=np.uint64)
        self.places = np.full(slots, -1, dtype=np.int32)


class Dictionary:
    """The values of one label, coded 0, 1, 2 … in order of appearance; code 0 is the empty string.

    `uses` counts by code how often a value was used, `used_bytes` the bytes of all those uses.
    """

    __slots__ = ("_codes", "_truths", "used_bytes", "uses", "values")

    def __init__(self) -> None:
        self.values: list[str] = [""]
        self.uses = Growing(np.int64)
        self.used_bytes = 0
        self._codes: dict[str, int] = {"": 0}
        self._truths: dict[tuple[bool, str], NDArray[np.bool_]] = {}

    def code(self, value: str) -> int:
        """The code of `value`, a new one when it is new."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(value)
        return code

    def use(self, value: str, times: int = 1) -> int:
        """The code of `value`, whose `times` uses are counted."""
        code = self.code(value)
        self.uses.reach(code + 1)
        self.uses.view()[code] += times
        self.used_bytes += times * (len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass")))
        return code

    def use_all(self, values: pa.Array, times: NDArray[np.int64]) -> NDArray[np.int32]:
        """As `use` for each of `values`, which are distinct, with its `times`."""
        codes = np.fromiter(map(self.code, values.to_pylist()), np.int32, len(values))
        self.uses.reach(len(self.values))
        self.uses.view()[codes] += times
        self.used_bytes += int(np.dot(times, pc.binary_length(values).to_numpy()))
        return codes

    def accepts(self, matcher: Matcher, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of `codes` stand for values the matcher accepts."""
        if matcher.op is MatchOp.EQUAL:
            return np.equal(codes, self._codes.get(matcher.value, -1))
        if matcher.op is MatchOp.NOT_EQUAL:
            return np.not_equal(codes, self._codes.get(matcher.value, -1))
        return self.truth(matcher)[codes]

    def truth(self, matcher: Matcher) -> NDArray[np.bool_]:
        """For every code whether the matcher accepts its value. Regular expressions are evaluated once per value ever."""
        if matcher.op in (MatchOp.EQUAL, MatchOp.NOT_EQUAL):
            return self.accepts(matcher, np.arange(len(self.values), dtype=np.int32))
        found = self._regex_truth(matcher.value)
        return found if matcher.op is MatchOp.REGEX else ~found

    def _regex_truth(self, pattern: str) -> NDArray[np.bool_]:
        key = (True, pattern)
        known = self._truths.pop(key, None)
        seen = 0 if known is None else len(known)
        if known is None or seen < len(self.values):
            fresh = _full_matches(pattern, self.values[seen:])
            known = fresh if known is None else np.concatenate([known, fresh])
        self._truths[key] = known  # put back last: the first in the dictionary is the one longest unused
        while len(self._truths) > _TRUTH_TABLES:
            del self._truths[next(iter(self._truths))]
        return known


def _full_matches(pattern: str, values: Sequence[str]) -> NDArray[np.bool_]:
    """For each value whether `pattern` (RE2, anchored at both ends) matches it; BadInput when it is no regex."""
    program = compiled(pattern)
    if not _REGEX_SYNTAX.intersection(pattern):
        # What dashboards send for a multi-select: a|b|c, no syntax but the alternation.
        wanted = set(pattern.split("|"))
        return np.fromiter((value in wanted for value in values), dtype=bool, count=len(values))
    if len(values) < 64:
        return np.fromiter((program.fullmatch(value) is not None for value in values), dtype=bool, count=len(values))
    # Arrow runs the same RE2 over all values in one call, about ten times faster than one call a value.
    matched = pc.match_substring_regex(pa.array(values, type=pa.string()), rf"\A(?s:{pattern})\z")
    return np.asarray(matched.to_numpy(zero_copy_only=False), dtype=bool)

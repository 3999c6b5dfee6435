"""Samples of whole metrics that were read lately, kept as arrays: most questions are about the hours of the one before.

In: what a query is about, how to read a metric, and word of every batch that is stored. Out: the samples, or none when
they are not worth keeping. What is kept is exact: a batch ends what is known of its metrics before its first sample, and
the rest is read anew. The index tells of batches before and after they are written, so a read under way is cut short, too.
Only for a store that this process alone writes to. Corrected samples are left to the statements in samples.py.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aiprism.model.samples import STALE_NAN_BITS
from aiprism.store.columns import Floats, Ints
from aiprism.telemetry import Telemetry

Prints = NDArray[np.uint64]

CACHE = "samples"

_SAMPLE_BYTES = 16
_MOST_ENTRIES = 1_000
# Parts of one metric, before it is kept as a whole.
_MANY_PARTS = 8
# What was too much to keep is tried again when a share of it is no longer asked for.
_NEARLY = 4
_MOST_REFUSALS = 1_000
# Beyond so many different times they are compared all at once.
_MANY_CLOCKS = 500
# Reading a little more than asked spares the next question a read: the windows of a dashboard move.
_BACK_MS, _AHEAD_MS = 600_000, 300_000
# An entry that has grown to this many times what is asked for is read anew, without what nobody asks for any more.
_TOO_LONG = 3


@dataclass(frozen=True, slots=True)
class Runs:
    """Samples by series and time: series ``fps[i]``, ascending, has those from ``offsets[i]`` up to ``offsets[i + 1]``.

    ``clock[i]`` is the first series with exactly the times of series i: those of one target mostly have the same.
    """

    fps: Prints
    offsets: Ints
    ts_ms: Ints
    values: Floats
    clock: Ints

    @classmethod
    def of(cls, owners: Prints, ts_ms: Ints, values: Floats) -> Runs:
        """Of samples ordered by fingerprint and time."""
        starts = (
            np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]])) if len(owners) else np.empty(0, int)
        )
        offsets = np.append(starts, len(owners)).astype(np.int64)
        return cls(owners[starts], offsets, ts_ms, values, _clocks(offsets, ts_ms))

    def owners(self) -> Prints:
        """The fingerprint of each sample."""
        return np.repeat(self.fps, np.diff(self.offsets))

    def then(self, later: Runs, after_ms: int) -> Runs:
        """These up to `after_ms`, and what comes later."""
        known = self.ts_ms <= after_ms
        owners = np.concatenate([self.owners()[known], later.owners()])
        order = np.argsort(owners, kind="stable")
        times, values = (
            np.concatenate([mine[known], theirs])[order]
            for mine, theirs in ((self.ts_ms, later.ts_ms), (self.values, later.values))
        )
        return Runs.of(owners[order], times, values)

    def part(self, chosen: Ints, after_ms: int, until_ms: int) -> Runs:
        """Of the series with those numbers, which ascend, the samples of (after, until], and more where that is cheaper."""
        lo, hi = self._inside(chosen, after_ms, until_ms)
        starts = self.offsets[chosen]
        if 2 * int((hi - lo).sum()) > int(np.diff(self.offsets)[chosen].sum()):
            if len(chosen) == len(self.fps):
                return self
            lo, hi = np.zeros_like(lo), np.diff(self.offsets)[chosen]
        some = hi > lo
        chosen, starts, sizes = chosen[some], (starts + lo)[some], (hi - lo)[some]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        at = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        _, firsts, of = np.unique(self.clock[chosen], return_index=True, return_inverse=True)
        return Runs(self.fps[chosen], offsets, self.ts_ms[at], self.values[at], firsts[of])

    def _inside(self, chosen: Ints, after_ms: int, until_ms: int) -> tuple[Ints, Ints]:
        """Of each of those series the numbers of the first sample in (after, until], and of the first after it."""
        if not len(chosen):
            return chosen, chosen
        clocks, of = np.unique(self.clock[chosen], return_inverse=True)
        if len(clocks) > _MANY_CLOCKS:
            edges = np.array([after_ms, until_ms])
            counts = [np.add.reduceat(self.ts_ms <= edge, self.offsets[:-1], dtype=np.int64)[clocks] for edge in edges]
            return counts[0][of], counts[1][of]
        times = (self.ts_ms[self.offsets[clock] : self.offsets[clock + 1]] for clock in clocks.tolist())
        found = np.array([each.searchsorted([after_ms, until_ms], side="right") for each in times])
        return found[of, 0], found[of, 1]

    def without_markers(self) -> Runs:
        """Less the staleness markers."""
        kept = np.ascontiguousarray(self.values).view(np.uint64) != STALE_NAN_BITS
        return self if kept.all() else Runs.of(self.owners()[kept], self.ts_ms[kept], self.values[kept])


def places(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Where the samples of those series stand, one series after the other, and the offsets they have there."""
    sizes = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return np.repeat(offsets[rows] - ends[:-1], sizes) + np.arange(ends[-1]), ends


def _clocks(offsets: Ints, ts_ms: Ints) -> Ints:
    if len(offsets) < 2:
        return np.empty(0, dtype=np.int64)
    sizes, starts = np.diff(offsets), offsets[:-1]
    place = np.arange(len(ts_ms)) - np.repeat(starts, sizes)
    sums = np.add.reduceat(ts_ms * (place * place * 0x9E3779B1 + place + 1), starts)
    _, firsts, of = np.unique(np.stack([sums, sizes]), axis=1, return_index=True, return_inverse=True)
    clock: Ints = firsts[of.reshape(-1)]
    # Equal sums may be chance: such series keep their own times.
    same = np.logical_and.reduceat(ts_ms[places(offsets, clock)[0]] == ts_ms, starts)
    return np.where(same, clock, np.arange(len(sizes)))


Read = Callable[[int, int], Runs | None]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """More than `most` samples lie in (after, until]."""

    after_ms: int
    until_ms: int
    most: int

    def covers(self, after_ms: int, until_ms: int, most: int) -> bool:
        """True when (after, until] must hold too many, too, or nearly the same time is asked for."""
        near = (self.until_ms - self.after_ms) // _NEARLY
        return most <= self.most and after_ms <= self.after_ms + near and until_ms >= self.until_ms - near


@dataclass(slots=True)
class _Held:
    """What is known of a metric: all its samples of (after, until]. `runs` is None while they are read for the first time."""

    after_ms: int
    until_ms: int
    runs: Runs | None = None
    plain: Runs | None = None  # without staleness markers

    def covers(self, after_ms: int, until_ms: int) -> bool:
        return self.runs is not None and self.after_ms <= after_ms and until_ms <= self.until_ms

    def size(self) -> int:
        if self.runs is None or self.plain is None:
            return 0
        twice = self.plain is not self.runs
        return _SAMPLE_BYTES * (len(self.runs.ts_ms) + twice * len(self.plain.ts_ms))


@dataclass(frozen=True, slots=True)
class Whose:
    """Some series of a metric: the fingerprints as bytes; none are all of them."""

    metric: str
    series: bytes = b""


@dataclass(slots=True)
class Recent:
    """The samples kept, at most `most_bytes` of them. All methods may be called from any thread."""

    most_bytes: int
    telemetry: Telemetry | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: OrderedDict[Whose, _Held] = field(default_factory=OrderedDict)
    _turns: dict[Whose, threading.Lock] = field(default_factory=dict)
    _under_way: list[tuple[Whose, _Held]] = field(default_factory=list)
    _refused: OrderedDict[Whose, _Refusal] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        if self.telemetry:
            self.telemetry.cache_bytes(CACHE, self.size)

    def size(self) -> int:
        """Bytes of all that is kept."""
        with self._lock:
            return sum(each.size() for each in self._held.values())

    @property
    def most_samples(self) -> int:
        """How many samples one entry may take."""
        return self.most_bytes // (2 * _SAMPLE_BYTES)

    def metrics(self) -> set[str]:
        """The metrics of which anything is kept or being read."""
        with self._lock:
            return {whose.metric for whose in (*self._held, *(whose for whose, _ in self._under_way))}

    def asked_in_parts(self, metric: str) -> bool:
        """True when so many parts of a metric are asked for that they are better kept as one: all of it is read at once
        when there is something new, not each of them."""
        with self._lock:
            if Whose(metric) in self._held:
                return True
            return sum(whose.metric == metric for whose in self._held) >= _MANY_PARTS

    def stored(self, metric: str, first_ms: int) -> None:
        """Samples of `metric` from that time on are, or will be, stored."""
        with self._lock:
            for whose, held in (*self._held.items(), *self._under_way):
                if whose.metric == metric:
                    held.until_ms = min(held.until_ms, first_ms - 1)

    def get(self, whose: Whose, after_ms: int, until_ms: int, *, stale: bool) -> Runs | None:
        """The samples of (after, until] and some before and after; None when not all of them are here."""
        with self._lock:
            held = self._held.get(whose)
            if held is None or not held.covers(after_ms, until_ms):
                return None
            self._held.move_to_end(whose)
            return held.runs if stale else held.plain

    def fetch(self, whose: Whose, after_ms: int, until_ms: int, *, stale: bool, most: int, read: Read) -> Runs | None:
        """As `get`, after `read` gave what is missing; None when that are more than `most` samples, for which `read` gives
        None. That is remembered: nothing is read only to be thrown away."""
        with self._lock:
            refusal = self._refused.get(whose)
            if refusal and refusal.covers(after_ms, until_ms, most):
                return self._counted("refused", None)
            turn = self._turns.setdefault(whose, threading.Lock())
        try:
            with turn:
                found = self.get(whose, after_ms, until_ms, stale=stale)
                if found:
                    return self._counted("hit", found)
                return self._read(whose, after_ms, until_ms, stale=stale, most=most, read=read)
        finally:
            with self._lock:
                self._turns.pop(whose, None)

    def _read(self, whose: Whose, after_ms: int, until_ms: int, *, stale: bool, most: int, read: Read) -> Runs | None:
        fresh = _Held(after_ms // _BACK_MS * _BACK_MS, -(-until_ms // _AHEAD_MS) * _AHEAD_MS)
        with self._lock:
            from_ms, base = self._grown(self._held.get(whose), after_ms, fresh)
            self._under_way.append((whose, fresh))
        try:
            runs = read(from_ms, fresh.until_ms)
            if runs is None:
                self._refuse(whose, _Refusal(after_ms, until_ms, most))
                return self._counted("refused", None)
            whole = base.then(runs, from_ms) if base else runs
            fresh.plain = whole.without_markers()
            fresh.runs = whole
            self._keep(whose, fresh)
            return self._counted("partial" if base else "miss", whole if stale else fresh.plain)
        finally:
            with self._lock:
                self._under_way = [each for each in self._under_way if each[1] is not fresh]

    def _refuse(self, whose: Whose, refusal: _Refusal) -> None:
        with self._lock:
            self._refused[whose] = refusal
            self._refused.move_to_end(whose)
            if len(self._refused) > _MOST_REFUSALS:
                self._refused.popitem(last=False)

    def _counted(self, outcome: str, found: Runs | None) -> Runs | None:
        if self.telemetry:
            self.telemetry.cached(CACHE, outcome)
        return found

    def _grown(self, before: _Held | None, after_ms: int, fresh: _Held) -> tuple[int, Runs | None]:
        """From when on `fresh` must be read, and what it goes on from."""
        if before is None or not before.after_ms <= after_ms <= before.until_ms:
            return fresh.after_ms, None
        if fresh.until_ms - before.after_ms > _TOO_LONG * (fresh.until_ms - fresh.after_ms):
            return fresh.after_ms, None
        fresh.after_ms = before.after_ms
        return before.until_ms, before.runs

    def _keep(self, whose: Whose, fresh: _Held) -> None:
        with self._lock:
            self._held[whose] = fresh
            self._held.move_to_end(whose)
            while len(self._held) > 1 and self._full():
                self._held.popitem(last=False)

    def _full(self) -> bool:
        size = sum(each.size() for each in self._held.values())
        return len(self._held) > _MOST_ENTRIES or size > self.most_bytes

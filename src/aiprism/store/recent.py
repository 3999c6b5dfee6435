"""Samples of whole metrics that were read lately, kept as arrays: most questions are about the hours of the one before.

In: what a query is about, how to read a metric, and every batch of samples, before it is stored and once it is. Out: the
samples, or none when they are not worth keeping. Only for a store that this process alone writes to. Corrected samples are
left to the statements in samples.py.

What is kept is exact. The invariant: an entry answers for times up to t only if every INSERT with samples of its metric up
to t has ended well and all of those samples are in it. So of each batch, in the order they came,

* while it is under way, no entry answers for its first sample and what is later;
* when it is lost (its INSERT failed, and may yet be carried out), what is known ends before its first sample for good;
* when it is stored, its samples are added to the entries that were complete before it began;
* an entry that was being read while it was under way may hold some of its samples or none: it ends before the first one.

What an entry does not know is read from the store, and nothing else. Batches are kept until every entry has them, or until
they are too many: then those entries end before their first samples that do not have them yet.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from aiprism.store.arrivals import Arrival, Fate
from aiprism.store.columns import Floats, Ints
from aiprism.store.runs import Prints, Runs
from aiprism.telemetry import Telemetry

CACHE = "samples"

_SAMPLE_BYTES = 16
_MOST_ENTRIES = 1_000
# Parts of one metric, before it is kept as a whole.
_MANY_PARTS = 8
# What was too much to keep is tried again when a share of it is no longer asked for.
_NEARLY = 4
_MOST_REFUSALS = 1_000
# Reading a little more than asked spares the next question a read: the windows of a dashboard move.
_BACK_MS, _AHEAD_MS = 600_000, 300_000
# An entry that has grown to this many times what is asked for is read anew, without what nobody asks for any more.
_TOO_LONG = 3
# Batches that not every entry has may take this share of the memory, and be so many.
_SHARE_OF_BATCHES, _MOST_BATCHES = 8, 10_000


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


@dataclass(frozen=True, slots=True)
class Whose:
    """Some series of a metric: the fingerprints as bytes; none are all of them."""

    metric: str
    series: bytes = b""


_NOTHING = Runs.of(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0))


@dataclass(slots=True, eq=False)
class _Held:
    """All samples of (after, until] of the batches before number `next`; those that are lost end it, see above."""

    whose: Whose
    after_ms: int
    until_ms: int
    next: int = 0
    runs: Runs = _NOTHING

    def end_before(self, first_ms: int | None) -> None:
        """Nothing is known from that time on."""
        if first_ms is not None:
            self.until_ms = min(self.until_ms, first_ms - 1)

    def add(self, arrivals: Sequence[Arrival]) -> None:
        """Take in batches that are stored."""
        parts = [part for arrival in arrivals if (part := arrival.of(self.whose.metric))]
        if not parts:
            return
        fps, ts_ms, values = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("fps", "ts_ms", "values")
        )
        wanted = (ts_ms > self.after_ms) & (ts_ms <= self.until_ms)
        if self.whose.series:
            wanted &= np.isin(fps, np.frombuffer(self.whose.series, np.uint64))
        at = np.flatnonzero(wanted)
        order = at[np.lexsort((ts_ms[at], fps[at]))]
        self.runs = self.runs.grown(fps[order], ts_ms[order], values[order])


@dataclass(slots=True)
class Recent:
    """The samples kept, at most `most_bytes` of them. All methods may be called from any thread."""

    most_bytes: int
    telemetry: Telemetry | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: OrderedDict[Whose, _Held] = field(default_factory=OrderedDict)
    _bytes: int = 0  # of all that is held
    _turns: dict[Whose, threading.Lock] = field(default_factory=dict)
    _being_read: list[_Held] = field(default_factory=list)
    _refused: OrderedDict[Whose, _Refusal] = field(default_factory=OrderedDict)
    _arrivals: list[Arrival] = field(default_factory=list)
    _gone: int = 0  # batches that came before those in `_arrivals`
    _arrived_bytes: int = 0

    def __post_init__(self) -> None:
        if self.telemetry:
            self.telemetry.cache_bytes(CACHE, self.size)

    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._bytes + self._arrived_bytes

    @property
    def most_samples(self) -> int:
        """How many samples one entry may take."""
        return self.most_bytes // (2 * _SAMPLE_BYTES)

    def asked_in_parts(self, metric: str) -> bool:
        """True when so many parts of a metric are asked for that they are better kept as one: all of it is read at once
        when there is something new, not each of them."""
        with self._lock:
            if Whose(metric) in self._held:
                return True
            return sum(whose.metric == metric for whose in self._held) >= _MANY_PARTS

    # -- what comes in -------------------------------------------------------------------------------------------

    @contextmanager
    def arriving(self, metrics: pa.DictionaryArray, fps: Prints, ts_ms: Ints, values: Floats) -> Iterator[None]:
        """To be entered before the INSERT of those samples, each later than all of its series, and left when it has ended."""
        arrival = Arrival(metrics, fps, ts_ms, values)
        with self._lock:
            self._arrivals.append(arrival)
        try:
            yield
        except BaseException:
            with self._lock:
                arrival.lost()
                self._forget_some()
            raise
        with self._lock:
            arrival.stored({held.whose.metric for held in (*self._held.values(), *self._being_read)})
            self._arrived_bytes += arrival.size
            self._forget_some()

    def _forget_some(self) -> None:
        """Let the first batches go when they are too many, or when nobody misses them."""
        most, gone = self.most_bytes // _SHARE_OF_BATCHES, 0
        every = (*self._held.values(), *self._being_read)
        least = min((held.next for held in every), default=self._gone + len(self._arrivals))
        for arrival in self._arrivals:
            missed = least <= self._gone + gone
            many = self._arrived_bytes > most or len(self._arrivals) - gone > _MOST_BATCHES
            if arrival.fate is Fate.UNDER_WAY or (missed and not many):
                break
            gone += 1
            self._arrived_bytes -= arrival.size
            for held in every:
                if held.next < self._gone + gone:
                    held.end_before(arrival.first_ms(held.whose.metric))
                    held.next = self._gone + gone
        del self._arrivals[:gone]
        self._gone += gone

    def _up_to_date(self, held: _Held) -> int:
        """Take in what has come; gives up to when everything is known."""
        metric = held.whose.metric
        before, stored = held.runs.size, []
        for arrival in self._arrivals[held.next - self._gone :]:
            if arrival.fate is Fate.UNDER_WAY:
                break
            held.next += 1
            if arrival.fate is Fate.LOST:
                held.end_before(arrival.first_ms(metric))
            else:
                stored.append(arrival)
        held.add(stored)
        self._bytes += held.runs.size - before
        return self._known_until(metric, held.until_ms, held.next)

    def _known_until(self, metric: str, until_ms: int, first: int) -> int:
        """`until_ms`, or the end of what is known without the batches from number `first` on."""
        for arrival in self._arrivals[first - self._gone :]:
            first_ms = arrival.first_ms(metric)
            until_ms = until_ms if first_ms is None else min(until_ms, first_ms - 1)
        return until_ms

    def forget(self) -> None:
        """Samples are stored no longer: nothing is known but what is read from now on."""
        with self._lock:
            for held in self._being_read:
                held.until_ms = held.after_ms
            self._held.clear()
            self._bytes = 0

    # -- what is asked for ---------------------------------------------------------------------------------------

    def get(self, whose: Whose, after_ms: int, until_ms: int) -> Runs | None:
        """The samples of (after, until] and some before and after, markers of staleness among them; None when not all of them
        are here."""
        with self._lock:
            held = self._held.get(whose)
            if held is None or not (held.after_ms <= after_ms and until_ms <= self._up_to_date(held)):
                return None
            self._held.move_to_end(whose)
            self._make_room()
            return held.runs

    def fetch(self, whose: Whose, after_ms: int, until_ms: int, *, most: int, read: Read) -> Runs | None:
        """As `get`, after `read` gave what is missing; None when that are more than `most` samples, for which `read` gives
        None. That is remembered: nothing is read only to be thrown away."""
        with self._lock:
            refusal = self._refused.get(whose)
            if refusal and refusal.covers(after_ms, until_ms, most):
                return self._counted("refused", None)
            turn = self._turns.setdefault(whose, threading.Lock())
        try:
            with turn:
                found = self.get(whose, after_ms, until_ms)
                if found is not None:
                    return self._counted("hit", found)
                return self._fetched(whose, after_ms, until_ms, most=most, read=read)
        finally:
            with self._lock:
                self._turns.pop(whose, None)

    def _fetched(self, whose: Whose, after_ms: int, until_ms: int, *, most: int, read: Read) -> Runs | None:
        fresh = _Held(whose, after_ms // _BACK_MS * _BACK_MS, -(-until_ms // _AHEAD_MS) * _AHEAD_MS)
        from_ms, last_ms = fresh.after_ms, fresh.until_ms
        with self._lock:
            base = self._to_go_on_from(fresh, after_ms)
            if base:
                from_ms, fresh.after_ms = self._up_to_date(base), base.after_ms
            self._begin_to_read(fresh)
        try:
            runs = read(from_ms, last_ms)
            if runs is None:
                self._refuse(whose, _Refusal(after_ms, until_ms, most))
                return self._counted("refused", None)
            fresh.runs = runs if base is None else base.runs.then(runs, from_ms)
            self._keep(fresh)
            return self._counted("miss" if base is None else "partial", fresh.runs)
        finally:
            with self._lock:
                self._being_read.remove(fresh)

    def _to_go_on_from(self, fresh: _Held, after_ms: int) -> _Held | None:
        """What is held already, when `fresh` need not be read as a whole."""
        held = self._held.get(fresh.whose)
        if held is None or not held.after_ms <= after_ms <= self._up_to_date(held):
            return None
        too_long = fresh.until_ms - held.after_ms > _TOO_LONG * (fresh.until_ms - fresh.after_ms)
        return None if too_long else held

    def _begin_to_read(self, fresh: _Held) -> None:
        fresh.next = self._gone + len(self._arrivals)
        for arrival in self._arrivals:
            if arrival.fate is Fate.UNDER_WAY:
                fresh.end_before(arrival.first_ms(fresh.whose.metric))
        self._being_read.append(fresh)

    def _keep(self, fresh: _Held) -> None:
        with self._lock:
            for arrival in self._arrivals[fresh.next - self._gone :]:
                fresh.end_before(arrival.first_ms(fresh.whose.metric))
            fresh.next = self._gone + len(self._arrivals)
            held = self._held.get(fresh.whose)
            if fresh.until_ms <= fresh.after_ms:
                return  # nothing is known of it by now
            # What was read while a batch came in ends before it; what was complete before that will have it.
            if held and held.after_ms <= fresh.after_ms and held.until_ms >= fresh.until_ms:
                return
            self._bytes += fresh.runs.size - (held.runs.size if held else 0)
            self._held[fresh.whose] = fresh
            self._held.move_to_end(fresh.whose)
            self._make_room()

    def _make_room(self) -> None:
        while len(self._held) > 1 and (len(self._held) > _MOST_ENTRIES or self.size() > self.most_bytes):
            _, held = self._held.popitem(last=False)
            self._bytes -= held.runs.size

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

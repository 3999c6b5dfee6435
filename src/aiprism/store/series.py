"""The series index: which series exist and which of them a set of matchers selects, in memory.

In: the label sets of series, which get a position each (0, 1, 2 … for the life of the index), and when series were
seen. Out: selections, that is fingerprints with their labels as integer codes, and the names and values of labels.
How labels are kept and matched is labelcolumns.py's, what the database says of series seriesload.py's; the samples
themselves are left to samples.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aiprism.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from aiprism.store.cardinality import Cardinality, summary
from aiprism.store.chosen import MOST_KEPT, Chosen, Parts
from aiprism.store.columns import FingerprintTable, Floats, Growing, Ints
from aiprism.store.labelcolumns import Column, LabelColumns, MetricLabels

# While a series lives its row in `series` is written anew this often, so that a restart knows when it was last seen.
REGISTER_EVERY_MS = 3_600_000
# Not all at once, which would be a huge INSERT, nor a few with every INSERT of samples, which costs more than the samples do
# (the rows of `series` are wide, and small parts are merged at once): a thirtieth of them every two minutes.
_TURNS = 30
# Samples may arrive late, too: a selection errs on the side of more.
SEEN_SLACK_MS = 2 * REGISTER_EVERY_MS

_EARLIEST, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_NEVER = _EARLIEST  # last seen, of a series whose first sample is not stored yet


@dataclass(frozen=True, slots=True)
class Seen:
    """Distinct series, by position, and the earliest and latest time of the samples that came in of each."""

    positions: Ints
    first_ms: Ints
    last_ms: Ints

    @classmethod
    def of(cls, positions: Ints, ts_ms: Ints) -> Seen:
        """What samples, given as the position of their series and their time, show."""
        if not len(positions):
            return cls(positions, ts_ms, ts_ms)
        order = np.argsort(positions, kind="stable")
        ordered, times = positions[order], ts_ms[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        return cls(ordered[starts], np.minimum.reduceat(times, starts), np.maximum.reduceat(times, starts))

    def only(self, mask: NDArray[np.bool_]) -> Seen:
        """The series where `mask` is true."""
        return Seen(self.positions[mask], self.first_ms[mask], self.last_ms[mask])

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(slots=True, eq=False)
class Known:
    """What was found out about the series of a selection, whoever asked."""

    ascending: tuple[Ints, NDArray[np.uint64]] | None = None
    labels: list[Labels] | None = None
    ranks: Ints | None = None  # of the label sets, in the order of labels


@dataclass(frozen=True, slots=True)
class Selection:
    """Series that may have samples in the time asked for: aligned fingerprints and label columns."""

    fps: NDArray[np.uint64]
    columns: Mapping[str, Column]
    metrics: tuple[str, ...]
    of: int  # how many series the index holds of these metrics
    corrected_ms: tuple[int, int] | None = None  # from when to when some of them have rows in `corrections`
    native: NDArray[np.bool_] | None = None  # whose metric has native histograms; None: nobody's has
    known: Known = field(default_factory=Known, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.fps)

    def ascending(self) -> tuple[Ints, NDArray[np.uint64]]:
        """The permutation that sorts the fingerprints, and the sorted ones."""
        if self.known.ascending is None:
            order = np.argsort(self.fps, kind="stable")
            self.known.ascending = order, self.fps[order]
        return self.known.ascending

    def only(self, rows: NDArray[np.int64]) -> Selection:
        """The series of those rows."""
        columns = {name: Column(column.codes[rows], column.values) for name, column in self.columns.items()}
        native = None if self.native is None or not self.native[rows].any() else self.native[rows]
        return Selection(self.fps[rows], columns, self.metrics, self.of, self.corrected_ms, native)

    def without(self, fps: NDArray[np.uint64]) -> Selection:
        """The series that are none of those."""
        return self.only(np.flatnonzero(~np.isin(self.fps, fps)))

    def labels(self) -> list[Labels]:
        """The label sets, aligned with `fps`. They are kept where they are few."""
        if self.known.labels is not None:
            return self.known.labels
        texts = ([column.values[code] for code in column.codes.tolist()] for column in self.columns.values())
        made = Labels.rows(self.columns, texts)
        if len(made) <= MOST_KEPT:
            self.known.labels = made
        return made


class Follower(Protocol):
    """Who wants to know from when on there are new samples of some metrics."""

    def metrics(self) -> Collection[str]: ...

    def stored(self, metric: str, first_ms: int) -> None: ...

    def forget(self) -> None: ...


class Keeper(Protocol):
    """Who keeps samples that are stored, and wants them while they come in."""

    def arriving(
        self, metrics: pa.DictionaryArray, fps: NDArray[np.uint64], ts_ms: Ints, values: Floats
    ) -> AbstractContextManager[None]: ...

    def forget(self) -> None: ...


class SeriesIndex:
    """Every series of one database. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._labels = LabelColumns()
        self._chosen = Chosen()
        self._native: set[str] = set()  # metrics that have native histograms
        self._table = FingerprintTable()
        # What follows is by position.
        self._fps = Growing(np.uint64)
        self._first_ms = Growing(np.int64)
        self._last_ms = Growing(np.int64)
        self._arrived_s = Growing(np.uint32)  # when, by our clock, something of it last came in
        # No sample of it that is, or may be, stored is newer than this.
        self._newest_ms = Growing(np.int64)
        # From when to when it has rows in `corrections`; _LATEST and _EARLIEST while it has none.
        self._corrected_from_ms = Growing(np.int64)
        self._corrected_to_ms = Growing(np.int64)
        # The times its row in `series` was last written with; _LATEST and _EARLIEST while it has none.
        self._row_first_ms = Growing(np.int64)
        self._row_last_ms = Growing(np.int64)
        self._followers: list[Follower] = []
        self._keepers: list[Keeper] = []

    def begin(self, rows: pa.Table, newest_ms: int) -> None:
        """Make known all series of a database to an index that knows none. `rows` holds metric, fp, lists of names and texts,
        first_ms and last_ms; no sample is newer than `newest_ms`."""
        fps, first, last = (rows.column(column).to_numpy() for column in ("fp", "first_ms", "last_ms"))
        self._labels.append_all(rows)
        self._append_fps(fps, 0.0)
        positions = np.arange(len(fps))
        seen = Seen(positions, first, last)
        self.registered(seen)
        self.see(seen, 0.0)
        # `series` says when a series was last seen but for less than an hour (see `due`), the samples say it of all.
        hour = (self._row_last_ms.view() + _phase(positions)) // REGISTER_EVERY_MS + 1
        self._newest_ms.view()[:] = np.minimum(newest_ms, hour * REGISTER_EVERY_MS - _phase(positions) - 1)
        self._arrived_s.view()[:] = np.clip(last // 1000, 0, np.iinfo(np.uint32).max)

    # -- what ingest tells ---------------------------------------------------------------------------------------

    def admit(self, sets: Sequence[Labels], now: float, room: Callable[[int], int] | None = None) -> Ints:
        """The positions of the series `sets` (label sets with the metric name), those not known yet made known.

        When there are such, `room` is asked with their number how many of them may come in: the first ones do, the others
        stand at -1. If it raises, nothing is admitted. No query sees a series before `see` told of it.
        """
        fps = np.fromiter((labels.fingerprint for labels in sets), np.uint64, len(sets))
        with self._lock:
            positions = self._table.find(fps)
            unknown = np.flatnonzero(positions < 0)
            if len(unknown):
                _, firsts = np.unique(fps[unknown], return_index=True)
                fresh = unknown[np.sort(firsts)]
                if room:
                    fresh = fresh[: room(len(fresh))]
                self._append(fps[fresh], (sets[at].pairs for at in fresh.tolist()), now)
                positions = self._table.find(fps)
        return positions

    def find(self, fps: NDArray[np.uint64]) -> Ints:
        """The positions of the series with those fingerprints, -1 where there is none."""
        with self._lock:
            return self._table.find(fps)

    def see(self, seen: Seen, now: float) -> None:
        """Samples of those series are stored, and came in at `now` (0: nobody knows when)."""
        with self._lock:
            at, last, first = seen.positions, self._last_ms.view(), self._first_ms.view()
            last[at] = np.maximum(last[at], seen.last_ms)
            first[at] = np.minimum(first[at], seen.first_ms)
            arrived = self._arrived_s.view()
            arrived[at] = np.maximum(arrived[at], int(now))
        self.maybe_seen(seen)

    def maybe_seen(self, seen: Seen) -> None:
        """Samples of those series may be stored: it was tried. If they come again, they come late."""
        with self._lock:
            newest = self._newest_ms.view()
            newest[seen.positions] = np.maximum(newest[seen.positions], seen.last_ms)
        self.tell_again(seen)

    def tell_again(self, seen: Seen) -> None:
        """Samples of those series may be stored: who follows is told."""
        if len(seen):
            for follower in self._followers:
                self._tell(follower, seen)

    def tell(self, follower: Follower) -> None:
        """From now on tell `follower`, too, of each batch, before and after it is stored."""
        self._followers.append(follower)

    def samples_gone(self) -> None:
        """Samples are stored no longer: who keeps any, or what was made of them, forgets all of it."""
        for follower in self._followers:
            follower.forget()
        for keeper in self._keepers:
            keeper.forget()

    def keep(self, keeper: Keeper) -> None:
        """From now on let `keeper`, too, have the samples that come in."""
        self._keepers.append(keeper)

    @contextmanager
    def arriving(
        self, metrics: pa.DictionaryArray, fps: NDArray[np.uint64], ts_ms: Ints, values: Floats
    ) -> Iterator[None]:
        """To be entered before the INSERT of those samples, each later than all of its series, and left when it has ended."""
        with ExitStack() as stack:
            for keeper in self._keepers:
                stack.enter_context(keeper.arriving(metrics, fps, ts_ms, values))
            yield

    def _tell(self, follower: Follower, seen: Seen) -> None:
        wanted = follower.metrics()
        if not wanted:
            return
        codes = self._labels.codes(seen.positions)
        first_ms = np.full(len(self._labels.names.values), _LATEST)
        np.minimum.at(first_ms, codes, seen.first_ms)
        for name in wanted:
            metric = self._labels.metric(name)
            if metric and first_ms[metric.code] < _LATEST:
                follower.stored(name, int(first_ms[metric.code]))

    def late(self, positions: Ints, ts_ms: Ints) -> NDArray[np.bool_]:
        """Which samples come at or before the time of one their series has, or of one further up in the same batch."""
        with self._lock:
            late: NDArray[np.bool_] = ts_ms <= self._newest_ms.view()[positions]
        order = np.argsort(positions, kind="stable")
        ordered, times = positions[order], ts_ms[order]
        again = np.concatenate([[False], ordered[1:] == ordered[:-1]])
        if (again[1:] & (times[1:] <= times[:-1])).any():
            # The newest so far within each series: ranks of times, lifted so that each series starts above the last.
            ranks = np.unique(times, return_inverse=True)[1] + np.cumsum(~again) * (len(times) + 1)
            so_far = np.maximum.accumulate(ranks)
            late[order[1:]] |= again[1:] & (ranks[1:] <= so_far[:-1])
        return late

    def corrected(self, seen: Seen) -> None:
        """Those series have, or may soon have, rows in `corrections`, of those times."""
        with self._lock:
            at, first, last = seen.positions, self._corrected_from_ms.view(), self._corrected_to_ms.view()
            first[at] = np.minimum(first[at], seen.first_ms)
            last[at] = np.maximum(last[at], seen.last_ms)

    def native(self, positions: Ints) -> None:
        """The metrics of those series have, or may soon have, native histograms."""
        with self._lock:
            for code in np.unique(self._labels.codes(positions)).tolist():
                self._native.add(self._labels.names.values[code])

    def native_metrics(self, names: Iterable[str]) -> None:
        """Those metrics have native histograms."""
        with self._lock:
            self._native.update(names)

    def due(self, seen: Seen) -> Seen:
        """Of `seen` what must be written to `series` before the samples are: new series, those with samples older than
        their row says, and those whose row is an hour old."""
        with self._lock:
            row_first, row_last = self._row_first_ms.view()[seen.positions], self._row_last_ms.view()[seen.positions]
        phase = _phase(seen.positions)
        hours_on = (seen.last_ms + phase) // REGISTER_EVERY_MS > (np.maximum(row_last, 0) + phase) // REGISTER_EVERY_MS
        return seen.only((row_last == _EARLIEST) | (seen.first_ms < row_first) | hours_on)

    def registered(self, seen: Seen) -> None:
        """The rows of those series in `series` are written, with those times."""
        with self._lock:
            at, first, last = seen.positions, self._row_first_ms.view(), self._row_last_ms.view()
            first[at] = np.minimum(first[at], seen.first_ms)
            last[at] = np.maximum(last[at], seen.last_ms)

    # -- what is known of series by position ---------------------------------------------------------------------

    def fps(self, positions: Ints) -> NDArray[np.uint64]:
        """Their fingerprints."""
        found: NDArray[np.uint64] = self._fps.view()[positions]
        return found

    def metrics(self, positions: Ints) -> pa.DictionaryArray:
        """Their metric names, coded by a dictionary of just these."""
        with self._lock:
            return self._labels.metrics(positions)

    def labels(self, positions: Ints) -> list[tuple[tuple[str, str], ...]]:
        """Their label sets as sorted (name, value) pairs."""
        with self._lock:
            return self._labels.labels(positions)

    def active(self, since: float) -> int:
        """How many series have been admitted or seen since that time (Unix seconds)."""
        with self._lock:
            return int(np.count_nonzero(self._arrived_s.view() >= max(0, int(since))))

    def cardinality(self, limit: int) -> Cardinality:
        """How many series there are and of what, with the `limit` heaviest of each kind."""
        with self._lock:
            labels = self._labels.counts()
            seen = self._last_ms.view() != _NEVER
            first, last = self._first_ms.view()[seen], self._last_ms.view()[seen]
            times = (int(first.min()), int(last.max())) if len(first) else (None, None)
            series = len(self._fps)
        return summary(labels, METRIC_NAME, series, times, limit)

    def __len__(self) -> int:
        return len(self._fps)

    # -- what queries ask ----------------------------------------------------------------------------------------

    def select(self, matchers: Iterable[Matcher], start_ms: int, end_ms: int) -> Selection:
        """The series all `matchers` accept that may have samples from `start_ms` to `end_ms`."""
        asked = tuple(matchers)
        named, others = _split(asked)
        with self._lock:
            parts = []
            for metric in self._labels.candidates(named):
                rows = self._accepted(metric, others, start_ms, end_ms)
                if len(rows):
                    parts.append((metric, rows))
            known = self._chosen.selection(asked, parts)
            made = self._selection(parts, known)
            if made is not known:
                self._chosen.keep(asked, parts, made)
            return made

    def metric_names(self) -> list[str]:
        """The names of all metrics, sorted."""
        return self.label_values(METRIC_NAME)

    def label_names(
        self, matchers: Iterable[Matcher] = (), start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """The label names of the series selected (without times: of all times), sorted."""
        named, others = _split(matchers)
        found: set[str] = set()
        with self._lock:
            for metric in self._labels.candidates(named):
                rows = self._accepted(metric, others, start_ms, end_ms)
                if len(rows):
                    found.add(METRIC_NAME)
                    found.update(name for name in metric.columns if metric.codes(name)[rows].any())
        return sorted(found)

    def label_values(
        self, name: str, matchers: Iterable[Matcher] = (), start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """The values label `name` has in the series selected (without times: of all times), sorted."""
        named, others = _split(matchers)
        found: set[str] = set()
        with self._lock:
            values = self._labels.values(name)
            for metric in self._labels.candidates(named):
                if name != METRIC_NAME and name not in metric.columns:
                    continue
                rows = self._accepted(metric, others, start_ms, end_ms)
                if name == METRIC_NAME and len(rows):
                    found.add(metric.name)
                elif name != METRIC_NAME:
                    found.update(values[code] for code in np.unique(metric.codes(name)[rows]).tolist() if code)
        return sorted(found)

    # -- inside --------------------------------------------------------------------------------------------------

    def _append(self, fps: NDArray[np.uint64], sets: Iterable[Iterable[tuple[str, str]]], now: float) -> None:
        """Add series of distinct, unknown fingerprints at the end."""
        for pairs in sets:
            self._labels.append(pairs)
        self._append_fps(fps, now)

    def _append_fps(self, fps: NDArray[np.uint64], now: float) -> None:
        """Add the rest of what is kept of series whose labels were added."""
        start, size = len(self._fps), len(fps)
        self._fps.extend(fps)
        for times in (self._first_ms, self._row_first_ms, self._corrected_from_ms):
            times.extend(np.full(size, _LATEST))
        for times in (self._last_ms, self._row_last_ms, self._newest_ms, self._corrected_to_ms):
            times.extend(np.full(size, _EARLIEST))
        self._arrived_s.extend(np.full(size, int(now), dtype=np.uint32))
        self._table.put(fps, np.arange(start, start + size))

    def _accepted(
        self, metric: MetricLabels, matchers: tuple[Matcher, ...], start_ms: int | None, end_ms: int | None
    ) -> NDArray[np.int64]:
        rows = self._chosen.rows(self._labels, metric, matchers)
        positions = metric.positions.view()[rows]
        last_ms = self._last_ms.view()[positions]
        mask = last_ms != _NEVER
        if start_ms is not None:
            mask &= last_ms >= start_ms - SEEN_SLACK_MS
        if end_ms is not None:
            mask &= self._first_ms.view()[positions] <= end_ms + SEEN_SLACK_MS
        return rows if mask.all() else rows[mask]

    def _selection(self, parts: Parts, known: Selection | None) -> Selection:
        """Of those series; `known` is one of just them, perhaps of an earlier time."""
        at = [metric.positions.view()[rows] for metric, rows in parts]
        positions = np.concatenate(at) if at else np.empty(0, dtype=np.int64)
        of, corrected_ms = sum(len(metric.positions) for metric, _ in parts), self._corrected_of(positions)
        names, sizes = [metric.name for metric, _ in parts], [len(rows) for _, rows in parts]
        native = self._native_of(names, sizes)
        if known is None:
            fps, columns = self._fps.view()[positions], self._labels.columns(parts)
            return Selection(fps, columns, tuple(names), of, corrected_ms, native)
        if (of, corrected_ms) == (known.of, known.corrected_ms) and _equal(native, known.native):
            return known
        return replace(known, of=of, corrected_ms=corrected_ms, native=native)

    def _native_of(self, metrics: Sequence[str], sizes: Sequence[int]) -> NDArray[np.bool_] | None:
        if not self._native or self._native.isdisjoint(metrics):
            return None
        return np.repeat(np.array([metric in self._native for metric in metrics], dtype=bool), sizes)

    def _corrected_of(self, positions: Ints) -> tuple[int, int] | None:
        first = int(self._corrected_from_ms.view()[positions].min(initial=_LATEST))
        last = int(self._corrected_to_ms.view()[positions].max(initial=_EARLIEST))
        return (first, last) if first <= last else None


def _equal(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _phase(positions: Ints) -> Ints:
    """When in the hour the row of each series is written anew."""
    return (positions % _TURNS) * (REGISTER_EVERY_MS // _TURNS)


def _split(matchers: Iterable[Matcher]) -> tuple[list[Matcher], tuple[Matcher, ...]]:
    """Matchers of the metric name, and the others with the cheap ones first."""
    given = list(matchers)
    others = [matcher for matcher in given if matcher.name != METRIC_NAME]
    others.sort(key=lambda matcher: matcher.op not in (MatchOp.EQUAL, MatchOp.NOT_EQUAL))
    return [matcher for matcher in given if matcher.name == METRIC_NAME], tuple(others)

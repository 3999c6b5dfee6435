"""Samples kept from query to query are those that are stored, whatever is stored meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.model.samples import STALE_NAN
from aiprism.store.recent import Recent, Whose
from aiprism.store.runs import Runs

MINUTE = 60_000
WHOLE = Whose("m")


def _runs(*series: tuple[int, list[tuple[int, float]]]) -> Runs:
    owners = [fp for fp, points in series for _ in points]
    points = [point for _, points in series for point in points]
    times, values = ([point[part] for point in points] for part in (0, 1))
    return Runs.of(np.array(owners, np.uint64), np.array(times, np.int64), np.array(values, np.float64))


class _Store:
    """One series with a sample a minute; remembers what was read."""

    def __init__(self) -> None:
        self.times = [minute * MINUTE for minute in range(1, 60)]
        self.read: list[tuple[int, int]] = []

    def __call__(self, after_ms: int, until_ms: int) -> Runs:
        self.read.append((after_ms, until_ms))
        return _runs((1, [(ts, float(ts)) for ts in sorted(self.times) if after_ms < ts <= until_ms]))


def _points(runs: Runs | None) -> set[tuple[int, int]]:
    """What it holds, as (series, ms)."""
    assert runs is not None
    every = runs.part(np.arange(len(runs.fps)), -1, 10**15)
    assert every.values.tolist() == every.ts_ms.tolist()
    return set(zip(every.owners().tolist(), every.ts_ms.tolist(), strict=True))


def test_a_second_question_about_the_same_time_reads_nothing():
    recent, store = Recent(1 << 20), _Store()
    assert recent.get(WHOLE, 0, 20 * MINUTE) is None
    first = recent.fetch(WHOLE, 0, 20 * MINUTE, most=1000, read=store)
    assert recent.get(WHOLE, 5 * MINUTE, 20 * MINUTE) is first
    assert len(store.read) == 1


@contextmanager
def _arriving(recent: Recent, *samples: tuple[int, int], metric: str = "m") -> Iterator[None]:
    """Samples (series, ms) that are stored when the block ends; the value of each is its time."""
    fps, times = (np.array(column) for column in zip(*samples, strict=True))
    names = pa.array([metric] * len(samples)).dictionary_encode()
    with recent.arriving(names, fps.astype(np.uint64), times, times.astype(float)):
        yield


def test_what_is_stored_meanwhile_is_there_and_nothing_is_read():
    recent, store = Recent(1 << 20), _Store()
    recent.fetch(WHOLE, 0, 59 * MINUTE, most=1000, read=store)
    with _arriving(recent, (1, 60 * MINUTE), metric="other"):
        assert recent.get(WHOLE, 0, 60 * MINUTE) is not None
    with _arriving(recent, (1, 60 * MINUTE), (7, 5 * MINUTE)):
        assert recent.get(WHOLE, 0, 60 * MINUTE) is None
        assert recent.get(WHOLE, 0, 5 * MINUTE - 1) is not None
    found = recent.fetch(WHOLE, 0, 60 * MINUTE, most=1000, read=store)
    assert _points(found) == {(1, ts) for ts in [*store.times, 60 * MINUTE]} | {(7, 5 * MINUTE)}
    assert len(store.read) == 1


def test_what_may_not_have_been_stored_is_read():
    recent, store = Recent(1 << 20), _Store()
    recent.fetch(WHOLE, 0, 59 * MINUTE, most=1000, read=store)
    with suppress(OSError), _arriving(recent, (1, 60 * MINUTE)):
        raise OSError
    store.times.append(60 * MINUTE)
    with _arriving(recent, (1, 60 * MINUTE + 1)):
        store.times.append(60 * MINUTE + 1)
    assert recent.get(WHOLE, 0, 60 * MINUTE) is None
    found = recent.fetch(WHOLE, 0, 61 * MINUTE, most=1000, read=store)
    assert store.read[1:] == [(60 * MINUTE - 1, 65 * MINUTE)]
    assert _points(found) == {(1, ts) for ts in store.times}


def test_a_batch_stored_during_the_read_cuts_what_was_read():
    recent, store = Recent(1 << 20), _Store()

    def read(after_ms: int, until_ms: int) -> Runs:
        runs = store(after_ms, until_ms)
        with _arriving(recent, (2, 10 * MINUTE + 1)):
            return runs

    recent.fetch(WHOLE, 0, 20 * MINUTE, most=1000, read=read)
    assert recent.get(WHOLE, 0, 11 * MINUTE) is None
    assert recent.get(WHOLE, 0, 10 * MINUTE) is not None


def test_a_question_during_an_insert_does_not_end_what_was_known_before_it():
    recent, store = Recent(1 << 20), _Store()
    recent.fetch(WHOLE, 0, 59 * MINUTE, most=1000, read=store)
    with _arriving(recent, (1, 60 * MINUTE)):
        recent.fetch(WHOLE, 0, 60 * MINUTE, most=1000, read=store)
        store.times.append(60 * MINUTE)
    assert _points(recent.get(WHOLE, 0, 60 * MINUTE)) == {(1, ts) for ts in store.times}
    assert store.read[1:] == [(60 * MINUTE - 1, 60 * MINUTE)]


def test_batches_that_nobody_asks_for_are_let_go_and_read_later():
    recent, store = Recent(1 << 12), _Store()
    recent.fetch(WHOLE, 0, 20 * MINUTE, most=1000, read=store)
    for minute in range(60, 200):
        with _arriving(recent, (1, minute * MINUTE)):
            store.times.append(minute * MINUTE)
    assert recent.size() < 1 << 12
    found = recent.fetch(WHOLE, 10 * MINUTE, 199 * MINUTE, most=1000, read=store)
    assert _points(found) >= {(1, ts) for ts in store.times if ts > 10 * MINUTE}


def test_series_come_together_again_when_an_entry_grows():
    before, later = _runs((1, [(1, 1.0), (5, 9.0)]), (3, [(2, 2.0)])), _runs((2, [(5, 5.0)]), (3, [(6, 6.0)]))
    both = before.then(later, 4)
    assert (both.fps.tolist(), both.offsets.tolist()) == ([1, 2, 3], [0, 1, 2, 4])
    assert (both.ts_ms.tolist(), both.values.tolist()) == ([1, 5, 2, 6], [1.0, 5.0, 2.0, 6.0])


def test_series_with_the_same_times_share_a_clock():
    runs = _runs((1, [(1, 1.0), (2, 1.0)]), (2, [(1, 3.0), (2, 4.0)]), (3, [(1, 1.0)]), (4, [(1, 7.0), (3, 7.0)]))
    assert runs.clock.tolist() == [0, 0, 2, 3]
    assert _runs().clock.tolist() == []


def test_staleness_markers_are_left_out_where_nobody_wants_them():
    runs = _runs((1, [(1, STALE_NAN)]), (2, [(1, 1.0), (2, STALE_NAN), (3, float("nan"))]), (3, [(1, 1.0), (2, 2.0)]))
    plain = runs.without_markers()
    assert (plain.fps.tolist(), plain.ts_ms.tolist(), plain.clock.tolist()) == ([2, 3], [1, 3, 1, 2], [0, 1])
    assert plain.without_markers() is plain


def test_the_metric_nobody_asked_for_longest_leaves_first():
    store = _Store()
    recent = Recent(2 * (59 * 16 + 32) + 8)
    for metric in ("a", "b", "a", "c"):
        recent.fetch(Whose(metric), 0, 59 * MINUTE, most=1000, read=store)
    assert [recent.get(Whose(metric), 0, 59 * MINUTE) is not None for metric in "abc"] == [
        True,
        False,
        True,
    ]


def test_too_many_samples_are_not_kept():
    recent = Recent(1 << 20)
    assert recent.fetch(WHOLE, 0, 5, most=1000, read=lambda after_ms, until_ms: None) is None
    assert recent.get(WHOLE, 0, 5) is None


def _grown(series: list[tuple[int, list[tuple[int, float]]]], chance: random.Random) -> Runs:
    """The same samples, that come in a few at a time; some series later than others."""
    runs, left = _runs(), {fp: list(points) for fp, points in series}
    while left:
        some = sorted(chance.sample(sorted(left), min(len(left), chance.randrange(1, 9))))
        count = chance.choice((1, 1, 2, 5, 70))
        more = _runs(*((fp, left[fp][:count]) for fp in some))
        runs = runs.grown(more.owners(), more.ts_ms, more.values)
        left = {fp: points[count:] if fp in some else points for fp, points in left.items()}
        left = {fp: points for fp, points in left.items() if points}
    return runs


@pytest.mark.parametrize(("growing", "few"), [(False, 0), (True, 0), (True, 500)])
def test_a_part_has_the_samples_of_the_series_and_the_time_asked_for(
    growing: bool, few: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("aiprism.store.runs._FEW_CLOCKS", few)
    chance = random.Random(4)
    series = [(fp, [(ts, float(fp * ts)) for ts in range(fp % 3, 60, 1 + fp % 4)]) for fp in range(1, 30)]
    runs = _grown(series, chance) if growing else _runs(*series)
    runs = runs.grown(np.array([30], np.uint64), np.array([1]), np.array([1.0]))
    for _ in range(60):
        chosen = np.array(sorted(chance.sample(range(30), chance.randrange(31))), dtype=np.int64)
        after = chance.randrange(-5, 65)
        until = after + chance.randrange(70)
        part = runs.part(chosen, after, until)
        inside = {
            (fp, point) for fp, points in series for point in points if fp - 1 in chosen and after < point[0] <= until
        }
        there = set(
            zip(part.owners().tolist(), zip(part.ts_ms.tolist(), part.values.tolist(), strict=True), strict=True)
        )
        assert inside <= there
        assert {fp - 1 for fp, _ in there} <= set(chosen.tolist())
        assert len(there) == len(part.ts_ms) <= max(2 * len(inside), 2)
        times = np.split(part.ts_ms, part.offsets[1:-1]) if len(part.fps) else []
        assert all(np.array_equal(times[of], each) for each, of in zip(times, part.clock.tolist(), strict=True))


def test_what_was_too_much_to_keep_is_not_read_again_before_other_times_are_asked_for():
    recent, asked = Recent(1 << 20), []

    def read(after_ms: int, until_ms: int) -> None:
        asked.append(until_ms)

    def fetch(after: int, until: int, most: int = 1000) -> None:
        assert recent.fetch(WHOLE, after * MINUTE, until * MINUTE, most=most, read=read) is None

    fetch(0, 40)
    for after, until in ((0, 40), (1, 41), (10, 50), (-20, 60)):
        fetch(after, until)
    assert len(asked) == 1
    fetch(0, 40, most=1001)
    fetch(11, 51)
    fetch(22, 50)
    assert len(asked) == 4


class _Busy:
    """A store of a few series that batches come into, several at a time, while it is read; and what is kept of it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.recent = chance, Recent(chance.choice((1 << 12, 1 << 20)))
        self.rows: set[tuple[int, int]] = set()
        self.newest = dict.fromkeys(range(1, 6), 0)  # of each series, stored or tried
        self.under_way: list[tuple[list[tuple[int, int]], Any]] = []
        self.being_read: set[Whose] = set()

    def act(self, depth: int = 0) -> None:
        """One thing that may happen at any time; those in the midst of another are `depth` deep."""
        what = self.chance.choice(("begin", "begin", "end", "end", "end", "end", "ask", "ask", "ask", "ask", "forget"))
        if what == "begin" and len(self.under_way) < 2:
            self._begin()
        elif what == "end" and self.under_way:
            self._end()
        elif what == "ask" and depth < 2:
            self._ask(depth)
        elif what == "forget":
            oldest = self.chance.randrange(20) * MINUTE
            self.rows = {(fp, ts) for fp, ts in self.rows if ts >= oldest}
            self.recent.forget()

    def _begin(self) -> None:
        batch = []
        for fp in self.chance.sample(sorted(self.newest), self.chance.randrange(1, 5)):
            for _ in range(self.chance.randrange(1, 3)):
                self.newest[fp] += self.chance.choice((1, 5, 60)) * MINUTE // 4
                batch.append((fp, self.newest[fp]))
        self.chance.shuffle(batch)
        arriving = _arriving(self.recent, *batch)
        arriving.__enter__()
        self.under_way.append((batch, arriving))

    def _end(self) -> None:
        batch, arriving = self.under_way.pop(self.chance.randrange(len(self.under_way)))
        outcome = self.chance.choice(("stored", "stored", "failed", "failed though it is there"))
        if outcome != "failed":
            self.rows |= set(batch)
        with suppress(OSError):
            error = None if outcome == "stored" else OSError()
            arriving.__exit__(error and OSError, error, None)

    def _ask(self, depth: int) -> None:
        whole = self.chance.random() < 0.5
        series = sorted(self.newest) if whole else sorted(self.chance.sample(sorted(self.newest), 2))
        whose = WHOLE if whole else Whose("m", np.array(series, np.uint64).tobytes())
        after = self.chance.randrange(0, 60) * MINUTE
        until = after + self.chance.randrange(1, 60) * MINUTE

        def read(after_ms: int, until_ms: int) -> Runs:
            self._meanwhile(depth)
            there = sorted((fp, ts) for fp, ts in self.rows if fp in series and after_ms < ts <= until_ms)
            self._meanwhile(depth)
            return _runs(*((fp, [(ts, float(ts))]) for fp, ts in there))

        if self.chance.random() < 0.7 and whose not in self.being_read:
            self.being_read.add(whose)  # another one would wait for it
            self.recent.fetch(whose, after, until, most=1000, read=read)
            self.being_read.remove(whose)
        found = self.recent.get(whose, after, until)
        if any(ts <= until for batch, _ in self.under_way for fp, ts in batch if fp in series):
            assert found is None
        if found is not None:
            assert {each for each in _points(found) if after < each[1] <= until} == {
                each for each in self.rows if each[0] in series and after < each[1] <= until
            }

    def _meanwhile(self, depth: int) -> None:
        for _ in range(self.chance.randrange(3)):
            self.act(depth + 1)


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_whatever_comes_in_and_is_asked_when_what_is_kept_is_what_is_stored(chance: random.Random):
    busy = _Busy(chance)
    for _ in range(40):
        busy.act()

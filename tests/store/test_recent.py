"""Samples kept from query to query are those that are stored, whatever is stored meanwhile."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aiprism.model.samples import STALE_NAN
from aiprism.store.recent import Recent, Runs, Whose

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


def _times(runs: Runs | None) -> list[int]:
    assert runs is not None
    return [ts // MINUTE for ts in runs.ts_ms.tolist()]


def test_a_second_question_about_the_same_time_reads_nothing():
    recent, store = Recent(1 << 20), _Store()
    assert recent.get(WHOLE, 0, 20 * MINUTE, stale=True) is None
    first = recent.fetch(WHOLE, 0, 20 * MINUTE, stale=True, most=1000, read=store)
    assert recent.get(WHOLE, 5 * MINUTE, 20 * MINUTE, stale=True) is first
    assert len(store.read) == 1


def test_what_is_stored_meanwhile_is_read_and_nothing_else():
    recent, store = Recent(1 << 20), _Store()
    recent.fetch(WHOLE, 0, 30 * MINUTE, stale=True, most=1000, read=store)
    store.times = sorted({*store.times, 25 * MINUTE + 1})
    recent.stored("other", 1)
    assert recent.get(WHOLE, 0, 30 * MINUTE, stale=True) is not None
    recent.stored("m", 25 * MINUTE + 1)
    assert recent.get(WHOLE, 0, 30 * MINUTE, stale=True) is None
    assert recent.get(WHOLE, 0, 25 * MINUTE, stale=True) is not None
    again = recent.fetch(WHOLE, 0, 30 * MINUTE, stale=True, most=1000, read=store)
    assert store.read[1] == (25 * MINUTE, 30 * MINUTE)
    assert again is not None
    assert again.ts_ms.tolist() == [ts for ts in store.times if ts <= 30 * MINUTE]


def test_a_batch_stored_during_the_read_cuts_what_was_read():
    recent, store = Recent(1 << 20), _Store()

    def read(after_ms: int, until_ms: int) -> Runs:
        runs = store(after_ms, until_ms)
        recent.stored("m", 10 * MINUTE + 1)
        return runs

    recent.fetch(WHOLE, 0, 20 * MINUTE, stale=True, most=1000, read=read)
    assert recent.get(WHOLE, 0, 11 * MINUTE, stale=True) is None
    assert recent.get(WHOLE, 0, 10 * MINUTE, stale=True) is not None


def test_a_batch_of_old_samples_ends_all_that_is_kept_of_its_metric():
    recent, store = Recent(1 << 20), _Store()
    recent.fetch(WHOLE, 10 * MINUTE, 30 * MINUTE, stale=True, most=1000, read=store)
    recent.stored("m", 0)
    store.times = [1, *store.times]
    assert _times(recent.fetch(WHOLE, 10 * MINUTE, 30 * MINUTE, stale=True, most=1000, read=store))[-1] == 30
    assert store.read[1] == store.read[0]


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
    recent = Recent(1 << 20)
    runs = _runs((1, [(1, STALE_NAN)]), (2, [(1, 1.0), (2, STALE_NAN), (3, float("nan"))]))
    recent.fetch(WHOLE, 0, 5, stale=True, most=1000, read=lambda after_ms, until_ms: runs)
    assert recent.get(WHOLE, 0, 5, stale=True) is runs
    plain = recent.get(WHOLE, 0, 5, stale=False)
    assert plain is not None
    assert (plain.fps.tolist(), plain.ts_ms.tolist()) == ([2], [1, 3])


def test_the_metric_nobody_asked_for_longest_leaves_first():
    store = _Store()
    recent = Recent(2 * 59 * 16)
    for metric in ("a", "b", "a", "c"):
        recent.fetch(Whose(metric), 0, 59 * MINUTE, stale=True, most=1000, read=store)
    assert [recent.get(Whose(metric), 0, 59 * MINUTE, stale=True) is not None for metric in "abc"] == [
        True,
        False,
        True,
    ]


def test_too_many_samples_are_not_kept():
    recent = Recent(1 << 20)
    assert recent.fetch(WHOLE, 0, 5, stale=True, most=1000, read=lambda after_ms, until_ms: None) is None
    assert recent.get(WHOLE, 0, 5, stale=True) is None


@pytest.mark.parametrize("many", [0, 500])
def test_a_part_has_the_samples_of_the_series_and_the_time_asked_for(many: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("aiprism.store.recent._MANY_CLOCKS", many)
    chance = random.Random(4)
    series = [(fp, [(ts, float(fp * ts)) for ts in range(fp % 3, 60, 1 + fp % 4)]) for fp in range(1, 30)]
    runs = _runs(*series, (30, [(1, 1.0)]))
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
        assert recent.fetch(WHOLE, after * MINUTE, until * MINUTE, stale=True, most=most, read=read) is None

    fetch(0, 40)
    for after, until in ((0, 40), (1, 41), (10, 50), (-20, 60)):
        fetch(after, until)
    assert len(asked) == 1
    fetch(0, 40, most=1001)
    fetch(11, 51)
    fetch(22, 50)
    assert len(asked) == 4

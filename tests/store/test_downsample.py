"""How the work of downsampling is cut, and where a query is read from: plain decisions."""

from __future__ import annotations

import pytest

from aiprism.store.downsample import Pack, Redo, packs, redos
from aiprism.store.rollups import HOUR_MS, Reach, Segment, Shape, choose

DAY_MS = 24 * HOUR_MS
T0 = 1_699_920_000_000  # midnight
ALL = Reach(downsampled=T0 + 100 * DAY_MS)


def test_series_are_cut_into_slices_in_order_and_the_last_takes_what_is_new():
    sizes = [("a", 40), ("b", 30), ("c", 50), ("d", 250), ("e", 10)]
    assert packs(sizes, 100) == [
        Pack("", "b"), Pack("b", "c"),
        Pack("c", "d", 0, 3), Pack("c", "d", 1, 3), Pack("c", "d", 2, 3),
        Pack("d", None),
    ]  # fmt: skip
    assert packs([], 100) == [Pack("", None)]


def test_hours_in_a_row_of_the_same_metrics_are_done_together():
    hour = 3600
    pending = [(hour, ["a"]), (2 * hour, ["a"]), (3 * hour, ["a", "b"]), (5 * hour, ["a", "b"]), (6 * hour, ["a", "b"])]
    assert redos(pending) == [
        Redo(0, 2 * hour, ("a",)), Redo(2 * hour, 3 * hour, ("a", "b")), Redo(4 * hour, 6 * hour, ("a", "b")),
    ]  # fmt: skip
    assert redos(pending[:2], longest_hours=1) == [Redo(0, hour, ("a",)), Redo(hour, 2 * hour, ("a",))]


@pytest.mark.parametrize(
    ("function", "start_ms", "step_ms", "count", "window_ms", "tables"),
    [
        ("sum_over_time", T0, HOUR_MS, 48, HOUR_MS, "samples_1h"),
        ("sum_over_time", T0, HOUR_MS, 48, 300_000, "samples_5m"),
        ("sum_over_time", T0, HOUR_MS, 48, 301_000, "samples"),
        ("sum_over_time", T0 + 1, HOUR_MS, 48, HOUR_MS, "samples"),
        ("sum_over_time", T0, 300_000, 3, 300_000, "samples"),  # too few buckets to be worth it
        ("latest", T0, HOUR_MS, 48, 300_000, "samples_1h"),
        ("latest", T0, 60_000, 480, 300_000, "samples"),
        ("rate", T0, HOUR_MS, 48, 300_000, "samples"),  # a counter needs twelve buckets
        ("rate", T0, HOUR_MS, 48, HOUR_MS, "samples_5m"),
        ("rate", T0, HOUR_MS, 48, 12 * HOUR_MS, "samples_1h"),
        ("quantile_over_time", T0, HOUR_MS, 48, HOUR_MS, "samples"),
        ("rate", T0 + 12345, 1, 1, 2 * DAY_MS, "samples + samples_1h + samples"),
        ("rate", T0 + 12345, 1, 1, 12 * HOUR_MS, "samples + samples_5m + samples"),
    ],
)
def test_the_coarsest_buckets_that_answer_the_same_are_read(
    function: str, start_ms: int, step_ms: int, count: int, window_ms: int, tables: str
):
    assert str(choose(function, start_ms, step_ms, count, window_ms, ALL)) == tables


def test_what_is_not_downsampled_yet_is_read_from_the_samples():
    found = choose("sum_over_time", T0, HOUR_MS, 48, HOUR_MS, Reach(downsampled=T0 + 10 * HOUR_MS))
    assert found.segments == (
        Segment("samples_1h", T0 - HOUR_MS, T0 + 10 * HOUR_MS),
        Segment("samples", T0 + 10 * HOUR_MS, T0 + 47 * HOUR_MS),
    )
    assert not choose("sum_over_time", T0, HOUR_MS, 48, HOUR_MS, Reach()).rolled


def test_where_the_samples_are_gone_the_finest_buckets_there_are_answer_with_windows_no_smaller():
    gone = Reach(T0 + 100 * DAY_MS, raw_from=T0 + DAY_MS + 1, fine_from=T0)
    found = choose("quantile_over_time", T0 + 3 * HOUR_MS, 60_000, 60 * 48, 60_000, gone)
    assert (str(found), found.shape, found.window_ms) == ("samples_5m + samples", Shape.POINTS, 300_000)
    older = choose("rate", T0 - DAY_MS, 60_000, 60 * 72, 300_000, gone)
    assert (str(older), older.window_ms) == ("samples_1h + samples_5m + samples", HOUR_MS)
    assert older.segments[0].until_ms == T0
    assert older.segments[1].until_ms == T0 + DAY_MS + HOUR_MS
    assert str(choose("quantile_over_time", T0 + 3 * DAY_MS, 60_000, 60, 60_000, gone)) == "samples"

"""What is kept of selections changes none: they are what a new index would select, and the same one where nothing is new."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.store import chosen, series
from aiprism.store.runs import distinct
from aiprism.store.series import Seen, Selection, SeriesIndex

ASKED = (
    (Matcher("__name__", MatchOp.EQUAL, "up"),),
    (Matcher("__name__", MatchOp.EQUAL, "up"), Matcher("job", MatchOp.EQUAL, "a")),
    (Matcher("__name__", MatchOp.EQUAL, "up"), Matcher("instance", MatchOp.REGEX, "[1-3].*")),
    (Matcher("__name__", MatchOp.REGEX, "up|down"), Matcher("job", MatchOp.NOT_EQUAL, "a")),
    (Matcher("job", MatchOp.EQUAL, ""),),
)


@pytest.fixture(autouse=True)
def everything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen, "_FEW", 1)


def admit(index: SeriesIndex, sets: list[Labels], ts_ms: int = 0) -> np.ndarray:
    positions = index.admit(sets, 0.0)
    index.see(Seen.of(positions, np.full(len(sets), ts_ms)), 0.0)
    return positions


def shown(selection: Selection) -> tuple[object, ...]:
    native = None if selection.native is None else selection.native.tolist()
    return selection.fps.tolist(), selection.labels(), selection.metrics, selection.of, selection.corrected_ms, native


a_label_set = st.builds(
    lambda name, job, instance: Labels({"__name__": name, "job": job, "instance": instance}),
    st.sampled_from(["up", "down", "other"]),
    st.sampled_from(["", "a", "b"]),
    st.integers(0, 30).map(str),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(a_label_set, max_size=6), st.sampled_from([0, 10**9]), st.booleans()), max_size=6))
def test_selections_are_those_of_an_index_that_keeps_none(batches: list[tuple[list[Labels], int, bool]]):
    index, told = SeriesIndex(), []
    for sets, ts_ms, special in batches:
        positions = admit(index, sets, ts_ms)
        if special and len(positions):
            index.native(positions[:1])
            index.corrected(Seen.of(positions[-1:], np.array([ts_ms])))
        told.append((sets, ts_ms, special))
        fresh = SeriesIndex()
        for again, then, specially in told:
            places = admit(fresh, again, then)
            if specially and len(places):
                fresh.native(places[:1])
                fresh.corrected(Seen.of(places[-1:], np.array([then])))
        for matchers in ASKED:
            for span in ((0, 0), (10**9, 10**9), (0, 10**9)):
                assert shown(index.select(matchers, *span)) == shown(fresh.select(matchers, *span))


def test_a_selection_of_the_same_series_is_the_same_until_there_is_a_new_one():
    index = SeriesIndex()
    admit(index, [Labels({"__name__": "up", "job": "a", "instance": str(place)}) for place in range(40)])
    first = index.select(ASKED[1], 0, 0)
    assert index.select(ASKED[1], 0, 1000) is first
    assert index.select(ASKED[1], 0, 0).labels() is first.labels()
    admit(index, [Labels({"__name__": "up", "job": "b"})])
    other = index.select(ASKED[1], 0, 0)
    assert (other.of, other.fps is first.fps, other.labels() is first.labels()) == (41, True, True)
    admit(index, [Labels({"__name__": "up", "job": "a", "instance": "new"})])
    assert len(index.select(ASKED[1], 0, 0)) == 41


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chosen, "_MOST_OF_ROWS", 5_000)
    monkeypatch.setattr(chosen, "_MOST_OF_SELECTIONS", 20_000)
    for module in (chosen, series):
        monkeypatch.setattr(module, "MOST_KEPT", 3)
    index = SeriesIndex()
    admit(index, [Labels({"__name__": "up", "job": job, "instance": str(i)}) for job in "abcdefgh" for i in range(10)])
    kept = [index.select((*ASKED[0], Matcher("job", MatchOp.EQUAL, job)), 0, 0) for job in "abcdefgh" for _ in range(2)]
    assert [len(each) for each in kept] == [10] * 16
    assert (kept[0] is kept[1], kept[-2] is kept[-1]) == (True, True)
    assert kept[0].labels() is not kept[0].labels()
    assert bounded(index)
    whole = index.select(ASKED[0], 0, 0)
    assert index.select(ASKED[0], 0, 0) is not whole


def test_questions_that_find_nothing_are_bounded_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chosen, "_MOST_OF_ROWS", 20_000)
    index = SeriesIndex()
    admit(index, [Labels({"__name__": "up", "instance": "1"})])
    for place in range(100):
        assert not len(index.select((*ASKED[0], Matcher("instance", MatchOp.EQUAL, f"none-{place}")), 0, 0))
    assert bounded(index)
    assert len(index._chosen._rows) < 40
    assert not len(index.select((*ASKED[0], Matcher("instance", MatchOp.EQUAL, "n" * 30_000)), 0, 0))
    assert len(index._chosen._rows) == 1


def bounded(index: SeriesIndex) -> bool:
    """Whether what is kept is as much as is counted, and no more than may be."""
    kept = index._chosen
    rows = sum(chosen._bytes_of_rows(asked, rows) for (_, asked), (_, rows) in kept._rows.items())
    selections = sum(chosen._bytes_of_selection(asked, made) for asked, (_, made) in kept._selections.items())
    assert (kept._of_rows, kept._of_selections) == (rows, selections)
    return rows <= chosen._MOST_OF_ROWS and selections <= chosen._MOST_OF_SELECTIONS


@given(st.lists(st.integers(0, 60), max_size=40))
def test_distinct_numbers_are_numpys(numbers: list[int]):
    given_numbers = np.array(numbers, np.int64)
    expected = np.unique(given_numbers, return_index=True, return_inverse=True)
    for found, wanted in zip(distinct(given_numbers), expected, strict=True):
        assert found.tolist() == wanted.tolist()

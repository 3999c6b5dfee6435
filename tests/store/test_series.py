"""The series index selects what Prometheus' matchers select, follows ingest, and is fast enough to be asked first."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.model.labels import Labels, Matcher, MatchOp, matches_all
from aiprism.store.columns import FingerprintTable
from aiprism.store.engine import Engine
from aiprism.store.series import SEEN_SLACK_MS, Seen, SeriesIndex
from aiprism.store.seriesload import load_series

HOUR_MS = 3_600_000


def indexed(*sets: Mapping[str, str], first_ms: int = 0) -> SeriesIndex:
    index = SeriesIndex()
    see(index, [Labels(each) for each in sets], first_ms)
    return index


def see(index: SeriesIndex, sets: Sequence[Labels], *times_ms: int) -> None:
    """Tell `index` of samples of each series at each of those times."""
    positions = index.admit(sets, 0.0)
    index.see(Seen.of(np.repeat(positions, len(times_ms)), np.tile(times_ms, len(positions))), 0.0)


def matcher(text: str) -> Matcher:
    name, op, value = text.split(" ", 2) if text.count(" ") == 2 else (*text.split(" "), "")
    return Matcher(name, MatchOp(op), value)


def selected(index: SeriesIndex, *matchers: str, start_ms: int = 0, end_ms: int = 0) -> set[Labels]:
    selection = index.select([matcher(each) for each in matchers], start_ms, end_ms)
    labels = selection.labels()
    assert [each.fingerprint for each in labels] == selection.fps.tolist()
    assert len(selection) == len(labels)
    return set(labels)


SERIES = (
    {"__name__": "up", "job": "api", "instance": "a:1"},
    {"__name__": "up", "job": "web", "instance": "b:2"},
    {"__name__": "up", "instance": "c:3"},
    {"__name__": "down", "job": "api", "zone": "eu\nwest"},
    {"job": "nameless"},
)


@pytest.mark.parametrize(
    ("matchers", "found"),
    [
        (("__name__ = up",), {0, 1, 2}),
        (("__name__ = up", "job = api"), {0}),
        (("__name__ = up", "job != api"), {1, 2}),
        (("__name__ = up", "job =~ a.*|x"), {0}),
        (("__name__ = up", "job =~ api|web"), {0, 1}),
        (("__name__ = up", "job !~ a.*"), {1, 2}),
        (("__name__ = up", "job =~ ap"), set()),
        (("__name__ = up", "job ="), {2}),
        (("__name__ = up", "job !="), {0, 1}),
        (("__name__ = up", "job =~ .*"), {0, 1, 2}),
        (("__name__ = up", "job =~ .+"), {0, 1}),
        (("__name__ = up", "job =~ |web"), {1, 2}),
        (("__name__ = up", "nothing ="), {0, 1, 2}),
        (("__name__ = up", "nothing !="), set()),
        (("__name__ = up", "nothing !~ .+"), {0, 1, 2}),
        (("job = api",), {0, 3}),
        (("__name__ =~ up|down", "job = api"), {0, 3}),
        (("__name__ != up", "job =~ .+"), {3, 4}),
        (("__name__ !~ u.*", "job = api"), {3}),
        (("__name__ = up", "__name__ =~ down"), set()),
        (("__name__ =",), {4}),
        (("zone =~ eu.west",), {3}),
        (("__name__ = other",), set()),
        (("job = api", "job =~ web"), set()),
    ],
)
def test_matchers_select_as_in_prometheus(matchers: tuple[str, ...], found: set[int]):
    assert selected(indexed(*SERIES), *matchers) == {Labels(SERIES[place]) for place in found}


NAMES, VALUES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "1", "2", "12", "x"])
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["__name__", "a", "b", "c", "d"]),
    st.sampled_from(list(MatchOp)),
    st.sampled_from(["", "1", "2", "1.*", ".+", ".*", "1|2", "m.", "m1"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["m1", "m2", ""]), st.dictionaries(NAMES, VALUES))),
    st.lists(MATCHERS, min_size=1, max_size=4),
)
def test_a_selection_is_what_the_matchers_accept_one_by_one(
    given_series: list[tuple[str, dict[str, str]]], matchers: list[Matcher]
):
    sets = {Labels({"__name__": name, **labels}) for name, labels in given_series}
    index = indexed(*sets)
    selection = index.select(matchers, 0, 0)
    assert sorted(selection.labels()) == sorted(labels for labels in sets if matches_all(matchers, labels))


def test_a_bad_regular_expression_is_refused():
    with pytest.raises(BadInput, match="regular expression"):
        selected(indexed(*SERIES), "job =~ (")


def test_series_outside_of_the_time_asked_for_are_left_out():
    index = indexed(*SERIES[:2], first_ms=10 * HOUR_MS)
    see(index, [Labels(SERIES[0])], 20 * HOUR_MS)
    within = 15 * HOUR_MS
    assert selected(index, "__name__ = up", start_ms=within, end_ms=within) == {Labels(SERIES[0])}
    assert len(selected(index, "__name__ = up", start_ms=within - 4 * HOUR_MS, end_ms=within)) == 2
    assert selected(index, "__name__ = up", end_ms=10 * HOUR_MS - SEEN_SLACK_MS - 1) == set()
    see(index, [Labels(SERIES[0])], 2 * HOUR_MS, 11 * HOUR_MS)
    assert selected(index, "__name__ = up", end_ms=3 * HOUR_MS) == {Labels(SERIES[0])}


def test_many_series_are_seen_at_once():
    index = SeriesIndex()
    sets = [Labels({"__name__": "m", "n": str(number)}) for number in range(3000)]
    see(index, sets, 0)
    see(index, sets[:2000], 100 * HOUR_MS)
    assert len(selected(index, "__name__ = m", start_ms=100 * HOUR_MS, end_ms=100 * HOUR_MS)) == 2000


def test_a_series_admitted_twice_is_one_and_keeps_its_position():
    index = SeriesIndex()
    first, again = Labels(SERIES[0]), Labels(SERIES[1])
    assert index.admit([first, again, first], 0.0).tolist() == [0, 1, 0]
    assert index.admit([again], 0.0).tolist() == [1]
    assert index.find(np.array([again.fingerprint, 1], dtype=np.uint64)).tolist() == [1, -1]
    assert len(index) == 2


def test_a_series_is_selected_only_once_a_sample_of_it_is_stored():
    index = SeriesIndex()
    index.admit([Labels(SERIES[0])], 0.0)
    assert selected(index, "__name__ = up") == set()
    assert (index.metric_names(), index.label_names()) == ([], [])
    see(index, [Labels(SERIES[0])], 0)
    assert selected(index, "__name__ = up") == {Labels(SERIES[0])}


def test_of_new_series_the_first_come_in_for_which_there_is_room():
    index = indexed(SERIES[0])
    asked: list[int] = []

    def room(fresh: int) -> int:
        asked.append(fresh)
        return 1

    sets = [Labels(each) for each in (SERIES[0], SERIES[1], SERIES[2], SERIES[1])]
    assert index.admit(sets, 0.0, room).tolist() == [0, 1, -1, 1]
    assert (asked, len(index)) == ([2], 2)
    index.admit(sets[:2], 0.0, room)
    assert asked == [2]


def test_a_series_is_active_while_something_of_it_comes_in():
    index = SeriesIndex()
    positions = index.admit([Labels(each) for each in SERIES], 1000.0)
    index.see(Seen.of(positions[:2], np.array([5, 5])), 2000.0)
    assert [index.active(since) for since in (0.0, 1000.0, 1001.0, 2000.0, 2001.0)] == [5, 5, 2, 2, 0]


def test_series_by_position_have_their_fingerprints_names_and_labels():
    index = SeriesIndex()
    positions = index.admit([Labels(each) for each in SERIES], 0.0)[::-1]
    wanted = [Labels(each) for each in reversed(SERIES)]
    assert index.labels(positions) == [labels.pairs for labels in wanted]
    assert index.fps(positions).tolist() == [labels.fingerprint for labels in wanted]
    assert index.metrics(positions).to_pylist() == [labels.name for labels in wanted]


def test_a_row_is_due_for_a_new_series_for_older_samples_and_after_an_hour():
    index = SeriesIndex()
    positions = index.admit([Labels(each) for each in SERIES[:2]], 0.0)

    def due(at_ms: int) -> list[int]:
        return [int(at) for at in index.due(Seen.of(positions, np.full(2, at_ms))).positions]

    assert due(10 * HOUR_MS) == [0, 1]
    index.registered(Seen.of(positions, np.full(2, 10 * HOUR_MS)))
    assert due(10 * HOUR_MS) == []
    assert due(10 * HOUR_MS - 1) == [0, 1]
    assert due(11 * HOUR_MS) == [0, 1]


def test_rows_are_written_anew_in_thirty_turns_an_hour():
    index = SeriesIndex()
    positions = index.admit([Labels({"__name__": "m", "n": str(n)}) for n in range(300)], 0.0)
    index.registered(Seen.of(positions, np.full(300, 10 * HOUR_MS)))
    written = []
    for scrape in range(1, 241):
        due = index.due(Seen.of(positions, np.full(300, 10 * HOUR_MS + scrape * 15_000)))
        index.registered(due)
        written.append(len(due))
    assert sorted(written)[-30:] == [10] * 30
    assert sum(written) == 300


# Keys that crowd into few slots, and keys of any bits; positions that several keys share.
KEYS = st.one_of(st.integers(0, 40).map(lambda n: n << 58 | n % 3), st.integers(0, 2**64 - 1))


@given(st.lists(st.dictionaries(KEYS, st.integers(0, 3)), max_size=6))
def test_the_table_of_fingerprints_is_a_dictionary(batches: list[dict[int, int]]):
    table, known = FingerprintTable(), dict[int, int]()
    for batch in batches:
        table.put(np.array([*batch], dtype=np.uint64), np.array([*batch.values()], dtype=np.int64))
        known.update(batch)
    asked = [*known, *range(50)]
    assert table.find(np.array(asked, dtype=np.uint64)).tolist() == [known.get(fp, -1) for fp in asked]
    assert len(table) == len(known)


def test_a_table_keeps_every_key_of_those_with_one_position():
    keys = np.random.default_rng(3).integers(1, 2**63, 10_000).astype(np.uint64)
    table = FingerprintTable()
    table.put(np.unique(keys), np.zeros(len(np.unique(keys)), dtype=np.int64))
    assert (table.find(keys) == 0).all()


def test_label_names_and_values_are_those_of_the_series_selected():
    index = indexed(*SERIES)
    assert index.metric_names() == ["", "down", "up"]
    assert index.label_names() == ["__name__", "instance", "job", "zone"]
    assert index.label_names([matcher("__name__ = up")]) == ["__name__", "instance", "job"]
    assert index.label_names([matcher("__name__ = up"), matcher("job =")]) == ["__name__", "instance"]
    assert index.label_values("job") == ["api", "nameless", "web"]
    assert index.label_values("job", [matcher("__name__ = up")]) == ["api", "web"]
    assert index.label_values("__name__", [matcher("job = api")]) == ["down", "up"]
    assert index.label_values("nothing") == []
    assert index.label_values("job", start_ms=100 * HOUR_MS, end_ms=101 * HOUR_MS) == []


def test_an_index_is_loaded_from_what_the_store_has(engine: Engine):
    rows = [Labels(each) for each in SERIES]
    table = pa.table(
        {
            "metric": [labels.name for labels in rows],
            "fp": pa.array([labels.fingerprint for labels in rows], pa.uint64()),
            "labels": pa.array([list(labels.items()) for labels in rows], pa.map_(pa.string(), pa.string())),
            "first_ts": pa.array([HOUR_MS] * len(rows), pa.timestamp("ms", tz="UTC")),
            "last_ts": pa.array([2 * HOUR_MS] * len(rows), pa.timestamp("ms", tz="UTC")),
        }
    )
    engine.insert_arrow("series", table, token="one")
    engine.insert_arrow(
        "series",
        table.set_column(4, "last_ts", pa.array([50 * HOUR_MS] * 5, pa.timestamp("ms", tz="UTC"))),
        token="two",
    )
    index = load_series(engine)
    assert len(index) == len(SERIES)
    assert selected(index, "job = api", start_ms=50 * HOUR_MS, end_ms=50 * HOUR_MS) == {rows[0], rows[3]}
    assert len(load_series(engine)) == len(SERIES)


def test_a_loaded_index_is_the_one_that_was_told(engine: Engine):
    chance = random.Random(7)
    sets = [
        Labels(
            {
                "__name__": f"m{chance.randrange(5)}",
                "n": str(at),
                f"l{chance.randrange(9)}": "ü" * chance.randrange(3),
            }
        )
        for at in range(500)
    ]
    told = SeriesIndex()
    see(told, sets, HOUR_MS)
    table = {
        "metric": [labels.name for labels in sets],
        "fp": pa.array([labels.fingerprint for labels in sets], pa.uint64()),
        "labels": pa.array([list(labels.items()) for labels in sets], pa.map_(pa.string(), pa.string())),
        "first_ts": pa.array([HOUR_MS] * len(sets), pa.timestamp("ms", tz="UTC")),
        "last_ts": pa.array([HOUR_MS] * len(sets), pa.timestamp("ms", tz="UTC")),
    }
    engine.insert_arrow("series", pa.table(table), token="all")
    loaded = load_series(engine)
    for kind in ("series_by_metric", "values_by_label", "bytes_by_label", "series_by_pair"):
        by_loaded, by_told = (set(getattr(index.cardinality(1000), kind)) for index in (loaded, told))
        assert by_loaded == by_told
    assert selected(loaded, "n =~ .*[05]", "l1 != ü") == selected(told, "n =~ .*[05]", "l1 != ü")
    assert loaded.label_values("l3") == told.label_values("l3")
    # It goes on where it was: a known series keeps its place, a new one gets the next.
    assert len(loaded.admit([*sets, Labels({"__name__": "m0", "n": "new"})], 0.0)) == len(loaded) == 501


def test_an_empty_store_gives_an_empty_index(engine: Engine):
    assert len(load_series(engine)) == 0


def test_selecting_while_series_arrive_gives_whole_series():
    index = SeriesIndex()
    sets = [Labels({"__name__": f"m{number % 3}", "a": str(number), f"l{number % 7}": "x"}) for number in range(4000)]
    done = threading.Event()

    def arrive() -> None:
        for at in range(0, len(sets), 100):
            see(index, sets[at : at + 100], 0)
        done.set()

    thread = threading.Thread(target=arrive)
    thread.start()
    chance = random.Random(1)
    while not done.is_set():
        selected(index, f"__name__ = m{chance.randrange(3)}", "a =~ .*1.*")
    thread.join()
    assert len(selected(index, "a != ")) == 4000


def test_a_regular_expression_over_many_values_knows_values_that_come_later():
    index = indexed(*({"__name__": "m", "a": f"v{number}"} for number in range(100)))
    assert len(selected(index, "a =~ v1.")) == 10
    see(index, [Labels({"__name__": "m", "a": "v1x"})], 0)
    assert len(selected(index, "a =~ v1.")) == 11
    assert len(selected(index, "a !~ v1.")) == 90

"""What the SampleStore reads: exactly the samples asked for, with nothing confused with no value."""

from __future__ import annotations

import math
import struct
import uuid

import numpy as np
import pyarrow as pa
import pytest

from aiprism.errors import LimitExceeded, TimedOut
from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.model.samples import STALE_NAN, is_stale
from aiprism.store.engine import Engine
from aiprism.store.grids import Combine, GridFunction, Steps
from aiprism.store.question import Question
from aiprism.store.samples import Metadata, SampleStore
from aiprism.store.series import Seen, Selection, SeriesIndex


def stored(engine: Engine, *series: tuple[dict[str, str], list[tuple[int, float]]]) -> SampleStore:
    index = SeriesIndex()
    for labels, points in series:
        full = Labels({"__name__": "m", **labels})
        times = np.array([ts for ts, _ in points])
        index.see(Seen.of(np.repeat(index.admit([full], 0.0), len(points)), times), 0.0)
        rows = len(points)
        table = pa.table(
            {
                "metric": [full.name] * rows,
                "fp": pa.array([full.fingerprint] * rows, pa.uint64()),
                "ts": pa.array(times, pa.timestamp("ms", tz="UTC")),
                "unscaled": np.array([value for _, value in points]),
            }
        )
        engine.insert_arrow("samples", table, token=uuid.uuid4().hex)
    return SampleStore(engine, index)


def everything(store: SampleStore, *more: Matcher) -> Selection:
    return store.select([Matcher("__name__", MatchOp.EQUAL, "m"), *more], 0, 10**12)


def raw(
    store: SampleStore, selection: Selection, after_ms: int, until_ms: int, *, stale: bool = False
) -> dict[str, list[tuple[int, float]]]:
    found = store.raw(selection, after_ms, until_ms, stale=stale, limit=1000, question=Question(60))
    labels = selection.labels()
    edges = zip(found.offsets, found.offsets[1:], strict=False)
    return {
        labels[row]["a"]: list(zip(found.ts_ms[lo:hi].tolist(), found.values[lo:hi].tolist(), strict=True))
        for row, (lo, hi) in zip(found.rows.tolist(), edges, strict=True)
    }


def test_raw_samples_lie_after_the_left_and_up_to_the_right_edge(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0), (2000, 2.0), (3000, 3.0)]), ({"a": "2"}, [(2500, 7.0)]))
    assert raw(store, everything(store), 1000, 3000) == {"1": [(2000, 2.0), (3000, 3.0)], "2": [(2500, 7.0)]}
    assert raw(store, everything(store), 2600, 2900) == {}
    assert raw(store, everything(store), 3000, 3000) == {}


def test_samples_come_by_series_and_time_however_they_arrived(engine: Engine):
    store = stored(
        engine, ({"a": "1"}, [(3000, 3.0), (1000, 1.0)]), ({"a": "1"}, [(2000, 2.0)]), ({"a": "2"}, [(2000, 5.0)])
    )
    assert raw(store, everything(store), 0, 9000) == {"1": [(1000, 1.0), (2000, 2.0), (3000, 3.0)], "2": [(2000, 5.0)]}


def test_staleness_markers_come_only_when_asked_for(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0), (2000, STALE_NAN), (3000, math.nan)]))
    assert [ts for ts, _ in raw(store, everything(store), 0, 9000)["1"]] == [1000, 3000]
    found = store.raw(everything(store), 0, 9000, stale=True, limit=10, question=Question(60))
    assert found.ts_ms.tolist() == [1000, 2000, 3000]
    assert [is_stale(value) for value in found.values.tolist()] == [False, True, False]


def test_of_a_selection_only_its_series_come_back_by_list_or_by_filter(engine: Engine):
    store = stored(engine, *(({"a": str(number)}, [(1000, float(number))]) for number in range(200)))
    few = everything(store, Matcher("a", MatchOp.REGEX, "1[0-9]"))
    most = everything(store, Matcher("a", MatchOp.NOT_EQUAL, "7"))
    assert (len(few), few.of, len(most)) == (10, 200, 199)
    for selection in (few, most):
        wanted = {labels["a"]: [(1000, float(labels["a"]))] for labels in selection.labels()}
        assert raw(store, selection, 0, 5000) == wanted
        found = store.grid(selection, GridFunction.LATEST, Steps(1000, 1, 1), 60_000, question=Question(60))
        labels = selection.labels()
        assert {labels[row]["a"]: value[0] for row, value in zip(found.rows, found.values, strict=True)} == {
            name: float(name) for name in wanted
        }


def test_too_many_samples_are_refused(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000 * place, 1.0) for place in range(1, 12)]))
    with pytest.raises(LimitExceeded, match=r"more than 10 samples \(limit max_samples\)"):
        store.raw(everything(store), 0, 60_000, stale=True, limit=10, question=Question(60))


def test_on_a_grid_no_value_a_stored_nan_and_the_end_of_a_series_are_three_things(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0), (2000, math.nan), (3000, STALE_NAN), (5000, 5.0)]))
    found = store.grid(everything(store), GridFunction.LATEST, Steps(0, 1000, 8), 2000, question=Question(60))
    assert found.valid.tolist() == [[False, True, True, False, False, True, True, False]]
    assert found.values[0, 1] == 1.0
    assert math.isnan(found.values[0, 2])
    assert found.values[0, 5:7].tolist() == [5.0, 5.0]


def test_series_without_any_value_on_the_grid_are_left_out(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0)]), ({"a": "2"}, [(1000, 1.0), (2000, 2.0)]))
    found = store.grid(everything(store), GridFunction.DELTA, Steps(2000, 1000, 2), 5000, question=Question(60))
    assert [everything(store).labels()[row]["a"] for row in found.rows] == ["2"]


def test_a_rate_that_clickhouse_may_have_rounded_is_marked_doubtful(engine: Engine):
    resets = [5.0, 1.0, 5.0, 1.0, 5.0]
    store = stored(
        engine,
        ({"a": "calm"}, [(1000 * place, float(place)) for place in range(1, 6)]),
        ({"a": "one"}, [(1000 * place, float(place % 4)) for place in range(1, 6)]),
        ({"a": "two"}, [(1000 * place, value) for place, value in enumerate(resets, 1)]),
        ({"a": "endless"}, [(1000 * place, math.inf if place == 1 else float(place)) for place in range(1, 6)]),
    )
    selection = everything(store)
    found = store.grid(selection, GridFunction.RATE, Steps(2000, 1000, 4), 3000, question=Question(60))
    names = [selection.labels()[row]["a"] for row in found.rows]
    assert dict(zip(names, found.doubtful.tolist(), strict=True)) == {
        "calm": False, "one": False, "two": True, "endless": True,
    }  # fmt: skip
    together = store.combined_grid(
        selection, GridFunction.RATE, Combine.SUM, Steps(2000, 1000, 4), 3000, question=Question(60)
    )
    assert together.doubtful.tolist() == [True]


def test_grids_of_all_series_are_combined_to_one(engine: Engine):
    store = stored(
        engine, ({"a": "1"}, [(1000, 1.0), (2000, 3.0)]), ({"a": "2"}, [(2000, 5.0)]), ({"a": "3"}, [(2000, 100.0)])
    )
    selection = everything(store, Matcher("a", MatchOp.NOT_EQUAL, "3"))
    steps = Steps(1000, 1000, 4)
    wanted = {
        Combine.SUM: [1, 8, 8],
        Combine.AVG: [1, 4, 4],
        Combine.MIN: [1, 3, 3],
        Combine.MAX: [1, 5, 5],
        Combine.COUNT: [1, 2, 2],
        Combine.GROUP: [1, 1, 1],
    }
    for combine, values in wanted.items():
        found = store.combined_grid(selection, GridFunction.LAST, combine, steps, 2000, question=Question(60))
        assert found.valid.tolist() == [[True, True, True, False]]
        assert found.values[0, :3].tolist() == values, combine


def test_a_selection_of_nothing_reads_nothing(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0)]))
    nothing = store.select([Matcher("__name__", MatchOp.EQUAL, "other")], 0, 10**12)
    assert raw(store, nothing, 0, 5000) == {}
    steps = Steps(0, 1000, 3)
    assert store.grid(nothing, GridFunction.LAST, steps, 1000, question=Question(1)).values.shape == (0, 3)
    assert store.combined_grid(
        nothing, GridFunction.LAST, Combine.SUM, steps, 1000, question=Question(1)
    ).values.shape == (0, 3)


def test_a_statement_that_takes_too_long_is_stopped_and_the_next_one_is_well(engine: Engine):
    store = stored(
        engine, *(({"a": str(number)}, [(1000 * place, 1.0) for place in range(1, 400)]) for number in range(20))
    )
    engine.command(
        "INSERT INTO samples (metric, fp, ts, unscaled) "
        "SELECT 'm', fp, ts + INTERVAL arrayJoin(range(1, 300)) SECOND, value FROM samples"
    )
    steps = Steps(1000, 10, 10_000)
    with pytest.raises(TimedOut, match="limit timeout"):
        store.grid(everything(store), GridFunction.DERIV, steps, 300_000, question=Question(0.001))
    assert len(raw(store, everything(store, Matcher("a", MatchOp.EQUAL, "3")), 0, 5000)["3"]) == 5


def test_metadata_is_known_by_metric_newest_first(engine: Engine):
    engine.command(
        "INSERT INTO metric_metadata VALUES ('m', 'counter', 'old words', '', '2024-01-01 00:00:00'), "
        "('m', 'counter', 'new words', 's', '2024-01-02 00:00:00'), ('n', 'gauge', 'other', '', '2024-01-01 00:00:00')"
    )
    store = SampleStore(engine, SeriesIndex())
    new, old = Metadata("m", "counter", "new words", "s"), Metadata("m", "counter", "old words", "")
    assert store.metadata("m") == [new, old]
    assert store.metadata() == [new, old, Metadata("n", "gauge", "other", "")]
    assert store.metadata("'; DROP TABLE samples; --") == []


def test_exemplars_carry_their_trace(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, 1.0)]), ({"a": "2"}, [(1000, 1.0)]))
    selection = everything(store)
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    for fp in selection.fps.tolist():
        engine.command(
            "INSERT INTO exemplars SELECT 'm', {fp:UInt64}, fromUnixTimestamp64Milli(toInt64(1500), 'UTC'), 0.25, "
            f"unhex('{trace}'), unhex('{span}'), map('user', 'x')",
            {"fp": fp},
        )
    one = everything(store, Matcher("a", MatchOp.EQUAL, "1"))
    [found] = store.exemplars(one, 1500, 1500)
    assert (found.row, found.value, found.ts_ms) == (0, 0.25, 1500)
    assert found.labels == Labels({"trace_id": trace, "span_id": span, "user": "x"})
    assert store.exemplars(one, 0, 1499) == []
    assert len(store.exemplars(selection, 0, 2000)) == 2


def test_the_staleness_marker_keeps_its_bits_through_the_store(engine: Engine):
    store = stored(engine, ({"a": "1"}, [(1000, STALE_NAN)]))
    [value] = store.raw(everything(store), 0, 2000, stale=True, limit=10, question=Question(60)).values.tolist()
    assert struct.pack("<d", value) == struct.pack("<d", STALE_NAN)

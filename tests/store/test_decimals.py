"""Values kept as decimal fractions come back bit for bit, whatever they are, and a series keeps its number of decimals."""

from __future__ import annotations

import struct
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.model.samples import STALE_NAN
from aiprism.store.batches import SampleBatch
from aiprism.store.decimals import Decimals, joined
from aiprism.store.engine import Engine
from aiprism.store.metricwriting import MetricWriter
from aiprism.store.question import Question
from aiprism.store.samples import SampleStore
from aiprism.store.schema import migrate
from aiprism.store.series import SeriesIndex

AT = 1_790_000_000_000
ODD = (
    0.0, -0.0, 1.0, -1.0, 0.25, 0.1, 1234.56, -1e-9, 0.3, 0.1 + 0.2, 1 / 3, 5e-324, 1e300, -1e300, float("inf"), float("-inf"),
    2.0**53 - 1, 2.0**53, 2.0**53 + 2, -(2.0**53), 2.0**59, 2.0**63, -(2.0**63), 9007199.254740991, 70368.744177663, 7e13 + 0.5,
    STALE_NAN, float("nan"), struct.unpack("<d", struct.pack("<Q", 0xFFF8000000000001))[0],
    1764000000.12, 1764000000.123456, 4.9e-324, 123456789.987654321,
)  # fmt: skip
FLOATS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.floats(width=64).map(lambda value: struct.unpack("<Q", struct.pack("<d", value))[0]),
    st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 15)).map(
        lambda pair: struct.unpack("<Q", struct.pack("<d", pair[0] / 10 ** pair[1]))[0]
    ),
    st.sampled_from([struct.unpack("<Q", struct.pack("<d", value))[0] for value in ODD]),
)


def places(scaled: NDArray[np.int64]) -> list[int]:
    return [number % 16 - 1 for number in scaled.tolist()]


def split(decimals: Decimals, *values: float) -> NDArray[np.int64]:
    """`scaled` of values of one series."""
    scaled, unscaled = decimals.split(np.zeros(len(values), np.int64), np.array(values))
    assert joined(scaled, unscaled).tobytes() == np.array(values).tobytes()
    return scaled


def test_a_value_is_a_whole_number_and_its_decimals() -> None:
    assert split(Decimals(), 7.0).tolist() == [16 * 7 + 1]
    assert split(Decimals(), -1234.56).tolist() == [16 * -123456 + 3]


def test_a_series_keeps_to_the_most_decimals_it_has_shown() -> None:
    decimals = Decimals()
    assert places(split(decimals, 1.0)) == [0]
    assert places(split(decimals, 1.25)) == [2]
    assert places(split(decimals, 2.0, 2.5)) == [2, 2]
    other, _ = decimals.split(np.array([1, 0]), np.array([3.0, 3.0]))
    assert places(other) == [0, 2]


def test_within_the_first_batch_of_a_series_too() -> None:
    assert places(split(Decimals(), 0.5, 0.25, 1.5)) == [2, 2, 2]


def test_a_value_too_great_for_the_decimals_of_its_series_has_its_own() -> None:
    assert places(split(Decimals(), 0.000000001, 123456789.5, 2.0**52)) == [9, 1, 0]


@pytest.mark.parametrize("value", [-0.0, STALE_NAN, float("inf"), 1e300, 5e-324, 0.1 + 0.2, 2.0**53, 1764000000.123456])
def test_what_is_no_decimal_fraction_stays_what_it_is(value: float) -> None:
    assert split(Decimals(), value).tolist() == [0]


def test_floats_by_nature_are_rarely_taken_for_decimal_fractions() -> None:
    chance = np.random.default_rng(1)
    for scale in (1e-6, 1.0, 1e5, 1e9):
        values = chance.normal(size=10_000) * scale
        scaled, _ = Decimals().split(np.arange(len(values)), values)
        assert np.count_nonzero(scaled) < 100, scale


@given(st.lists(st.tuples(st.integers(0, 3), FLOATS), max_size=60), st.integers(0, 60))
def test_every_float_can_be_told_from_its_two_columns(rows: list[tuple[int, int]], cut: int) -> None:
    decimals = Decimals()
    for part in (rows[:cut], rows[cut:]):
        positions = np.array([position for position, _ in part], dtype=np.int64)
        values = np.array([bits for _, bits in part], dtype=np.uint64).view(np.float64)
        assert joined(*decimals.split(positions, values)).tobytes() == values.tobytes()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), FLOATS), min_size=1, max_size=200))
def test_every_float_comes_back_from_the_store_bit_for_bit(engine: Engine, rows: list[tuple[int, int]]) -> None:
    index, name = SeriesIndex(), f"m_{uuid.uuid4().hex}"
    positions = index.admit([Labels({"__name__": name, "a": str(number)}) for number in range(4)], 0.0)
    writer, wanted = MetricWriter(engine, index), dict[tuple[str, int], int]()
    for part in (rows[::2], rows[1::2], [(0, 0)]):
        times = AT + len(wanted) + np.arange(len(part))
        values = np.array([bits for _, bits in part], dtype=np.uint64).view(np.float64)
        batch = SampleBatch(positions[np.array([series for series, _ in part], dtype=np.int64)], times, values)
        writer.insert([batch], uuid.uuid4().hex, AT / 1000)
        wanted |= {(str(series), ts): bits for (series, bits), ts in zip(part, times.tolist(), strict=True)}
    assert stored(engine, index, name) == wanted
    engine.command("OPTIMIZE TABLE samples FINAL")
    assert stored(engine, index, name) == wanted


def stored(engine: Engine, index: SeriesIndex, name: str) -> dict[tuple[str, int], int]:
    """Bits by series and time."""
    selection = index.select([Matcher("__name__", MatchOp.EQUAL, name)], AT - 1, AT + 1000)
    found = SampleStore(engine, index).raw(
        selection, AT - 1, AT + 1000, stale=True, limit=10_000, question=Question(60)
    )
    owners = [selection.labels()[row]["a"] for row in np.repeat(found.rows, np.diff(found.offsets)).tolist()]
    bits = np.ascontiguousarray(found.values).view(np.uint64).tolist()
    return {(owner, ts): each for owner, ts, each in zip(owners, found.ts_ms.tolist(), bits, strict=True)}


def test_rows_from_before_are_read_beside_new_ones_and_merged_with_them(chdb_url: str) -> None:
    old = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
    migrate(old, to=6)
    bits = np.array(ODD).view(np.uint64).tolist()
    numbers = ", ".join(map(str, bits))
    old.command(
        "INSERT INTO samples (metric, fp, ts, value) SELECT 'm', 1, fromUnixTimestamp64Milli(n, 'UTC'), "
        f"reinterpretAsFloat64(toUInt64([{numbers}][n])) FROM (SELECT arrayJoin(range(1, {len(bits) + 1}))::Int64 AS n)"
    )
    migrate(old)
    scaled, unscaled = Decimals().split(np.zeros(len(ODD), np.int64), np.array(ODD))
    pairs = ", ".join(
        f"({place}, {first}, {second})"
        for place, (first, second) in enumerate(
            zip(scaled.tolist(), unscaled.view(np.uint64).tolist(), strict=True), len(bits) + 1
        )
    )
    old.command(
        "INSERT INTO samples (metric, fp, ts, scaled, unscaled) SELECT 'm', 1, fromUnixTimestamp64Milli(e.1::Int64, 'UTC'), "
        f"e.2::Int64, reinterpretAsFloat64(toUInt64(e.3)) FROM (SELECT arrayJoin([{pairs}]) AS e)"
    )
    asked = "SELECT reinterpretAsUInt64(value) FROM samples ORDER BY ts"
    assert old.query(asked) == [(each,) for each in bits * 2]
    old.command("OPTIMIZE TABLE samples FINAL")
    assert old.query("SELECT uniqExact(_part) FROM samples") == [(1,)]
    assert old.query(asked) == [(each,) for each in bits * 2]
    old.command(f"DROP DATABASE {old.database}")
    old.close()

"""Points as the text of JSON: every number is the shortest that reads back as itself, in Go's form; every time is in seconds."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.store import numbertext
from aiprism.web import prometheus_json


def written(values: list[float], ts_ms: list[int], sizes: list[int]) -> list[bytes]:
    text, ends = numbertext.points(np.array(values), np.array(ts_ms, np.int64), np.array(sizes, np.int64))
    edges = [0, *ends.tolist()]
    return [bytes(text[start:end]) for start, end in itertools.pairwise(edges)]


def numbers(values: np.ndarray) -> list[str]:
    [text] = written(values.tolist(), [0] * len(values), [len(values)])
    return [number for _, number in json.loads(b"[%b]" % text)]


@pytest.mark.parametrize(
    "values",
    [
        [0.0, -0.0, 1.0, -1.0, 10.0, 1e20, 1e21, 1e22, 2.0**53, 2.0**53 + 2, -(2.0**63)],
        [0.1, 0.3, -12.5, 100.25, 1e-5, 1e-6, 9.999999999999999e-07, 1.5e-7, 999999999999999900000.0],
        [5e-324, 2.2250738585072014e-308, 2.2250738585072009e-308, 1.7976931348623157e308, 9007199254740993.5],
        [float("nan"), float("inf"), float("-inf"), -1e-100, 1e100, 1.2345678901234567e-308, -5e-324],
    ],
)
def test_a_number_is_written_as_go_writes_it(values: list[float]):
    assert numbers(np.array(values)) == [prometheus_json.number(value) for value in values]


def test_the_digits_are_the_fewest_for_numbers_of_all_sizes():
    chance = np.random.default_rng(11)
    bits = chance.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    powers = 2.0 ** np.arange(-1074, 1024)
    below = np.nextafter(powers, 0)
    with np.errstate(over="ignore"):
        tens = chance.integers(1, 10**6, 5_000) * 10.0 ** chance.integers(-320, 303, 5_000)
    usual = np.round(chance.normal(0, 1e4, 5_000), 4)
    for values in (bits, powers, np.nextafter(powers, np.inf), below, tens, usual):
        assert numbers(values) == [prometheus_json.number(value) for value in values.tolist()]


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-(2**53), 2**53), st.floats(width=64)), max_size=5),
        min_size=1,
        max_size=5,
    )
)
def test_points_are_those_of_their_series(series: list[list[tuple[int, float]]]):
    points = [point for each in series for point in each]
    text = written([value for _, value in points], [ts for ts, _ in points], list(map(len, series)))
    assert text == [
        b",".join(
            b'[%b,"%b"]' % (prometheus_json.seconds(ts), prometheus_json.number(value).encode()) for ts, value in each
        )
        for each in series
    ]

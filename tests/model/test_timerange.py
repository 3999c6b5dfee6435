"""Durations as Prometheus writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.model.timerange import duration_ms, format_duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ms", 1),
        ("1m30s", 90_000),
        ("1w", 604_800_000),
        ("1y", 31_536_000_000),
        ("2d12h", 216_000_000),
    ],
)
def test_durations_are_read(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "1.5h", "1m1h", "-1m", "1h 30m", "ms"])
def test_what_is_no_duration_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="not a duration"):
        duration_ms(text)


@pytest.mark.parametrize("text", ["293y", "9" * 400 + "h", "1" * 5000 + "ms"])
def test_what_is_longer_than_a_duration_may_be_is_bad_input_however_long_it_is_written(text: str) -> None:
    with pytest.raises(BadInput, match="longer than a duration may be") as told:
        duration_ms(text)
    assert len(str(told.value)) < 200
    assert duration_ms("0" * 30 + "1s") == 1000


@given(st.integers(0, 10**12))
def test_printing_and_reading_agree(ms: int) -> None:
    assert duration_ms(format_duration(ms / 1000)) == ms

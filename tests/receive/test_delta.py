"""Deltas added up: in order, never twice, never in silence."""

from __future__ import annotations

from collections.abc import Callable
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.errors import BadInput
from aiprism.receive.delta import Deltas, Total


def deltas(limit: int = 100, idle: float = 60) -> Deltas[float]:
    return Deltas(add, limit=limit, idle=idle)


def test_deltas_become_a_running_total() -> None:
    known = deltas()
    got = [known.add("s", start, start + 10, value, now=0) for start, value in ((10, 5), (20, 2), (30, 4))]
    assert got == [Total(5, begins=True), Total(7, begins=False), Total(11, begins=False)]


def test_a_gap_is_bridged_and_an_unknown_start_is_taken_for_the_end_of_the_point_before() -> None:
    known = deltas()
    known.add("s", 10, 20, 1, now=0)
    assert known.add("s", 50, 60, 1, now=0).value == 2
    assert known.add("s", 0, 70, 1, now=0).value == 3


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (5, 15, "at or before"),
        (10, 20, "at or before"),
        (15, 25, "overlaps"),
        (10, 30, "overlaps"),
        (40, 30, "lies after"),
    ],
)
def test_what_would_count_twice_is_refused(start: int, end: int, reason: str) -> None:
    known = deltas()
    known.add("s", 10, 20, 1, now=0)
    with pytest.raises(BadInput, match=reason):
        known.add("s", start, end, 99, now=0)
    assert known.add("s", 20, 30, 1, now=0).value == 2


def test_a_repeated_point_gives_the_same_total_again() -> None:
    known = deltas()
    first = known.add("s", 10, 20, 1, now=0)
    assert known.add("s", 10, 20, 1, now=0) == first
    second = known.add("s", 20, 30, 1, now=0)
    assert known.add("s", 20, 30, 1, now=0) == second


def test_beside_other_processes_a_gap_begins_anew() -> None:
    known = Deltas[float](add, limit=9, idle=60, alone=False)
    known.add("s", 10, 20, 1, now=0)
    assert known.add("s", 20, 30, 2, now=0) == Total(3, begins=False)
    assert known.add("s", 40, 50, 4, now=0) == Total(4, begins=True)  # 30 to 40 may be counted elsewhere
    assert known.add("s", 0, 60, 8, now=0) == Total(8, begins=True)


def test_another_shape_begins_anew() -> None:
    known = deltas()
    known.add("s", 10, 20, 1, now=0, shape=(1, 2))
    assert known.add("s", 20, 30, 4, now=0, shape=(1, 2, 3)) == Total(4, begins=True)


def test_a_stream_may_start_from_what_was_stored() -> None:
    assert deltas().add("s", 10, 20, -2, now=0, since=7) == Total(5, begins=True)


def test_idle_streams_are_forgotten_and_too_many_refused() -> None:
    known = deltas(limit=2, idle=60)
    known.add("a", 1, 2, 1, now=0)
    known.add("b", 1, 2, 1, now=50)
    with pytest.raises(BadInput, match="delta_streams"):
        known.add("c", 1, 2, 1, now=50)
    assert known.add("c", 1, 2, 1, now=61).begins
    assert "a" not in known
    assert len(known) == 2


def test_undone_steps_can_be_sent_again() -> None:
    known = deltas()
    undo: list[Callable[[], None]] = []
    known.add("s", 10, 20, 1, now=0)
    known.add("s", 20, 30, 2, now=0, undo=undo.append)
    known.add("s", 30, 40, 4, now=0, undo=undo.append)
    known.add("t", 30, 40, 8, now=0, undo=undo.append)
    for step in reversed(undo):
        step()
    assert "t" not in known
    assert known.add("s", 20, 30, 2, now=0).value == 3
    assert known.add("s", 30, 40, 4, now=0).value == 7


def test_what_a_later_point_counts_already_is_not_undone() -> None:
    known = deltas()
    undo: list[Callable[[], None]] = []
    known.add("s", 10, 20, 1, now=0, undo=undo.append)
    known.add("s", 20, 30, 2, now=0)
    undo[0]()
    with pytest.raises(BadInput, match="counted already"):
        known.add("s", 10, 20, 1, now=0)
    assert known.add("s", 30, 40, 4, now=0).value == 7


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=20),
    st.lists(st.integers(0, 19), max_size=40),
)
def test_any_sending_order_adds_each_accepted_delta_once(values: list[int], order: list[int]) -> None:
    known, accepted = deltas(), set()
    for at in [*order, len(values) - 1]:
        if at >= len(values):
            continue
        try:
            total = known.add("s", at * 10, at * 10 + 10, values[at], now=0).value
        except BadInput:
            continue
        accepted.add(at)
        assert total == sum(values[each] for each in accepted)

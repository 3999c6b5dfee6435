"""The order of the suite: nothing is left out, and what waits stands among what computes."""

from __future__ import annotations

import doctest

from tests import order
from tests.order import places, scope

FILES = [
    *(f"tests/cli/test_{number}.py" for number in range(10)),
    "tests/journeys/test_demo.py",
    "tests/lab/test_review.py",
    "tests/ui",
    "tests/ui/test_model_slow.py",
]


def test_the_examples_hold() -> None:
    assert doctest.testmod(order).failed == 0


def test_what_takes_minutes_is_begun_first_and_what_waits_stands_among_what_computes() -> None:
    found = places(FILES)
    line = sorted(found, key=found.__getitem__)
    assert set(line) == set(FILES)
    assert [line.index(each) for each in (FILES[-1], *FILES[-2:-5:-1])] == [0, 3, 9, 6]
    assert [each for each in line if "/cli/" in each] == FILES[:10]


def test_of_what_only_waits_or_only_computes_the_order_stays() -> None:
    assert list(places(FILES[:10])) == FILES[:10]
    assert list(places(FILES[10:12])) == FILES[10:12]
    assert places([]) == {}


def test_the_tests_that_share_a_server_with_data_run_in_one_process() -> None:
    assert {scope(f"tests/ui/test_{page}.py::test_it") for page in ("pages", "logs", "sql")} == {"tests/ui"}

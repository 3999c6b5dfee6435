"""What counted patterns say together, and what stands in the variable places of their lines."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect.logpatterns import templates
from aiprism.detect.logstatements import LogStatement, Variable, statements, values_of, variables
from aiprism.model.logs import PatternCount
from aiprism.store.logpatterns import pattern_of


def counted(pattern: str, lines: int, *, service: str = "api", level: str = "INFO", at: int = 60) -> PatternCount:
    return PatternCount(
        hash(pattern) & 0xFFFF, pattern, service, level, lines, at, at + 60, f"like {pattern}", ((0, lines),)
    )


def test_patterns_of_one_statement_are_counted_together() -> None:
    cart, orders = counted("queue cart is full", 1, level="ERROR", at=0), counted("queue <id> is full", 3, at=120)
    [found] = statements([cart, orders])
    assert found == LogStatement(
        template="queue <*> is full",
        lines=4,
        services={"api": 4},
        levels={"INFO": 3, "ERROR": 1},
        first_seen=0,
        last_seen=180,
        counts={0: 4},
        patterns=(orders.pattern_id, cart.pattern_id),
        example="like queue <id> is full",
        places=frozenset({("api", 0), ("api", 60), ("api", 120), ("api", 180)}),
        level_counts={"ERROR": {0: 1}, "INFO": {0: 3}},
        masked=("queue cart is full", "queue <id> is full"),
    )


def test_the_most_frequent_statement_stands_first() -> None:
    found = statements([counted("disk full", 1), counted("started", 5), counted("disk full", 3, service="cart")])
    assert [(each.template, each.lines, each.services) for each in found] == [
        ("started", 5, {"api": 5}),
        ("disk full", 4, {"cart": 3, "api": 1}),
    ]


@pytest.mark.parametrize(
    ("template", "line", "values"),
    [
        ("started", "started", ()),
        ("started", "started again", None),
        ("took <*>", "took 17 ms", ("17 ms",)),
        ("<*> of <*>", "3 of  4", ("3", "4")),
        ("user=<*> done", "user= done", ("",)),
        ("a <*> b", "a b", None),
        ("retrying <*>", "retrying...  7", ("7",)),
    ],
)
def test_values_stand_between_what_is_constant(template: str, line: str, values: tuple[str, ...] | None) -> None:
    assert values_of(template, line) == values


def test_a_long_line_of_many_gaps_takes_no_time() -> None:
    assert values_of("<*>" + " a<*>" * 40 + " b", "a " * 500) is None


@given(
    st.lists(
        st.sampled_from(["order", "17", "10.0.0.7", "took", "3ms", "=", "/a/b", "ada@example.com", "1.5"]), min_size=1
    )
)
def test_a_line_has_the_values_of_its_own_template(words: list[str]) -> None:
    line = " ".join(words)
    pattern = pattern_of(line)
    template = templates({pattern: 1})[pattern]
    found = values_of(template, line)
    assert found is not None
    assert len(found) == template.count("<*>")


def test_values_are_counted_and_summed_up_in_one_unit() -> None:
    lines = [f"page {'home' if n % 3 else 'cart'} in {n} ms" for n in range(1, 21)] + ["another line"]
    page, took = variables("page <*> in <*>", lines, top=1)
    assert page == Variable(1, 2, (("home", 14),), None)
    assert (took.position, took.distinct) == (2, 20)
    assert took.numbers is not None
    assert astuple(took.numbers) == ("s", 0.001, 0.02, *map(pytest.approx, (0.0105, 0.0105, 0.01905)))


def test_numbers_of_different_units_are_texts() -> None:
    [mixed] = variables("got <*>", ["got 3 KB", "got 3 s"])
    assert mixed.numbers is None

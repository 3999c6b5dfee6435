"""Which differences between two times are told, and how likely chance makes them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect.logchanges import Kind, Steps, beta_part, changes, false_shares, two_rates, two_shares
from aiprism.detect.logstatements import LogStatement, statements
from aiprism.model.logs import PatternCount

STEPS = Steps(20, 20)


def spread(lines: int, steps: int) -> dict[int, int]:
    """As even as can be."""
    return {at: lines * (at + 1) // steps - lines * at // steps for at in range(steps)}


def said(pattern: str, counts: list[int], *, errors: int | list[int] = 0, level: str = "INFO") -> LogStatement:
    """A statement with so many lines in each step, of them so many errors: in all, or in each step."""
    number = zlib.crc32(pattern.encode())

    def counted(level: str, lines: int, by_step: Mapping[int, int]) -> PatternCount:
        return PatternCount(number, pattern, "api", level, lines, 0, 60, pattern, tuple(by_step.items()))

    by_step = spread(errors, len(counts)) if isinstance(errors, int) else dict(enumerate(errors))
    failed = sum(by_step.values())
    rows = [counted(level, sum(counts) - failed, {at: lines for at, lines in enumerate(counts) if lines})]
    rows += [counted("ERROR", failed, by_step)] if failed else []
    [found] = statements(rows)
    return replace(found, counts={at: lines for at, lines in enumerate(counts) if lines})


def told(now: list[LogStatement], before: list[LogStatement], steps: Steps = STEPS) -> list[tuple[Kind, str]]:
    return [(each.kind, each.statement.template) for each in changes(now, before, steps)]


STEADY = said("steady", [10] * 20)


def test_new_and_vanished_statements_are_told() -> None:
    assert told([STEADY, said("new", [0] * 19 + [1])], [STEADY, said("gone", [5] * 20)]) == [
        (Kind.VANISHED, "gone"),
        (Kind.NEW, "new"),
    ]


def test_what_was_rare_and_is_not_there_may_well_be_chance() -> None:
    assert told([STEADY], [STEADY, said("seldom", [0] * 19 + [1])]) == []


def test_where_nothing_was_written_before_nothing_is_new() -> None:
    assert told([STEADY], []) == []


def test_a_rate_that_doubles_is_told_and_one_that_wavers_is_not() -> None:
    wavers = said("wavers", [9, 11] * 10), said("wavers", [11, 12] * 10)
    assert told([said("more", [20] * 20), wavers[0]], [said("more", [8] * 20), wavers[1]]) == [(Kind.RATE, "more")]


def test_a_burst_in_a_bursty_log_is_no_change() -> None:
    # 60 against 20: for even counts as clear as can be, for lines that come sixty at a time mere luck.
    later, earlier = said("bursts", [0] * 19 + [60]), said("bursts", [0] * 19 + [20])
    assert told([later, STEADY], [earlier, STEADY]) == []
    assert told([said("even", [3] * 20), STEADY], [said("even", [1] * 20), STEADY]) == [(Kind.RATE, "even")]


def test_a_statement_that_became_an_error_is_told() -> None:
    [change] = changes([said("order", [10] * 20, errors=80)], [said("order", [10] * 20, errors=2)], STEPS)
    assert (change.kind, change.before, change.now) == (Kind.LEVEL, 0.01, 0.4)
    assert change.chance < 1e-9


def test_of_many_statements_some_change_by_chance() -> None:
    # Each is as unlikely as one in two hundred: one is news, among four hundred it is what chance brings.
    before, now = [said("a", [1] * 14 + [0] * 6)], [said("a", [2] * 20)]
    alone = changes([*now, STEADY], [*before, STEADY], STEPS)
    others = [said(f"statement {'x' * at}", [10] * 20) for at in range(400)]
    among = changes([*now, *others], [*before, *others], STEPS)
    assert ([each.kind for each in alone], among) == ([Kind.RATE], [])


def false_alarms(draw: Callable[[float], list[int]], steps: Steps, *, outages: bool = False) -> int:
    """Reports of ten that tell a change of one of forty statements, none of which changed."""
    chance, false = np.random.default_rng(11), 0
    for _ in range(10):
        times: tuple[list[LogStatement], list[LogStatement]] = ([], [])
        for at in range(40):
            rate, failing = 10 ** chance.uniform(0, 2), chance.uniform(0.05, 0.3)
            for time in times:
                counts = draw(rate)
                errors = [lines if outages and chance.random() < failing else 0 for lines in counts]
                if sum(counts):
                    time.append(said(f"statement {'x' * at}", counts, errors=errors if sum(errors) else 0))
        found = changes(*times, steps)
        false += any(each.kind is not Kind.NEW for each in found)
    return false


def drawn(shape: float | None, steps: int, run: int = 1) -> Callable[[float], list[int]]:
    """Counts of Poisson processes; with a `shape` their rate is another in each run of steps."""
    chance = np.random.default_rng(7)

    def counts(rate: float) -> list[int]:
        levels = np.ones(steps) if shape is None else np.repeat(chance.gamma(shape, 1 / shape, steps), run)[:steps]
        return [int(lines) for lines in chance.poisson(rate * levels)]

    return counts


@pytest.mark.parametrize(
    ("shape", "steps", "run"),
    [(None, 60, 1), (0.3, 60, 1), (1, 60, 4), (2, 10, 1), (2, 3, 1), (2, 1, 1), (None, 1, 1)],
)
def test_where_nothing_changed_hardly_a_report_tells_of_a_change(shape: float | None, steps: int, run: int) -> None:
    assert false_alarms(drawn(shape, steps, run), Steps(steps, steps)) <= 1


def test_outages_that_come_and_go_are_no_change_of_the_share_of_errors() -> None:
    assert false_alarms(drawn(None, 20), Steps(20, 20), outages=True) <= 1


def test_a_step_that_is_under_way_counts_for_as_much_of_it_as_is_over() -> None:
    before, now = said("steady", [100] * 2), said("steady", [100, 10])
    assert changes([now], [before], Steps(2, 2, last=0.1)) == []
    [judged] = changes([said("more", [50] * 19 + [5])], [said("more", [10] * 20)], Steps(20, 20, last=0.1))
    assert (judged.kind, judged.now) == (Kind.RATE, 955)


def test_a_rate_of_four_times_as_much_is_found_also_in_bursts() -> None:
    bursts = drawn(2, 60)
    found = told([said("more", bursts(40)), STEADY], [said("more", bursts(10)), STEADY], Steps(60, 60))
    assert found == [(Kind.RATE, "more")]


@pytest.mark.parametrize(
    ("now", "before", "share", "chance"),
    [  # scipy.stats.binomtest's tails, doubled
        (30, 10, 0.5, 0.002221405156888068),
        (5, 0, 0.5, 0.0625),
        (7, 40, 0.2, 0.5332716424),
        (1000, 900, 0.5, 0.023088486),
    ],
)
def test_two_rates_are_compared_as_the_binomial_says(now: int, before: int, share: float, chance: float) -> None:
    total = now + before

    def term(hits: int) -> float:
        ways = math.lgamma(total + 1) - math.lgamma(hits + 1) - math.lgamma(total - hits + 1)
        return math.exp(ways + hits * math.log(share) + (total - hits) * math.log(1 - share))

    exact = 2 * min(sum(map(term, range(now, total + 1))), sum(map(term, range(now + 1))))
    assert two_rates(now, before, share) == pytest.approx(min(1, exact), rel=1e-6)


@given(st.floats(0.001, 0.999), st.integers(1, 300), st.integers(1, 300))
def test_the_two_tails_make_the_whole(x: float, a: int, b: int) -> None:
    assert beta_part(x, a, b) + beta_part(1 - x, b, a) == pytest.approx(1, abs=1e-9)


def test_billions_of_lines_are_compared_too() -> None:
    assert two_rates(10**9, 10**9, 0.5) == pytest.approx(1, abs=1e-3)
    assert two_rates(10**9 + 10**6, 10**9, 0.5) == pytest.approx(0, abs=1e-50)


def test_shares_are_compared_exactly_and_in_large_tables_nearly_so() -> None:
    assert two_shares(8, 10, 1, 10) == pytest.approx(0.00548, rel=1e-3)
    assert two_shares(0, 10, 0, 10) == 1.0
    exact, nearly = two_shares(60, 1000, 40, 1000), two_shares(61, 1001, 40, 1000)
    assert nearly == pytest.approx(exact, abs=0.03)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_adjusted_chances_are_no_smaller_and_keep_their_order(chances: list[float]) -> None:
    adjusted = false_shares(chances)
    assert all(0 <= raw <= more <= 1 for raw, more in zip(chances, adjusted, strict=True))
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    assert [adjusted[at] for at in order] == sorted(adjusted)

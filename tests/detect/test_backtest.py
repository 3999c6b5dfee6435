"""Rules against the past: the firings that evaluation after evaluation would have found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect.annotations import Surroundings
from aiprism.detect.backtest import Firing, RulePast, Stretch, past, pasts, steps_of
from aiprism.detect.evaluation import Setting, evaluate
from aiprism.detect.rules import AlertingRule
from aiprism.detect.signals import RuleQuestion
from aiprism.model.alerts import AlertState
from aiprism.model.labels import Labels
from aiprism.query.promql.values import Matrix, Series
from aiprism.store.alertstates import KeptAlert
from tests.detect.ruling import group, vector

START = 1_700_000_000.0 // 60 * 60


class Held:
    """What an expression gave: at which steps (of 60 s from START) which series held."""

    def __init__(self, **when: set[int]) -> None:
        self.when = when
        self.asked: list[tuple[float, float, float]] = []

    def __call__(self, asked: RuleQuestion, start: float, end: float, step: float) -> Matrix:
        self.asked.append((start, end, step))
        found = []
        for name, at in self.when.items():
            times = [START + each * 60 for each in sorted(at) if start <= START + each * 60 <= end]
            if times:
                found.append(Series(Labels({"i": name}), np.array(times, np.int64) * 1000, np.ones(len(times))))
        return Matrix(tuple(found))


def replayed(written: str, held: Held, minutes: int = 60, **fields: Any) -> RulePast:
    [found] = pasts([group(written, **fields)], Stretch(START, START + minutes * 60), held, Surroundings())
    return found


def minutes(found: RulePast) -> list[tuple[str, float, float | None]]:
    def minute(at: float | None) -> float | None:
        return None if at is None else (at - START) / 60

    return [(each.labels["i"], (each.fired_at - START) / 60, minute(each.ended_at)) for each in found.firings]


def test_an_alert_fires_once_it_has_held_and_ends_when_it_does_not() -> None:
    found = replayed("{alert: A, expr: x > 0, for: 2m}", Held(a={5, 6, 7, 8, 9}, b={7, 8}, c={59, 60}))
    assert minutes(found) == [("a", 7, 10)]
    assert (found.evaluations, found.pending, found.flapping) == (61, 1, 0)


def test_an_alert_that_still_fires_has_no_end() -> None:
    found = replayed("{alert: A, expr: x > 0}", Held(a=set(range(50, 61))))
    assert minutes(found) == [("a", 50, None)]
    assert found.firings[0].seconds(START + 3600) == 600


def test_labels_and_annotations_are_those_of_the_alert() -> None:
    rule = "{alert: A, expr: x, labels: {severity: page}, annotations: {summary: 'it is {{ $labels.i }}'}}"
    [firing] = replayed(rule, Held(a={3})).firings
    assert firing == Firing(
        Labels({"alertname": "A", "i": "a", "severity": "page"}), Labels({"summary": "it is a"}),
        START + 180, START + 180, START + 240,
    )  # fmt: skip


def test_an_alert_that_comes_back_soon_flaps() -> None:
    found = replayed("{alert: A, expr: x}", Held(a={1, 5, 30}))
    assert minutes(found) == [("a", 1, 2), ("a", 5, 6), ("a", 30, 31)]
    assert found.flapping == 1


def test_keep_firing_for_bridges_gaps() -> None:
    assert minutes(replayed("{alert: A, expr: x, keep_firing_for: 5m}", Held(a={1, 4, 6}))) == [("a", 1, 12)]


def test_a_rule_over_the_limit_of_its_group_fails_and_says_so() -> None:
    found = replayed("{alert: A, expr: x}", Held(a={1, 2}, b={2}), limit=1)
    assert (minutes(found), found.failed) == ([("a", 1, 3)], 1)
    assert found.notes == ("2 alerts are over the group's limit of 1",)


def test_long_periods_are_asked_in_parts() -> None:
    held = Held(a={3999, 4000, 4001})
    found = replayed("{alert: A, expr: x, for: 2m}", held, minutes=10_000)
    assert minutes(found) == [("a", 4001, 4002)]
    assert [(round((start - START) / 60), round((end - START) / 60)) for start, end, _ in held.asked] == [
        (0, 3999), (4000, 7999), (8000, 10_000),
    ]  # fmt: skip


def test_a_query_offset_asks_about_earlier() -> None:
    held = Held(a={2})
    assert minutes(replayed("{alert: A, expr: x}", held, query_offset="3m")) == [("a", 5, 6)]


def test_evaluations_are_at_multiples_of_the_interval() -> None:
    rules = group("{alert: A, expr: x}", interval="7m")
    assert steps_of(rules, Stretch(START + 1, START + 3600)) in (8, 9)
    first = past(rules, _alerting(rules), Stretch(START + 1, START + 3600), held := Held(), Surroundings())
    assert first.evaluations == steps_of(rules, Stretch(START + 1, START + 3600))
    assert held.asked[0][0] % 420 == 0


def test_a_rule_that_reads_what_the_files_record_says_so() -> None:
    rules = group("{record: r, expr: x}", "{alert: A, expr: r > 1}")
    [found] = pasts([rules], Stretch(START, START + 60), Held(), Surroundings())
    assert found.notes == ("reads r, which these rules record: it counts only as far as it was recorded then",)


STEPS = st.sets(st.integers(0, 40))


@given(STEPS, STEPS, st.integers(0, 4), st.integers(0, 4))
def test_replaying_finds_what_evaluating_at_every_step_finds(a: set[int], b: set[int], hold: int, keep: int) -> None:
    written = f"{{alert: A, expr: x, for: {hold}m, keep_firing_for: {keep}m}}"
    found = replayed(written, Held(a=a, b=b), minutes=40)
    rule = _alerting(group(written))
    states: Mapping[str, KeptAlert] = {}
    firing: dict[str, int] = {}
    moves: list[tuple[str, float, float | None]] = []
    for at in range(41):
        value = vector({name: 1.0 for name, when in (("a", a), ("b", b)) if at in when})
        states = evaluate(rule, value, states, Setting(now=START + at * 60)).states
        now = {kept.alert.labels["i"] for kept in states.values() if kept.alert.state is AlertState.FIRING}
        moves += [(name, firing.pop(name), at) for name in sorted(set(firing) - now)]
        firing.update({name: at for name in now if name not in firing})
    moves += [(name, begun, None) for name, begun in firing.items()]
    assert sorted(minutes(found), key=str) == sorted(moves, key=str)


def _alerting(rules: object) -> AlertingRule:
    [rule] = rules.rules  # type: ignore[attr-defined]
    assert isinstance(rule, AlertingRule)
    return rule


@pytest.mark.parametrize("hold", ["0s", "1m"])
def test_a_quiet_year_costs_few_evaluations(hold: str) -> None:
    """A rule that never held is asked, not evaluated."""
    held = Held()
    found = replayed(f"{{alert: A, expr: x, for: {hold}}}", held, minutes=400_000)
    assert (found.evaluations, found.firings, len(held.asked)) == (400_001, (), 101)

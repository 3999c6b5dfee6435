"""What one evaluation decides, without loops and clocks."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aiprism.detect.annotations import Surroundings
from aiprism.detect.evaluation import RuleFailed, Setting, due, evaluate, resumed
from aiprism.detect.rules import AlertingRule, Rule
from aiprism.model.alerts import AlertState
from aiprism.model.histograms import Buckets, NativeHistogram, ResetHint
from aiprism.model.labels import Labels
from aiprism.model.samples import Sample
from aiprism.query.promql.native import Histogram
from aiprism.query.promql.values import Vector, VectorItem
from aiprism.store.alertstates import KeptAlert
from tests.detect.ruling import item, rule, vector

START = 1_700_000_000.3  # a fraction, as aligned groups have
MINUTE = 60.0


def run(written: str, seen: Sequence[bool], step: float = MINUTE) -> list[str]:
    """The state after each evaluation of a rule whose one series is there or not: P, F, R, or - for none."""
    one = rule(written)
    states: dict[str, KeptAlert] = {}
    shown = []
    for at, there in enumerate(seen):
        now = round(START + at * step, 3)
        states = dict(evaluate(one, vector({"a": 1.0} if there else {}), states, Setting(now=now)).states)
        shown.append(states[next(iter(states))].alert.state.name[0] if states else "-")
    return shown


# rule, whether its series is there each minute, its state after each (P, F, R, or - for none)
MOVES = [
    ("{alert: A, expr: up}", "110011", "FFRRFF"),
    ("{alert: A, expr: up, for: 1m}", "111", "PFF"),
    ("{alert: A, expr: up, for: 90s}", "1111", "PPFF"),
    ("{alert: A, expr: up, for: 2m}", "1101110", "PP-PPFR"),
    ("{alert: A, expr: up, keep_firing_for: 2m}", "1000011", "FFFRRFF"),
    ("{alert: A, expr: up, keep_firing_for: 2m}", "10101000", "FFFFFFFR"),
    ("{alert: A, expr: up, for: 1m, keep_firing_for: 5m}", "1010", "P-P-"),
    ("{alert: A, expr: up}", "1" + "0" * 18, "F" + "R" * 18),
]


@pytest.mark.parametrize(("written", "seen", "states"), MOVES)
def test_an_alert_moves_as_prometheus_moves_it(written: str, seen: str, states: str) -> None:
    assert "".join(run(written, [there == "1" for there in seen])) == states


def test_promtool_sees_the_same_alerts_firing_at_the_same_times(promtool: str, tmp_path: Path) -> None:
    rules, tests = [], []
    for at, (written, seen, states) in enumerate(MOVES):
        rules.append(written.replace("alert: A, expr: up", f"alert: A{at}, expr: 'up{{case=\"{at}\"}}'"))
        values = " ".join("1" if there == "1" else "stale" for there in seen)
        firing = [{"exp_labels": {"case": str(at)}}]
        expected = [
            {"alertname": f"A{at}", "eval_time": f"{minute}m", "exp_alerts": firing if state == "F" else []}
            for minute, state in enumerate(states)
        ]
        series = [{"series": f'up{{case="{at}"}}', "values": values}]
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": expected})
    body = "".join(f"  - {rule}\n" for rule in rules)
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: g\n  rules:\n{body}")
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(whole))
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_resolved_alert_that_was_told_is_forgotten_after_a_quarter_of_an_hour() -> None:
    one = rule("{alert: A, expr: up}")
    states = dict(evaluate(one, vector({"a": 1.0}), {}, Setting(now=START)).states)
    states = dict(evaluate(one, vector({}), states, Setting(now=START + 60)).states)
    untold = evaluate(one, vector({}), states, Setting(now=START + 60 + 3600)).states
    assert list(untold) == list(states)
    told = {name: KeptAlert(kept.alert, last_sent_at=START + 60) for name, kept in states.items()}
    assert evaluate(one, vector({}), told, Setting(now=START + 60 + 900)).states == told
    assert evaluate(one, vector({}), told, Setting(now=START + 60 + 901)).states == {}


def test_an_alert_carries_the_expanded_labels_and_annotations_of_its_series() -> None:
    one = rule("""{alert: A, expr: up, for: 1m, labels: {service: "{{ $labels.job }}", gone: "{{ $labels.nope }}", job: x},
                   annotations: {summary: "{{ $value }} in {{ $externalLabels.region }}"}}""")
    found = Vector((item({"__name__": "up", "job": "api", "i": "1"}, 0.5),))
    setting = Setting(now=START, source="r.yml/g/A", around=Surroundings({"region": "eu"}))
    [kept] = evaluate(one, found, {}, setting).states.values()
    alert = kept.alert
    assert alert.labels == Labels({"alertname": "A", "service": "api", "job": "x", "i": "1"})
    assert alert.annotations == Labels({"summary": "0.5 in eu"})
    assert (alert.state, alert.value, alert.active_at, alert.source) == (AlertState.PENDING, 0.5, START, "r.yml/g/A")


def test_value_and_annotations_follow_the_series_while_the_alert_stays_the_same() -> None:
    one = rule("{alert: A, expr: up, annotations: {now: '{{ $value }}'}}")
    before = evaluate(one, vector({"a": 1.0}), {}, Setting(now=START))
    after = evaluate(one, vector({"a": 2.0}), before.states, Setting(now=START + 60))
    [kept] = after.states.values()
    assert (kept.alert.value, kept.alert.annotations["now"], kept.alert.active_at) == (2.0, "2", START)
    assert (kept.alert.fired_at, list(after.states)) == (START, list(before.states))


def test_an_alert_whose_text_cannot_be_made_still_fires_and_says_so() -> None:
    one = rule("{alert: A, expr: up, annotations: {s: '{{ humanize $labels.i }}'}}")
    outcome = evaluate(one, vector({"a": 1.0}), {}, Setting(now=START))
    [kept] = outcome.states.values()
    assert kept.alert.state is AlertState.FIRING
    assert kept.alert.annotations["s"] == "<error expanding template: humanize: 'a' is no number>"
    assert outcome.troubles == ("s: humanize: 'a' is no number",)


def test_two_series_that_give_the_same_alert_are_an_error_of_the_rule() -> None:
    with pytest.raises(RuleFailed) as failed:
        evaluate(rule("{alert: A, expr: up, labels: {i: same}}"), vector({"a": 1, "b": 1}), {}, Setting(now=START))
    assert str(failed.value) == (
        'two series give the same alert {alertname="A", i="same"}; keep a label that tells them apart'
    )


def test_two_series_that_record_the_same_are_an_error_of_the_rule() -> None:
    with pytest.raises(RuleFailed) as failed:
        evaluate(rule("{record: r, expr: up, labels: {i: same}}"), vector({"a": 1, "b": 1}), {}, Setting(now=START))
    assert str(failed.value) == (
        'two series give the same {__name__="r", i="same"}; keep a label that tells them apart'
    )


def test_a_native_histogram_is_recorded_as_one() -> None:
    counted = Histogram(0, 9.0, 7.5, 0.25, 1.0, {-1: 2.0, 0: 3.0, 4: 1.0}, {2: 2.0}, hint=ResetHint.GAUGE)
    found = Vector((VectorItem(Labels({"i": "a"}), START, math.nan, counted),))
    [sample] = evaluate(rule("{record: r, expr: up}"), found, {}, Setting(now=START)).samples
    assert sample.histogram is not None
    assert sample.histogram == NativeHistogram(
        *(0, 9.0, 7.5, 0.25, 1.0),
        positive=Buckets((-1, 3), (2, 1), (2.0, 3.0, 1.0)),
        negative=Buckets((2,), (1,), (2.0,)),
        reset_hint=ResetHint.GAUGE,
    )


@pytest.mark.parametrize(("written", "what"), [("{alert: A, expr: up}", "alerts"), ("{record: r, expr: up}", "series")])
def test_more_than_the_groups_limit_is_an_error_of_the_rule(written: str, what: str) -> None:
    values = {"a": 1.0, "b": 1.0}
    evaluate(rule(written), vector(values), {}, Setting(now=START, limit=2))
    with pytest.raises(RuleFailed, match=f"^2 {what} are over the group's limit of 1$"):
        evaluate(rule(written), vector(values), {}, Setting(now=START, limit=1))


def test_a_recording_rule_renames_its_series_and_lays_its_labels_over_theirs() -> None:
    one = rule("{record: 'job:up', expr: up, labels: {i: '', a: b, t: '{{ $value }}'}}")
    found = Vector((item({"__name__": "up", "i": "1", "job": "x"}, math.inf),))
    setting = Setting(now=1000.5, query_offset=60.25)
    labels = Labels({"__name__": "job:up", "a": "b", "job": "x", "t": "{{ $value }}"})
    assert evaluate(one, found, {}, setting).samples == (Sample(labels, 940_250, math.inf),)


def test_active_alerts_are_series_too() -> None:
    one = rule("{alert: A, expr: up, for: 1m, labels: {s: x}}")
    first = evaluate(one, vector({"a": 7.0}), {}, Setting(now=1000.5))
    common = {"alertname": "A", "i": "a", "s": "x"}
    assert first.samples == (
        Sample(Labels({"__name__": "ALERTS", "alertstate": "pending", **common}), 1_000_500, 1.0),
        Sample(Labels({"__name__": "ALERTS_FOR_STATE", **common}), 1_000_500, 1000.0),
    )
    second = evaluate(one, vector({"a": 7.0}), first.states, Setting(now=1060.5))
    assert second.samples[0].labels["alertstate"] == "firing"
    assert evaluate(one, vector({}), second.states, Setting(now=1120.5)).samples == ()


def test_after_a_restart_an_alert_that_is_not_seen_yet_is_not_over_yet() -> None:
    one = rule("{alert: A, expr: up}")
    states = evaluate(one, vector({"a": 1.0}), {}, Setting(now=START)).states
    settling = evaluate(one, vector({}), states, Setting(now=START + 60, settling=True))
    assert (settling.states, len(settling.samples)) == (states, 2)


@pytest.mark.parametrize(
    ("away", "grace", "waited_after"),
    [(600.0, 0.0, 180.0), (3600.0, 0.0, 180.0), (3601.0, 0.0, None), (600.0, 150.0, 180.0), (600.0, 240.0, 240.0)],
)
def test_time_away_counts_neither_for_nor_against_a_pending_alert(
    away: float, grace: float, waited_after: float | None
) -> None:
    one = rule("{alert: A, expr: up, for: 5m}")
    assert isinstance(one, AlertingRule)
    [kept] = evaluate(one, vector({"a": 1.0}), {}, Setting(now=1000.0)).states.values()
    again = resumed(kept, one, 1120.0, 1120.0 + away, tolerance=3600.0, grace=grace)
    left = None if again is None else again.alert.active_at + one.hold - (1120.0 + away)
    assert left == waited_after


def test_a_firing_alert_stays_firing_however_long_the_restart_took() -> None:
    one = rule("{alert: A, expr: up}")
    assert isinstance(one, AlertingRule)
    [kept] = evaluate(one, vector({"a": 1.0}), {}, Setting(now=1000.0)).states.values()
    assert resumed(kept, one, 1000.0, 1e6, tolerance=3600.0, grace=600.0) == kept


def test_an_alert_is_due_when_it_fires_after_each_delay_and_once_when_it_is_over() -> None:
    one = rule("{alert: A, expr: up, for: 1m}")
    pending = evaluate(one, vector({"a": 1.0}), {}, Setting(now=0.0)).states
    firing = evaluate(one, vector({"a": 1.0}), pending, Setting(now=60.0)).states
    over = evaluate(one, vector({}), firing, Setting(now=120.0)).states

    def is_due(states: dict[str, KeptAlert], sent: float | None, now: float) -> bool:
        [kept] = states.values()
        return due(KeptAlert(kept.alert, last_sent_at=sent), now, 60.0)

    assert not is_due(dict(pending), None, 1e9)
    assert [is_due(dict(firing), *when) for when in [(None, 60.0), (60.0, 119.9), (60.0, 120.0)]] == [True, False, True]
    assert [is_due(dict(over), *when) for when in [(None, 120.0), (60.0, 120.0), (120.0, 1e9)]] == [True, True, False]


# -- properties ------------------------------------------------------------------------------------------------------

LEGAL = {
    (None, "P"), (None, "F"), ("P", "P"), ("P", "F"), ("P", None), ("F", "F"), ("F", "R"),
    ("R", "R"), ("R", None), ("R", "P"), ("R", "F"),
}  # fmt: skip


@given(
    hold=st.integers(0, 6),
    keep=st.integers(0, 4),
    seen=st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=30),
)
def test_no_alert_fires_before_its_time_or_makes_a_move_there_is_not(
    hold: int, keep: int, seen: list[tuple[bool, int]]
) -> None:
    one: Rule = rule(f"{{alert: A, expr: up, for: {hold}s, keep_firing_for: {keep}s}}")
    states: dict[str, KeptAlert] = {}
    now, state, seen_since, last_seen = START, None, None, None
    for there, step in seen:
        now = round(now + step, 3)
        if there:
            seen_since = now if state in (None, "R") else seen_since
            last_seen = now
        outcome = evaluate(one, vector({"a": 1.0} if there else {}), states, Setting(now=now))
        states = dict(outcome.states)
        kept = next(iter(states.values()), None)
        moved = kept.alert.state.name[0] if kept else None
        assert (state, moved) in LEGAL | {(None, None)}
        if moved == "P":
            assert there
            assert round(now - (seen_since or 0), 3) < hold
        if moved == "F" and state != "F":
            assert there
            assert round(now - (seen_since or 0), 3) >= hold
        if moved == "R" and state == "F":
            assert last_seen is not None
            assert now - last_seen >= keep
        # A series of ALERTS is there exactly while the alert is active.
        assert len(outcome.samples) == (2 if moved in ("P", "F") else 0)
        state = moved


@given(
    values=st.dictionaries(st.sampled_from("abcdef"), st.floats()),
    before=st.sets(st.sampled_from("abcdef")),
    hold=st.integers(0, 1),
)
def test_every_series_of_the_vector_is_one_active_alert(values: dict[str, float], before: set[str], hold: int) -> None:
    one = rule(f"{{alert: A, expr: up, for: {hold}m}}")
    states = evaluate(one, vector(dict.fromkeys(before, 1.0)), {}, Setting(now=START)).states
    after = evaluate(one, vector(values), states, Setting(now=START + 60)).states
    active = {kept.alert.labels["i"] for kept in after.values() if kept.alert.state is not AlertState.RESOLVED}
    over = {kept.alert.labels["i"] for kept in after.values() if kept.alert.state is AlertState.RESOLVED}
    assert active == set(values)
    assert over == (before - set(values) if hold == 0 else set())

"""What is known of an alert after another report, and in which order alerts are told: Alertmanager's rules."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.model.alerts import AlertState
from aiprism.model.labels import Labels
from aiprism.respond.known import Known, alert_fingerprint, in_order, label_order, label_text, reported, rfc3339
from tests.respond.making import T0, alert, cleared


def known(start=0.0, end=300.0, said=0.0, **more):
    more = {"labels": Labels({"alertname": "a"}), "annotations": Labels(), **more}
    return Known(starts_at=T0 + start, ends_at=T0 + end, updated_at=T0 + said, **more)


@pytest.mark.parametrize(
    ("before", "report", "now", "span"),
    [
        (known(), known(60, 360, said=60), 60, (0, 360)),  # said again: it began when it first did
        (known(), known(0, 60, said=60), 60, (0, 60)),  # said to be over
        (known(0, 60), known(120, 420, said=120), 120, (120, 420)),  # a new episode
        (known(0, 900), known(60, 360, said=60), 60, (0, 900)),  # an end that was said outlasts a shorter word
        (known(0, 900, presumed=True), known(60, 360, said=60), 60, (0, 360)),  # one that was presumed does not
        (known(0, 50), known(10, 40, said=60), 60, (0, 50)),  # both are over: the later end
        (known(0, math.inf), known(0, 30, said=30), 30, (0, 30)),  # a detector's
        (known(said=60), known(-60, 200, said=30), 60, (-60, 300)),  # a report that was overtaken
    ],
)
def test_a_report_is_merged_with_what_was_known_as_alertmanager_merges(before, report, now, span):
    after = report.after(before, T0 + now)
    assert (after.starts_at - T0, after.ends_at - T0) == span


def test_what_was_not_known_is_what_is_said():
    assert known().after(None, T0) == known()


def test_a_report_of_a_detector_holds_until_it_says_otherwise_and_one_of_a_sender_until_its_end():
    fires = alert(at=T0)
    assert reported(fires, T0 + 5).ends_at == math.inf
    assert reported(cleared(fires, T0 + 9), T0 + 9).ends_at == T0 + 9
    posted = reported(replace(fires, ends_at=T0 + 300, presumed=True), T0)
    assert (posted.ends_at, posted.presumed, posted.fingerprint) == (T0 + 300, True, fires.fingerprint)
    assert posted.as_alert(T0 + 299).state is AlertState.FIRING
    over = posted.as_alert(T0 + 300)
    assert (over.state, over.resolved_at, over.active_at) == (AlertState.RESOLVED, T0 + 300, T0)


def test_alerts_are_listed_by_job_then_instance_then_labels():
    sets = [
        {"job": "b"},
        {"job": "a", "instance": "2"},
        {"job": "a", "instance": "1"},
        {"x": "1", "y": "2"},
        {"z": "1"},
    ]
    listed = in_order([known(labels=Labels(each)) for each in sets])
    assert [each.labels.to_dict() for each in listed] == [sets[2], sets[1], sets[0], sets[4], sets[3]]


def before(one, other):
    """model.LabelSet.Before, word by word."""
    if len(one) != len(other):
        return len(one) < len(other)
    for name in sorted([*one, *other]):
        if name not in one:
            return True
        if name not in other:
            return False
        if one[name] != other[name]:
            return one[name] < other[name]
    return False


SETS = st.dictionaries(st.sampled_from(["a", "ab", "b", "ba", "c"]), st.sampled_from(["1", "2", "\U0001f600"]))


@settings(max_examples=300, deadline=None)
@given(SETS, SETS)
def test_label_sets_are_ordered_as_go_orders_them(one, other):
    assert (label_order(Labels(one)) < label_order(Labels(other))) == before(one, other)


def test_fingerprints_and_texts_are_those_alertmanager_prints():
    labels = Labels({"alertname": "HighErrorRate", "service": "api-gateway", "severity": "critical"})
    assert alert_fingerprint(labels) == "b3d2066b83f40cd8"  # what Alertmanager 0.25 answers
    assert label_text(Labels({"b": 'x "y"\n', "a": "1"})) == r'{a="1", b="x \"y\"\n"}'
    assert label_text(Labels()) == "{}"
    assert [rfc3339(T0 + part) for part in (0.0, 0.5)] == ["2026-11-23T14:15:00Z", "2026-11-23T14:15:00.5Z"]

"""Impact × urgency gives the priority; people's word holds until it gets worse (R21)."""

from __future__ import annotations

import pytest

from aiprism.model.alerts import Priority
from aiprism.respond.incident import AlertFired, Entry, Impact, Periods, PriorityChanged, Urgency, advance, opened
from aiprism.respond.incident.rating import MATRIX, Limits, reach_of
from tests.respond.making import T0, alert

PERIODS = Periods()


def of_tier(tier, severity="critical", service="mailer"):
    return alert("ServiceDown", service, severity=severity, annotations={"service_tier": str(tier)})


def test_the_matrix_is_whole_and_never_less_urgent_for_more_impact_or_more_urgency():
    assert len(MATRIX) == len(Impact) * len(Urgency)
    for impact in Impact:
        row = [MATRIX[impact, urgency].urgency for urgency in Urgency]
        assert row == sorted(row)
    for urgency in Urgency:
        column = [MATRIX[impact, urgency].urgency for impact in Impact]
        assert column == sorted(column)


@pytest.mark.parametrize("severity", ["critical", "high", "warning", "info"])
def test_of_usual_impact_the_priority_is_what_the_severity_says(severity):
    one = alert(severity=severity)
    assert reach_of([one]).priority(Limits()) is one.priority


@pytest.mark.parametrize(
    ("alerts", "impact"),
    [
        ([alert(service=f"s{n}") for n in range(4)], Impact.MODERATE),
        ([alert(service=f"s{n}") for n in range(5)], Impact.EXTENSIVE),
        ([alert(annotations={"users_affected": "1.2e+03"})], Impact.EXTENSIVE),
        ([alert(annotations={"users_affected": "many"})], Impact.MODERATE),
        ([of_tier(3), of_tier(4)], Impact.MINOR),
        ([of_tier(3), of_tier(2)], Impact.MODERATE),
        ([of_tier(3), alert(service="unknown")], Impact.MODERATE),
    ],
)
def test_impact_is_what_the_alerts_have_reached_in_any_order(alerts, impact):
    assert reach_of(alerts).impact(Limits()) is reach_of(reversed(alerts)).impact(Limits()) is impact


def test_a_wider_reach_raises_the_priority_of_what_was_less_urgent():
    incident, _ = opened(alert(severity="high", service="s0"), T0, PERIODS)
    for number in range(1, 5):
        assert incident.priority is Priority.P1
        incident, effects = advance(incident, AlertFired(alert(severity="high", service=f"s{number}")), T0, PERIODS)
    assert incident.priority is Priority.P0
    assert [each.data for each in effects if isinstance(each, Entry)][-1] == {
        "from": "P1", "to": "P0", "impact": "extensive"
    }  # fmt: skip


def test_a_persons_word_holds_until_the_alerts_say_that_it_got_worse():
    incident, _ = opened(alert(severity="high"), T0, PERIODS)
    lowered, _ = advance(incident, PriorityChanged("ann", "a test system", priority=Priority.P3), T0 + 1, PERIODS)
    same, _ = advance(lowered, AlertFired(alert("SlowAnswers", severity="high")), T0 + 2, PERIODS)
    assert same.priority is Priority.P3
    worse, effects = advance(same, AlertFired(alert("ServiceDown", severity="critical")), T0 + 3, PERIODS)
    assert worse.priority is Priority.P0
    assert "escalated" in [each.event for each in effects if isinstance(each, Entry)]


def test_who_lowers_it_takes_the_earlier_target_back():
    incident, _ = opened(alert(severity="high"), T0, PERIODS)
    raised, _ = advance(incident, PriorityChanged("ann", "everybody", impact=Impact.EXTENSIVE), T0 + 1, PERIODS)
    assert (raised.priority, raised.target_at) == (Priority.P0, T0 + 3600)
    back, _ = advance(raised, PriorityChanged("ann", "two people", impact=Impact.MINOR), T0 + 2, PERIODS)
    assert (back.priority, back.target_at) == (Priority.P2, T0 + 16 * 3600)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (PriorityChanged("ann", "a test", priority=Priority.P3), "priority P3, until now P1: a test"),
        (PriorityChanged("ann", "yes", priority=Priority.P1), "priority P1: yes"),
        (PriorityChanged("ann", "all", impact=Impact.EXTENSIVE), "impact extensive: priority P0, until now P1: all"),
    ],
)
def test_a_rating_is_told_in_words(change: PriorityChanged, text: str):
    incident, _ = opened(alert(severity="high"), T0, PERIODS)
    _, effects = advance(incident, change, T0 + 1, PERIODS)
    assert [each.text for each in effects if isinstance(each, Entry) and each.event == "priority_changed"] == [text]

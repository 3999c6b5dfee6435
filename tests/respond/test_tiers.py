"""tiers.yml: what it says, what it leaves out, and what is wrong with it."""

from __future__ import annotations

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.model.alerts import SEVERITY_TIERS, Priority
from aiprism.model.labels import Labels
from aiprism.respond import tiers
from aiprism.respond.desk import Policy
from aiprism.respond.tiers import Deadline, Step
from tests.respond.making import alert

KNOWN = ("on-call", "boss")


def read(text, known=KNOWN):
    return tiers.read(yamlfile.parse(text, file="tiers.yml"), tiers.Named(known, ("primary",), ("default",)))


def test_the_usual_tiers_place_alerts_as_their_labels_say():
    assert tiers.usual().severities == SEVERITY_TIERS
    for labels in ({"severity": "critical"}, {"severity": "info", "priority": "P1"}, {"severity": "odd"}, {}):
        made = alert().__class__(Labels(labels), Labels(), alert().state, 1.0, 0.0)
        assert tiers.usual().placed(made) is made
        assert tiers.usual().priority_of(labels) is made.priority


def test_a_file_changes_what_it_names_and_nothing_else():
    found = read("tiers: {P1: {acknowledge_within: 2m, respond_within: never, receivers: [on-call]}}").of[Priority.P1]
    usual = tiers.usual().of[Priority.P1]
    assert (found.acknowledge_within, found.respond_within, found.receivers) == (120.0, None, ("on-call",))
    assert (found.resolve_within, found.severities, found.opens_incident) == (4 * 3600, usual.severities, True)
    assert read("tiers: {P1: {repeat: 2m}}").of[Priority.P0] == tiers.usual().of[Priority.P0]


@pytest.mark.parametrize(
    ("labels", "priority"),
    [
        ({"severity": "warning", "service": "payments"}, Priority.P0),  # by matchers, which go first
        ({"severity": "critical", "alertname": "Tidy"}, Priority.P3),
        ({"severity": "High"}, Priority.P0),  # a severity that the file moved
        ({"severity": "critical"}, Priority.P0),  # still where it was, as another tier did not take it
        ({"severity": "error"}, Priority.P1),
        ({"severity": "unheard of"}, Priority.P3),
    ],
)
def test_alerts_are_placed_by_matchers_then_severities_then_otherwise(labels, priority):
    found = read(
        """
otherwise: P3
tiers:
  P0: {match: ['service="payments"'], severities: [critical, high]}
  P3: {match: ['alertname=~"Tidy|Clean", severity="critical"']}
"""
    )
    assert found.priority_of(labels) is priority
    assert found.placed(alert(**{"name": "", "service": "", "severity": "", **_named(labels)})).priority is priority


def _named(labels):
    return {"name" if key == "alertname" else key: value for key, value in labels.items()}


def test_every_deadline_is_a_step_also_where_nobody_more_is_told():
    found = read("tiers: {P0: {escalate: [{after: 10m, receivers: [boss]}, {missed: response, receivers: boss}]}}")
    assert set(found.of[Priority.P0].steps) == {
        Step(Deadline.ACKNOWLEDGEMENT), Step(Deadline.ACKNOWLEDGEMENT, 600.0, ("boss",)),
        Step(Deadline.RESPONSE, 0.0, ("boss",)), Step(Deadline.RESOLUTION),
    }  # fmt: skip
    assert list(found.of[Priority.P3].steps) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tiers: {P0: {repeet: 5m}}", "1: unknown key 'repeet' in tiers.P0; did you mean 'repeat'?"),
        ("tiers: {P4: {}}", "1: unknown key 'P4' in tiers; known keys: P0, P1, P2, P3"),
        ("tiers:\n  P0: {receivers: [nobody]}", "2: 'nobody' is no receiver of alertmanager.yml; known: on-call, boss"),
        ("tiers:\n  P0:\n    escalate:\n      - {receivers: [boos]}", "4: 'boos' is no receiver"),
        ("tiers: {P0: {escalate: [{after: 5m}]}}", "1: a step needs receivers: whom it tells"),
        ("tiers: {P3: {escalate: [{receivers: boss}]}}", "1: P3 has no deadline for an acknowledgement (acknowledge_within)"),
        ("tiers: {P0: {escalate: [{receivers: boss}, {receivers: on-call}]}}", "1: two steps are due 0 s after a missed"),
        ("tiers: {P0: {escalate: [{missed: lunch, receivers: boss}]}}", "1: expected one of acknowledgement, response"),
        ("tiers: {P0: {repeat: 1s}}", "1: repeat is 1 s: nobody is told more often than every 30 s"),
        ("tiers: {P0: {acknowledge_within: soon}}", "1: "),
        ("tiers: {P0: {acknowledge_within: 0s}}", "1: expected a duration such as 15m, or never"),
        ("tiers: {P0: {severities: [high]}, P1: {severities: [high]}}", "1: severity 'high' is of P0 already"),
        ("tiers: {P0: {match: ['severity=~\"(\"']}}", "1: "),
        ("tiers: {P3: {digest: {receivers: [boss], at: '9:00'}}}", "1: '9:00' is no time of the day; write for example 09:00"),
        ("tiers: {P3: {digest: {receivers: [boss], zone: Mars}}}", "1: unknown time zone 'Mars'"),
        ("tiers: {P3: {digest: {at: '09:00'}}}", "1: a digest needs receivers: who gets it"),
        ("tiers: {P0: {escalate: [{oncall: nights}]}}", "1: 'nights' is no schedule of oncall.yml; known: primary"),
        ("tiers: {P0: {escalate: [{policy: all}]}}", "1: 'all' is no policy of oncall.yml; known: default"),
        ("tiers: {P0: {escalate: [{policy: default, oncall: primary}]}}", "1: a step has either oncall (a schedule) or a policy"),
        ("otherwise: P9", "1: expected one of P0, P1, P2, P3, not 'P9'"),
        ("{}", "1: no tiers: write what differs"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text, told):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert f"tiers.yml:{told}" in str(error.value)


def test_tiers_that_name_nobody_are_told_to_the_receivers_of_incidents():
    policy = Policy(incident_receivers=("team",))
    assert policy.receivers_of(Priority.P0) == ("team",)

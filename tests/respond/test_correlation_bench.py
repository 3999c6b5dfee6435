"""The bench of correlation plays storms of known causes; two small ones guard that what it measures stays so."""

from __future__ import annotations

import random

import pytest
from bench.correlation import lab, simulate, storms
from bench.correlation.systems import system

from aiprism.respond.ways import Ways
from tests.respond.making import alert


@pytest.mark.parametrize("kind", [storms.cascade, storms.unrelated])
def test_a_small_storm_is_divided_by_its_causes_and_better_than_by_likeness_alone(kind):
    dice = random.Random("130")
    storm = kind(system(30, dice), dice)
    outcome = simulate.played(storm)
    ours, alike = (simulate.judged(storm, homes).f1 for homes in (outcome.homes, simulate.by_likeness(storm)))
    assert ours >= simulate.TARGET_F1
    assert ours > alike
    assert (outcome.lost, outcome.told < len(storm.said)) == (0, True)


def test_faults_that_follow_each_other_are_told_apart():
    dice = random.Random("49")
    storm = storms.big(system(60, dice), dice, 120, instances=2)
    assert simulate.judged(storm, simulate.played(storm, rounds=0).homes).f1 >= simulate.TARGET_F1


def test_two_faults_of_one_service_within_ten_minutes_are_what_nobody_can_tell_apart():
    said = [
        storms.Said(at, alert("Down", "db", at=at, instance=str(at)), f"f{n}") for n, at in enumerate((0, 599, 1300))
    ]
    storm = storms.Storm("told", said, frozenset(), origins=dict.fromkeys(("f0", "f1", "f2"), "db"))
    assert [*simulate.indistinct(storm).values()] == ["f0", "f0", "f2"]


LAB = Ways({
    ("api-gateway", "user-service"): "declared", ("api-gateway", "notification-service"): "declared",
    ("user-service", "lab-database"): "declared", ("ai-analysis-service", "model-server"): "declared",
})  # fmt: skip


@pytest.mark.parametrize(
    ("service", "faults"),
    [
        ("user-service", "service-crash"),
        ("model-server", "model-errors"),
        ("ai-analysis-service", "model-errors"),
        ("api-gateway", "cpu-stress service-crash"),
        ("lab-database", ""),
    ],
)
def test_an_alert_of_the_lab_is_of_the_fault_at_its_service_or_of_those_beneath(service, faults):
    assert lab.caused(service, LAB) == frozenset(faults.split())


def test_alerts_of_two_real_faults_in_one_incident_are_pairs_put_wrongly():
    alerts = [
        alert("ServiceDown", "user-service", at=0.0),
        alert("RunawayCPU", "notification-service", at=0.0),
        alert("A", "api-gateway", at=0.0),
    ]
    told = [{"labels": each.labels.to_dict()} for each in alerts]
    one = {"id": "I1", "title": "both", "merged_into": None, "alerts": told}
    gone = {"id": "I0", "title": "gone", "merged_into": "I1", "alerts": told[:1]}
    seen = lab.seen(alerts, [one, gone], LAB, 4)
    assert (seen.titles, set(seen.homes.values())) == ({"I1": "both"}, {"I1"})
    figures = simulate.judged(seen.storm, seen.homes)
    assert (figures.right, figures.put, figures.true) == (1, 3, 1)

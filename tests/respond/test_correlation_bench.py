"""The bench of correlation plays storms of known causes; two small ones guard that what it measures stays so."""

from __future__ import annotations

import random

import pytest
from bench.correlation import simulate, storms
from bench.correlation.systems import system


@pytest.mark.parametrize("kind", [storms.cascade, storms.unrelated])
def test_a_small_storm_is_divided_by_its_causes_and_better_than_by_likeness_alone(kind):
    dice = random.Random("130")
    storm = kind(system(30, dice), dice)
    outcome = simulate.played(storm)
    ours, alike = (simulate.judged(storm, homes).f1 for homes in (outcome.homes, simulate.by_likeness(storm)))
    assert ours >= simulate.TARGET_F1
    assert ours > alike
    assert (outcome.lost, outcome.told < len(storm.said)) == (0, True)

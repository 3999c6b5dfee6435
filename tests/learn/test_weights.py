"""What past incidents teach of the weights by which alerts are compared, and when they teach nothing."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from bench.correlation import storms
from bench.correlation.systems import system

from aiprism.cli import run
from aiprism.clock import FakeClock
from aiprism.learn import weights as learning
from aiprism.learn.weights import Came, Figures, History
from aiprism.respond import journal
from aiprism.respond.desk import Policy
from aiprism.respond.incident import ResolvedByHand
from aiprism.respond.likeness import Weights
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store.records import Records
from tests.respond.making import T0, alert

PAGE = Path(__file__).parents[2] / "docs" / "alert-correlation.md"
CONFIG = "respond: {services: services.yml}\ncorrelation: {threshold: 0.9}\n"
NARROW = Weights(threshold=0.9)
SYSTEM = system(60, random.Random("learn"))


def corrected(respond, storm):
    """People make one of what one fault became."""
    with respond.reading() as connection:
        found = journal.open_incidents(connection)
    of = {each.alert.fingerprint: each.fault for each in storm.said}
    faults: dict[str, list[str]] = {}
    for each in found:
        fault = Counter(of[name] for name in each.places if name in of).most_common(1)[0][0]
        faults.setdefault(fault, []).append(each.id)
    for first, *others in faults.values():
        for other in others:
            respond.merge(first, other, "ann")
        respond.happen(first, ResolvedByHand("ann"))


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """The data directory of a server that has weathered six storms with weights that are too narrow."""
    place = tmp_path_factory.mktemp("past")
    (place / "aiprism.yml").write_text(CONFIG)
    (place / "services.yml").write_text(json.dumps({"services": {
        name: {"dependencies": sorted(SYSTEM.callees.get(name, ()))} for name in sorted(SYSTEM.kinds)
    }}))  # fmt: skip
    records = Records.open(f"sqlite:///{place}/control.db")
    clock = FakeClock(T0)
    policy = Policy(ways=lambda: Ways(dict.fromkeys(SYSTEM.calls, "seen")), weights=NARROW)
    respond = Respond(records, clock, policy)
    for seed in range(6):
        storm = (storms.background, storms.gaps)[seed % 2](SYSTEM, random.Random(f"learn {seed}"))
        later = clock.now() + 7200 - storms.T0
        for at, batch in groupby(storm.said, lambda each: each.at // 5 * 5 + 5):
            clock.jump(at + later - clock.now())
            respond.accept([replace(each.alert, active_at=each.alert.active_at + later) for each in batch])
        corrected(respond, storm)
    records.close()
    return place


def said(capsys, *arguments):
    assert run(["correlation", "learn", *arguments]) == 0
    return capsys.readouterr().out


def test_the_example_of_the_page_is_what_is_printed(past, capsys):
    shown = re.search(r"\$ aiprism correlation learn.*?\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert said(capsys, "--config", f"{past}/aiprism.yml", "--data", str(past)) == shown[1]


def test_what_people_merged_teaches_weights_that_divide_better_what_came_later(past, capsys):
    before = (past / "control.db").read_bytes()
    answer = json.loads(said(capsys, "--config", f"{past}/aiprism.yml", "--data", str(past), "-o", "json"))
    assert (past / "control.db").read_bytes() == before
    assert answer["adopt"]
    assert answer["corrections"] >= learning.ENOUGH
    assert answer["later"]["f1"] < 0.9 < answer["learned"]["f1"]
    assert Weights(**answer["learned"]["weights"]).doubt() == ""


def test_the_usual_weights_are_left_as_they_are_when_nothing_divides_better(past, capsys):
    usual = past / "usual.yml"
    usual.write_text("respond: {services: services.yml}\n")
    answer = json.loads(said(capsys, "--config", str(usual), "--data", str(past), "-o", "json"))
    assert answer["present"]["f1"] > 0.95
    assert answer["present"]["weights"]["threshold"] == 0.7


def came(name, at, home):
    return Came(at, alert("HighErrorRate", name, at=at), home)


ONE = (came("a", T0, "x"), came("a", T0 + 1, "x"))
TWO = tuple(replace(each, at=each.at + 7200) for each in ONE)


@pytest.mark.parametrize(
    ("history", "why"),
    [
        (History(), "there is no incident yet"),
        (History((ONE, TWO), corrections=4), "what nobody corrects"),
        (History((ONE,), corrections=5), "all of it came at one time"),
        (History((ONE, TWO), corrections=5), "none near the present weights"),
    ],
)
def test_of_too_little_nothing_is_learned_and_it_is_said_why(history, why):
    lesson = learning.lesson(history, Weights())
    assert lesson.why.startswith(why)
    assert lesson.tried is None


def test_pairs_are_counted_as_they_are_together_in_both():
    assert learning.judged("xxxyy", "pppqp") == Figures(right=3, put=6, true=4)


def test_what_was_not_there_is_not_made(tmp_path, capsys):
    assert run(["correlation", "learn", "--data", str(tmp_path)]) == 1
    assert "there is no control database at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

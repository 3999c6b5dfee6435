"""What is open is known without reading it all anew, and is never another than what is kept."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import sqlalchemy as sa

from aiprism.clock import FakeClock
from aiprism.errors import Conflict
from aiprism.respond import journal
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Noted, ResolvedByHand
from aiprism.respond.pipeline import Respond
from aiprism.respond.ways import Ways
from aiprism.store.records import Records
from tests.respond.making import T0, alert, cleared

ALERTS = [alert("HighErrorRate", f"service-{n}") for n in range(6)]


def seen(respond):
    """What it takes for open, beside what is kept."""
    with respond.reading() as connection:
        return [
            [_kept(each) for each in found]
            for found in (respond._standing.open_incidents(connection), journal.open_incidents(connection))
        ]


def _kept(incident):
    """An incident as far as it is kept: not where its alerts came from, nor in which order they joined."""
    alerts = (replace(each, source="") for each in incident.alerts)
    return replace(incident, alerts=tuple(sorted(alerts, key=lambda each: each.fingerprint)), places={})


@pytest.fixture
def two(records, clock):
    """Two processes on one control database."""
    return Respond(records, clock), Respond(records, clock)


def test_what_another_process_does_is_seen(two):
    one, other = two
    one.accept(ALERTS[:3])
    other.accept([*ALERTS[3:], alert("HighLatency", "service-1", at=T0 + 1)])
    one.accept([cleared(ALERTS[1], T0 + 5), alert("HighLatency", "service-2", at=T0 + 2)])
    first = seen(other)[0][0].id
    other.happen(first, Acknowledged("ann"))
    one.happen(first, ResolvedByHand("ann"))
    for respond in two:
        taken, kept = seen(respond)
        assert taken == kept
        assert len(kept) == 5


def test_what_was_not_kept_is_not_believed(records, clock):
    respond = Respond(records, clock)
    respond.accept(ALERTS[:2])
    with pytest.raises(RuntimeError, match="disk is full"):
        _resolved_and_failed(respond)
    taken, kept = seen(respond)
    assert taken == kept
    assert len(kept) == 2


def _resolved_and_failed(respond):
    with respond.desk() as desk:
        desk.happen(respond._standing.open_incidents(desk.connection)[0].id, ResolvedByHand("ann"))
        raise RuntimeError("the disk is full")


def test_what_is_said_of_an_incident_has_none_of_its_alerts_read_again(records, clock):
    respond, asked = Respond(records, clock), []
    respond.accept([alert("HighErrorRate", "service-1", instance=str(number)) for number in range(20)])
    [incident] = respond._standing._open
    sa.event.listen(records._engine, "after_cursor_execute", lambda *args: asked.append(args[2]))
    respond.happen(incident, Acknowledged("ann"))
    respond.happen(incident, Noted("comment", "ann", "it is the pool"))
    respond.check()
    assert asked
    assert not [each for each in asked if "FROM incident_alerts" in each]
    taken, kept = seen(respond)
    assert taken == kept


def test_who_is_refused_has_nothing_read_again_and_what_was_not_kept_is_not_believed(records, clock):
    respond, asked = Respond(records, clock), []
    respond.accept(ALERTS[:2])
    over, open_one = sorted(respond._standing._open)
    respond.happen(over, ResolvedByHand("ann"))
    sa.event.listen(records._engine, "after_cursor_execute", lambda *args: asked.append((args[2], str(args[3]))))
    with pytest.raises(Conflict):
        respond.happen(over, Acknowledged("ann"))
    respond.happen(open_one, Acknowledged("ann"))
    assert asked
    assert not [each for each in asked if "FROM incident_alerts" in each[0] and open_one in each[1]]
    with pytest.raises(Conflict):
        _resolved_and_refused(respond, open_one)
    taken, kept = seen(respond)
    assert taken == kept
    assert [each.id for each in kept] == [open_one]


def _resolved_and_refused(respond, incident):
    with respond.desk() as desk:
        desk.happen(incident, ResolvedByHand("ann"))
        desk.happen(incident, Acknowledged("ann"))


CALLED = Ways({(f"service-{n}", f"service-{n // 2}"): "seen" for n in range(1, 12)})
NAMES = ("HighErrorRate", "HighLatency", "ServiceDown")


def test_alerts_of_what_is_open_are_arranged_once_and_not_for_each_batch(records, clock):
    respond = Respond(records, clock, Policy(ways=lambda: CALLED))
    respond.accept(ALERTS[:2])
    arranged = respond._standing.neighbours
    respond.accept(ALERTS[2:])
    respond.accept([cleared(ALERTS[0], T0 + 5), alert("HighLatency", "service-1", at=T0 + 1)])
    assert respond._standing.neighbours is arranged
    with respond.reading() as connection:
        [first, *_] = journal.open_incidents(connection)
    respond.happen(first.id, ResolvedByHand("ann"))
    respond.accept([alert("HighLatency", "service-2", at=T0 + 1)])
    assert respond._standing.neighbours is not arranged


@pytest.mark.parametrize("seed", range(4))
def test_kept_alerts_make_the_same_incidents_as_those_arranged_anew(seed, tmp_path):
    kept, anew = (_lived(seed, tmp_path / f"{forgets}.db", forgets=forgets) for forgets in (False, True))
    assert kept == anew
    assert len(kept) > 1


def _lived(seed, path, *, forgets):
    """Into what some random batches are divided: two processes take them, and people close and part incidents in between."""
    dice, clock = random.Random(seed), FakeClock(T0)
    records = Records.open(f"sqlite:///{path}")
    both = [Respond(records, clock, Policy(ways=lambda: CALLED)) for _ in range(2)]
    for _ in range(25):
        respond = dice.choice(both)
        if forgets:
            respond._standing.forget()
        respond.accept([_said(dice, clock.now()) for _ in range(dice.randint(1, 5))])
        with respond.reading() as connection:
            found = journal.open_incidents(connection)
        _by_people(dice, respond, found)
        clock.jump(dice.choice((1, 20, 200)))
    with records.reading() as connection:
        told = journal.listed(connection, "all", 1000)
    records.close()
    return {each.id: (each.status, each.work.merged_into, sorted(each.places)) for each in told}


def _said(dice, now):
    said = alert(dice.choice(NAMES), f"service-{dice.randrange(12)}", at=now - dice.choice((0, 10, 60)))
    return cleared(said, now) if dice.random() < 0.2 else said


def _by_people(dice, respond, found):
    if not found or dice.random() < 0.7:
        return
    chosen = dice.choice(found)
    if len(chosen.alerts) > 1:
        respond.split(chosen.id, [chosen.alerts[0].fingerprint], "ann")
    else:
        respond.happen(chosen.id, ResolvedByHand("ann"))

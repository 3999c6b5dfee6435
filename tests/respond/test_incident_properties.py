"""What holds for every life of an incident, whatever happens, in whichever order, and however often aiprism dies (R21, R6)."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism.errors import Conflict, NotFound
from aiprism.model.alerts import Priority
from aiprism.respond import journal
from aiprism.respond.incident import (
    MOVES,
    Acknowledged,
    AlertCleared,
    AlertFired,
    Assigned,
    Entry,
    Identified,
    Impact,
    Merged,
    MergedInto,
    Noted,
    Periods,
    Pinned,
    PriorityChanged,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    RoleReleased,
    RoleTaken,
    TaskAdded,
    TaskDone,
    TaskReopened,
    Tick,
    Unacknowledged,
    Urgency,
    advance,
    next_due,
    opened,
)
from aiprism.store import incidents as store
from aiprism.store.records import Records
from tests.respond.making import T0, again, alert, cleared

PERIODS = Periods(validation=1800)
SEVERITIES = ("high", "critical", "warning")
# Where an alert comes from is not kept with its incident.
ALERTS = [replace(alert(f"Alert{n}", f"service-{n}", severity=SEVERITIES[n % 3]), source="") for n in range(6)]
NUMBERS = itertools.count()
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

one_of_them = st.sampled_from(ALERTS)
said = st.sampled_from(
    [
        Tick(), Acknowledged("ann"), Unacknowledged("ann"), Responded("ben"), Identified("ann"), ResolvedByHand("ann"),
        ReopenedByHand("ann"), Assigned("ann", "ben"), Assigned("ann", ""), RoleTaken("ann", "commander", "ben"),
        RoleReleased("ann", "commander"), TaskAdded("ann", "look", key="k"), TaskAdded("ben", "drain", "cy", T0 + 60),
        TaskDone("cy", "T1"), TaskReopened("ann", "T1"), Pinned("ann", "a trace"), Pinned("ben", "a chart"),
        PriorityChanged("ann", "few", impact=Impact.MINOR), PriorityChanged("ann", "soon", urgency=Urgency.IMMEDIATE),
        PriorityChanged("ann", "so", priority=Priority.P3), PriorityChanged("ann", "as the alerts say"),
    ]
)  # fmt: skip
noted = st.builds(
    lambda event, run: Noted(event, "runbook:restart", "", {"run": run}),
    st.sampled_from(["runbook_started", "runbook_succeeded", "runbook_failed", "runbook_rolled_back"]),
    st.sampled_from("RS"),
)


def lives(*more):
    what = st.one_of(said, one_of_them.map(AlertFired), one_of_them, one_of_them.map(lambda each: (each,)), *more)
    return st.lists(st.tuples(what, st.floats(-30, 4000)), max_size=25)


happenings = lives()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('lives')}/control.db")
    yield records
    records.close()


def event_of(happening, now):
    """An alert alone goes quiet, one in a tuple fires anew."""
    if isinstance(happening, tuple):
        return AlertFired(again(happening[0], now))
    return AlertCleared(cleared(happening, now)) if happening in ALERTS else happening


def fresh():
    incident, effects = opened(ALERTS[0], T0, PERIODS, id=f"INC_{next(NUMBERS)}")
    return incident, lines(effects)


def lines(effects):
    return [each for each in effects if isinstance(each, Entry)]


def restarted(records, incident, entries):
    """What a process finds that begins when another one was killed."""
    with records.begin() as connection:
        journal.write(connection, [journal.Written(incident, entries, next_due(incident, PERIODS))])
    with records.reading() as connection:
        return journal.read(connection, incident.id)


def unordered(incident):
    return replace(incident, alerts=tuple(sorted(incident.alerts, key=lambda each: each.fingerprint)), places={})


@QUICK
@given(lives(noted))
def test_every_life_is_legal_its_time_runs_forwards_and_a_restart_finds_it_as_it_was(records, life):
    incident, told = fresh()
    kept, now = restarted(records, incident, told), T0
    for happening, passed in life:
        now += passed
        before = incident
        try:
            incident, effects = advance(before, event_of(happening, now), now, PERIODS)
        except (Conflict, NotFound):
            continue
        # One event is one legal move at most.
        assert incident.status is before.status or incident.status in {
            to for (start, _), to in MOVES.items() if start is before.status
        }
        assert incident.updated_at >= before.updated_at
        assert {entry.at for entry in lines(effects)} <= {incident.updated_at}
        again_, _ = advance(kept, event_of(happening, now), now, PERIODS)
        kept = restarted(records, again_, lines(effects))
        told += lines(effects)
        assert unordered(kept) == unordered(incident)
    with records.reading() as connection:
        rows = store.event_rows(connection, [incident.id])
    assert [(row["at"], row["event"], row["actor"]) for row in rows] == [(e.at, e.event, e.actor) for e in told]


@QUICK
@given(happenings.filter(lambda life: len(life) < 12))
def test_what_was_said_once_may_be_said_again(life):
    incident, now = fresh()[0], T0
    for happening, passed in life:
        now += passed
        event = event_of(happening, now)
        try:
            incident, _ = advance(incident, event, now, PERIODS)
            repeated, effects = advance(incident, event, now, PERIODS)
        except (Conflict, NotFound):
            continue
        if not (isinstance(event, TaskAdded) and not event.key):
            assert (repeated, effects) == (incident, ())


@QUICK
@given(st.permutations(range(1, 4)), st.lists(st.integers(0, 5), min_size=4, max_size=4))
def test_the_order_of_merges_does_not_matter(order, acknowledged):
    begun = [opened(ALERTS[n], T0 + n, PERIODS, id=f"INC_{n}")[0] for n in range(4)]
    begun = [advance(each, TaskAdded("ann", each.id), T0 + 10, PERIODS)[0] for each in begun]
    begun = [
        advance(each, Acknowledged("ann"), T0 + 11, PERIODS)[0] if yes else each
        for each, yes in zip(begun, acknowledged, strict=True)
    ]

    def merged(into, others):
        for other in others:
            gone, _ = advance(other, MergedInto(into.id), T0 + 20, PERIODS)
            assert not gone.open
            into, _ = advance(into, Merged(other), T0 + 20, PERIODS)
        return into

    def seen(incident):
        texts = sorted(task.text for task in incident.work.tasks)
        names = sorted(each.fingerprint for each in incident.alerts)
        return names, incident.priority, incident.status, incident.acknowledged_at, incident.target_at, texts

    plain = merged(begun[0], begun[1:])
    assert seen(merged(begun[0], [begun[n] for n in order])) == seen(plain)
    assert len(plain.alerts) == 4


DEADLINES = ("acknowledgement_overdue", "response_overdue", "target_missed")


@QUICK
@given(st.lists(st.floats(1, 20_000), max_size=8), st.one_of(st.none(), st.floats(1, 6000)))
def test_no_deadline_is_missed_in_silence_however_long_aiprism_was_away(records, downtimes, seen_at):
    incident, told = fresh()
    incident, now = restarted(records, incident, told), T0
    tier = PERIODS.tiers.of[incident.priority]
    acknowledged = seen_at is None
    for passed in [*downtimes, 50_000.0]:
        until = now + passed
        if not acknowledged and seen_at is not None and T0 + seen_at <= until:
            now, acknowledged = T0 + seen_at, True
            incident, effects = advance(incident, Acknowledged("ann"), now, PERIODS)
            incident, told = restarted(records, incident, lines(effects)), told + lines(effects)
        now = until
        incident, effects = advance(incident, Tick(), now, PERIODS)
        incident, told = restarted(records, incident, lines(effects)), told + lines(effects)
    missed = Counter(entry.event for entry in told if entry.event in DEADLINES)
    in_time = seen_at is not None and seen_at < (tier.acknowledge_within or 0.0)
    expected = Counter({each: 1 for each in DEADLINES if not (in_time and each == "acknowledgement_overdue")})
    assert missed == expected

"""What is open is known without reading it all anew, and is never another than what is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiprism.respond import journal
from aiprism.respond.incident import Acknowledged, ResolvedByHand
from aiprism.respond.pipeline import Respond
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

"""An alert that comes and goes is told once as flapping, then nothing until it rests, and in the end it is told as it is."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.respond import journal
from aiprism.respond.channels.post import Answer, Verdict
from aiprism.respond.deliver import Delivery
from aiprism.respond.desk import Policy
from aiprism.respond.mute import held
from aiprism.respond.mute.flapping import Flap, Limits, changed, rested, written
from aiprism.respond.pipeline import Respond
from aiprism.store import held as rows
from aiprism.store import incidents as store
from aiprism.store.records import Records
from tests.respond.making import T0, again, alert, cleared, routing

LIMITS = Limits(3, 600.0, 300.0)
ROUTES = """
route: {receiver: a, group_by: [alertname], group_wait: 10s, group_interval: 30s, repeat_interval: 10h}
receivers:
  - {name: a, webhook_configs: [{url: "http://127.0.0.1:9/a"}]}
  - {name: b, webhook_configs: [{url: "http://127.0.0.1:9/b"}]}
"""


def after(*times, limits=LIMITS) -> Any:
    """What is known of an alert that fired until the first of these times, and changed at each."""
    flap, firing = None, True
    for at in times:
        flap = changed(flap, "f", was_firing=True, firing=not firing, limits=limits, now=at)
        firing = not firing
    return flap


def test_more_changes_than_allowed_within_the_window_are_flapping_until_nothing_changed_for_a_while():
    assert after(10, 20, 30).flaps(30) is False
    flap = after(10, 20, 30, 40)
    assert flap == Flap("f", True, (10, 20, 30, 40), since=10, until=340, count=4)
    assert (flap.flaps(339), flap.flaps(340)) == (True, False)
    assert after(10, 20, 30, 40, 50) == Flap("f", False, (20, 30, 40, 50), since=10, until=350, count=5)
    assert after(0, 300, 599, 601).flaps(601) is False  # the first one is too long ago
    assert changed(flap, "f", was_firing=True, firing=True, limits=LIMITS, now=50) is flap  # said again is no change
    assert rested(after(10, 20, 30, 40)) == Flap("f", True)


def test_without_limits_nothing_is_remembered_and_an_annotation_may_say_otherwise():
    assert after(*range(1, 100), limits=Limits()) is None
    assert written("2 in 10m, stable 5m") == Limits(2, 600.0, 300.0)
    assert written("off") == Limits()
    assert [written(text) for text in ("", "2", "2 in ten, stable 5m", "-1 in 5m, stable 5m")] == [None] * 4


class Room:
    """Alerts in, letters out, on one clock; the receivers take everything."""

    def __init__(self, records, clock, **more):
        self.clock, self.got = clock, []
        policy = Policy(**{"routing": routing(ROUTES), "flapping": LIMITS, **more})
        self.respond = Respond(records, clock, policy)
        self.delivery = Delivery(self.respond, clock, send=self.take)

    async def take(self, letter, now):
        alerts = sorted((each["labels"]["n"], each["status"]) for each in letter.body["alerts"])
        self.got.append(
            (letter.url.reveal()[-1], letter.body["incident"]["event"], alerts, letter.body["incident"]["text"])
        )
        return Answer(Verdict.DELIVERED)

    def passing(self, seconds):
        """What arrived in that time: receiver, event and alerts."""
        end = self.clock.now() + seconds
        while True:
            due = self.respond.flush()
            asyncio.run(self.delivery.deliver_due())
            if self.clock.now() >= end:
                break
            self.clock._now = min(end, max(self.clock.now() + 0.5, due))
        new, self.got[:] = [each[:3] for each in self.got], []
        return new

    def flapping(self, times, every=12):
        """The alert comes and goes so often."""
        told = []
        for number in range(times):
            self.respond.accept([self.now(firing=number % 2 == 1)])
            told += self.passing(every)
        return told

    def now(self, *, firing, n="1", **more):
        at = self.clock.now()
        base = alert("Down", at=at, n=n, **{"severity": "warning", **more})
        return again(base, at) if firing else cleared(base, at)

    def held(self):
        with self.respond.reading() as connection:
            found = held.current(connection, self.respond.holding(connection))
        return [(each.labels["n"], each.receiver, each.stage) for each in found]


FIRES, OVER = ("a", "firing", [("1", "firing")]), ("a", "resolved", [("1", "resolved")])


@pytest.mark.parametrize("firing", [True, False])
def test_it_is_told_once_as_flapping_and_when_it_rests_as_it_is(records, clock, firing):
    room = Room(records, clock)
    room.respond.accept([room.now(firing=True)])
    assert room.passing(11) == [FIRES]
    assert room.flapping(4, every=31) == [OVER, FIRES, OVER, FIRES]  # the last one as flapping
    assert room.flapping(6 if firing else 5, every=31) == []
    assert room.held() == [("1", "a", "flapping")]
    assert room.passing(265) == []
    assert room.passing(5) == [FIRES if firing else OVER]
    assert room.held() == []
    assert room.passing(3000) == []


def test_the_letter_says_how_much_it_flaps(records, clock):
    room = Room(records, clock)
    room.respond.accept([room.now(firing=True)])
    room.passing(11)
    for number in range(4):
        room.respond.accept([room.now(firing=number % 2 == 1)])
        room.clock._now += 1
    room.respond.flush()
    room.passing(0)
    room.clock._now += 30
    room.respond.flush()
    asyncio.run(room.delivery.deliver_due())
    [(_, _, _, text)] = room.got
    assert text == (
        "1 alert fires; Down flaps: 4 changes since 14:15:16 UTC, told again when it is steady until 14:20:19 UTC"
    )


def test_its_incident_has_it_firing_while_it_flaps_and_tells_its_receivers_once(records, clock):
    room = Room(records, clock, incident_receivers=("b",))
    urgent = {"severity": "high"}  # whose deadlines are further off than this takes
    room.respond.accept([room.now(firing=True, **urgent)])
    room.passing(11)
    told = []
    for number in range(9):
        room.respond.accept([room.now(firing=number % 2 == 1, **urgent)])
        told += [event for receiver, event, _ in room.passing(10) if receiver == "b"]
    assert told == ["monitoring", "reopened", "monitoring", "flapping", "reopened"]
    with records.reading() as connection:
        [incident] = journal.listed(connection, "open", 10)
        lines = [row["event"] for row in store.event_rows(connection, [incident.id])]
    assert [alert.state.value for alert in incident.firing] == ["firing"]
    assert lines.count("alert_flapping") == 1
    assert [event for receiver, event, _ in room.passing(400) if receiver == "b"] == ["monitoring"]


def test_however_many_alerts_of_an_incident_begin_to_flap_at_once_it_is_one_letter(records, clock):
    room = Room(records, clock, incident_receivers=("b",))
    everyone = [str(n) for n in range(40)]
    for number in range(5):
        room.respond.accept([room.now(firing=number % 2 == 0, n=n, severity="high") for n in everyone])
        room.clock._now += 12
    with records.reading() as connection:
        [incident] = journal.listed(connection, "open", 10)
        lines = [row["event"] for row in store.event_rows(connection, [incident.id])]
        letters = store.notification_rows(connection, [incident.id])
    assert lines.count("alert_flapping") == 40
    [text] = [row["payload"]["text"] for row in letters if row["event"].startswith("flapping")]
    assert re.fullmatch(r"Down flaps: 4 changes since .*, and 39 more of its alerts flap", text)


def test_flapping_is_known_after_a_restart(records, clock, tmp_path):
    room = Room(records, clock)
    room.respond.accept([room.now(firing=True)])
    room.flapping(7, every=31)
    records.close()
    later = Records.open(f"sqlite:///{tmp_path}/control.db")
    room = Room(later, clock)
    assert room.flapping(2, every=31) == []
    assert room.passing(310)[-1:] == [FIRES]
    later.close()


def test_an_alert_that_ends_because_nobody_says_it_again_changes_by_that(records, clock):
    room = Room(records, clock)
    for _ in range(4):
        at = clock.now()
        base = alert("Down", at=at, n="1", severity="warning")
        room.respond.accept([type(base)(base.labels, base.annotations, base.state, 1.0, at, at, ends_at=at + 5)])
        room.passing(10)
    with room.respond.reading() as connection:
        [row] = rows.flapping_rows(connection)
    assert (row["firing"], row["count"]) == (False, 7)


def test_a_rule_may_have_limits_of_its_own(records, clock):
    room = Room(records, clock, flapping=Limits())
    rule = {"annotations": {"flap_detection": "1 in 5m, stable 60s"}}
    room.respond.accept([room.now(firing=True, **rule)])
    assert room.passing(11) == [FIRES]
    room.respond.accept([room.now(firing=False, **rule)])
    room.clock._now += 1
    room.respond.accept([room.now(firing=True, **rule)])
    assert room.passing(31) == [FIRES]  # as flapping
    room.respond.accept([room.now(firing=False, **rule)])
    assert room.passing(55) == []
    assert room.passing(10) == [OVER]


def test_limits_that_cannot_be_read_are_told_once_and_the_settings_hold(records, clock):
    room = Room(records, clock)
    with structlog.testing.capture_logs() as logs:
        for firing in (True, False, True, False, True):
            room.respond.accept([room.now(firing=firing, annotations={"flap_detection": "often"})])
            room.clock._now += 12
    assert [each["said"] for each in logs if each["event"] == "flap_detection.unreadable"] == ["often"]
    with records.reading() as connection:
        assert [row["count"] for row in rows.flapping_rows(connection)] == [4]


@settings(max_examples=10, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([1.0, 7.0, 25.0, 61.0, 299.0, 301.0, 700.0]), min_size=1, max_size=14),
    others=st.booleans(),
)
def test_however_it_comes_and_goes_in_the_end_everybody_knows_how_it_is(tmp_path_factory, gaps, others):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('flaps')}/control.db")
    room, known, firing = Room(records, FakeClock(T0 + 5)), [], True
    if others:
        room.respond.accept([room.now(firing=True, n="2")])
    room.respond.accept([room.now(firing=True)])
    for gap in gaps:
        known += room.passing(gap)
        firing = not firing
        room.respond.accept([room.now(firing=firing)])
    known += room.passing(350)
    heard = {n: status for _, _, alerts in known for n, status in alerts}
    if "1" in heard or firing:
        assert heard["1"] == ("firing" if firing else "resolved")
    assert heard.get("2") == ("firing" if others else None)
    assert room.held() == []
    records.close()

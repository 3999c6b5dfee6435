"""Who is told of an incident is not told of its alerts' groups as well, and nobody is missed for it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

import pytest

from aiprism.respond.deliver import Delivery, Patience
from aiprism.respond.desk import Policy
from aiprism.respond.group import Told
from aiprism.respond.incident import Periods, ResolvedByHand, opened
from aiprism.respond.known import reported
from aiprism.respond.mute import held
from aiprism.respond.mute.once import told_by
from aiprism.respond.pipeline import Respond
from aiprism.store.incidents import Address
from tests.respond.making import T0, again, alert, cleared, receiver, routing

ROUTES = """
route: {{receiver: pager, group_by: [service], group_wait: 10s, group_interval: 60s, repeat_interval: 1h,
         routes: [{{receiver: team, continue: true}}, {{receiver: pager}}]}}
receivers:
  - {{name: pager, pagerduty_configs: [{{routing_key: k, url: "{url}/pager"}}]}}
  - {{name: team, webhook_configs: [{{url: "{url}/team"}}]}}
"""
DOWN = alert("ServiceDown", "shop")
SLOW = alert("HighLatency", "shop", at=T0 + 3, severity="warning")
A, B = Address("pager", "pagerduty", 0), Address("team", "webhook", 0)


class Room:
    def __init__(self, records, clock, there, receivers=("pager",)):
        self.clock, self.there = clock, there
        policy = Policy(routing=routing(ROUTES.format(url=there.url)), incident_receivers=receivers)
        self.respond = Respond(records, clock, policy)
        self.delivery = Delivery(self.respond, clock, chance=lambda: 1.0, patience=Patience(limit=100.0))

    def passing(self, seconds, *alerts):
        """What arrived at pager and team in that time, after these alerts."""
        self.respond.accept(alerts)
        for _ in range(seconds + 1):
            self.respond.flush()
            asyncio.run(self.delivery.deliver_due())
            self.clock._now += 1
        new, self.there.got[:] = list(self.there.got), []
        pager = [(got.body["event_action"], got.body["dedup_key"][:4]) for got in new if "pager" in got.path]
        return pager, [(got.body["status"], len(got.body["alerts"])) for got in new if "team" in got.path]

    def held(self):
        with self.respond.reading() as connection:
            found = held.current(connection, self.respond.holding(connection))
        return {(each.labels["alertname"], each.receiver, each.stage, each.reason[:4]) for each in found}


@pytest.fixture
def there():
    with receiver() as kept:
        yield kept


def test_a_receiver_of_incidents_is_paged_once_and_others_are_told_of_groups(records, clock, there):
    room = Room(records, clock, there)
    assert room.passing(80, DOWN, SLOW) == ([("trigger", "INC_")], [("firing", 2)])
    assert room.held() == {
        ("ServiceDown", "pager", "told_by_incident", "INC_"), ("HighLatency", "pager", "told_by_incident", "INC_")
    }  # fmt: skip
    over = T0 + 86
    assert room.passing(80, cleared(DOWN, over), cleared(SLOW, over)) == (
        [],
        [("resolved", 2)],
    )  # PagerDuty knows no monitoring
    assert room.held() == set()


def test_what_fires_in_no_incident_is_told_by_its_group_also_beside_one_that_is(records, clock, there):
    room = Room(records, clock, there)
    lone = alert("DiskFills", "other", severity="warning")
    pager, _ = room.passing(20, DOWN, lone)
    assert sorted(key == "INC_" for _, key in pager) == [False, True]
    different = alert("CostRises", "shop", at=T0 - 9000, severity="info")  # of the same group, but like nothing
    pager, _ = room.passing(70, different)
    assert [key == "INC_" for _, key in pager] == [False]


def test_when_the_incidents_letter_is_refused_the_group_is_told_at_once(records, clock, there):
    there.answer = lambda got: (400 if got.body.get("dedup_key", "").startswith("INC_") else 200, {})
    room = Room(records, clock, there)
    assert room.passing(14, DOWN)[0] == [("trigger", "INC_"), ("trigger", room_key())]


def test_when_the_incidents_letter_is_given_up_after_many_tries_the_group_is_told_at_once(records, clock, there):
    away = [True]
    there.answer = lambda got: (503 if away[0] and got.body.get("dedup_key", "").startswith("INC_") else 200, {})
    room = Room(records, clock, there)
    pager, _ = room.passing(60, DOWN)
    assert {key for _, key in pager} == {"INC_"}  # it is still tried
    pager, _ = room.passing(120)  # Patience.limit has passed: given up
    assert [key for _, key in pager][-1] == room_key()


def test_a_group_that_told_an_alert_before_it_joined_an_incident_tells_that_it_is_over(records, clock, there):
    room = Room(records, clock, there)
    pager, _ = room.passing(20, SLOW)
    assert pager == [("trigger", room_key())]
    pager, _ = room.passing(70, DOWN, SLOW)
    # What was begun with the group's key is ended with it; the group tells of the new alert, too, as it has that open.
    assert pager == [("trigger", "INC_"), ("trigger", room_key())]
    pager, _ = room.passing(70, cleared(DOWN, clock.now()), cleared(SLOW, clock.now()))
    assert pager == [("resolve", room_key())]


def test_an_alert_that_fires_anew_in_a_reopened_incident_is_told_by_it_again(records, clock, there):
    room = Room(records, clock, there)
    room.passing(80, DOWN)
    room.passing(80, cleared(DOWN, T0 + 86))
    assert room.passing(80, again(DOWN, T0 + 170)) == ([("trigger", "INC_")], [("firing", 1)])


def test_what_a_person_closed_is_not_told_again_by_the_group_until_it_repeats(records, clock, there):
    room = Room(records, clock, there)
    room.passing(80, DOWN)
    with room.respond.reading() as connection:
        [each] = held.current(connection, room.respond.holding(connection))
    room.respond.happen(each.reason, ResolvedByHand("ann"))
    assert room.passing(130) == ([("resolve", "INC_")], [])
    # Nor for an hour, the repeat_interval; but what fires on is not kept from anybody for ever.
    clock._now += 3300
    assert room.passing(60) == ([], [])
    clock._now += 60
    assert room.passing(70)[0] == [("trigger", room_key())]


def test_without_receivers_of_incidents_everybody_is_told_of_groups(records, clock, there):
    room = Room(records, clock, there, receivers=())
    assert room.passing(20, DOWN) == ([("trigger", room_key())], [("firing", 1)])
    assert room.held() == set()


def room_key():
    """The first letters of the key of the group of `shop` at the pager."""
    return hashlib.sha256(b'{}/{}:{service="shop"}').hexdigest()[:4]


def test_an_integration_is_left_out_only_when_it_was_told_of_everything_that_fires():
    down, slow = reported(DOWN, T0), reported(SLOW, T0)
    incident, _ = opened(DOWN, T0, Periods())
    homes = {down.fingerprint: incident}
    heard = {(incident.id, A)}
    assert told_by(A, [down], homes, heard, None, closed_since=T0) == (incident.id,)
    assert told_by(B, [down], homes, heard, None, closed_since=T0) == ()
    assert told_by(A, [down, slow], homes, heard, None, closed_since=T0) == ()
    assert told_by(A, [down, slow], homes | {slow.fingerprint: incident}, heard, None, closed_since=T0) == (
        incident.id,
    )
    closed = homes | {down.fingerprint: replace(incident, resolved_at=T0 + 1)}
    assert told_by(A, [down], closed, heard, None, closed_since=T0) == (incident.id,)
    assert told_by(A, [down], closed, heard, None, closed_since=T0 + 1) == ()
    assert told_by(A, [], homes, heard, None, closed_since=T0) == ()
    assert told_by(A, [down], homes, heard, Told(frozenset({"x"}), frozenset(), T0), closed_since=T0) == ()
    assert told_by(A, [down], homes, heard, Told(frozenset(), frozenset({"x"}), T0), closed_since=T0) == (incident.id,)

"""What a receiver hears of groups: when, of what, and of what not. With real receivers and a clock that is moved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from aiprism.model.labels import Labels, Matcher, MatchOp
from aiprism.respond import group, journal
from aiprism.respond.deliver import Delivery
from aiprism.respond.desk import Policy
from aiprism.respond.group import Told, Why
from aiprism.respond.keeping import silence_row
from aiprism.respond.mute.silences import Silence
from aiprism.respond.pipeline import Respond
from aiprism.respond.route import Route
from aiprism.store import alerting
from aiprism.store import incidents as letters
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from tests.respond.making import T0, again, alert, cleared, receiver, routing

ROUTES = """
route: {{receiver: a, group_by: [alertname], group_wait: 10s, group_interval: 60s, repeat_interval: 10m{more}}}
receivers: [{{name: a, webhook_configs: [{{url: "{url}/webhook"{options}}}]}}]
{rest}
"""


class Room:
    """Alerts in, letters out, on one clock."""

    def __init__(self, records, clock, there, **parts):
        self.records, self.clock, self.there, self.telemetry = records, clock, there, Telemetry()
        text = ROUTES.format(url=there.url, **{"more": "", "options": "", "rest": "", **parts})
        self.respond = Respond(records, clock, Policy(routing=routing(text)), self.telemetry)
        self.delivery = Delivery(self.respond, clock, chance=lambda: 1.0)

    def told(self):
        """What arrived since this was asked last: when, status, and the alerts with theirs."""
        new, self.there.got[:] = list(self.there.got), []
        return [
            (got.body["status"], sorted((one["labels"]["n"], one["status"]) for one in got.body["alerts"]))
            for got in new
        ]

    def passing(self, seconds):
        """What is told in that time: pairs of the second, counted from now, and what arrived."""
        heard, due = [], 0.0
        for second in range(seconds + 1):
            self.clock._now += second > 0
            if self.clock.now() < due:
                continue
            due = self.respond.flush()
            asyncio.run(self.delivery.deliver_due())
            with self.respond.reading() as connection:
                due = min(due, letters.next_due(connection) or due)
            heard += [(second, *each) for each in self.told()]
        return heard

    def held(self):
        dropped: Any = [row["dropped"] for row in self.telemetry.flow() if row["stage"] == "respond.notify"]
        return {reason: count for each in dropped for reason, count in each.items() if reason != "unchanged"}


@pytest.fixture
def there():
    with receiver() as kept:
        yield kept


def one(n="1", at=T0 + 5, **more):
    return alert("Down", at=at, n=n, **{"severity": "warning", **more})


def test_a_group_waits_then_keeps_its_interval_and_repeats_itself(records, clock, there):
    room = Room(records, clock, there)
    room.respond.accept([one("1")])
    assert room.passing(9) == []
    room.respond.accept([one("2", at=clock.now())])
    assert room.passing(1) == [(1, "firing", [("1", "firing"), ("2", "firing")])]
    room.respond.accept([one("3", at=clock.now())])
    assert room.passing(60) == [(60, "firing", [("1", "firing"), ("2", "firing"), ("3", "firing")])]
    # The log is of when it was taken; a repeat comes with the first interval after it is older than that.
    assert room.passing(660) == [(660, "firing", [("1", "firing"), ("2", "firing"), ("3", "firing")])]


def test_what_is_over_is_told_once_and_leaves_the_group(records, clock, there):
    room = Room(records, clock, there)
    both = [one("1"), one("2")]
    room.respond.accept(both)
    room.passing(10)
    room.respond.accept([cleared(both[0], clock.now())])
    assert room.passing(60) == [(60, "firing", [("1", "resolved"), ("2", "firing")])]
    room.respond.accept([cleared(both[1], clock.now())])
    assert room.passing(120) == [(60, "resolved", [("2", "resolved")])]
    assert room.passing(1200) == []


def test_an_alert_that_came_and_went_within_an_interval_is_not_told(records, clock, there):
    room = Room(records, clock, there)
    room.respond.accept([one()])
    room.respond.accept([cleared(one(), T0 + 6)])
    assert room.passing(30) == []


def test_an_old_alert_is_told_at_once(records, clock, there):
    room = Room(records, clock, there)
    room.respond.accept([one(at=T0 - 60)])
    assert room.passing(0) == [(0, "firing", [("1", "firing")])]


def test_good_news_is_noted_and_not_sent_where_it_is_not_wanted(records, clock, there):
    room = Room(records, clock, there, options=", send_resolved: false")
    room.respond.accept([one("1"), one("2")])
    room.passing(10)
    room.respond.accept([cleared(one("1"), clock.now())])
    assert room.passing(60) == []
    room.respond.accept([cleared(one("2"), clock.now())])
    room.passing(60)
    room.respond.accept([again(one("2"), clock.now())])
    assert room.passing(60) == [(60, "firing", [("2", "firing")])]


def test_a_posted_alert_is_over_when_nobody_says_it_again(records, clock, there):
    room = Room(records, clock, there)
    room.respond.accept([replace(one(severity="critical"), ends_at=T0 + 40, presumed=True)])
    assert room.passing(10) == [(10, "firing", [("1", "firing")])]
    assert room.passing(60) == [(60, "resolved", [("1", "resolved")])]


def test_alerts_that_are_held_back_are_counted_with_the_stage_that_held_them(records, clock, there):
    rest = (
        "inhibit_rules: [{source_matchers: [kind=cause], target_matchers: [kind=effect], equal: [service]}]\n"
        "time_intervals: [{name: always, time_intervals: [{years: ['2000:2100']}]}]\n"
    )
    more = ", routes: [{matchers: [n=night], mute_time_intervals: [always]}]"
    room = Room(records, clock, there, rest=rest, more=more)
    silence = Silence("s1", (Matcher("n", MatchOp.EQUAL, "quiet"),), T0, T0 + 3600, T0)
    with records.begin() as connection:
        alerting.put_silence(connection, silence_row(silence))
    room.respond.accept([one("cause", kind="cause"), one("effect", kind="effect"), one("quiet"), one("night")])
    assert room.passing(10) == [(10, "firing", [("cause", "firing")])]
    assert room.held() == {"inhibited": 1.0, "silenced": 1.0, "hours": 1.0}
    room.respond.accept([cleared(one("cause", kind="cause"), clock.now())])
    assert room.passing(60) == [(60, "firing", [("cause", "resolved"), ("effect", "firing")])]


def test_what_is_silenced_or_inhibited_opens_no_incident_until_it_is_free(records, clock, there):
    room = Room(records, clock, there)
    with records.begin() as connection:
        silence = Silence("s1", (Matcher("n", MatchOp.EQUAL, "1"),), T0, T0 + 60, T0)
        alerting.put_silence(connection, silence_row(silence))
    fires = alert("Down", n="1")
    room.respond.accept([fires])
    assert incidents(records) == 0
    clock._now += 60
    room.respond.accept([fires])  # said again by its rule
    assert incidents(records) == 1


def incidents(records):
    with records.reading() as connection:
        return len(journal.listed(connection, "all", 9))


def test_a_refused_notification_is_tried_again_with_the_next_interval(records, clock, there):
    room = Room(records, clock, there)
    there.answer = lambda got: (400, {})
    room.respond.accept([one()])
    assert [second for second, *_ in room.passing(70)] == [10, 70]
    there.answer = lambda got: (200, {})
    assert [second for second, *_ in room.passing(200)] == [60]


def test_a_receiver_that_is_away_hears_what_is_true_when_it_is_back(records, clock, there):
    room = Room(records, clock, there)
    there.answer = lambda got: (503, {})
    room.respond.accept([one("1"), one("2")])
    tries = room.passing(40)
    assert len(tries) > 2
    assert len({str(told) for _, *told in tries}) == 1
    room.respond.accept([cleared(one("1"), clock.now())])
    room.passing(25)
    there.answer = lambda got: (200, {})
    assert room.passing(64)[0][1:] == ("firing", [("1", "resolved"), ("2", "firing")])
    assert room.passing(300) == []


def test_a_restart_sends_nothing_twice_and_forgets_nothing(records, clock, there, tmp_path):
    room = Room(records, clock, there)
    room.respond.accept([one("1")])
    assert room.passing(10) == [(10, "firing", [("1", "firing")])]
    room.respond.accept([one("2", at=clock.now())])
    records.close()
    clock._now += 30
    after = Records.open(f"sqlite:///{tmp_path}/control.db")
    room = Room(after, clock, there)
    room.respond.regroup()
    room.respond.accept([one("1"), one("2")])
    assert room.passing(200) == [(30, "firing", [("1", "firing"), ("2", "firing")])]
    after.close()


def test_new_routes_take_over_what_is_known_and_tell_what_their_receiver_was_not_told(records, clock, there):
    room = Room(records, clock, there)
    room.respond.accept([one("1")])
    room.passing(10)
    other = Room(records, clock, there, more=", routes: [{matchers: [n=1], group_wait: 5s}]")
    other.respond.regroup()
    assert [told for _, *told in other.passing(100)] == [["firing", [("1", "firing")]]]


ROUTE = Route("a", group_wait=10.0, group_interval=60.0, repeat_interval=600.0)


@pytest.mark.parametrize(
    ("told", "firing", "resolved", "send_resolved", "why"),
    [
        (None, "a", "", True, Why.FIRST),
        (None, "", "a", True, None),
        (("a", ""), "ab", "", True, Why.FIRING),
        (("ab", ""), "a", "", True, None),  # the other one was taken out of the group in between
        (("ab", ""), "a", "b", True, Why.RESOLVED),
        (("ab", ""), "a", "b", False, None),
        (("ab", ""), "", "ab", False, Why.RESOLVED),
        (("", "a"), "", "b", True, None),
        (("a", "b"), "a", "b", True, None),
    ],
)
def test_a_receiver_is_told_what_is_news_to_it(told, firing, resolved, send_resolved, why):
    before = None if told is None else Told(frozenset(told[0]), frozenset(told[1]), T0)
    found = group.reason(
        before, frozenset(firing), frozenset(resolved), send_resolved=send_resolved, repeat=600.0, now=T0 + 600
    )
    assert found is why


def test_it_is_reminded_when_the_repeat_interval_has_passed():
    before = Told(frozenset("a"), frozenset(), T0)
    assert group.reason(before, {"a"}, set(), send_resolved=True, repeat=600.0, now=T0 + 600.1) is Why.REPEAT


def test_groups_keep_their_beat_unless_a_whole_one_was_missed():
    begun = group.begun(ROUTE, Labels({"alertname": "Down"}), T0)
    assert (begun.key, begun.next_at) == ('{}:{alertname="Down"}', T0 + 10)
    on_time = group.after_flush(begun, ROUTE, T0 + 10.2)
    assert (on_time.next_at, on_time.flushed) == (T0 + 70, True)
    assert group.after_flush(begun, ROUTE, T0 + 500).next_at == T0 + 560


def test_ten_minutes_of_silence_and_a_kill_in_between_end_with_each_news_told_once(records, clock, there, tmp_path):
    room = Room(records, clock, there)
    there.answer = lambda got: (503, {})
    room.respond.accept([one("1"), alert("Slow", severity="warning", at=T0 + 5, n="2")])
    room.passing(300)
    records.close()  # as if it were killed here
    after = Records.open(f"sqlite:///{tmp_path}/control.db")
    room = Room(after, clock, there)
    room.respond.regroup()
    room.passing(300)
    there.answer = lambda got: (200, {})
    heard = room.passing(1200)
    # Each once, as soon as it is taken; the second time it is the reminder after ten minutes.
    for number in ("1", "2"):
        times = [second for second, _, alerts in heard if alerts == [(number, "firing")]]
        assert len(times) == 2
        assert times[0] <= 60
        assert times[1] - times[0] >= 600
    after.close()


def test_a_group_that_was_put_off_is_told_as_soon_as_its_notification_is_done_with(records, clock, there):
    room = Room(records, clock, there, more=', routes: [{matchers: [n=~".*"], group_wait: 0s, group_interval: 4s}]')
    there.answer = lambda got: (503 if len(there.got) < 3 else 200, {})
    room.respond.accept([one("1")])
    room.respond.flush()
    room.respond.accept([one("2")])
    heard = room.passing(40)
    assert [each for _, _, each in heard][-1] == [("1", "firing"), ("2", "firing")]
    assert len(heard) >= 2


def test_what_is_empty_or_old_is_forgotten(records, clock, there):
    room = Room(records, clock, there)
    silence = Silence("s1", (Matcher("n", MatchOp.EQUAL, "x"),), T0, T0 + 60, T0)
    with records.begin() as connection:
        alerting.put_silence(connection, silence_row(silence))
    room.respond.accept([one()])
    room.passing(10)
    room.respond.accept([cleared(one(), clock.now())])
    room.passing(100)

    def kept():
        with records.reading() as connection:
            rows = (alerting.group_rows(connection), alerting.alert_rows(connection, [one().fingerprint]))
            return [len(each) for each in (*rows, alerting.silence_rows(connection))]

    assert kept() == [0, 1, 1]
    clock._now += 1800
    room.respond.flush()
    assert kept() == [0, 0, 1]
    clock._now += 120 * 3600
    room.respond.flush()
    assert kept() == [0, 0, 0]

"""Maintenance windows: when they hold, and what becomes of the alerts meanwhile and after."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError, Conflict, NotFound, Unavailable
from aiprism.respond import board, journal, keeping, tiers
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Periods
from aiprism.respond.matcher import parsed
from aiprism.respond.mute import held, holding
from aiprism.respond.mute.holding import Planned
from aiprism.respond.mute.maintenance import Period, window
from aiprism.respond.pipeline import Respond
from aiprism.store.records import Records, notifications
from tests.respond.making import T0, alert, cleared, routing, telling
from tests.respond.test_group import ROUTES, Room, one, there  # noqa: F401 - a fixture

PAGE = Path(__file__).parents[3] / "docs" / "maintenance.md"
BERLIN = ZoneInfo("Europe/Berlin")


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def planned(name="upgrade", matchers='service="api-gateway"', start="2026-11-23T14:00", duration="1h", **more):
    return window(name, parsed(matchers), start, duration=duration, **more)


def read(text):
    return holding.read(yamlfile.parse(text, file="maintenance.yml"))


def test_a_single_window_holds_from_its_start_to_its_end():
    single = planned(zone="Europe/Berlin", start="2026-11-23T15:00", duration="30m")
    assert single.following(at("2026-11-23T13:00")) == Period(at("2026-11-23T14:00"), at("2026-11-23T14:30"))
    assert single.holding(at("2026-11-23T13:59:59")) is None
    assert single.holding(at("2026-11-23T14:00")) == Period(at("2026-11-23T14:00"), at("2026-11-23T14:30"))
    assert single.holding(at("2026-11-23T14:30")) is None
    assert [single.over(at(text)) for text in ("2026-11-23T13:00", "2026-11-23T14:10", "2026-11-23T14:30")] == [
        False, False, True
    ]  # fmt: skip


def test_a_recurring_window_follows_the_clock_on_the_wall_through_summer_time():
    nightly = planned(zone="Europe/Berlin", start="2026-10-23T02:30", duration="2h", recurrence="FREQ=DAILY")
    for day in ("2026-10-24", "2026-10-25", "2026-10-26", "2027-03-27", "2027-03-29"):
        begin = at(f"{day}T02:30", BERLIN)
        assert nightly.holding(begin) == Period(begin, begin + 7200)
        assert nightly.holding(begin + 7199) == Period(begin, begin + 7200)
        assert nightly.holding(begin - 1) is None
        assert nightly.holding(begin + 7200) is None
    # 02:30 comes twice that night: it begins the first time, and not again.
    first = at("2026-10-25T02:30", BERLIN)
    assert nightly.following(first + 1) == Period(at("2026-10-26T02:30", BERLIN), at("2026-10-26T04:30", BERLIN))


def test_an_end_is_what_the_clock_on_the_wall_shows_also_when_clocks_are_changed_meanwhile():
    for start, end in (("2026-10-24T22:00", "2026-10-25T06:00"), ("2027-03-27T22:00", "2027-03-28T06:00")):
        night = planned(zone="Europe/Berlin", start=start, duration="", end=end, recurrence="FREQ=DAILY")
        assert night.holding(at(end, BERLIN) - 1) == Period(at(start, BERLIN), at(end, BERLIN))
        assert night.holding(at(end, BERLIN)) is None
        assert night.duration == at(end, BERLIN) - at(start, BERLIN)
    # Every night of a recurrence: the one on which clocks are set back is longer, the others are not.
    nightly = planned(zone="Europe/Berlin", start="2026-10-20T22:00", duration="", end="2026-10-21T06:00",
                      recurrence="FREQ=DAILY")  # fmt: skip
    for day, hours in (("2026-10-23", 8), ("2026-10-24", 9), ("2026-10-25", 8)):
        begin = at(f"{day}T22:00", BERLIN)
        assert nightly.holding(begin) == Period(begin, begin + 3600 * hours)


def test_a_window_of_the_hour_that_comes_twice_is_kept_as_it_was_meant():
    now = at("2026-10-25T01:35")  # 02:35 in Berlin, for the second time
    for more in (
        {"duration": "30m"},
        {"duration": "", "end": "2026-10-25T01:50:00+00:00"},
        {"recurrence": "FREQ=DAILY"},
    ):
        asked = planned(zone="Europe/Berlin", start="2026-10-25T01:30:00+00:00", id="w1", **more)
        assert asked.holding(now) is not None
        kept = keeping.window_of(keeping.window_row(asked, now))
        assert (kept, kept.holding(now)) == (asked, asked.holding(now))


@given(
    minutes=st.integers(min_value=0, max_value=60 * 24 * 2500),
    days=st.integers(min_value=0, max_value=3000),
    rule=st.sampled_from([
        "FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=7", "FREQ=HOURLY;BYHOUR=3,4;BYDAY=MO", "FREQ=HOURLY;COUNT=900",
        "FREQ=DAILY;INTERVAL=3", "FREQ=DAILY;INTERVAL=2;BYHOUR=5", "FREQ=WEEKLY;INTERVAL=3;BYDAY=TU,FR;WKST=SU",
        "FREQ=WEEKLY", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29", "FREQ=DAILY;UNTIL=20270504T000000",
    ]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_rule_asked_about_from_nearby_says_what_it_says_from_its_start(minutes, days, rule):
    start = datetime.fromisoformat("2019-01-01T00:00") + timedelta(minutes=minutes)
    each, now = planned(start=start.isoformat(), duration="30m", recurrence=rule), start + timedelta(days=days)
    walked = rrulestr(rule, dtstart=start)
    last, following = walked.before(now, inc=True), walked.after(now)
    held = None if last is None or last + timedelta(minutes=30) <= now else last.replace(tzinfo=UTC).timestamp()
    found, then = each.holding(now.replace(tzinfo=UTC).timestamp()), each.following(now.replace(tzinfo=UTC).timestamp())
    assert (found and found.start) == held
    assert (then and then.start) == (following and following.replace(tzinfo=UTC).timestamp())


def test_a_rule_ends_with_its_count_or_its_last_day():
    twice = planned(recurrence="FREQ=WEEKLY;COUNT=2")
    assert twice.holding(at("2026-11-30T14:10")) is not None
    assert twice.holding(at("2026-12-07T14:10")) is None
    assert twice.over(at("2026-11-30T15:00"))
    assert planned(recurrence="FREQ=DAILY;UNTIL=20261124T235959").over(at("2026-11-24T15:00"))


@given(
    minutes=st.integers(min_value=0, max_value=60 * 24 * 500),
    hours=st.integers(min_value=1, max_value=23),
    rule=st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SA,SU", "FREQ=MONTHLY;BYMONTHDAY=-1"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_where_a_window_holds_is_where_the_one_that_came_before_was_to_follow(minutes, hours, rule, zone):
    each = planned(duration=f"{hours}h", recurrence=rule, zone=zone)
    now = at("2026-11-23T00:00") + 60 * minutes
    period, following = each.holding(now), each.following(now)
    assert following is not None
    assert following.start > now
    assert each.holding(following.start) == following
    if period is not None:
        assert period.start <= now < period.end
        assert each.following(period.start - 1) == period


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"recurrence": "FREQ=FOO"}, "'FREQ=FOO' is no recurrence (invalid 'FREQ': FOO); write an RRULE"),
        ({"recurrence": "FREQ=DAILY;UNTIL=20270101T000000Z"}, "write it without Z"),
        ({"recurrence": "FREQ=MINUTELY"}, "not by minutes"),
        ({"recurrence": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "never comes true within 30 years"),
        ({"recurrence": "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"}, "never comes true within 30 years"),
        ({"recurrence": "FREQ=HOURLY;BYSETPOS=5"}, "BYSETPOS chooses among the days of a week, month or year"),
        ({"recurrence": "FREQ=HOURLY;COUNT=10001"}, "nobody counts to 10001: write UNTIL"),
        ({"recurrence": "FREQ=DAILY;COUNT=0"}, "COUNT=0 is never"),
        ({"recurrence": "FREQ=DAILY;COUNT=-1"}, "COUNT=-1 is never"),
        ({"recurrence": "FREQ=MONTHLY;INTERVAL=0"}, "INTERVAL=0 is no step: write 1 to 10000"),
        ({"recurrence": "FREQ=DAILY;INTERVAL=-1"}, "INTERVAL=-1 is no step"),
        ({"recurrence": "FREQ=HOURLY;INTERVAL=99999999999"}, "INTERVAL=99999999999 is no step"),
        (
            {"recurrence": "FREQ=DAILY;BYMINUTE=1,2,3,4,5,6,7,8;BYSECOND=1,2,3,4,5,6,7,8"},
            "more than 60 times in an hour",
        ),
        ({"zone": "Europe/Berlinn"}, "unknown time zone 'Europe/Berlinn'"),
        ({"start": "tomorrow"}, "start: 'tomorrow' is no time; write for example 2026-12-05T22:00"),
        ({"duration": ""}, "give either `end` or `duration`"),
        ({"duration": "", "end": "2026-11-23T13:00"}, "must end after it begins"),
        ({"matchers": 'a=~".*"'}, "needs a matcher that does not match the empty string"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_what_nobody_could_mean_is_refused_in_a_sentence(more, told):
    with pytest.raises(BadInput) as error:
        planned(**more)
    assert told in str(error.value)


def test_a_mistake_in_the_file_is_told_with_its_place():
    for text, told in (
        ("maintenance:\n  - {name: a, matchers: [a=b], start: 2026-01-01T00:00}", "maintenance.yml:2: give either"),
        ("maintenance:\n  - {name: a, match: [a=b]}", "maintenance.yml:2: unknown key 'match'"),
        ("maintenance:\n  - &x {name: a, matchers: [a=b], start: 2026-01-01T00:00, duration: 1h}\n  - *x",
         "maintenance window 'a' stands twice"),
        ("suppress:\n  - {name: a, matchers: [a=b], reason: ' '}", "maintenance.yml:2: say why"),
        ("suppress:\n  - {name: a, matchers: [a=b], reason: b, down: [c=d]}", "maintenance.yml:2: `down` says which"),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as error:
            read(text)
        assert told in str(error.value)


def test_the_example_of_the_page_holds_when_the_page_says():
    text = re.search(r"reads this block -->\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    upgrade, nightly = read(text[1]).windows
    assert upgrade.following(T0) == Period(at("2026-12-05T22:00", BERLIN), at("2026-12-06T00:00", BERLIN))
    assert nightly.following(T0) == Period(at("2026-11-24T01:00"), at("2026-11-24T02:30"))
    assert [(rule.name, rule.younger_than, rule.dependency_down) for rule in read(text[1]).rules] == [
        ("cause-is-told", None, True), ("short-spikes", 900.0, False)
    ]  # fmt: skip


# -- what becomes of alerts ------------------------------------------------------------------------------------------


def incidents(respond):
    with respond.reading() as connection:
        return [incident.status.value for incident in journal.listed(connection, "all", 10)]


def held_now(respond):
    with respond.reading() as connection:
        found = held.current(connection, respond.holding(connection))
    return [(each.labels["n"], each.receiver, each.stage, each.reason, each.since - T0) for each in found]


def test_in_a_window_an_alert_is_kept_and_told_to_nobody_and_what_fires_on_is_told_when_it_ends(records, clock, there):  # noqa: F811
    room = Room(records, clock, there)
    upgrade = window("upgrade", parsed('alertname="Down"'), "2026-11-23T14:15", duration="5m", id="w1")  # T0 .. T0+300
    room.respond.put_window(upgrade)
    room.respond.accept([one("1", severity="critical"), one("2"), one("3")])
    assert held_now(room.respond) == [
        (n, "a", "maintenance", "maintenance:upgrade", 5.0) for n in "123"
    ]  # before the group's first flush, too
    assert room.passing(40) == []
    assert incidents(room.respond) == []
    room.respond.accept([cleared(one("3"), T0 + 45)])
    told = room.passing(300)
    # The window ends at T0+300, which is second 255 from here; the group's own beat would have come later.
    assert told == [(255, "firing", [("1", "firing"), ("2", "firing")])]
    assert incidents(room.respond) == ["investigating"]
    assert held_now(room.respond) == []
    assert room.held()["maintenance"] > 0
    with room.respond.reading() as connection:
        past = {(each.labels["n"], each.stage, each.reason) for each in held.past(connection, limit=10)}
    assert past == {(n, "maintenance", "maintenance:upgrade") for n in "123"}


def test_who_was_told_that_an_alert_fires_is_told_that_it_is_over_although_a_window_holds(records, clock, there):  # noqa: F811
    room = Room(records, clock, there)
    room.respond.accept([one("1"), one("2")])
    assert room.passing(10) == [(10, "firing", [("1", "firing"), ("2", "firing")])]
    room.respond.put_window(window("w", parsed("n=~1|3"), "2026-11-23T14:15", duration="1h", id="w1"))
    room.respond.accept([cleared(one("1"), T0 + 16), one("3"), cleared(one("3"), T0 + 16)])
    assert room.passing(70) == [(60, "firing", [("1", "resolved"), ("2", "firing")])]


def test_ending_a_window_by_hand_tells_what_it_held(records, clock, there):  # noqa: F811
    room = Room(records, clock, there)
    room.respond.put_window(window("w", parsed("alertname=Down"), "2026-11-23T14:00", duration="9h", id="w1"))
    room.respond.accept([one("1", severity="critical")])
    assert room.passing(30) == []
    ended = room.respond.end_window("w")
    assert (ended.ended_at, room.respond.end_window("w1")) == (clock.now(), ended)
    assert incidents(room.respond) == ["investigating"]
    assert room.passing(0) == [(0, "firing", [("1", "firing")])]
    with pytest.raises(NotFound, match="no maintenance window 'x'"):
        room.respond.end_window("x")


def test_a_name_means_the_window_that_is_not_over_be_it_of_the_file(records, clock):
    later = read("maintenance: [{name: upgrade, matchers: [a=b], start: 2026-11-23T15:00, duration: 1h}]")
    respond = Respond(records, clock, Policy())
    respond.put_window(planned(id="w1"))
    ended = respond.end_window("upgrade")
    assert respond.end_window("upgrade") == ended
    respond.policy = Policy(planned=later)
    with pytest.raises(Conflict, match=r"stands in maintenance\.yml"):
        respond.end_window("upgrade")
    assert respond.end_window("w1") == ended


def test_a_window_is_known_for_five_days_after_its_end(records, clock):
    def known():
        respond.flush()
        with respond.reading() as connection:
            return [each.id for each in holding.windows(connection, Planned())]

    respond = Respond(records, clock, Policy())
    respond.put_window(planned(name="one", id="w1", start="2026-11-23T14:00", duration="4d"))
    respond.put_window(planned(name="two", id="w2", start="2026-11-30T14:00", duration="1h"))
    clock._now += 3600
    for name in ("one", "two"):  # one that holds, and one that never will
        respond.end_window(name)
    clock._now += 5 * 86_400 - 60
    assert known() == ["w1", "w2"]
    clock._now += 61
    assert known() == []


def test_windows_outlive_a_restart_and_one_of_the_file_is_changed_there(records, clock, tmp_path):
    file = read(
        "maintenance: [{name: nightly, matchers: [a=b], start: 2026-11-23T00:00, duration: 1h, recurrence: FREQ=DAILY}]"
    )
    respond = Respond(records, clock, Policy(planned=file))
    respond.put_window(planned(id="w1", recurrence="FREQ=WEEKLY", zone="Europe/Berlin", comment="c", author="ann"))
    records.close()
    after = Records.open(f"sqlite:///{tmp_path}/control.db")
    with after.reading() as connection:
        kept = holding.windows(connection, file)
    assert kept == [
        *file.windows,
        planned(id="w1", recurrence="FREQ=WEEKLY", zone="Europe/Berlin", comment="c", author="ann"),
    ]
    again = Respond(after, clock, Policy(planned=file))
    with pytest.raises(Conflict, match=r"stands in maintenance\.yml"):
        again.end_window("nightly")
    with pytest.raises(Conflict, match="there is a maintenance window 'upgrade'"):
        again.put_window(planned(id="w2"))
    after.close()


HELD = telling(
    routing(ROUTES.format(url="http://127.0.0.1:9", more="", options="", rest="")),
    planned=Planned((planned(start="2026-11-23T14:15", duration="10m"),)),  # T0 .. T0+600
)


def begun(records, clock, policy=HELD):
    respond = Respond(records, clock, policy)
    respond.accept([alert()])
    clock._now += 11
    respond.flush()
    assert incidents(respond) == []
    return respond


def test_a_window_that_ends_while_nobody_watches_lets_go_of_its_alerts_at_the_next_look(records, clock):
    policy = replace(HELD, incident_receivers=())  # so that the group is told, and not its incident
    begun(records, clock, policy)
    clock._now = T0 + 601
    after = Respond(records, clock, policy)  # as after a restart, or in another process
    after.flush()
    assert incidents(after) == ["investigating"]
    with records.reading() as connection:
        told = sa.select(notifications.c.event).where(notifications.c.group_id.is_not(None))
        events = connection.execute(told).scalars().all()
    assert [event.split("#")[0] for event in events] == ["firing"]  # its group is told at once, too


@pytest.mark.parametrize("windows", [(), (planned(start="2026-11-23T14:15", duration="2m"),)])
def test_a_reload_that_takes_a_window_away_or_shortens_it_lets_go_of_its_alerts(records, clock, windows):
    respond = begun(records, clock)
    clock._now = T0 + 200
    respond.policy = replace(HELD, planned=Planned(windows))
    respond.regroup()
    respond.flush()
    assert incidents(respond) == ["investigating"]


def test_what_a_flush_that_failed_was_to_let_go_is_let_go_by_the_next(records, clock):
    respond = begun(records, clock)
    clock._now = T0 + 601
    with records.begin() as connection:
        connection.execute(sa.text("ALTER TABLE held_notifications RENAME TO away"))
    with pytest.raises(Unavailable):
        respond.flush()
    with records.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO held_notifications"))
    assert incidents(respond) == []
    respond.flush()
    assert incidents(respond) == ["investigating"]


def test_a_window_shorter_than_the_time_between_two_looks_lets_go_of_its_alerts(records, clock):
    respond = Respond(records, clock, replace(HELD, planned=Planned()))
    respond.flush()
    respond.put_window(planned(start="2026-11-23T14:15:06", duration="5s", id="w1"))
    clock._now = T0 + 7
    respond.accept([alert()])
    assert incidents(respond) == []
    clock._now = T0 + 12
    respond.flush()
    assert incidents(respond) == ["investigating"]


def test_what_fires_on_after_a_window_goes_to_an_incident_of_its_tier(records, clock):
    placed = tiers.read(yamlfile.parse('tiers: {P0: {match: ["alertname=HighErrorRate"]}}', file="tiers.yml"))
    respond = Respond(records, clock, replace(HELD, periods=Periods(tiers=placed)))
    respond.accept([alert(severity="warning")])
    clock._now = T0 + 601
    respond.flush()
    with records.reading() as connection:
        assert [each.priority.value for each in journal.open_incidents(connection)] == ["P0"]


def test_an_incident_that_was_open_before_keeps_its_alerts_in_a_window(records, clock):
    respond = Respond(
        records, clock, telling(routing(ROUTES.format(url="http://127.0.0.1:9", more="", options="", rest="")))
    )
    down = alert("Down")
    respond.accept([down])
    respond.put_window(planned(id="w1"))
    respond.accept([cleared(down, T0 + 4)])
    assert incidents(respond) == ["monitoring"]


def test_alertmanagers_api_calls_it_suppressed_and_names_the_window(records, clock):
    respond = Respond(records, clock, Policy(planned=read(
        "maintenance: [{name: w, matchers: [service=api-gateway], start: 2026-11-23T14:00, duration: 1h}]\n"
        "suppress: [{name: noise, matchers: [service=api-gateway], reason: known}]"
    )))  # fmt: skip
    respond.accept([alert()])
    with respond.reading() as connection:
        [standing] = board.alerts(connection, respond.holding(connection))
    assert (standing.suppressed, standing.muted_by) == (True, ("maintenance:w", "suppressed:noise: known"))

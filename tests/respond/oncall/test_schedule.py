"""Who is on call when: turns by the clock on the wall, layers, holidays, overrides, gaps."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.respond.oncall import reading
from aiprism.respond.oncall.schedule import (
    DAY,
    Calendar,
    Event,
    Holidays,
    Hours,
    Override,
    Rotation,
    Schedule,
)

BERLIN = ZoneInfo("Europe/Berlin")
TEAM = "people: {ann: {receivers: r}, bob: {receivers: r}, cy: {receivers: r}, dan: {receivers: r}}\n"


def schedule(text):
    return reading.read(yamlfile.parse(TEAM + f"schedules:\n  s: {text}", file="oncall.yml")).schedules["s"]


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def told(shifts, zone=BERLIN):
    """(from, until, who) by the clock on the wall."""
    return [
        (*(f"{datetime.fromtimestamp(t, zone):%m-%d %H:%M}" for t in (each.start, each.end)), "+".join(each.people))
        for each in shifts
    ]


WEEKLY = "{zone: Europe/Berlin, layers: [{start: 2026-03-16, handoff: '09:00', every: 1w, people: [ann, bob]}]}"


def test_a_hand_off_is_at_the_same_time_on_the_wall_also_when_clocks_change():
    found = schedule(WEEKLY).shifts((), at("2026-03-20T00:00"), at("2026-04-08T00:00"))
    assert told(found) == [
        ("03-20 00:00", "03-23 09:00", "ann"), ("03-23 09:00", "03-30 09:00", "bob"),
        ("03-30 09:00", "04-06 09:00", "ann"), ("04-06 09:00", "04-08 00:00", "bob"),
    ]  # fmt: skip
    assert found[1].end - found[1].start == 7 * DAY - 3600  # in which clocks were set forward


@pytest.mark.parametrize(
    ("day", "handed_on"),
    [("2026-03-29", "2026-03-29T01:30:00+00:00"), ("2026-10-25", "2026-10-25T00:30:00+00:00")],
)
def test_a_time_that_a_day_lacks_is_an_hour_later_and_one_it_has_twice_is_the_first(day, handed_on):
    found = schedule(
        "{zone: Europe/Berlin, layers: [{start: 2026-03-01, handoff: '02:30', every: 1d, people: [ann, bob]}]}"
    )
    edges = [each.start for each in found.shifts((), at(day + "T00:00"), at(day + "T12:00"))][1:]
    assert [datetime.fromtimestamp(edge, UTC).isoformat() for edge in edges] == [handed_on]


def test_the_first_layer_that_has_somebody_counts_and_hours_may_go_over_midnight():
    found = schedule(
        """
    zone: Europe/Berlin
    layers:
      - {name: office, start: 2026-11-23, people: [ann], hours: [{days: [monday:friday], from: "09:00", to: "17:00"}]}
      - {name: nights, start: 2026-11-23, people: [[bob, cy]], hours: [{from: "16:00", to: "08:00"}]}
    may_be_empty: true
"""
    )
    assert told(found.shifts((), at("2026-11-27T07:00"), at("2026-11-28T18:00"))) == [
        ("11-27 07:00", "11-27 08:00", "bob+cy"), ("11-27 08:00", "11-27 09:00", ""),
        ("11-27 09:00", "11-27 17:00", "ann"), ("11-27 17:00", "11-28 08:00", "bob+cy"),
        ("11-28 08:00", "11-28 16:00", ""), ("11-28 16:00", "11-28 18:00", "bob+cy"),
    ]  # fmt: skip


def test_who_stands_in_on_holidays_goes_before_layers_and_an_override_before_all_the_latest_first():
    found = schedule(
        """
    zone: Europe/Berlin
    layers: [{start: 2026-12-21, people: [ann]}]
    holidays: {dates: [2026-12-25, 2026-12-26], people: [cy, dan]}
    overrides: [{people: bob, start: 2026-12-25T12:00, end: 2026-12-25T18:00}]
"""
    )
    asked = [
        Override("s", ("dan",), at("2026-12-25T14:00"), at("2026-12-25T16:00"), "late", created_at=2.0),
        Override("s", ("cy",), at("2026-12-25T13:00"), at("2026-12-25T15:00"), "early", created_at=1.0),
        Override("other", ("ann",), at("2026-12-25T00:00"), at("2026-12-27T00:00"), "another", created_at=3.0),
    ]
    shifts = found.shifts(asked, at("2026-12-24T12:00"), at("2026-12-27T12:00"))
    assert told(shifts) == [
        ("12-24 12:00", "12-25 00:00", "ann"), ("12-25 00:00", "12-25 12:00", shifts[1].people[0]),
        ("12-25 12:00", "12-25 13:00", "bob"), ("12-25 13:00", "12-25 14:00", "cy"), ("12-25 14:00", "12-25 16:00", "dan"),
        ("12-25 16:00", "12-25 18:00", "bob"), ("12-25 18:00", "12-26 00:00", shifts[1].people[0]),
        ("12-26 00:00", "12-27 00:00", shifts[7].people[0]), ("12-27 00:00", "12-27 12:00", "ann"),
    ]  # fmt: skip
    assert {shifts[1].people[0], shifts[7].people[0]} == {"cy", "dan"}  # by the day in turn
    assert [each.override for each in shifts] == ["", "", "", "early", "late", "", "", "", ""]


def test_a_layer_begins_and_ends_on_its_days_and_before_and_after_is_a_gap():
    found = schedule("{layers: [{start: 2026-11-24, end: 2026-11-26, every: 1d, people: [ann, bob, cy]}]}")
    assert told(found.shifts((), at("2026-11-23T00:00", UTC), at("2026-11-27T00:00", UTC)), UTC) == [
        ("11-23 00:00", "11-24 09:00", ""), ("11-24 09:00", "11-25 09:00", "ann"),
        ("11-25 09:00", "11-26 09:00", "bob"), ("11-26 09:00", "11-27 00:00", ""),
    ]  # fmt: skip


def test_a_duty_lasts_until_other_people_are_on_call_whatever_the_reason():
    found = schedule(WEEKLY)
    now = at("2026-03-20T00:00")
    duty = found.duty((), now)
    assert (duty.people, duty.until, duty.following) == (("ann",), at("2026-03-23T09:00"), ("bob",))
    longer = Override("s", ("ann",), at("2026-03-21T00:00"), at("2026-03-24T12:00"), "x")
    duty = found.duty([longer], now)
    assert (duty.people, duty.until, duty.following) == (("ann",), at("2026-03-24T12:00"), ("bob",))
    alone = schedule("{layers: [{start: 2026-01-01, people: [ann]}]}").duty((), now)
    assert (alone.people, alone.until, alone.following) == (("ann",), None, ())


# -- whatever the schedule ---------------------------------------------------------------------------------------------

NOW = at("2026-10-23T00:00")  # clocks are set back two days later
WALL = datetime.fromisoformat("2026-10-22T00:00")
PEOPLE = st.sampled_from([("ann",), ("bob",), ("cy",), ("ann", "bob")])
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))
HOURS = st.builds(Hours, st.frozensets(st.integers(0, 6), min_size=1), TIMES, TIMES)
ROTATIONS = st.builds(
    Rotation, st.just("layer"), st.dates(date(2026, 10, 1), date(2026, 10, 26)), TIMES, st.integers(1, 8),
    st.lists(PEOPLE, min_size=1, max_size=3).map(tuple), st.lists(HOURS, max_size=2).map(tuple),
    st.none() | st.just(date(2026, 10, 27)),
)  # fmt: skip
EVENTS = st.builds(
    lambda start, hours, people: Event(start, start + timedelta(hours=hours), people),
    st.integers(0, 6 * 24 * 4).map(lambda quarters: WALL + timedelta(minutes=15 * quarters)), st.integers(1, 60), PEOPLE,
)  # fmt: skip
OVERRIDES = st.builds(
    lambda start, length, people, made: Override(
        "s", people, NOW + start * 1800, NOW + (start + length) * 1800, "o", created_at=made
    ),
    st.integers(-20, 200), st.integers(1, 90), PEOPLE, st.floats(0, 9),
)  # fmt: skip
CALENDARS = st.builds(Calendar, st.just("calendar"), st.lists(EVENTS, max_size=3).map(tuple))
FREE_DAYS = st.frozensets(st.dates(date(2026, 10, 22), date(2026, 10, 28)), max_size=2)
SCHEDULES = st.builds(
    Schedule, st.just("s"), st.sampled_from([BERLIN, ZoneInfo("UTC"), ZoneInfo("America/New_York")]),
    st.lists(ROTATIONS | CALENDARS, min_size=1, max_size=3).map(tuple),
    st.builds(Holidays, FREE_DAYS, turns=st.just((("dan",),))),
)  # fmt: skip


def standing(rotation, zone, moment):
    """Who of a rotation is on call, found by walking its hand-offs and looking at the clock."""
    handed = [
        datetime.combine(rotation.start + timedelta(days=n * rotation.days), rotation.handoff, zone).timestamp()
        for n in range(60)
    ]
    number = sum(1 for each in handed if each <= moment) - 1
    ended = rotation.end and moment >= datetime.combine(rotation.end, rotation.handoff, zone).timestamp()
    if number < 0 or ended:
        return ()
    today = datetime.fromtimestamp(moment, zone).date()
    spans = [
        (datetime.combine(day, each.begin, zone).timestamp(),
         datetime.combine(day + timedelta(days=each.begin >= each.end), each.end, zone).timestamp())
        for each in rotation.hours for day in (today - timedelta(days=1), today, today + timedelta(days=1))
        if day.weekday() in each.days
    ]  # fmt: skip
    if rotation.hours and not any(begin <= moment < end for begin, end in spans):
        return ()
    return rotation.turns[number % len(rotation.turns)]


def attending(calendar, zone, moment):
    found = [
        who for each in calendar.events for who in each.people
        if each.start.replace(tzinfo=zone).timestamp() <= moment < each.end.replace(tzinfo=zone).timestamp()
    ]  # fmt: skip
    return tuple(dict.fromkeys(found))


def expected(schedule, overrides, moment):
    """Who is on call, asked of one thing after the other."""
    for each in sorted(overrides, key=lambda one: (one.created_at, one.id), reverse=True):
        if each.start <= moment < each.end:
            return {each.people}
    if datetime.fromtimestamp(moment, schedule.zone).date() in schedule.holidays.dates:
        return {("dan",)}
    for layer in schedule.layers:
        ask = standing if isinstance(layer, Rotation) else attending
        if people := ask(layer, schedule.zone, moment):
            return {people}
    return {()}


@settings(deadline=None, max_examples=60)
@given(
    found=SCHEDULES,
    overrides=st.lists(OVERRIDES, max_size=3, unique_by=lambda each: each.created_at),
    moment=st.floats(NOW, NOW + 4 * DAY, exclude_max=True),
)
def test_shifts_follow_each_other_without_a_hole_and_say_who_is_on_call_at_any_time(found, overrides, moment):
    shifts = found.shifts(overrides, NOW, NOW + 4 * DAY)
    assert (shifts[0].start, shifts[-1].end) == (NOW, NOW + 4 * DAY)
    assert all(one.end == other.start and one.start < one.end for one, other in itertools.pairwise(shifts))
    [people] = [each.people for each in shifts if each.start <= moment < each.end]
    assert {people} == expected(found, overrides, moment)
    assert people == found.on_call(overrides, moment)
    duty = found.duty(overrides, moment)
    assert duty.people == people
    assert duty.until is None or (found.on_call(overrides, duty.until) == duty.following != people)

"""Calendars: shifts of a file, and shifts for the calendars of people."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.respond.oncall import ical, reading
from aiprism.respond.oncall.schedule import Calendar, Event, Schedule, Shift

BERLIN = ZoneInfo("Europe/Berlin")
TEXT = """
people:
  ann: {name: Ann Lee, email: ann@example.org, receivers: r}
  bob: {receivers: r}
schedules:
  s: {zone: Europe/Berlin, layers: [{name: rota, file: rota.ics}], may_be_empty: true}
"""


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def of_file(tmp_path, *events, text=TEXT):
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN"]
    for event in events:
        lines += ["BEGIN:VEVENT", *event.strip().splitlines(), "END:VEVENT"]
    (tmp_path / "rota.ics").write_text("\r\n".join([*(line.strip() for line in lines), "END:VCALENDAR", ""]))
    (tmp_path / "oncall.yml").write_text(text)
    return reading.load(tmp_path / "oncall.yml").schedules["s"]


def told(schedule, start, end):
    return [
        (*(f"{datetime.fromtimestamp(t, BERLIN):%m-%d %H:%M}" for t in (each.start, each.end)), each.people)
        for each in schedule.shifts((), at(start), at(end)) if each.people
    ]  # fmt: skip


def test_an_event_that_recurs_is_by_the_clock_of_its_zone_without_what_was_left_out_moved_or_called_off(tmp_path):
    found = of_file(
        tmp_path,
        """UID:1
        SUMMARY:Ann Lee
        DTSTART;TZID=America/New_York:20261019T180000
        DTEND;TZID=America/New_York:20261020T060000
        RRULE:FREQ=WEEKLY;UNTIL=20261117T000000Z
        EXDATE;TZID=America/New_York:20261026T180000""",
        """UID:1
        SUMMARY:bob
        RECURRENCE-ID:20261102T230000Z
        DTSTART;TZID=America/New_York:20261103T180000
        DTEND;TZID=America/New_York:20261104T060000""",
        "UID:2\nSUMMARY:bob\nSTATUS:CANCELLED\nDTSTART:20261020T000000Z\nDTEND:20261021T000000Z",
    )
    assert told(found, "2026-10-01T00:00", "2026-12-24T00:00") == [
        ("10-20 00:00", "10-20 12:00", ("ann",)),  # clocks of Berlin are still to be set back
        ("11-04 00:00", "11-04 12:00", ("bob",)),
        ("11-10 00:00", "11-10 12:00", ("ann",)), ("11-17 00:00", "11-17 12:00", ("ann",)),
    ]  # fmt: skip


def test_whole_days_and_times_without_a_zone_are_by_the_clock_of_the_schedule_and_who_attends_is_on_call(tmp_path):
    found = of_file(
        tmp_path,
        "UID:1\nSUMMARY:early\nATTENDEE;CN=X:mailto:Ann@example.org\nDTSTART;VALUE=DATE:20261123\nDTEND;VALUE=DATE:20261125",
        "UID:2\nSUMMARY:Bob\nDTSTART:20261124T120000\nDURATION:PT36H",
        "UID:3\nSUMMARY:ann\\, bob\nDTSTART;VALUE=DATE:20261127",
    )
    assert told(found, "2026-11-20T00:00", "2026-11-30T00:00") == [
        ("11-23 00:00", "11-24 12:00", ("ann",)), ("11-24 12:00", "11-25 00:00", ("ann", "bob")),
        ("11-25 00:00", "11-26 00:00", ("bob",)), ("11-27 00:00", "11-28 00:00", ("ann", "bob")),
    ]  # fmt: skip


def test_who_has_no_email_is_not_meant_by_a_stranger_and_a_name_that_two_have_means_neither(tmp_path):
    often = "DTSTART:20261123T090000\nDURATION:PT1H\n"
    stranger = often + "UID:1\nSUMMARY:ann,\nATTENDEE:mailto:stranger@example.org"
    assert [each[2] for each in told(of_file(tmp_path, stranger), "2026-11-23", "2026-11-24")] == [("ann",)]
    with pytest.raises(ConfigError, match="nobody is known by event 'on call'"):
        of_file(tmp_path, often + "UID:1\nSUMMARY:on call\nATTENDEE:mailto:stranger@example.org")
    twice = TEXT.replace("bob: {", "bob: {name: Ann Lee, ")
    with pytest.raises(ConfigError, match="nobody is known by event 'Ann Lee'"):
        of_file(tmp_path, often + "UID:1\nSUMMARY:Ann Lee", text=twice)


def test_holidays_of_a_calendar_come_again_every_year(tmp_path):
    text = TEXT.replace(
        "layers: [{name: rota, file: rota.ics}]",
        "layers: [{start: 2026-01-01, people: bob}], holidays: {file: rota.ics, people: ann}",
    )
    found = of_file(tmp_path, "UID:1\nSUMMARY:Christmas\nDTSTART;VALUE=DATE:19701225\nRRULE:FREQ=YEARLY", text=text)
    assert told(found, "2027-12-24T12:00", "2027-12-26T12:00") == [
        ("12-24 12:00", "12-25 00:00", ("bob",)), ("12-25 00:00", "12-26 00:00", ("ann",)),
        ("12-26 00:00", "12-26 12:00", ("bob",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("UID:1\nSUMMARY:Zoe\nDTSTART:20261123T090000\nDURATION:PT1H", "nobody is known by event 'Zoe'"),
        ("UID:1\nSUMMARY:ann\nDTSTART:20261123T090000", "event 'ann': it ends before it begins, or takes no time"),
        ("UID:1\nSUMMARY:ann\nDTSTART:tomorrow\nDURATION:PT1H", "event 'ann': DTSTART"),
        ("UID:1\nSUMMARY:ann\nDURATION:PT1H", "event 'ann': it has no DTSTART"),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261123T090000\nDURATION:PT1H\nRRULE:FREQ=SECONDLY",
            "event 'ann': a recurrence is by",
        ),
        ("UID:1\nSUMMARY:ann\nDTSTART:20261123T090000\nDURATION:PT1H\nRRULE:FREQ=FOO", "event 'ann': RRULE"),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261123T090000\nDURATION:PT1H\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261123T080000",
            "event 'ann': a change of this and all later times (RANGE) is not understood",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261123T090000\nDURATION:PT1H\nRDATE:20261124T090000",
            "event 'ann': RDATE is not",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20260230T090000\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "event 'ann': DTSTART",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20260201T090000\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "event 'ann': 'FREQ=YEARLY;BYMONTHDAY=30;BYMONTH=2' never comes true within 130 years",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261201T090000Z\nDTSTART:20261201T090000Z\nDURATION:PT1H",
            "event 'ann': DTSTART stands in it more than once",
        ),
        ("UID:1\nSUMMARY:ann\nDTSTART;VALUE=PERIOD:20261201T090000Z/PT1H", "event 'ann': DTSTART is neither a day nor a moment"),
        (
            "UID:1\nSUMMARY:ann\nDTSTART;TZID=Nowhere/Land:20261201T090000\nDURATION:PT1H",
            "event 'ann': DTSTART: the time zone 'Nowhere/Land' is not known",
        ),
        ("UID:1\nSUMMARY:ann\nDTSTART:00010101T000000\nDURATION:PT1H", "event 'ann': DTSTART: the year 1 is not of our time"),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261201T090000\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;INTERVAL=0",
            "event 'ann': INTERVAL=0 is no step",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261201T090000\nDURATION:PT1H\nRECURRENCE-ID:x",
            "event 'ann': RECURRENCE-ID: Expected datetime",
        ),
        (
            "UID:1\nSUMMARY:ann\nDTSTART:20261201T090000\nDURATION:PT1H\nEXDATE;VALUE=PERIOD:20261201T090000Z/PT1H",
            "event 'ann': EXDATE is neither a day nor a moment",
        ),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said_with_the_line_of_the_layer(tmp_path, event, why):
    with pytest.raises(ConfigError) as error:
        of_file(tmp_path, event)
    assert f"oncall.yml:6: rota.ics: {why}" in str(error.value)


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "BEGIN:VEVENT\nEND:VEVENT\n"])
def test_what_is_no_calendar_is_refused(text):
    with pytest.raises(BadInput, match="is no calendar"):
        ical.read(text)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(1, 2_000_000), st.sampled_from([("ann",), ("bob",), ("ann", "bob"), ()])),
        min_size=1,
        max_size=8,
    )
)
def test_a_calendar_that_was_written_is_read_as_the_same_shifts(lengths):
    people = reading.read(yamlfile.parse(TEXT.partition("schedules:")[0], file="oncall.yml")).people
    shifts, now = [], at("2026-10-20T00:00")
    for length, who in lengths:
        shifts += [Shift(now, now + length, who)] if who else []
        now += length
    lines = [ical.Line(each, ", ".join(people[who].name for who in each.people)) for each in shifts]
    entries = ical.read(ical.written("on call: s", lines, now).decode())
    events = [Event(e.event.start, e.event.end, reading._who(e, people), e.event.zone) for e in entries]
    found = Schedule("s", UTC, (Calendar("c", tuple(events)),)).shifts((), at("2026-10-20T00:00"), now + 1)

    def pieces(each):
        return {(t, who) for shift in each for t in (shift.start, shift.end - 1) for who in shift.people}

    assert pieces(found) == pieces(
        Schedule("s", UTC, (Fixed(tuple(shifts)),)).shifts((), at("2026-10-20T00:00"), now + 1)
    )


class Fixed:
    """A layer of these shifts."""

    name = "c"

    def __init__(self, shifts):
        self._shifts = shifts

    def shifts(self, zone, start, end):
        return [Shift(each.start, each.end, each.people, "c") for each in self._shifts]


def test_the_same_shift_has_the_same_uid_whenever_it_is_written():
    line = ical.Line(
        Shift(at("2026-11-23T09:00"), at("2026-11-30T09:00"), ("ann",)),
        "Ann Lee",
        "by weekly",
        [("ann@example.org", "Ann Lee")],
    )
    first, second = (ical.written("on call: s", [line], now).decode() for now in (1.0, 1_000_000.0))
    uid = [text for text in first.splitlines() if text.startswith("UID:")]
    assert uid == [text for text in second.splitlines() if text.startswith("UID:")]
    assert "ATTENDEE;CN=Ann Lee:mailto:ann@example.org" in first.replace('"', "").replace("\r\n ", "")

"""Time intervals of alertmanager.yml: when they hold, and what is refused; compared with Debian's amtool."""

from __future__ import annotations

import subprocess
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from aiprism import yamlfile
from aiprism.errors import ConfigError
from aiprism.respond.mute import hours
from tests.respond.alertmanager.real import tool


def interval(text):
    return hours.read(yamlfile.parse(f"[{text}]", file="am.yml"))


def at(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("{}", ["2026-11-23T14:15"], []),
        ("{times: [{start_time: 08:00, end_time: 17:00}]}", ["2026-11-23T08:00", "2026-11-23T16:59:59"],
         ["2026-11-23T07:59:59", "2026-11-23T17:00"]),
        ("{times: [{start_time: 22:00, end_time: 24:00}, {start_time: 00:00, end_time: 01:00}]}",
         ["2026-11-23T23:59:59", "2026-11-24T00:30"], ["2026-11-24T01:00", "2026-11-23T21:59"]),
        ("{weekdays: ['monday:friday']}", ["2026-11-23T00:00", "2026-11-27T23:59"], ["2026-11-28T00:00", "2026-11-29T00:00"]),
        ("{weekdays: [Saturday, sunday]}", ["2026-11-28T00:00", "2026-11-29T23:00"], ["2026-11-30T00:00"]),
        ("{days_of_month: ['1:5', '-3:-1']}", ["2026-11-01T00:00", "2026-11-05T23:59", "2026-11-28T00:00", "2026-02-26T00:00"],
         ["2026-11-06T00:00", "2026-11-27T23:59", "2026-02-25T00:00"]),
        ("{days_of_month: ['30:31']}", ["2026-11-30T00:00", "2026-12-31T00:00"], ["2026-02-28T00:00", "2026-11-29T00:00"]),
        ("{days_of_month: ['28:31']}", ["2026-02-28T00:00"], ["2026-02-27T00:00"]),
        ("{months: ['1:3', may, 'november:december']}", ["2026-03-31T00:00", "2026-05-01T00:00", "2026-12-31T23:59"],
         ["2026-04-01T00:00", "2026-10-31T23:59"]),
        ("{years: ['2020:2025', 2027]}", ["2025-12-31T23:59", "2027-01-01T00:00"], ["2026-01-01T00:00"]),
        ("{months: [november], weekdays: [monday]}", ["2026-11-23T00:00"], ["2026-11-24T00:00", "2026-12-07T00:00"]),
    ],
)  # fmt: skip
def test_an_interval_holds_when_all_that_it_says_does(text, inside, outside):
    [one] = interval(text)
    assert [moment for moment in inside if not one.holds(at(moment))] == []
    assert [moment for moment in outside if one.holds(at(moment))] == []


def test_an_interval_speaks_of_the_clock_of_its_place():
    [one] = interval("{location: Australia/Sydney, times: [{start_time: 09:00, end_time: 10:00}], weekdays: [monday]}")
    assert one.holds(at("2026-11-23T09:30", "Australia/Sydney"))
    assert not one.holds(at("2026-11-23T09:30"))


REFUSED = {
    "no time": "{times: [{start_time: 8am, end_time: 09:00}]}",
    "only one end": "{times: [{start_time: 08:00}]}",
    "over midnight": "{times: [{start_time: 22:00, end_time: 06:00}]}",
    "after the day": "{times: [{start_time: 22:00, end_time: 24:01}]}",
    "no weekday": "{weekdays: [funday]}",
    "weekdays backwards": "{weekdays: ['friday:monday']}",
    "day 0": "{days_of_month: ['0']}",
    "day 32": "{days_of_month: ['1:32']}",
    "from the end to the beginning": "{days_of_month: ['-3:5']}",
    "days backwards": "{days_of_month: ['5:3']}",
    "days that cross in February": "{days_of_month: ['10:-25']}",
    "months backwards": "{months: ['may:april']}",
    "no year": "{years: [soon]}",
    "years backwards": "{years: ['2027:2026']}",
    "no place": "{location: Atlantis/Capital}",
    "unknown key": "{hours: [1]}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_amtool_refuses_is_refused_with_its_line(text, tmp_path):
    with pytest.raises(ConfigError, match=r"^am\.yml:1: "):
        interval(text)
    file = tmp_path / "am.yml"
    file.write_text(
        f"route: {{receiver: a}}\nreceivers: [{{name: a}}]\ntime_intervals: [{{name: t, time_intervals: [{text}]}}]",
        encoding="utf-8",
    )
    assert subprocess.run([tool("amtool"), "check-config", str(file)], capture_output=True).returncode != 0


def test_the_example_of_alertmanagers_own_page_is_taken():
    found = interval(
        "{times: [{start_time: '06:00', end_time: '23:59'}], months: ['1:3', 'may:august'], location: Local}"
    )
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "now", "begins"),
    [
        ("{weekdays: [saturday]}", "2026-11-23T14:15", "2026-11-28T00:00"),
        ("{weekdays: [saturday]}", "2026-11-28T14:15", "2026-12-05T00:00"),
        ("{times: [{start_time: 08:00, end_time: 12:00}, {start_time: 13:00, end_time: 18:00}]}",
         "2026-11-23T12:30", "2026-11-23T13:00"),
        ("{times: [{start_time: 08:00, end_time: 12:00}], weekdays: ['monday:friday']}",
         "2026-11-27T12:00", "2026-11-30T08:00"),
        ("{times: [{start_time: 08:00, end_time: 12:00}], location: Europe/Berlin}",
         "2026-11-23T12:30", "2026-11-24T07:00"),
        ("{days_of_month: ['29'], months: [february], years: [2028]}", "2026-11-23T12:30", None),  # not within a year
        ("{years: ['2027:2028']}", "2026-11-23T12:30", "2027-01-01T00:00"),
    ],
)  # fmt: skip
def test_when_an_interval_begins_next_is_known_a_year_ahead(text, now, begins):
    [found] = interval(text)
    assert found.next_begin(at(now)) == (at(begins) if begins else None)

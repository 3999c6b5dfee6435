"""Times of the week and year by name, as alertmanager.yml's `time_intervals` writes them.

In: a node of that file, later a moment. Out: `TimeInterval`s, and whether the moment lies in one. A part that is not
given allows everything. Pure.
Source: timeinterval/timeinterval.go of Alertmanager 0.25.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiprism.yamlfile import Node

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
_YEAR = 367  # days that are looked through, today and that of next year among them
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


@dataclass(frozen=True, slots=True)
class Span:
    """From `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, value: int) -> bool:
        return self.first <= value <= self.last


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """One entry below `time_intervals`; None where it says nothing."""

    minutes: tuple[Span, ...] | None = None  # of the day
    weekdays: tuple[Span, ...] | None = None  # Sunday is 0
    days: tuple[Span, ...] | None = None  # of the month; negative ones count from its end
    months: tuple[Span, ...] | None = None
    years: tuple[Span, ...] | None = None
    zone: tzinfo = UTC

    def holds(self, now: float) -> bool:
        """Whether the moment lies in it."""
        then = datetime.fromtimestamp(now, self.zone)
        length = calendar.monthrange(then.year, then.month)[1]
        return (
            _in(self.minutes, then.hour * 60 + then.minute)
            and (self.days is None or any(_day_in(span, then.day, length) for span in self.days))
            and _in(self.months, then.month)
            and _in(self.weekdays, then.isoweekday() % 7)
            and _in(self.years, then.year)
        )

    def next_begin(self, now: float) -> float | None:
        """The next moment after `now` at which a day, or a span of a day, begins in which it holds; None when none does within a
        year."""
        today = datetime.fromtimestamp(now, self.zone).date()
        minutes = sorted({span.first for span in self.minutes}) if self.minutes is not None else [0]
        for day in (today + timedelta(days=number) for number in range(_YEAR)):
            for minute in minutes:
                clock = time(minute // 60, minute % 60)
                at = datetime.combine(day, clock, self.zone).timestamp()
                if at > now and self.holds(at):
                    return at
        return None


def _in(spans: Sequence[Span] | None, value: int) -> bool:
    return spans is None or any(value in span for span in spans)


def _day_in(span: Span, day: int, length: int) -> bool:
    first, last = (length + each + 1 if each < 0 else each for each in (span.first, span.last))
    # A span that begins after the month's end is none; one that reaches beyond it ends with it.
    return first <= length and max(first, -length) <= day <= min(last, length)


def holding(names: Iterable[str], intervals: Mapping[str, tuple[TimeInterval, ...]], now: float) -> tuple[str, ...]:
    """Those of the named ones in which the moment lies."""
    return tuple(name for name in names if any(each.holds(now) for each in intervals.get(name, ())))


# -- the file --------------------------------------------------------------------------------------------------------


def read(node: Node) -> tuple[TimeInterval, ...]:
    """The list below one name; ConfigError with file:line."""
    return tuple(_interval(item) for item in node.items())


def _interval(node: Node) -> TimeInterval:
    node.fields("times", "weekdays", "days_of_month", "months", "years", "location")
    return TimeInterval(
        minutes=_each(node["times"], _times),
        weekdays=_each(
            node["weekdays"], lambda item: _span(item, lambda text: _named(item, text, _DAYS, 0, "weekday"))
        ),
        days=_each(node["days_of_month"], _days),
        months=_each(node["months"], lambda item: _span(item, lambda text: _month(item, text))),
        years=_each(node["years"], lambda item: _span(item, lambda text: _number(item, text, "year"))),
        zone=zone_of(node["location"]),
    )


def _each(node: Node, read_one: Callable[[Node], Span]) -> tuple[Span, ...] | None:
    return tuple(read_one(item) for item in node.items()) if node else None


def _times(node: Node) -> Span:
    node.fields("start_time", "end_time")
    if not (node["start_time"] and node["end_time"]):
        raise node.error("both start_time and end_time must be given")
    first, end = _minute(node["start_time"]), _minute(node["end_time"])
    if first >= end:
        raise node.error("start_time must be before end_time; write two entries for a span over midnight")
    return Span(first, end - 1)


def _minute(node: Node) -> int:
    text = node.text()
    if _CLOCK.fullmatch(text) is None:
        raise node.error(f"{text!r} is no time of day; write HH:MM, from 00:00 to 24:00")
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _span(node: Node, value: Callable[[str], int]) -> Span:
    first, colon, last = node.text().strip().lower().partition(":")
    span = Span(value(first), value(last) if colon else value(first))
    if span.first > span.last:
        raise node.error(f"{node.text()!r} ends before it begins")
    return span


def _days(node: Node) -> Span:
    first, colon, last = node.text().strip().partition(":")
    span = Span(_number(node, first, "day"), _number(node, last if colon else first, "day"))
    for day in (span.first, span.last):
        if day == 0 or not -31 <= day <= 31:
            raise node.error(f"{day} is not a day of the month; write 1 to 31, or -1 to -31 from its end")
    if span.first < 0 < span.last:
        raise node.error("a span of days that begins from the month's end must end from there, too")
    # February tells: in the shortest month, too, the end must not stand before the beginning.
    begin, end = (28 + each + 1 if each < 0 else each for each in (span.first, span.last))
    if begin > end:
        raise node.error(f"{node.text()!r} ends before it begins")
    return span


def _month(node: Node, text: str) -> int:
    if not text.isdecimal():
        return _named(node, text, _MONTHS, 1, "month")
    return int(text)  # a 13 is taken and never comes, as there


def _named(node: Node, text: str, names: Sequence[str], first: int, what: str) -> int:
    if text not in names:
        raise node.error(f"{text!r} is not a {what}; write one of {', '.join(names)}")
    return names.index(text) + first


def _number(node: Node, text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise node.error(f"{text!r} is not a {what}") from None


def zone_of(node: Node) -> tzinfo:
    name = node.text("UTC")
    try:
        # Go's "Local" is the machine's zone, which zoneinfo finds where the system keeps it.
        return _local() if name == "Local" else ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise node.error(f"unknown time zone {name!r}; write for example Europe/Berlin") from None


def _local() -> ZoneInfo:
    with Path("/etc/localtime").open("rb") as file:
        return ZoneInfo.from_file(file)

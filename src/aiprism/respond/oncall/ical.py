"""Calendars (RFC 5545): shifts of a file read, and shifts written for the calendars of people.

In: the text of an .ics file. Out: its events, each with the names that it gives. In: shifts. Out: the text of a calendar.
Nothing is fetched: a file that is somewhere else is brought by whoever has it. The library takes 80 ms to import, so it is
imported by who needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, TypeAlias

from aiprism.errors import BadInput
from aiprism.respond import recurrence
from aiprism.respond.oncall.schedule import RULES_LAST, Event, Shift

MIME = "text/calendar; charset=utf-8"
Part: TypeAlias = Any  # of a calendar: the library has thirty types for the value of each property
_YEARS = range(1600, 3000)  # those at the ends of the calendar have no time in every zone
_LONGEST = timedelta(days=366)  # of an event that recurs: all that may still go on are looked at


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of a file: when, and whom it names: its summary, and who attends (address and name)."""

    event: Event
    summary: str
    attendees: tuple[tuple[str, str], ...] = ()


def read(text: str) -> list[Entry]:
    """The events of a calendar; BadInput, in a sentence, when it is none or says what is not understood."""
    import icalendar

    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError) as error:
        raise BadInput(f"is no calendar: {error}") from None
    if not calendars or any(each.name != "VCALENDAR" for each in calendars):
        raise BadInput("is no calendar: it has no BEGIN:VCALENDAR")
    parts = [part for calendar in calendars for part in calendar.walk("VEVENT")]
    moved = _moved(parts)
    return [entry for part in parts if (entry := _entry(part, moved)) is not None]


def _moved(parts: Iterable[Part]) -> Mapping[str, Sequence[date]]:
    """Of which event (by UID) which times have an event of their own instead, or were called off."""
    found: dict[str, list[date]] = {}
    for part in parts:
        if "RECURRENCE-ID" in part:
            with _told_of(part):
                found.setdefault(str(part.get("UID", "")), []).append(_date(part, "RECURRENCE-ID"))
    return found


@contextmanager
def _told_of(part: Part) -> Iterator[None]:
    """Whatever is wrong with an event is told with what it is called."""
    try:
        yield
    except (BadInput, ValueError, TypeError, OverflowError) as error:
        called = str(part.get("SUMMARY", "")).strip() or str(part.get("UID", ""))
        raise BadInput(f"event {called!r}: {error}") from None


def _one(part: Part, name: str) -> Part:
    """The property of that name; BadInput where it stands twice or cannot be read."""
    for broken, wrong in part.errors:
        raise BadInput(f"{broken}: {wrong}")
    found = part[name]
    if isinstance(found, list):
        raise BadInput(f"{name} stands in it more than once")
    return found


def _date(part: Part, name: str) -> date:
    """The day or moment that a property says; BadInput where it is neither, or of a zone that nobody knows."""
    found = _one(part, name)
    at = found.dt
    if not isinstance(at, date):
        raise BadInput(f"{name} is neither a day nor a moment")
    if at.year not in _YEARS:
        raise BadInput(f"{name}: the year {at.year} is not of our time")
    if isinstance(at, datetime) and at.tzinfo is None and "TZID" in found.params:
        raise BadInput(f"{name}: the time zone {found.params['TZID']!r} is not known, and no VTIMEZONE describes it")
    return at


def _entry(part: Part, moved: Mapping[str, Sequence[date]]) -> Entry | None:
    summary = str(part.get("SUMMARY", "")).strip()
    if str(part.get("STATUS", "")).upper() == "CANCELLED":
        return None
    with _told_of(part):
        event = _event(part)
        if "RECURRENCE-ID" not in part:
            elsewhere = frozenset(_wall(at, event.zone) for at in moved.get(str(part.get("UID", "")), ()))
            event = replace(event, but=event.but | elsewhere)
        elif "RANGE" in _one(part, "RECURRENCE-ID").params:
            raise BadInput(
                "a change of this and all later times (RANGE) is not understood; end the event and begin another"
            )
        if event.rule:
            recurrence.rule(event.start, event.rule, RULES_LAST)
    return Entry(event, summary, tuple(_attendees(part)))


def _event(part: Part) -> Event:
    if "RDATE" in part:
        raise BadInput("RDATE is not understood; write an event for each of the dates")
    for name, wrong in part.errors:
        raise BadInput(f"{name}: {wrong}")
    if "DTSTART" not in part:
        raise BadInput("it has no DTSTART")
    begins = _date(part, "DTSTART")
    zone = begins.tzinfo if isinstance(begins, datetime) else None
    start, end = _wall(begins), _end(part, begins, zone)
    rule = _rule(part, begins, zone)
    if end <= start:
        raise BadInput("it ends before it begins, or takes no time")
    if rule and end - start > _LONGEST:
        raise BadInput("what recurs may last a year at most")
    return Event(start, end, zone=zone, rule=rule, but=frozenset(_excluded(part, zone)))


def _end(part: Part, begins: date, zone: tzinfo | None) -> datetime:
    if "DTEND" in part:
        return _wall(_date(part, "DTEND"), zone)
    if "DURATION" in part:
        length: timedelta = _one(part, "DURATION").dt
        return _wall(begins) + length
    return _wall(begins) + (timedelta() if isinstance(begins, datetime) else timedelta(days=1))


def _rule(part: Part, begins: date, zone: tzinfo | None) -> str:
    """Its rule, whose UNTIL is by the clock on the wall, as its start is."""
    rule = part.get("RRULE")
    if rule is None:
        return ""
    if isinstance(rule, list):
        raise BadInput("it has several RRULEs; one is understood")
    until = rule.get("UNTIL")
    if until:
        last = until[0] if isinstance(until, list) else until
        whole_day = not isinstance(last, datetime)
        wall = _wall(last, zone) + (timedelta(days=1, seconds=-1) if whole_day else timedelta())
        rule = type(rule)({**rule, "UNTIL": [wall]})
    return str(rule.to_ical().decode())


def _excluded(part: Part, zone: tzinfo | None) -> Iterator[datetime]:
    given = part.get("EXDATE", [])
    for each in given if isinstance(given, list) else [given]:
        for at in each.dts:
            if not isinstance(at.dt, date):
                raise BadInput("EXDATE is neither a day nor a moment")
            yield _wall(at.dt, zone)


def _wall(at: date, zone: tzinfo | None = None) -> datetime:
    """What the clock shows then, in `zone` if that is known, else in its own."""
    if not isinstance(at, datetime):
        return datetime.combine(at, time())
    there: datetime = at.astimezone(zone) if at.tzinfo and zone else at
    return there.replace(tzinfo=None)


def _attendees(part: Part) -> Iterator[tuple[str, str]]:
    given = part.get("ATTENDEE", [])
    for each in given if isinstance(given, list) else [given]:
        address = str(each)
        yield address.removeprefix("mailto:").removeprefix("MAILTO:"), str(each.params.get("CN", ""))


# -- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A shift as it stands in a calendar: who attends, as (address, name)."""

    shift: Shift
    summary: str
    description: str = ""
    attendees: Sequence[tuple[str, str]] = ()


def written(name: str, lines: Iterable[Line], now: float) -> bytes:
    """A calendar of these shifts. The same shift has the same UID whenever it is written, so that who fetches again has it
    once."""
    import icalendar

    calendar = icalendar.Calendar()
    _add(
        calendar,
        ("PRODID", "-//aiprism//on-call//EN"),
        ("VERSION", "2.0"),
        ("METHOD", "PUBLISH"),
        ("X-WR-CALNAME", name),
    )
    for line in lines:
        event = icalendar.Event()
        _add(
            event,
            ("UID", _uid(name, line)),
            ("DTSTAMP", _moment(now)),
            ("DTSTART", _moment(line.shift.start)),
            ("DTEND", _moment(line.shift.end)),
            ("SUMMARY", line.summary),
            ("TRANSP", "TRANSPARENT"),  # who is on call is not busy
        )
        if line.description:
            _add(event, ("DESCRIPTION", line.description))
        for address, person in line.attendees:
            attendee = icalendar.vCalAddress(f"mailto:{address}")
            attendee.params["CN"] = person
            event.add("ATTENDEE", attendee)
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _add(part: Part, *pairs: tuple[str, Any]) -> None:
    for name, value in pairs:
        part.add(name, value)


def _uid(name: str, line: Line) -> str:
    parts = (name, f"{line.shift.start:.0f}", *line.shift.people, line.summary)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32] + "@aiprism"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(round(at), UTC)

"""Who is on call when: the shifts of a schedule, as a pure function of (schedule, overrides, time).

In: a `Schedule` as oncall.yml has it, overrides that people asked for, a time or a period. Out: `Shift`s that follow each
other without a hole: where nobody is on call stands one without people. Wall clocks count: a hand-off at 09:00 in
Europe/Berlin is at 09:00 there in summer, too; one at a time that a day lacks is an hour later. Who may be reached how is
`rota`'s to know, what a file says is read in `reading`, calendars in `ical`.

What stands above goes before what stands below: overrides (the latest first), holidays, then the layers in their order.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from aiprism.respond import recurrence

DAY = 86_400.0
RULES_LAST = 130  # years: calendars of holidays begin theirs with 1970, or with the holiday
# How far a change of people is looked for: who is on call for longer than that has no hand-off worth waiting for.
_LOOKED_AHEAD = (3.0, 21.0, 400.0)  # days
GAP, HOLIDAY, OVERRIDE = "gap", "holiday", "override"


@dataclass(frozen=True, slots=True)
class Shift:
    """From `start` until `end`, in Unix seconds, these people are on call; none where nobody is. `why` names the layer, or
    is gap, holiday or override."""

    start: float
    end: float
    people: tuple[str, ...]
    why: str = GAP
    override: str = ""  # the id of one that was asked for over the API


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of the week, by the clock on the wall. Monday is 0; what ends no later than it begins ends on the next day."""

    days: frozenset[int]
    begin: time
    end: time


class Layer(Protocol):
    """What people are on call by."""

    @property
    def name(self) -> str: ...

    def shifts(self, zone: tzinfo, start: float, end: float) -> list[Shift]:
        """Its shifts within a period, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Rotation:
    """A layer in which people take turns of `days` days, handed on at `handoff`, the first one on the day `start`. Where it
    has `hours`, nobody of it is on call outside of them."""

    name: str
    start: date
    handoff: time
    days: int
    turns: tuple[tuple[str, ...], ...]  # who takes each; mostly one person
    hours: tuple[Hours, ...] = ()
    end: date | None = None  # whose hand-off ends it

    def shifts(self, zone: tzinfo, start: float, end: float) -> list[Shift]:
        """Its shifts within a period."""
        found = list(self._turns(zone, start, end))
        if not self.hours:
            return found
        return _within(found, _hours(self.hours, zone, start, end))

    def _turns(self, zone: tzinfo, start: float, end: float) -> Iterator[Shift]:
        # One turn early: the hand-off is later in the day than midnight.
        number = max(0, (_day(start, zone) - self.start).days // self.days - 1)
        last = end if self.end is None else min(end, _wall(self.end, self.handoff, zone))
        while (begin := self._handed(number, zone)) < last:
            shift = Shift(begin, self._handed(number + 1, zone), self.turns[number % len(self.turns)], self.name)
            yield from _cut(shift, start, last)
            number += 1

    def _handed(self, number: int, zone: tzinfo) -> float:
        return _wall(self.start + timedelta(days=number * self.days), self.handoff, zone)


@dataclass(frozen=True, slots=True)
class Event:
    """Something in a calendar, once or again and again. `start` and `end` are what the clock shows in `zone` (None: in that
    of the schedule); `rule` is an RRULE, of which the times in `but` are left out."""

    start: datetime
    end: datetime
    people: tuple[str, ...] = ()
    zone: tzinfo | None = None
    rule: str = ""
    but: frozenset[datetime] = frozenset()

    def times(self, zone: tzinfo, start: float, end: float) -> Iterator[tuple[float, float]]:
        """The times that it takes place of a period, also those that begin before it."""
        place, length = self.zone or zone, self.end - self.start
        for begin in self._starts(place, start, end):
            if begin not in self.but:
                period = _moment(begin, place), _moment(begin + length, place)
                if period[0] < end and period[1] > start:
                    yield period

    def _starts(self, place: tzinfo, start: float, end: float) -> Iterable[datetime]:
        if not self.rule:
            return (self.start,)
        slack = timedelta(days=1)  # by which clocks on walls may differ from time that passes
        first = _local(start, place) - (self.end - self.start) - slack
        rule = recurrence.near(self.start, self.rule, first, RULES_LAST)
        found: list[datetime] = rule.between(first, _local(end, place) + slack, inc=True)
        return found


@dataclass(frozen=True, slots=True)
class Calendar:
    """A layer whose shifts are the events of a calendar file. Of events at one time, everybody is on call."""

    name: str
    events: tuple[Event, ...]

    def shifts(self, zone: tzinfo, start: float, end: float) -> list[Shift]:
        """Its shifts within a period."""
        found = [
            (*period, number) for number, each in enumerate(self.events) for period in each.times(zone, start, end)
        ]
        edges = sorted({min(max(at, start), end) for begin, finish, _ in found for at in (begin, finish)})
        coming, going_on, together = deque(sorted(found)), list[tuple[float, float, int]](), []
        for begin, finish in itertools.pairwise(edges):
            while coming and coming[0][0] <= begin:
                going_on.append(coming.popleft())
            going_on = [each for each in going_on if each[1] > begin]
            numbers = sorted(number for _, _, number in going_on)
            people = dict.fromkeys(who for number in numbers for who in self.events[number].people)
            if people:
                together.append(Shift(begin, finish, tuple(people), self.name))
        return together


@dataclass(frozen=True, slots=True)
class Holidays:
    """Days on which others stand in, from midnight to midnight; by the day in turn where they are several."""

    dates: frozenset[date] = frozenset()
    events: tuple[Event, ...] = ()
    turns: tuple[tuple[str, ...], ...] = ()

    def shifts(self, zone: tzinfo, start: float, end: float) -> list[Shift]:
        """The shifts of those who stand in, within a period."""
        days = {day for day in self.dates if _midnight(day, zone) < end and _midnight(_after(day), zone) > start}
        for each in self.events:
            for begin, finish in each.times(zone, start, end):
                days |= set(_days(_day(begin, zone), _day(max(begin, finish - 1), zone)))
        found = [
            Shift(
                _midnight(day, zone),
                _midnight(_after(day), zone),
                self.turns[day.toordinal() % len(self.turns)],
                HOLIDAY,
            )
            for day in sorted(days)
        ]
        return [part for shift in found for part in _cut(shift, start, end)]


@dataclass(frozen=True, slots=True)
class Override:
    """These people are on call then, whoever would be otherwise; one that was asked for over the API has an id."""

    schedule: str
    people: tuple[str, ...]
    start: float
    end: float
    id: str = ""
    reason: str = ""
    author: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who is on call when. The first layer that has somebody counts."""

    name: str
    zone: tzinfo
    layers: tuple[Layer, ...]
    holidays: Holidays = field(default_factory=Holidays)
    overrides: tuple[Override, ...] = ()  # of the file
    may_be_empty: bool = False  # whether nobody is expected to be on call at times
    line: int = 0

    def shifts(self, overrides: Iterable[Override], start: float, end: float) -> tuple[Shift, ...]:
        """Every shift from `start` to `end`, gaps as well, one after the other; `overrides` are those that were asked for."""
        laid: list[Shift] = []
        for layer in reversed(self.layers):
            laid = _laid(layer.shifts(self.zone, start, end), laid)
        laid = _laid(self.holidays.shifts(self.zone, start, end), laid)
        for each in (*self.overrides, *sorted(self._own(overrides), key=lambda one: (one.created_at, one.id))):
            shift = Shift(each.start, each.end, each.people, OVERRIDE, each.id)
            laid = _laid(list(_cut(shift, start, end)), laid)
        return tuple(_joined(_laid(laid, [Shift(start, end, ())])))

    def on_call(self, overrides: Iterable[Override], at: float) -> tuple[str, ...]:
        """Who is on call at that moment; nobody in a gap."""
        return self.shifts(overrides, at, at + 1.0)[0].people

    def duty(self, overrides: Iterable[Override], at: float) -> Duty:
        """Who is on call at that moment, until when, and who comes then."""
        asked = tuple(self._own(overrides))
        for days in _LOOKED_AHEAD:
            found = self.shifts(asked, at, at + days * DAY)
            other = next((shift for shift in found if shift.people != found[0].people), None)
            if other is not None:
                return Duty(found[0].people, found[0].why, other.start, other.people)
        return Duty(found[0].people, found[0].why)

    def gaps(self, overrides: Iterable[Override], start: float, end: float) -> tuple[Shift, ...]:
        """When nobody is on call within a period."""
        return tuple(shift for shift in self.shifts(overrides, start, end) if not shift.people)

    def _own(self, overrides: Iterable[Override]) -> Iterator[Override]:
        return (each for each in overrides if each.schedule == self.name)


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on call, and why; `until` when, and who is `following`. None: nobody else within a year."""

    people: tuple[str, ...]
    why: str
    until: float | None = None
    following: tuple[str, ...] = ()


# -- shifts ----------------------------------------------------------------------------------------------------------


def _laid(above: Sequence[Shift], below: Sequence[Shift]) -> list[Shift]:
    """`above`, and what it leaves of `below`, in order."""
    left: list[Shift] = []
    for shift, over in _beside(below, above):
        begin = shift.start
        for each in over:
            left += _cut(shift, begin, each.start)
            begin = max(begin, each.end)
        left += _cut(shift, begin, shift.end)
    return sorted([*above, *left], key=lambda shift: shift.start)


def _within(shifts: Sequence[Shift], spans: Sequence[Shift]) -> list[Shift]:
    """What of the shifts lies within the spans."""
    found = _beside(shifts, spans)
    return [part for shift, over in found for each in over for part in _cut(shift, each.start, each.end)]


def _beside(shifts: Sequence[Shift], others: Sequence[Shift]) -> Iterator[tuple[Shift, Sequence[Shift]]]:
    """Each shift with the others of its time; both are in order without an overlap, and a year has thousands."""
    at = 0
    for shift in shifts:
        while at < len(others) and others[at].end <= shift.start:
            at += 1
        end = at
        while end < len(others) and others[end].start < shift.end:
            end += 1
        yield shift, others[at:end]


def _cut(shift: Shift, start: float, end: float) -> Iterator[Shift]:
    """What of a shift lies within a period."""
    begin, finish = max(shift.start, start), min(shift.end, end)
    if begin < finish:
        yield replace(shift, start=begin, end=finish)


def _joined(shifts: Iterable[Shift]) -> Iterator[Shift]:
    """The same, with what goes on as one."""
    before: Shift | None = None
    for each in shifts:
        if before is None:
            before = each
        elif (before.end, before.people, before.why, before.override) == (
            each.start, each.people, each.why, each.override
        ):  # fmt: skip
            before = replace(before, end=each.end)
        else:
            yield before
            before = each
    if before is not None:
        yield before


def _hours(hours: Iterable[Hours], zone: tzinfo, start: float, end: float) -> list[Shift]:
    """When any of these hours holds, as spans of nobody in particular that neither overlap nor touch."""
    found = []
    for day in _days(_day(start, zone) - timedelta(days=1), _day(end, zone)):
        for each in hours:
            if day.weekday() in each.days:
                last = day if each.begin < each.end else _after(day)
                found.append((_wall(day, each.begin, zone), _wall(last, each.end, zone)))
    spans: list[tuple[float, float]] = []
    for begin, finish in sorted(found):
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], finish)
        else:
            spans.append((begin, finish))
    return [Shift(begin, end, ()) for begin, end in spans]


# -- clocks on walls -------------------------------------------------------------------------------------------------


def _wall(day: date, at: time, zone: tzinfo) -> float:
    return datetime.combine(day, at, zone).timestamp()


def _moment(wall: datetime, zone: tzinfo) -> float:
    return wall.replace(tzinfo=zone).timestamp()


def _midnight(day: date, zone: tzinfo) -> float:
    return _wall(day, time(), zone)


def _local(at: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)


def _day(at: float, zone: tzinfo) -> date:
    return _local(at, zone).date()


def _after(day: date) -> date:
    return day + timedelta(days=1)


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = _after(first)

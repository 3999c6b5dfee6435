"""Maintenance windows: when work is planned on what, once or again and again.

In: `maintenance.yml` (named by `respond.maintenance`) or what a person asked for, later a moment. Out: `Window`s, and the
period of one that holds or comes next. Wall clocks count: a window at 02:00 in Europe/Berlin is at 02:00 there, in summer,
too. Pure. Recurrence is an RRULE of RFC 5545 (`recurrence`).

While a window holds, alerts that its matchers accept are kept, but open no incident and are told to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule

from aiprism.errors import BadInput
from aiprism.model.labels import Labels, Matcher, matches_all
from aiprism.model.timerange import duration_seconds
from aiprism.respond import matcher
from aiprism.respond.recurrence import near, rule
from aiprism.yamlfile import Node

_FIELDS = ("name", "matchers", "start", "end", "duration", "recurrence", "zone", "comment", "author")
_SEARCHED = 3  # starts before the moment that may still matter when clocks are set back between them
_SLACK = timedelta(days=1)  # by which clocks on walls may differ from time that passes


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until `end`, in Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Window:
    """Planned work. `start` and `end` are what the clock on the wall shows in `zone`; `duration` is in seconds, of the
    first period where there is an `end`."""

    name: str
    matchers: tuple[Matcher, ...]
    start: datetime
    duration: float
    zone: str = "UTC"
    recurrence: str = ""
    comment: str = ""
    author: str = ""
    id: str = ""  # of one that was asked for over the API; those of the file have none
    ended_at: float | None = None  # when a person ended it
    end: datetime | None = None  # of the first period, of who said this rather than how long

    def accepts(self, labels: Labels) -> bool:
        """Whether an alert with these labels is about what is worked on."""
        return matches_all(self.matchers, labels)

    def holding(self, now: float) -> Period | None:
        """The period in which `now` lies, or None."""
        period = self._latest(now)
        return period if period is not None and now < self._end(period) else None

    def following(self, now: float) -> Period | None:
        """The first period that begins after `now`, or None."""
        if self.ended_at is not None and self.ended_at <= now:
            return None
        if not self.recurrence:
            period = self._period(self.start)
            return period if period.start > now else None
        rule = self._rule(now)
        found = rule.after(self._local(now))
        while found is not None and self._period(found).start <= now:
            found = rule.after(found)
        return None if found is None else self._period(found)

    def over(self, now: float) -> bool:
        """Whether it will never hold again after `now`."""
        return self.holding(now) is None and self.following(now) is None

    def ended_between(self, before: float, now: float) -> bool:
        """Whether a period of it ended after `before`, until `now`, and no other holds."""
        period = self._latest(now)
        return period is not None and before < self._end(period) <= now

    def _latest(self, now: float) -> Period | None:
        """The last period that began until `now`; None also when that was long before it could still hold."""
        if not self.recurrence:
            period = self._period(self.start)
            return period if period.start <= now else None
        # In the hour that a clock shows twice the wall tells too little: look a little ahead, and then back.
        rule = self._rule(now)
        found: datetime | None = rule.before(self._local(now) + timedelta(hours=2), inc=True)
        for _ in range(_SEARCHED):
            if found is None or self._period(found).start <= now:
                break
            found = rule.before(found)
        return None if found is None else self._period(found)

    def _end(self, period: Period) -> float:
        return period.end if self.ended_at is None else min(period.end, self.ended_at)

    def _rule(self, now: float) -> rrule:
        """The rule from shortly before what matters at `now`."""
        return near(self.start, self.recurrence, self._local(now) - timedelta(seconds=self.duration) - _SLACK)

    def _local(self, now: float) -> datetime:
        return datetime.fromtimestamp(now, ZoneInfo(self.zone)).replace(tzinfo=None)

    def _period(self, start: datetime) -> Period:
        first = start == self.start
        # A rule does not know which of two equal hours it speaks of; what was written down does.
        begin = _seconds(self.start if first else start, self.zone)
        if self.end is None:
            return Period(begin, begin + self.duration)
        return Period(begin, max(begin, _seconds(self.end if first else start + (self.end - self.start), self.zone)))


def _seconds(wall: datetime, zone: str) -> float:
    return wall.replace(tzinfo=ZoneInfo(zone)).timestamp()


def window(
    name: str,
    matchers: tuple[Matcher, ...],
    start: str,
    *,
    end: str = "",
    duration: str = "",
    recurrence: str = "",
    zone: str = "UTC",
    comment: str = "",
    author: str = "",
    id: str = "",  # noqa: A002 - the field's word
) -> Window:
    """The window these words describe; BadInput, in a sentence, when nobody could mean it."""
    if not name:
        raise BadInput("a maintenance window needs a name: it is the reason that is shown")
    if not matchers or all(each.matches("") for each in matchers):
        raise BadInput("a maintenance window needs a matcher that does not match the empty string")
    begin = _moment(start, zone, "start")
    if bool(end) == bool(duration):
        raise BadInput("give either `end` or `duration`")
    until = _moment(end, zone, "end") if end else None
    seconds = duration_seconds(duration) if until is None else _seconds(until, zone) - _seconds(begin, zone)
    if seconds <= 0:
        raise BadInput("a maintenance window must end after it begins")
    if recurrence:
        rule(begin, recurrence)
    return Window(name, matchers, begin, seconds, zone, recurrence, comment, author, id, end=until)


def _moment(text: str, zone: str, what: str) -> datetime:
    """What the clock on the wall of the zone shows then."""
    try:
        place = ZoneInfo(zone)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise BadInput(f"unknown time zone {zone!r}; write for example Europe/Berlin") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{what}: {text!r} is no time; write for example 2026-12-05T22:00") from None
    return found.astimezone(place).replace(tzinfo=None) if found.tzinfo else found


def read(node: Node) -> tuple[Window, ...]:
    """The list under `maintenance`; ConfigError with file:line and the fix."""
    windows: dict[str, Window] = {}
    for item in node.items():
        found = _window(item)
        if found.name in windows:
            raise item.error(f"maintenance window {found.name!r} stands twice")
        windows[found.name] = found
    return tuple(windows.values())


def _window(node: Node) -> Window:
    node.fields(*_FIELDS)
    texts = {key: node[key].text("") for key in ("end", "duration", "recurrence", "comment", "author")}
    name, start, matchers = node["name"].text(), node["start"].text(), matcher.read(node["matchers"])
    try:
        return window(name, matchers, start, zone=node["zone"].text("UTC"), **texts)
    except BadInput as error:
        raise node.error(str(error)) from None


def described(each: Window, now: float) -> dict[str, object]:
    """The window as the API shows it."""
    holds, follows = each.holding(now), each.following(now)
    state = "active" if holds else "pending" if follows else "over"
    return {
        "id": each.id or each.name,
        "name": each.name,
        "from_file": not each.id,
        "state": state,
        "matchers": [str(one) for one in each.matchers],
        "start": each.start.isoformat(timespec="minutes"),
        "end": each.end.isoformat(timespec="minutes") if each.end else None,
        "duration": each.duration,
        "zone": each.zone,
        "recurrence": each.recurrence,
        "comment": each.comment,
        "author": each.author,
        "holds": {"start": holds.start, "end": holds.end} if holds else None,
        "next": {"start": follows.start, "end": follows.end} if follows else None,
        "ended_at": each.ended_at,
    }

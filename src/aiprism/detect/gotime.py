"""Times and durations as Go's templates use them: `.StartsAt.Format "15:04"`, `.EndsAt.Sub .StartsAt`, `time.Duration`.

In: seconds since 1970 and a time zone. Out: text in Go's layouts (https://pkg.go.dev/time#Layout) and the methods that
templates call. Microseconds are what is kept of a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiprism.detect.template import Methods, TemplateError, text_of

Value = object


@dataclass(frozen=True, slots=True)
class Duration(Methods):
    """`time.Duration`; written as Go does.

    >>> str(Duration(5415.5)), str(Duration(0.25)), str(Duration(0))
    ('1h30m15.5s', '250ms', '0s')
    """

    METHODS: ClassVar[Mapping[str, str]] = {
        "Seconds": "in_seconds", "Minutes": "in_minutes", "Hours": "in_hours", "Milliseconds": "in_milliseconds",
        "String": "__str__", "Round": "rounded", "Truncate": "truncated",
    }  # fmt: skip
    seconds: float

    def in_seconds(self) -> float:
        return self.seconds

    def in_minutes(self) -> float:
        return self.seconds / 60

    def in_hours(self) -> float:
        return self.seconds / 3600

    def in_milliseconds(self) -> int:
        return int(self.seconds * 1000)

    def rounded(self, to: Value) -> Duration:
        step = _seconds(to)
        return Duration(round(self.seconds / step) * step) if step > 0 else self

    def truncated(self, to: Value) -> Duration:
        step = _seconds(to)
        return Duration(int(self.seconds / step) * step) if step > 0 else self

    def __str__(self) -> str:
        micros = round(abs(self.seconds) * 1_000_000)
        sign = "-" if self.seconds < 0 and micros else ""
        if not micros:
            return "0s"
        if micros < 1000:
            return f"{sign}{micros}µs"
        if micros < 1_000_000:
            return f"{sign}{_short(micros, 1000)}ms"
        minutes, rest = divmod(micros, 60_000_000)
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{text}{_short(rest, 1_000_000)}s"


def _short(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def _seconds(value: Value) -> float:
    if isinstance(value, Duration):
        return value.seconds
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1e9  # a number where Go wants a duration counts nanoseconds
    raise TemplateError("expected a duration")


@dataclass(frozen=True, slots=True)
class Time(Methods):
    """`time.Time`. Without a moment it is Go's zero time, the first of January of year 1."""

    METHODS: ClassVar[Mapping[str, str]] = {
        "Format": "format", "String": "__str__", "Unix": "unix", "UnixMilli": "unix_milli", "UTC": "utc",
        "Local": "utc", "Year": "year", "Month": "month", "Day": "day", "Hour": "hour", "Minute": "minute",
        "Second": "second", "Weekday": "weekday", "YearDay": "year_day", "IsZero": "is_zero", "Add": "plus",
        "Sub": "minus", "Before": "before", "After": "after", "Equal": "equal",
    }  # fmt: skip
    at: datetime

    @classmethod
    def of(cls, seconds: float | None) -> Time:
        """The moment in UTC."""
        return ZERO if seconds is None else cls(_EPOCH + timedelta(seconds=seconds))

    def within(self, zone: tzinfo) -> Time:
        """The same moment, told in another time zone."""
        return Time(self.at.astimezone(zone))

    def format(self, layout: Value) -> str:
        """The moment in a layout that shows how 15:04:05 of Monday, 2006-01-02 would look.

        >>> Time.of(1795443300.25).format("Mon Jan _2 15:04:05.000 MST 2006"), str(Time.of(1795443300))
        ('Mon Nov 23 14:15:00.250 UTC 2026', '2026-11-23 14:15:00 +0000 UTC')
        """
        return _LAYOUT.sub(lambda piece: _piece(piece, self.at), text_of(layout))

    def __str__(self) -> str:
        fraction = f".{self.at.microsecond:06d}".rstrip("0").rstrip(".")
        return f"{self.format('2006-01-02 15:04:05')}{fraction}{self.format(' -0700 MST')}"

    def unix(self) -> int:
        return int((self.at - _EPOCH) // timedelta(seconds=1))

    def unix_milli(self) -> int:
        return int((self.at - _EPOCH) // timedelta(milliseconds=1))

    def utc(self) -> Time:
        return self.within(UTC)

    def year(self) -> int:
        return self.at.year

    def month(self) -> str:
        return f"{self.at:%B}"

    def day(self) -> int:
        return self.at.day

    def hour(self) -> int:
        return self.at.hour

    def minute(self) -> int:
        return self.at.minute

    def second(self) -> int:
        return self.at.second

    def weekday(self) -> str:
        return f"{self.at:%A}"

    def year_day(self) -> int:
        return self.at.timetuple().tm_yday

    def is_zero(self) -> bool:
        return self == ZERO

    def plus(self, more: Value) -> Time:
        return Time(self.at + timedelta(seconds=_seconds(more)))

    def minus(self, other: Value) -> Duration:
        return Duration((self.at - _time(other).at).total_seconds())

    def before(self, other: Value) -> bool:
        return self.at < _time(other).at

    def after(self, other: Value) -> bool:
        return self.at > _time(other).at

    def equal(self, other: Value) -> bool:
        return self.at == _time(other).at


_EPOCH = datetime.fromtimestamp(0, UTC)
ZERO = Time(datetime(1, 1, 1, tzinfo=UTC))


def zone(name: Value) -> tzinfo:
    """The time zone of that name in the IANA database; TemplateError when there is none."""
    text = text_of(name)
    try:
        return UTC if text in ("", "UTC", "Local") else ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TemplateError(f"unknown time zone {text}") from None


def _time(value: Value) -> Time:
    if isinstance(value, Time):
        return value
    raise TemplateError("expected a time")


# -- layouts ---------------------------------------------------------------------------------------------------------

# Longer pieces first, as Go reads them; a fraction follows a dot or comma and is no part of a longer number.
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|Z07:00:00|Z07:00|Z0700|Z07|-07:00:00|-07:00|-0700|-07"
    r"|[.,]0+(?!\d)|[.,]9+(?!\d)|002|01|02|03|04|05|06|15|PM|pm|__2|_2|1|2|3|4|5"
)


def _offset(at: datetime, *, colon: bool, minutes: bool = True, z: bool = False) -> str:
    offset = at.utcoffset() or timedelta()
    if z and not offset:
        return "Z"
    total = abs(int(offset.total_seconds())) // 60
    text = f"{'-' if offset < timedelta() else '+'}{total // 60:02d}"
    return text + (f"{':' if colon else ''}{total % 60:02d}" if minutes else "")


def _zone_name(at: datetime) -> str:
    name = at.tzname() or "UTC"
    return _offset(at, colon=False) if isinstance(at.tzinfo, timezone) and name != "UTC" else name


_PIECES: Mapping[str, Callable[[datetime], str]] = {
    "January": lambda at: f"{at:%B}",
    "Jan": lambda at: f"{at:%b}",
    "Monday": lambda at: f"{at:%A}",
    "Mon": lambda at: f"{at:%a}",
    "MST": _zone_name,
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "01": lambda at: f"{at.month:02d}",
    "1": lambda at: str(at.month),
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "2": lambda at: str(at.day),
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "__2": lambda at: f"{at.timetuple().tm_yday:3d}",
    "15": lambda at: f"{at.hour:02d}",
    "03": lambda at: f"{(at.hour - 1) % 12 + 1:02d}",
    "3": lambda at: str((at.hour - 1) % 12 + 1),
    "04": lambda at: f"{at.minute:02d}",
    "4": lambda at: str(at.minute),
    "05": lambda at: f"{at.second:02d}",
    "5": lambda at: str(at.second),
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "Z07:00:00": lambda at: _offset(at, colon=True, z=True),
    "Z07:00": lambda at: _offset(at, colon=True, z=True),
    "Z0700": lambda at: _offset(at, colon=False, z=True),
    "Z07": lambda at: _offset(at, colon=False, minutes=False, z=True),
    "-07:00:00": lambda at: _offset(at, colon=True),
    "-07:00": lambda at: _offset(at, colon=True),
    "-0700": lambda at: _offset(at, colon=False),
    "-07": lambda at: _offset(at, colon=False, minutes=False),
}


def _piece(piece: re.Match[str], at: datetime) -> str:
    text = piece.group()
    if text[0] in ".,":
        digits = f"{at.microsecond * 1000:09d}"[: len(text) - 1]
        shown = digits.rstrip("0") if text[1] == "9" else digits
        return text[0] + shown if shown else ""
    return _PIECES[text](at)

"""`aiprism oncall`: who is on call now, the shifts of a schedule as a calendar, and overrides."""

from __future__ import annotations

import argparse
import itertools
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.text import Text

from aiprism.cli import printing
from aiprism.cli.remote import Remote
from aiprism.errors import BadInput

_API = "/aiprism/v1/oncall"
# A colour each, so that the eye finds a person again; nobody is red.
_COLORS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_GAP = "bold red"
_BAR, _HOLE = "━", "╌"
_DAY_SECONDS = 86_400.0


def shown(wanted: argparse.Namespace) -> int:
    """Who is on call; with a schedule its shifts."""
    remote = Remote(wanted.server)
    if wanted.schedule:
        return _calendar(remote, wanted)
    at = None if wanted.at is None else printing.moment_in(wanted.at, printing.present())
    answer = remote.get(_API, at=at)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["schedules"]:
        printing.show(Text("there are no schedules: respond.oncall in aiprism.yml names them"))
        return 0
    rows = printing.table("schedule", "on call", "by", "until", "for", "then")
    for each in answer["schedules"]:
        until = each["until"]
        rows.add_row(
            Text(each["name"], style="bold"),
            _who(each["people"]),
            "" if each["why"] == "gap" else each["why"],
            printing.moment(until)[:-3] if until else "",
            printing.duration(round(until - answer["at"])) if until else "",
            _who(each["next"]) if until else Text("nobody else comes", style="dim"),
        )
    printing.show(rows)
    return 0


def _who(people: Sequence[Mapping[str, str]]) -> Text:
    return Text(_names(people)) if people else Text("nobody", style=_GAP)


def _names(people: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(each["name"] for each in people)


def override(wanted: argparse.Namespace) -> int:
    """Have somebody else be on call for a time."""
    asked = {
        "schedule": wanted.schedule,
        "people": wanted.people,
        "start": wanted.start,
        "end": wanted.end,
        "duration": wanted.duration,
        "author": wanted.author,
        "reason": wanted.reason,
    }
    return _told(Remote(wanted.server).post(f"{_API}/overrides", asked), wanted, "on call in")


def end_override(wanted: argparse.Namespace) -> int:
    """End an override now; one to come is forgotten."""
    answer = Remote(wanted.server).delete(f"{_API}/overrides/{urllib.parse.quote(wanted.override, safe='')}")
    return _told(answer, wanted, "no longer instead on call in")


def overrides(wanted: argparse.Namespace) -> int:
    """Overrides that were asked for and are not over."""
    answer = Remote(wanted.server).get(f"{_API}/overrides")
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    if not answer["overrides"]:
        printing.show(Text("nobody stands in for anybody"))
        return 0
    least = ("by", "from", "reason", "until")
    rows = printing.table("id", "schedule", "on call", "from", "until", "by", "reason", fold="reason", least=least)
    for each in answer["overrides"]:
        times = printing.moment(each["start"])[:-3], printing.moment(each["end"])[:-3]
        rows.add_row(each["id"], each["schedule"], _names(each["people"]), *times, each["author"], each["reason"])
    printing.show(rows)
    return 0


def _told(answer: Mapping[str, Any], wanted: argparse.Namespace, what: str) -> int:
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    times = f"{printing.moment(answer['start'])} to {printing.moment(answer['end'])}"
    printing.show(Text(f"{_names(answer['people'])}: {what} {answer['schedule']!r}, {times} ({answer['id']})"))
    return 0


# -- the calendar ----------------------------------------------------------------------------------------------------


def _calendar(remote: Remote, wanted: argparse.Namespace) -> int:
    """The shifts of a schedule, a line for each of its days, by the clock of its zone."""
    if not 1 <= wanted.days <= 366:
        raise BadInput(f"--days {wanted.days}: write 1 to 366")
    start = printing.present() if wanted.at is None else printing.moment_in(wanted.at, printing.present())
    path = f"{_API}/schedules/{urllib.parse.quote(wanted.schedule, safe='')}"
    answer = remote.get(path, start=start, end=start + wanted.days * _DAY_SECONDS)
    if wanted.output == "json":
        printing.show_json(answer)
        return 0
    out = printing.console()
    width = min(out.width, 160) if out.is_terminal else 0
    printing.show(*calendar(answer, width))
    return 0


def calendar(answer: Mapping[str, Any], width: int) -> Iterator[Text]:
    """The lines of a calendar that is `width` wide: days, with a bar of 24 hours and who is on call when it changes. Of no
    width, nothing is cut off."""
    zone = _zone(answer["zone"])
    shifts = list(_as_told(answer["shifts"]))
    colors = _colors(shifts)
    days = list(_days(_local(answer["start"], zone).date(), _local(answer["end"] - 1, zone).date()))
    bar = 48 if width >= 120 else 24
    yield Text.assemble((answer["name"], "bold"), ("  by the clock of ", "dim"), (str(answer["zone"]), "dim"))
    yield Text(" " * 12 + _hours(bar), style="dim")
    before: date | None = None
    for day in days:
        if before is not None and day.weekday() == 0:
            yield Text("")
        before = day
        yield _line(day, zone, shifts, colors, bar, width)
    yield Text("")
    yield from _legend(answer, colors, zone)


def _as_told(shifts: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The shifts, with those of the same people as one: by which layer they are on call is not shown."""
    for (people, _), same in itertools.groupby(shifts, lambda each: (each["people"], _mark(each))):
        found = list(same)
        yield {**found[0], "people": people, "end": found[-1]["end"]}


def _mark(shift: Mapping[str, Any]) -> str:
    return str(shift["why"]) if shift["why"] in ("override", "holiday") else ""


def _line(
    day: date, zone: tzinfo, shifts: Sequence[Mapping[str, Any]], colors: Mapping[str, str], bar: int, width: int
) -> Text:
    begin = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone).timestamp()
    line = Text(day.strftime("%a %d %b  "), style="" if day.weekday() < 5 else "dim")
    for cell in range(bar):
        at = begin + (end - begin) * (cell + 0.5) / bar
        shift = next((each for each in shifts if each["start"] <= at < each["end"]), None)
        line.append(*_cell(shift, colors))
    there = [each for each in shifts if each["start"] < end and each["end"] > begin]
    for number, each in enumerate(there):
        name = _names(each["people"]) or "nobody"
        since = f"{_local(each['start'], zone):%H:%M} " if number else ""
        mark = f" ({_mark(each)})" if _mark(each) else ""
        line.append("  " if number == 0 else ", ", style="dim")
        line.append(since, style="dim")
        line.append(name, style=colors.get(_names(each["people"]), _GAP))
        line.append(mark, style="dim")
    if width:
        line.truncate(width, overflow="ellipsis")
    return line


def _cell(shift: Mapping[str, Any] | None, colors: Mapping[str, str]) -> tuple[str, str]:
    if shift is None:
        return " ", ""
    if not shift["people"]:
        return _HOLE, _GAP
    return ("═" if shift["why"] == "override" else _BAR), colors[_names(shift["people"])]


def _legend(answer: Mapping[str, Any], colors: Mapping[str, str], zone: tzinfo) -> Iterator[Text]:
    total = dict.fromkeys(colors, 0.0)
    for each in answer["shifts"]:
        if each["people"]:
            total[_names(each["people"])] += each["end"] - each["start"]
    parts = [
        Text.assemble((_BAR, color), f" {name} {printing.duration(total[name])}") for name, color in colors.items()
    ]
    yield Text("   ").join(parts)
    for gap in answer["gaps"][:3]:
        times = f"{_local(gap['start'], zone):%a %d %b %H:%M} to {_local(gap['end'], zone):%a %d %b %H:%M}"
        yield Text.assemble((_HOLE, _GAP), f" nobody from {times}")
    if len(answer["gaps"]) > 3:
        yield Text(f"  and {len(answer['gaps']) - 3} more gaps", style="dim")


def _hours(bar: int) -> str:
    marks = [" "] * (bar + 3)
    for hour in (0, 6, 12, 18):
        at = hour * bar // 24
        marks[at : at + 2] = f"{hour:02}"
    return "".join(marks).rstrip()


def _colors(shifts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    names = dict.fromkeys(_names(each["people"]) for each in shifts if each["people"])
    return {name: _COLORS[at % len(_COLORS)] for at, name in enumerate(sorted(names))}


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def _local(at: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):  # one that only the server's machine knows
        return UTC

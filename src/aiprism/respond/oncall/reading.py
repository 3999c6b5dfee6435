"""oncall.yml: what it says, and what is wrong with it, as file:line and the fix.

In: the file, the calendars it names (which lie beside it), the receivers that alertmanager.yml has. Out: a `Rota`, and
warnings about coming gaps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path

from aiprism import yamlfile
from aiprism.errors import BadInput, ConfigError
from aiprism.model.alerts import Priority
from aiprism.model.labels import Matcher
from aiprism.respond import matcher
from aiprism.respond.mute.hours import zone_of
from aiprism.respond.oncall import ical
from aiprism.respond.oncall.rota import Contact, Escalation, Level, Person, Rota
from aiprism.respond.oncall.schedule import (
    DAY,
    Calendar,
    Event,
    Holidays,
    Hours,
    Layer,
    Override,
    Rotation,
    Schedule,
)
from aiprism.yamlfile import Node

WARNED_OF = 28 * DAY  # how long before a gap it is warned of
_WITHIN = 300.0  # a level has to acknowledge
_NAME = re.compile(r"[\w.-]+")  # stands in addresses, and in names of what is made of it
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")  # enough for calendars, which it is written to
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_YEARS = range(1970, 3000)


def load(path: Path, known: Collection[str] | None = None) -> Rota:
    """What `path` says, whose receivers are all `known`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path), known)


def read(root: Node, known: Collection[str] | None = None) -> Rota:
    """What a document says. Receivers are not looked for when nobody says which are `known`."""
    root.fields("people", "schedules", "policies")
    if not root["people"]:
        raise root.error("nobody is there to be on call: write them below `people: {ann: {receivers: […]}}`")
    people = {name: _person(name, node, known) for name, node in _named(root["people"])}
    schedules = {name: _schedule(name, node, people) for name, node in _named(root["schedules"])}
    policies = {name: _policy(name, node, people, schedules, known) for name, node in _named(root["policies"])}
    for name, node in root["policies"].entries().items():
        _check_hand_off(name, node, policies)
    return Rota(people, schedules, policies, file=root.file)


def warnings(rota: Rota, now: float) -> list[str]:
    """A sentence for each schedule that has nobody on call at some time of the four weeks from `now` on, and does not say
    that this is meant."""
    told = []
    for each in rota.schedules.values():
        gaps = each.gaps(rota.overrides, now, now + WARNED_OF)
        if gaps and not each.may_be_empty:
            first, more = gaps[0], len(gaps) - 1
            others = f", and {more} more time{'s' if more > 1 else ''} within four weeks" if more else ""
            told.append(
                f"{rota.file}:{each.line}: nobody is on call in schedule {each.name!r} from {_shown(first.start, each.zone)} "
                f"to {_shown(first.end, each.zone)}{others}; add a layer or an override, or write may_be_empty: true"
            )
    return told


def _shown(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def _named(node: Node) -> Iterator[tuple[str, Node]]:
    for name, entry in node.entries().items():
        if not _NAME.fullmatch(name):
            raise entry.error(f"{name!r} is no name: write letters, digits, - _ and . only")
        yield name, entry


# -- people ----------------------------------------------------------------------------------------------------------


def _person(name: str, node: Node, known: Collection[str] | None) -> Person:
    node.fields("name", "zone", "email", "receivers")
    contacts = tuple(_contact(item, known) for item in _listed(node["receivers"]))
    if not contacts:
        raise node.error(f"{name} cannot be reached: write receivers of alertmanager.yml below `receivers`")
    if all(each.after > 0 for each in contacts):
        raise node["receivers"].error(f"{name} is told by nothing at once: one of the receivers has no `after`")
    zone_of(node["zone"])
    email = node["email"].text("")
    if email and not _EMAIL.fullmatch(email):
        raise node["email"].error(f"{email!r} is no address; write for example {name}@example.org")
    return Person(name, node["name"].text(name), node["zone"].text("UTC"), email, contacts)


def _contact(node: Node, known: Collection[str] | None) -> Contact:
    if not _is_mapping(node):
        return Contact(_receiver(node, known))
    node.fields("receiver", "after")
    return Contact(_receiver(node["receiver"], known), node["after"].seconds(0.0))


def _receiver(node: Node, known: Collection[str] | None) -> str:
    name = node.text()
    if known is not None and name not in known:
        raise node.error(f"{name!r} is no receiver of alertmanager.yml; known: {', '.join(known) or 'none'}")
    return name


def _someone(node: Node, people: Mapping[str, Person]) -> tuple[str, ...]:
    """A person, or several that are on call together."""
    names = tuple(dict.fromkeys(node.texts()))
    for name in names:
        if name not in people:
            raise node.error(f"nobody is called {name!r}; known: {', '.join(people)}")
    if not names:
        raise node.error("is required: who that is")
    return names


# -- schedules -------------------------------------------------------------------------------------------------------


def _schedule(name: str, node: Node, people: Mapping[str, Person]) -> Schedule:
    node.fields("zone", "layers", "holidays", "overrides", "may_be_empty")
    zone = zone_of(node["zone"])
    layers = tuple(_layer(item, number, people) for number, item in enumerate(node["layers"].items(), 1))
    if not layers:
        raise node.error(f"schedule {name!r} needs layers: who is on call in turn")
    return Schedule(
        name,
        zone,
        layers,
        _holidays(node["holidays"], people) if node["holidays"] else Holidays(),
        tuple(_override(item, name, zone, people) for item in node["overrides"].items()),
        may_be_empty=node["may_be_empty"].flag(False),
        line=node.line,
    )


def _layer(node: Node, number: int, people: Mapping[str, Person]) -> Layer:
    name = node["name"].text(f"layer {number}")
    if node["file"]:
        node.fields("name", "file")
        return Calendar(name, tuple(_events(node["file"], people)))
    node.fields("name", "start", "handoff", "every", "people", "hours", "end")
    turns = tuple(_someone(item, people) for item in _listed(node["people"]))
    if not turns:
        raise node.error("a layer needs people (who take turns), or a file (a calendar of shifts)")
    every = node["every"].seconds(7 * DAY)
    if every < DAY or every % DAY:
        raise node["every"].error("a turn lasts whole days or weeks; write for example 1w or 2d")
    start, end = _date(node["start"]), _date(node["end"]) if node["end"] else None
    if end is not None and end <= start:
        raise node["end"].error("the layer ends before it begins")
    return Rotation(
        name, start, _time(node["handoff"], "09:00"), int(every // DAY), turns,
        tuple(_hours(item) for item in node["hours"].items()), end,
    )  # fmt: skip


def _hours(node: Node) -> Hours:
    node.fields("days", "from", "to")
    days = {day for text in node["days"].texts() for day in _weekdays(node["days"], text)} or set(range(7))
    return Hours(frozenset(days), _time(node["from"], "00:00"), _time(node["to"], "00:00"))


def _weekdays(node: Node, text: str) -> Iterator[int]:
    """The days of monday, or of monday:friday; a span may go over the end of the week."""
    first, _, last = text.strip().lower().partition(":")
    for name in (first, last or first):
        if name not in _DAYS:
            raise node.error(f"{name!r} is no day of the week; write one of {', '.join(_DAYS)}, or monday:friday")
    begin = _DAYS.index(first)
    for day in range((_DAYS.index(last or first) - begin) % 7 + 1):
        yield (begin + day) % 7


def _holidays(node: Node, people: Mapping[str, Person]) -> Holidays:
    node.fields("dates", "file", "people")
    turns = tuple(_someone(item, people) for item in _listed(node["people"]))
    if not turns:
        raise node.error("holidays need people: who stands in")
    if not node["dates"] and not node["file"]:
        raise node.error("holidays need dates, or a file: a calendar of them")
    dates = frozenset(_date(item) for item in _listed(node["dates"]))
    events = tuple(each.event for each in _entries(node["file"])) if node["file"] else ()
    return Holidays(dates, events, turns)


def _override(node: Node, schedule: str, zone: tzinfo, people: Mapping[str, Person]) -> Override:
    node.fields("people", "start", "end", "reason")
    start, end = _moment(node["start"], zone), _moment(node["end"], zone)
    if end <= start:
        raise node.error("the override ends before it begins")
    return Override(schedule, _someone(node["people"], people), start, end, reason=node["reason"].text(""))


# -- calendars -------------------------------------------------------------------------------------------------------


def _entries(node: Node) -> list[ical.Entry]:
    path = Path(node.file).parent / node.text()
    try:
        return ical.read(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise node.error(
            f"{node.text()} cannot be read: {getattr(error, 'strerror', '') or 'is not UTF-8 text'}"
        ) from None
    except BadInput as error:
        raise node.error(f"{node.text()}: {error}") from None


def _events(node: Node, people: Mapping[str, Person]) -> Iterator[Event]:
    for entry in _entries(node):
        names = _who(entry, people)
        if not names:
            raise node.error(
                f"{node.text()}: nobody is known by event {entry.summary!r}: it is to be the name or key of a person, or to "
                "have their email as an attendee"
            )
        yield Event(entry.event.start, entry.event.end, names, entry.event.zone, entry.event.rule, entry.event.but)


def _who(entry: ical.Entry, people: Mapping[str, Person]) -> tuple[str, ...]:
    """The people of an event: those who attend, else those that its summary names, with commas between them."""
    by = _known_by(people)
    attend = [by.get(address.casefold()) or by.get(name.casefold()) for address, name in entry.attendees]
    if any(attend):
        return tuple(dict.fromkeys(who for who in attend if who))
    said = entry.summary.casefold()
    named = [by.get(said)] if said in by else [by.get(word.strip()) for word in said.split(",") if word.strip()]
    return () if None in named else tuple(dict.fromkeys(who for who in named if who))


def _known_by(people: Mapping[str, Person]) -> Mapping[str, str]:
    """The person that a word means: a key, or a name or an email that only one of them has."""
    found: dict[str, set[str]] = {}
    for each in people.values():
        for word in (each.name, each.email):
            found.setdefault(word.casefold(), set()).add(each.id)
    alone = {word: next(iter(who)) for word, who in found.items() if word and len(who) == 1}
    return {**alone, **{name.casefold(): name for name in people}}


# -- policies --------------------------------------------------------------------------------------------------------


def _policy(
    name: str,
    node: Node,
    people: Mapping[str, Person],
    schedules: Mapping[str, Schedule],
    known: Collection[str] | None,
) -> Escalation:
    node.fields("tiers", "match", "levels", "repeat", "then")
    levels = tuple(_level(item, people, schedules, known) for item in node["levels"].items())
    if not levels:
        raise node.error(f"policy {name!r} needs levels: who is paged, one after the other")
    repeat = node["repeat"].integer(0)
    if not 0 <= repeat <= 100:
        raise node["repeat"].error(f"repeat is {repeat}: write how often all levels are paged again, 0 to 100")
    if node["match"] and not node["tiers"]:
        raise node["match"].error("a policy with `match` needs `tiers`, too: of which it is, such as [P0, P1]")
    return Escalation(
        name, levels, repeat, node["then"].text(""),
        frozenset(_tier(item) for item in _listed(node["tiers"])),
        tuple(_matchers(item) for item in _listed(node["match"])),
    )  # fmt: skip


def _level(
    node: Node, people: Mapping[str, Person], schedules: Mapping[str, Schedule], known: Collection[str] | None
) -> Level:
    node.fields("oncall", "people", "receivers", "acknowledge_within")
    named = tuple(dict.fromkeys(node["oncall"].texts()))
    for each in named:
        check_schedule(node["oncall"], each, schedules)
    persons = _someone(node["people"], people) if node["people"] else ()
    receivers = tuple(_receiver(item, known) for item in _listed(node["receivers"]))
    if not (named or persons or receivers):
        raise node.error("a level needs somebody: oncall (a schedule), people or receivers")
    within = node["acknowledge_within"].seconds(_WITHIN)
    if within < 1:
        raise node["acknowledge_within"].error("who is paged needs time to answer; write for example 5m")
    return Level(named, persons, receivers, within)


def check_schedule(node: Node, name: str, schedules: Collection[str]) -> None:
    """ConfigError unless there is a schedule of that name."""
    if name not in schedules:
        raise node.error(f"there is no schedule {name!r} in oncall.yml; known: {', '.join(schedules) or 'none'}")


def _check_hand_off(name: str, node: Node, policies: Mapping[str, Escalation]) -> None:
    """Whether what a policy hands on to is there, and comes to an end."""
    way = [name]
    while then := policies[way[-1]].then:
        if then not in policies:
            raise node["then"].error(f"there is no policy {then!r}; known: {', '.join(policies)}")
        if then in way:
            raise node["then"].error(f"policies hand on in a circle: {' → '.join([*way, then])}; use repeat")
        way.append(then)


def _tier(node: Node) -> Priority:
    return Priority(node.one_of(*(each.value for each in Priority)))


def _matchers(node: Node) -> tuple[Matcher, ...]:
    try:
        return matcher.parsed(node.text())
    except BadInput as error:
        raise node.error(str(error)) from None


# -- words -----------------------------------------------------------------------------------------------------------


def _is_mapping(node: Node) -> bool:
    try:
        return bool(node.entries())
    except ConfigError:
        return False


def _listed(node: Node) -> Sequence[Node]:
    """The elements of a list; what stands alone is a list of one."""
    if not node:
        return ()
    try:
        return node.items()
    except ConfigError:
        return (node,)


def _date(node: Node) -> date:
    try:
        found = date.fromisoformat(node.text())
    except ValueError:
        raise node.error(f"{node.text()!r} is no day; write for example 2026-11-30") from None
    if found.year not in _YEARS:
        raise node.error(f"{found} is not of our time")
    return found


def _time(node: Node, default: str) -> time:
    text = node.text(default)
    found = _CLOCK.fullmatch(text)
    if not found:
        raise node.error(f"{text!r} is no time of the day; write for example 09:00")
    return time(int(found[1]), int(found[2]))


def _moment(node: Node, zone: tzinfo) -> float:
    try:
        return moment(node.text(), zone)
    except BadInput as error:
        raise node.error(str(error)) from None


def moment(text: str, zone: tzinfo) -> float:
    """Unix seconds of ISO 8601, by the clock of `zone` unless it says another; BadInput when it is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is no time; write for example 2026-12-05T22:00") from None
    if found.year not in _YEARS:
        raise BadInput(f"{text} is not of our time")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()

"""What must hold before a runbook acts, and whether it does: hours, cooldown, rates, blast radius, who approves.

In: a runbook's `guard:`, later what runs touched lately, and a moment. Out: a `Refusal` with its reason, or None. Pure; what is
asked of metrics and of the control database is handed in (`permission` gathers it).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiprism.model.timerange import format_duration
from aiprism.respond.actions import shape
from aiprism.respond.mute import hours as intervals
from aiprism.respond.mute.hours import TimeInterval
from aiprism.respond.placeholders import read_condition, read_query
from aiprism.yamlfile import Node

LOOK_AGAIN = 60.0  # seconds a run that may not begin yet rests at most, so that it ends soon after its alert did
_HOUR, _HALF_A_DAY = 3600.0, 43_200.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run must not begin. `until` is when that will have changed (Unix seconds), as far as is known now; without it, it is
    asked `again` after a while, or never."""

    reason: str
    until: float | None = None
    again: bool = False

    @property
    def lasts(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.until is None and not self.again

    def told(self, now: float) -> str:
        """It as people are told.

        >>> Refusal("cooling down", 1795443390.0).told(1795443345.0), Refusal("it is night", 1795507200.0).told(1795443345.0)
        ('waits until 14:16:30 UTC: cooling down', 'waits until 2026-11-24 08:00 UTC: it is night')
        """
        if self.until is None:
            return f"waits: {self.reason}"
        soon = self.until - now < _HALF_A_DAY
        at = datetime.fromtimestamp(self.until, UTC).strftime("%H:%M:%S UTC" if soon else "%Y-%m-%d %H:%M UTC")
        return f"waits until {at}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person lets the run go ahead: anybody, or whoever has `role`. When nobody decides within `within` seconds it is ended, or
    goes ahead."""

    role: str = ""
    within: float | None = None
    goes_ahead: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """When it may act; outside of them it waits, waits for approval, or is skipped."""

    times: tuple[TimeInterval, ...]
    outside: str = "wait"

    def hold(self, now: float) -> bool:
        """Whether the moment lies in them."""
        return any(each.holds(now) for each in self.times)

    def begin(self, now: float) -> float | None:
        """When they begin next; None when not within a year."""
        return min((at for each in self.times if (at := each.next_begin(now)) is not None), default=None)


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """How much all runbooks together may touch within `within` seconds. `instances` are those of one service, a number or a
    share of them; `of` is the query that counts them."""

    within: float
    instances: int | None = None
    share: float | None = None
    services: int | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold before a runbook acts. Times are seconds."""

    precondition: str = ""
    cooldown: float = 0.0
    max_runs_per_hour: int = 0  # 0: as often as it is called for
    dry_run: bool = False
    approval: Approval | None = None
    hours: Hours | None = None
    blast_radius: BlastRadius | None = None


# -- decisions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Touch:
    """What a run that began at `at` is about: an instance of a service, or all of them where `instance` is empty."""

    runbook: str
    service: str
    instance: str
    at: float


def refusal(
    guard: Guard, mine: Touch, past: Sequence[Touch], *, instances: int | None = None, most_per_hour: int = 0
) -> Refusal | None:
    """Why a run that would be `mine` must not begin now, after the runs of the `past`; None when it may. `instances` is how
    many its service has, `most_per_hour` how many runs this server may begin in an hour, 0 any number.

    >>> down = Touch("restart", "api", "", 1000.0)
    >>> refusal(Guard(cooldown=60.0), down, [Touch("restart", "api", "", 970.0)]).told(1000.0)
    'waits until 00:17:10 UTC: cooling down: it ran 30 s ago, and rests 60 s'
    """
    return (
        _cooling(guard, mine, past)
        or _too_often(guard.max_runs_per_hour, [each for each in past if each.runbook == mine.runbook], mine.at, "it")
        or _too_often(most_per_hour, past, mine.at, "runbooks of this server")
        or _too_wide(guard.blast_radius, mine, past, instances)
    )


def _cooling(guard: Guard, mine: Touch, past: Sequence[Touch]) -> Refusal | None:
    here = [each.at for each in past if (each.runbook, each.service) == (mine.runbook, mine.service)]
    # Without a cooldown not even one that began in the future, by a clock that was set back since, keeps it.
    if not guard.cooldown or not here or mine.at - max(here) >= guard.cooldown:
        return None
    reason = f"cooling down: it ran {mine.at - max(here):.0f} s ago, and rests {guard.cooldown:g} s"
    return Refusal(reason, max(here) + guard.cooldown)


def _too_often(most: int, past: Sequence[Touch], now: float, who: str) -> Refusal | None:
    in_hour = sorted(each.at for each in past if each.at > now - _HOUR)
    if not most or len(in_hour) < most:
        return None
    reason = f"{who} ran {len(in_hour)} times in the last hour, and may {most} times"
    return Refusal(reason, in_hour[-most] + _HOUR)


def _too_wide(radius: BlastRadius | None, mine: Touch, past: Sequence[Touch], instances: int | None) -> Refusal | None:
    if radius is None:
        return None
    recent = [each for each in past if each.at > mine.at - radius.within]
    lately = f"in the last {format_duration(radius.within)}"
    until = min((each.at for each in recent), default=mine.at) + radius.within
    services = {mine.service, *(each.service for each in recent)}
    if radius.services is not None and len(services) > radius.services:
        others = ", ".join(sorted(services - {mine.service}))
        return Refusal(f"blast radius: runbooks touched {others} {lately}, and may {radius.services} services", until)
    if radius.instances is None and radius.share is None:
        return None
    touched = {each.instance for each in recent if each.service == mine.service} | {mine.instance}
    if instances is None and (radius.share is not None or "" in touched):
        return Refusal(f"blast radius: how many instances {mine.service} has is not known", again=True)
    count = instances if "" in touched and instances is not None else len(touched)
    # Of a few instances a share may be less than one: one may always be repaired.
    most = radius.instances if radius.share is None else max(1, _part(radius.share, instances or 0))
    if most is None or count <= most:
        return None
    of = f"{instances} " if instances is not None else ""
    return Refusal(f"blast radius: {count} of {of}instances of {mine.service} {lately}, and may {most}", until)


def _part(share: float, of: int) -> int:
    """The whole ones in a share: 29 % of a hundred are 29, although 0.29 times 100 is a little less.

    >>> _part(0.29, 100), _part(0.5, 3)
    (29, 1)
    """
    return int(share * of + 1e-9)


def outside(guard: Guard, now: float) -> Refusal | None:
    """Why it must not act at this time of the day, week or year; None in its hours, and where approval stands in for them."""
    if guard.hours is None or guard.hours.hold(now) or guard.hours.outside == "approval":
        return None
    waits = guard.hours.outside == "wait"
    return Refusal("outside its hours", guard.hours.begin(now) if waits else None, again=waits)


def approval_at(guard: Guard, now: float) -> Approval | None:
    """Whose approval it needs now."""
    if guard.approval is None and guard.hours and guard.hours.outside == "approval" and not guard.hours.hold(now):
        return Approval()
    return guard.approval


def instances_query(radius: BlastRadius, service: str) -> str:
    """PromQL for how many instances a service has, where the runbook does not give it."""
    job = json.dumps(service, ensure_ascii=False)
    return radius.of or f"count(count by (instance) (up{{job={job}}} or target_info{{job={job}}}))"


# -- reading -----------------------------------------------------------------------------------------------------------

_OUTSIDE = ("wait", "approval", "skip")
_OTHERWISE = ("skip", "go_ahead")
_APPROVAL = shape.record(
    "Whose approval it waits for",
    {},
    {
        "role": shape.text(
            "a role of respond.roles, oncall, oncall:SCHEDULE, or one taken in the incident: commander …"
        ),
        "within": shape.duration("how long to wait"),
        "otherwise": shape.choice("what follows when nobody decided within that time", _OTHERWISE),
    },
)
_TIMES = shape.record(
    "as an entry of alertmanager.yml's time_intervals",
    {},
    {
        "times": shape.listed(
            "", shape.record("", {"start_time": shape.text("HH:MM"), "end_time": shape.text("HH:MM")})
        ),
        "weekdays": shape.listed("monday:friday …", shape.text("")),
        "days_of_month": shape.listed("1:5, -1 …", shape.text("")),
        "months": shape.listed("january:march …", shape.text("")),
        "years": shape.listed("2026:2028 …", shape.text("")),
        "location": shape.text("time zone, as Europe/Berlin; UTC when not given"),
    },
)
_HOURS = shape.record(
    "When it may act",
    {"times": shape.listed("one of them holds", _TIMES, least=1)},
    {"outside": shape.choice("what it does outside of them: wait when not given", _OUTSIDE)},
)
_BLAST_RADIUS = shape.record(
    "How much all runbooks together may touch",
    {},
    {
        "instances": shape.text("of one service: a number, or a share as in 50%", pattern=r"^\d+(\.\d+)?%?$"),
        "services": shape.whole("how many services", least=1),
        "within": shape.duration("in which time; 10m when not given"),
        "of": shape.text("PromQL that counts the instances"),
    },
)
SHAPE = shape.record(
    "What must hold before it acts",
    {},
    {
        "precondition": shape.text("PromQL that must be true"),
        "cooldown": shape.duration("rest after a run of this runbook for a service"),
        "max_runs_per_hour": shape.whole("of this runbook; 0: any number", least=0),
        "dry_run": shape.flag("say what it would do, and do nothing"),
        "approval": {"anyOf": [shape.choice("whether a person lets it go ahead", ("none", "required")), _APPROVAL]},
        "hours": _HOURS,
        "blast_radius": _BLAST_RADIUS,
    },
)


def read(node: Node) -> Guard:
    """The `guard:` of a runbook; ConfigError with file:line."""
    shape.known(node, SHAPE)
    return Guard(
        precondition=read_condition(node["precondition"]) if node["precondition"] else "",
        cooldown=node["cooldown"].seconds(0.0),
        max_runs_per_hour=_not_negative(node["max_runs_per_hour"]),
        dry_run=node["dry_run"].flag(False),
        approval=_approval(node["approval"]),
        hours=_hours(node["hours"]) if node["hours"] else None,
        blast_radius=_blast_radius(node["blast_radius"]) if node["blast_radius"] else None,
    )


def _not_negative(node: Node) -> int:
    number = node.integer(0)
    if number < 0:
        raise node.error("cannot be negative")
    return number


def _approval(node: Node) -> Approval | None:
    if not isinstance(node.plain(), Mapping):
        return Approval() if node.one_of("none", "required", default="none") == "required" else None
    shape.known(node, _APPROVAL)
    otherwise = node["otherwise"].one_of(*_OTHERWISE, default="skip")
    if node["otherwise"] and not node["within"]:
        raise node.error("otherwise says what follows when nobody decided within a time: give within, too")
    return Approval(
        role=node["role"].text(""),
        within=node["within"].seconds() if node["within"] else None,
        goes_ahead=otherwise == "go_ahead",
    )


def _hours(node: Node) -> Hours:
    shape.known(node, _HOURS)
    times = intervals.read(node["times"])
    if not times:
        raise node.error("hours without times would never hold")
    return Hours(times, node["outside"].one_of(*_OUTSIDE, default="wait"))


def _blast_radius(node: Node) -> BlastRadius:
    shape.known(node, _BLAST_RADIUS)
    count, share = _instances(node["instances"]) if node["instances"] else (None, None)
    services = node["services"].integer() if node["services"] else None
    if services is not None and services < 1:
        raise node["services"].error("at least the service itself is touched: write 1 or more")
    if count is None and share is None and services is None:
        raise node.error("limits nothing: give instances, services, or both")
    within = node["within"].seconds(600.0)
    if within <= 0:
        raise node["within"].error("cannot be zero")
    return BlastRadius(within, count, share, services, read_query(node["of"]) if node["of"] else "")


def _instances(node: Node) -> tuple[int | None, float | None]:
    text = node.text()
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if not 0 < share <= 1:
                raise node.error("a share is more than 0% and at most 100%")
            return None, share
        count = int(text)
    except ValueError:
        raise node.error(f"expected a number or a share as in 50%, not {text!r}") from None
    if count < 1:
        raise node.error("at least one instance is touched: write 1 or more")
    return count, None

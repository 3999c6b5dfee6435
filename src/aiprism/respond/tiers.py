"""The tiers P0 to P3 (requirement R6): which alerts are of which, who is told of their incidents, and what follows when
nobody acknowledges, responds or repairs in time.

In: `tiers.yml`; what it leaves out is as in the file of that name beside this one. Out: frozen `Tiers`. When a step is due
is decided in `deadlines`, who of the receivers is told in `audience`, the daily digest in `digest`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, tzinfo
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path

from aiprism import yamlfile
from aiprism.errors import BadInput
from aiprism.model.alerts import Alert, Priority
from aiprism.model.labels import Matcher, matches_all
from aiprism.respond import matcher
from aiprism.respond.mute.hours import zone_of
from aiprism.respond.oncall.rota import once
from aiprism.yamlfile import Node

_TIER = (
    "severities", "match", "opens_incident", "receivers", "acknowledge_within", "respond_within", "resolve_within",
    "repeat", "escalate", "digest",
)  # fmt: skip
_NAMES = tuple(priority.value for priority in Priority)
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_OFTEN = 30.0  # nobody is told more often


class Deadline(Enum):
    """What is expected of people in time."""

    ACKNOWLEDGEMENT = "acknowledgement"
    RESPONSE = "response"
    RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens `after` seconds past a missed deadline: `receivers` are told, beside those who know already, and the
    `policy` of oncall.yml is begun."""

    missed: Deadline
    after: float = 0.0
    receivers: tuple[str, ...] = ()
    policy: str = ""

    @property
    def key(self) -> str:
        """Its name among the steps of a tier: acknowledgement, acknowledgement+600."""
        return f"{self.missed.value}+{self.after:g}" if self.after else self.missed.value


@dataclass(frozen=True, slots=True)
class DigestPlan:
    """One mail a day: who gets it, and at which wall-clock time of which zone."""

    receivers: tuple[str, ...]
    at: time
    zone: tzinfo
    when_quiet: bool = True  # whether a day without alerts has a digest, which says so


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds for one tier. Periods are seconds; None is best effort."""

    priority: Priority
    severities: tuple[str, ...] = ()  # values of the labels `priority` and `severity`, in lower case
    match: tuple[tuple[Matcher, ...], ...] = ()  # any of these sets of matchers, whatever those labels say
    opens_incident: bool = False
    receivers: tuple[str, ...] | None = None  # None: those of respond.incident_receivers
    acknowledge_within: float | None = None
    respond_within: float | None = None
    resolve_within: float | None = None
    repeat: float | None = None  # how often it is told again until somebody acknowledges
    escalate: tuple[Step, ...] = ()
    digest: DigestPlan | None = None
    # Every step there is: one at each deadline, also where the file has nobody more to tell, and those after it. Each alert of a
    # storm asks for them.
    steps: tuple[Step, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        said = {(step.missed, step.after) for step in self.escalate}
        unsaid = (Step(each) for each in Deadline if self.within(each) is not None and (each, 0.0) not in said)
        object.__setattr__(self, "steps", (*unsaid, *self.escalate))

    def within(self, deadline: Deadline) -> float | None:
        """The seconds from the beginning to this deadline."""
        match deadline:
            case Deadline.ACKNOWLEDGEMENT:
                return self.acknowledge_within
            case Deadline.RESPONSE:
                return self.respond_within
            case Deadline.RESOLUTION:
                return self.resolve_within


@dataclass(frozen=True, slots=True)
class Tiers:
    """All four. `otherwise` is the tier of alerts that nothing places."""

    of: Mapping[Priority, Tier]
    otherwise: Priority = Priority.P2
    severities: Mapping[str, Priority] = field(default_factory=dict)
    file: str = ""

    def priority_of(self, labels: Mapping[str, str]) -> Priority:
        """The tier of an alert with these labels: what `match` says first, then its `priority`, then its `severity`."""
        for tier in self.of.values():
            if any(matches_all(matchers, labels) for matchers in tier.match):
                return tier.priority
        for label in ("priority", "severity"):
            found = self.severities.get(labels.get(label, "").lower())
            if found is not None:
                return found
        return self.otherwise

    def placed(self, alert: Alert) -> Alert:
        """The alert as one of its tier."""
        priority = self.priority_of(alert.labels)
        return alert if priority is alert.priority else replace(alert, tier=priority)

    def receivers(self) -> tuple[str, ...]:
        """Every receiver that any tier names, each once."""
        return tuple(dict.fromkeys(name for tier in self.of.values() for name in _named(tier)))


def _named(tier: Tier) -> Iterator[str]:
    yield from tier.receivers or ()
    for step in tier.escalate:
        yield from step.receivers
    yield from tier.digest.receivers if tier.digest else ()


# -- reading ---------------------------------------------------------------------------------------------------------


@cache
def usual() -> Tiers:
    """The tiers of who configured none."""
    text = resources.files(__package__).joinpath("tiers.yml").read_text(encoding="utf-8")
    nothing = Tiers({priority: Tier(priority) for priority in Priority})
    return _read(yamlfile.parse(text, file="tiers.yml"), nothing, Named())


@dataclass(frozen=True, slots=True)
class Named:
    """What other files have that this one may name: receivers of alertmanager.yml, and of oncall.yml schedules and
    policies. None: that is not known, and not looked for."""

    receivers: Collection[str] | None = None
    schedules: Collection[str] | None = None
    policies: Collection[str] | None = None


def load(path: Path, known: Named | None = None) -> Tiers:
    """The tiers in `path`, which name only what is `known`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path), known)


def read(root: Node, known: Named | None = None) -> Tiers:
    """The tiers of a document."""
    return _read(root, usual(), known or Named())


def _read(root: Node, before: Tiers, known: Named) -> Tiers:
    root.fields("otherwise", "tiers")
    given = root["tiers"].fields(*_NAMES)
    if not given and not root["otherwise"]:
        raise root.error("no tiers: write what differs from the usual below `tiers: {P0: …}`")
    of = {priority: _tier(given[priority.value], before.of[priority], known) for priority in Priority}
    return Tiers(
        of=of,
        otherwise=Priority(root["otherwise"].one_of(*_NAMES, default=before.otherwise.value)),
        severities=_severities(given, of),
        file=root.file,
    )


def _severities(given: Node, of: Mapping[Priority, Tier]) -> dict[str, Priority]:
    """What each severity means: what the file says goes before what is usual, and nothing is said twice."""
    found: dict[str, Priority] = {}
    for tier in of.values():
        if not given[tier.priority.value]["severities"]:
            found |= dict.fromkeys(tier.severities, tier.priority)
    said: dict[str, Priority] = {}
    for tier in of.values():
        node = given[tier.priority.value]["severities"]
        for severity in tier.severities if node else ():
            if severity in said:
                raise node.error(f"severity {severity!r} is of {said[severity].value} already")
            said[severity] = tier.priority
    return found | said


def _tier(node: Node, before: Tier, known: Named) -> Tier:
    node.fields(*_TIER)
    tier = replace(
        before,
        severities=tuple(text.lower() for text in node["severities"].texts()) or before.severities,
        match=tuple(_matchers(item) for item in node["match"].items()) or before.match,
        opens_incident=node["opens_incident"].flag(before.opens_incident),
        receivers=_receivers(node["receivers"], known) if node["receivers"] else before.receivers,
        acknowledge_within=_within(node["acknowledge_within"], before.acknowledge_within),
        respond_within=_within(node["respond_within"], before.respond_within),
        resolve_within=_within(node["resolve_within"], before.resolve_within),
        repeat=_within(node["repeat"], before.repeat),
        digest=_digest(node["digest"], known) if node["digest"] else before.digest,
    )
    if tier.repeat is not None and tier.repeat < _OFTEN:
        raise node["repeat"].error(f"repeat is {tier.repeat:g} s: nobody is told more often than every {_OFTEN:g} s")
    return replace(tier, escalate=tuple(_steps(node["escalate"], tier, known)) or before.escalate)


def _matchers(node: Node) -> tuple[Matcher, ...]:
    try:
        return matcher.parsed(node.text())
    except BadInput as error:
        raise node.error(str(error)) from None


def _within(node: Node, default: float | None) -> float | None:
    if not node:
        return default
    if node.text() == "never":
        return None
    seconds = node.seconds()
    if seconds <= 0:
        raise node.error("expected a duration such as 15m, or never")
    return seconds


def _receivers(node: Node, known: Named) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(node.texts()))
    for name in names:
        _look_for(node, name, known.receivers, "receiver of alertmanager.yml")
    return names


def _look_for(node: Node, name: str, among: Collection[str] | None, what: str) -> None:
    if among is not None and name not in among:
        raise node.error(f"{name!r} is no {what}; known: {', '.join(among) or 'none'}")


def _policy(node: Node, known: Named) -> str:
    """What a step begins: a policy, or one that pages whoever is on call in a schedule."""
    if node["policy"] and node["oncall"]:
        raise node.error("a step has either oncall (a schedule) or a policy; a policy may have the schedule as a level")
    if node["policy"]:
        _look_for(node["policy"], node["policy"].text(), known.policies, "policy of oncall.yml")
        return node["policy"].text()
    if node["oncall"]:
        _look_for(node["oncall"], node["oncall"].text(), known.schedules, "schedule of oncall.yml")
        return once(node["oncall"].text())
    return ""


def _steps(node: Node, tier: Tier, known: Named) -> Iterable[Step]:
    seen: set[str] = set()
    for item in node.items():
        item.fields("missed", "after", "receivers", "oncall", "policy")
        missed = Deadline(item["missed"].one_of(*(each.value for each in Deadline), default="acknowledgement"))
        if tier.within(missed) is None:
            raise item.error(f"{tier.priority.value} has no deadline for {_NOUNS[missed]}: there is none to miss")
        if not (item["receivers"] or item["oncall"] or item["policy"]):
            raise item.error("a step needs receivers: whom it tells; or oncall: whose schedule; or a policy")
        receivers, policy = _receivers(item["receivers"], known), _policy(item, known)
        step = Step(missed, item["after"].seconds(0.0), receivers, policy)
        if step.key in seen:
            raise item.error(f"two steps are due {step.after:g} s after a missed {missed.value}; make them one")
        seen.add(step.key)
        yield step


_NOUNS = {
    Deadline.ACKNOWLEDGEMENT: "an acknowledgement (acknowledge_within)",
    Deadline.RESPONSE: "a response (respond_within)",
    Deadline.RESOLUTION: "a resolution (resolve_within)",
}


def _digest(node: Node, known: Named) -> DigestPlan:
    node.fields("receivers", "at", "zone", "when_quiet")
    if not node["receivers"]:
        raise node.error("a digest needs receivers: who gets it")
    text = node["at"].text("09:00")
    found = _TIME_OF_DAY.fullmatch(text)
    if not found:
        raise node["at"].error(f"{text!r} is no time of the day; write for example 09:00")
    return DigestPlan(
        receivers=_receivers(node["receivers"], known),
        at=time(int(found[1]), int(found[2])),
        zone=zone_of(node["zone"]),
        when_quiet=node["when_quiet"].flag(True),
    )

"""When an incident's people are late, and what is due then: a pure function of (incident, tier, now).

In: how an incident stands and its tier. Out: the steps that are due and not taken yet, a reminder, and when the next one
will be. Each step is taken once in each round; a round begins with the opening, with each reopening, and for the
acknowledgement with its withdrawal. What a step writes and whom it tells is decided in `incident` and `audience`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from aiprism.respond.oncall.escalation import OF_INCIDENT, Climb
from aiprism.respond.tiers import Deadline, Step, Tier

_ROUNDING = 1e-6  # of a period: what `next_due` says is due then


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the steps of this round have gone."""

    asked: int = 1  # how often an acknowledgement was waited for anew
    since: float | None = None  # when that began; None: with the incident
    taken: tuple[str, ...] = ()  # keys of steps
    reminded: int = 0  # how many periods of reminding have passed
    no_later: float | None = None  # the target of a lower tier of this round, where that is the earlier one
    climbs: tuple[Climb, ...] = ()  # how far the policies of oncall.yml have come with it
    climbed: int = 0  # how many there were in this round
    update_told: float | None = None  # when an audience was told last how it stands, in this round
    update_asked: float | None = None  # when somebody was reminded to
    update_asks: int = 0  # how often that was
    first: str = ""  # the fingerprint of the alert that opened the incident: alerts are kept in the order they began
    acting: tuple[str, ...] = ()  # runs of runbooks that have begun and are not over

    def anew(self, at: float) -> Progress:
        """The progress of the round that begins at `at`."""
        return Progress(self.asked + 1, at, first=self.first, acting=self.acting)

    def asked_again(self, at: float) -> Progress:
        """The progress when an acknowledgement is waited for anew from `at` on; the rest of the round goes on."""
        ended = (Deadline.ACKNOWLEDGEMENT.value, OF_INCIDENT)
        others = tuple(key for key in self.taken if key.partition("+")[0] not in ended)
        climbs = tuple(each.anew(at) for each in self.climbs if each.key.partition("+")[0] not in ended)
        return replace(self, asked=self.asked + 1, since=at, taken=others, reminded=0, climbs=climbs)


class Standing(Protocol):
    """What deadlines look at of an incident."""

    @property
    def begun_at(self) -> float:
        """When its round began."""
        ...

    @property
    def working(self) -> bool:
        """Whether people are expected to be at work on it."""
        ...

    @property
    def acknowledged_at(self) -> float | None: ...

    @property
    def responded_at(self) -> float | None: ...

    @property
    def progress(self) -> Progress: ...


class Due(NamedTuple):
    """A step, and when it is due."""

    at: float
    step: Step


def due_at(standing: Standing, tier: Tier, deadline: Deadline) -> float | None:
    """When this deadline is missed; None when there is none, or it was met."""
    allowed = tier.within(deadline)
    if deadline is Deadline.RESOLUTION:
        own = None if allowed is None else standing.begun_at + allowed
        return min((at for at in (own, standing.progress.no_later) if at is not None), default=None)
    met = standing.acknowledged_at if deadline is Deadline.ACKNOWLEDGEMENT else standing.responded_at
    if allowed is None or met is not None:
        return None
    waited = waited_since(standing) if deadline is Deadline.ACKNOWLEDGEMENT else standing.begun_at
    return waited + allowed


def pending(standing: Standing, tier: Tier) -> Iterator[Due]:
    """The steps that were not taken yet and will be if nothing changes."""
    for step in tier.steps if standing.working else ():
        missed_at = due_at(standing, tier, step.missed)
        if missed_at is not None and step.key not in standing.progress.taken:
            yield Due(missed_at + step.after, step)


def due(standing: Standing, tier: Tier, now: float) -> tuple[Step, ...]:
    """The steps to be taken by `now`, in the order in which they became due."""
    found = sorted((each for each in pending(standing, tier) if each.at <= now), key=lambda each: each.at)
    return tuple(each.step for each in found)


def reminders(standing: Standing, tier: Tier, now: float) -> int:
    """How many periods of reminding have passed by `now`; more than `progress.reminded` means that one is due."""
    if tier.repeat is None or not standing.working or standing.acknowledged_at is not None:
        return standing.progress.reminded
    passed = (now - waited_since(standing)) / tier.repeat
    return max(standing.progress.reminded, math.floor(passed + _ROUNDING))


def next_due(standing: Standing, tier: Tier) -> float | None:
    """When the next step or reminder is due; None when nothing will be."""
    times = [each.at for each in pending(standing, tier)]
    if tier.repeat is not None and standing.working and standing.acknowledged_at is None:
        times.append(waited_since(standing) + tier.repeat * (standing.progress.reminded + 1))
    return min(times, default=None)


def waited_since(standing: Standing) -> float:
    """Since when an acknowledgement is waited for."""
    since = standing.progress.since
    return standing.begun_at if since is None else since

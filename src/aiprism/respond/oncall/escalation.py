"""A page that nobody answers goes to the next level: how far an incident has climbed a policy, and what happens next.

In: a `Climb`, the rota, a time. Out: the climb after it and what happened: people paged, levels with nobody on call passed
over, the policy at its end. Pure. A climb is kept with its incident, so that a page is due at the same moment whatever
crashes in between, and each is made once. Whether an incident is to be climbed for at all is decided in `incident`.

A level has its time from the moment it is paged, also where that is late: who was paged only when aiprism was back can
answer only then. Who is paged is whoever is on call at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from aiprism.model.timerange import format_duration
from aiprism.respond.oncall.rota import Escalation, Level, Rota

OF_INCIDENT = "incident"  # the key of the climb that begins with an incident; others have the key of a tier's step


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody was paged for a level and is to be told by another receiver, too, if nobody has acknowledged by then."""

    at: float
    person: str
    receiver: str
    policy: str
    level: int


@dataclass(frozen=True, slots=True)
class Climb:
    """How far an incident has come with a policy. `number` tells it from others of the incident's round."""

    number: int
    key: str  # what began it
    origin: str  # the policy it began with
    policy: str  # the one it is at, after hand-offs
    due_at: float | None  # when the next level is paged; None: there is none
    place: int = 0  # levels gone through of this policy, over all its repetitions
    pages: int = 0  # how often somebody was paged, each an occasion of its own
    calls: tuple[Call, ...] = ()

    @property
    def next_due(self) -> float | None:
        """When anything happens next; None when nothing will."""
        times = [call.at for call in self.calls] + ([] if self.due_at is None else [self.due_at])
        return min(times, default=None)

    def anew(self, at: float) -> Climb:
        """It when an acknowledgement is given back: from its first level on, unless it was at its end. Nobody had time to
        answer while somebody else had it."""
        return replace(self, calls=()) if self.due_at is None else begun(self.number, self.key, self.origin, at)

    def stored(self) -> dict[str, Any]:
        """It as JSON."""
        return {**asdict(self), "calls": [asdict(each) for each in self.calls]}


def kept(stored: Mapping[str, Any]) -> Climb:
    """The climb that was stored so."""
    # The first ones kept did not say of which level they are.
    calls = tuple(Call(**{"policy": stored["policy"], "level": 1, **each}) for each in stored["calls"])
    return Climb(**{**stored, "calls": calls})


@dataclass(frozen=True, slots=True)
class Paged:
    """These receivers are told now. `person` is empty for receivers that a level names itself, `schedule` unless it is for
    being on call; `again` for a further receiver of somebody who was paged before."""

    policy: str
    level: int
    receivers: tuple[str, ...]
    occasion: str
    within: float | None
    person: str = ""
    schedule: str = ""
    again: bool = False

    def text(self, rota: Rota) -> str:
        """It as a line of a timeline."""
        who = rota.name_of(self.person) if self.person else "nobody in particular"
        again = " again, as nobody has acknowledged" if self.again else ""
        return f"{who} is paged{again}{self._where(rota)}: by {', '.join(self.receivers)}"

    def letter(self, rota: Rota) -> str:
        """What is said to who is paged."""
        who = f"{rota.name_of(self.person)}, you are paged" if self.person else "this is a page"
        time = f"; acknowledge within {format_duration(self.within)}" if self.within else ""
        return f"{who}{self._where(rota)}{time}"

    def evidence(self) -> dict[str, object]:
        """What is kept with the line."""
        return {
            "policy": self.policy, "level": self.level, "person": self.person, "schedule": self.schedule,
            "receivers": list(self.receivers), "acknowledge_within": self.within,
        }  # fmt: skip

    def _where(self, rota: Rota) -> str:
        on_call = f" on call in {self.schedule}" if self.schedule else ""
        level = "" if rota.alone(self.policy) else f"level {self.level} of policy {self.policy}"
        return f"{on_call} ({level})" if level else on_call


@dataclass(frozen=True, slots=True)
class Nobody:
    """A level that has nobody on call: the next one is paged at once."""

    policy: str
    level: int
    schedules: tuple[str, ...]

    def text(self, rota: Rota) -> str:
        """It as a line of a timeline."""
        nobody = f"nobody is on call in {', '.join(self.schedules)}"
        return (
            nobody
            if rota.alone(self.policy)
            else f"{nobody}: level {self.level} of policy {self.policy} is passed over"
        )

    def evidence(self) -> dict[str, object]:
        """What is kept with the line."""
        return {"policy": self.policy, "level": self.level, "schedules": list(self.schedules)}


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A policy is at its end and another one begins."""

    policy: str
    to: str

    def text(self, _rota: Rota) -> str:
        """It as a line of a timeline."""
        return f"nobody has acknowledged it: policy {self.policy} hands on to {self.to}"

    def evidence(self) -> dict[str, object]:
        """What is kept with the line."""
        return {"policy": self.policy, "to": self.to}


@dataclass(frozen=True, slots=True)
class Ended:
    """There is nobody more to page; `gone` when the policy is no longer in oncall.yml."""

    policy: str
    occasion: str
    gone: bool = False

    def text(self, _rota: Rota) -> str:
        """It as a line of a timeline."""
        why = "is no longer in oncall.yml" if self.gone else "has nobody more to page"
        return f"nobody has acknowledged it, and policy {self.policy} {why}"

    def evidence(self) -> dict[str, object]:
        """What is kept with the line."""
        return {"policy": self.policy}


Happening: TypeAlias = Paged | Nobody | HandedOn | Ended


def begun(number: int, key: str, policy: str, now: float) -> Climb:
    """A climb whose first level is to be paged now."""
    return Climb(number, key, policy, policy, now)


def climbed(climb: Climb, rota: Rota, now: float) -> tuple[Climb, tuple[Happening, ...]]:
    """The climb once everything that is due by `now` has happened, and what that was."""
    happened: list[Happening] = []
    empty = 0  # levels in a row with nobody on call
    for call in sorted((each for each in climb.calls if each.at <= now), key=lambda each: each.at):
        climb, told = _called(climb, call)
        happened.append(told)
    while climb.due_at is not None and climb.due_at <= now:
        policy = rota.escalation(climb.policy)
        if policy is None:
            climb = replace(climb, due_at=None)
            happened.append(Ended(climb.policy, f"{climb.number}.end", gone=True))
        elif climb.place >= len(policy.levels) * (policy.repeat + 1):
            climb, last = _at_the_end(climb, policy)
            happened += last
            empty = 0
        else:
            number = climb.place % len(policy.levels)
            level = policy.levels[number]
            climb, told_all = _at_level(climb, level, number + 1, rota, now)
            happened += told_all
            empty = 0 if any(isinstance(each, Paged) for each in told_all) else empty + 1
            again = climb.place < len(policy.levels) * (policy.repeat + 1)
            if again and empty == len(policy.levels) and level.within is not None:
                climb, empty = replace(climb, due_at=now + level.within), 0  # until then somebody may be on call
    return climb, tuple(happened)


def _called(climb: Climb, call: Call) -> tuple[Climb, Happening]:
    left = tuple(each for each in climb.calls if each is not call)
    told = Paged(call.policy, call.level, (call.receiver,), _occasion(climb), None, call.person, again=True)
    return replace(climb, calls=left, pages=climb.pages + 1), told


def _at_level(climb: Climb, level: Level, number: int, rota: Rota, now: float) -> tuple[Climb, list[Happening]]:
    """The level once it was paged; at once the next one's turn where it has nobody."""
    after = replace(climb, place=climb.place + 1)
    told: list[Happening] = []
    for person, schedule in _people(level, rota, now):
        contacts = rota.people[person].contacts
        first = tuple(each.receiver for each in contacts if each.after <= 0)
        told.append(Paged(climb.policy, number, first, _occasion(after), level.within, person, schedule))
        later = tuple(
            Call(now + each.after, person, each.receiver, climb.policy, number) for each in contacts if each.after > 0
        )
        after = replace(after, pages=after.pages + 1, calls=(*after.calls, *later))
    if level.receivers:
        told.append(Paged(climb.policy, number, level.receivers, _occasion(after), level.within))
        after = replace(after, pages=after.pages + 1)
    if not told:
        return after, [Nobody(climb.policy, number, level.schedules)]
    return replace(after, due_at=None if level.within is None else now + level.within), told


def _people(level: Level, rota: Rota, now: float) -> Iterator[tuple[str, str]]:
    """(person, the schedule that they are on call in) of a level, each person once."""
    seen: set[str] = set()
    on_call = [(who, name) for name in level.schedules for who in rota.on_call(name, now)]
    for who, name in (*on_call, *((who, "") for who in level.people)):
        if who not in seen and who in rota.people:  # an override may name somebody who has left
            seen.add(who)
            yield who, name


def _at_the_end(climb: Climb, policy: Escalation) -> tuple[Climb, list[Happening]]:
    if policy.then:
        return replace(climb, policy=policy.then, place=0), [HandedOn(climb.policy, policy.then)]
    waited = policy.levels[-1].within is not None
    return replace(climb, due_at=None), [Ended(climb.policy, f"{climb.number}.end")] if waited else []


def _occasion(climb: Climb) -> str:
    return f"{climb.number}.{climb.pages + 1}"

"""Everything of oncall.yml as one frozen value: people, schedules, escalation policies, and the overrides in force.

In: what `reading` read, overrides that people asked for. Out: who is on call in a schedule at a time, by which receivers
a person is reached, and the policy that an incident is escalated by. Pure. When shifts begin is decided in `schedule`,
what happens to a page that nobody answers in `escalation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aiprism.model.alerts import Priority
from aiprism.model.labels import Matcher, matches_all
from aiprism.respond.oncall.schedule import Override, Schedule

_ALONE = "schedule "  # what the policy of a step is called that names a schedule: no policy's own name has a blank


@dataclass(frozen=True, slots=True)
class Contact:
    """A receiver of alertmanager.yml that reaches a person, told `after` seconds without an answer."""

    receiver: str
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may be on call. `zone` is where they live, for those who look; `contacts` stand in their order."""

    id: str
    name: str
    zone: str = "UTC"
    email: str = ""
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """Who is paged together, and how long they have to acknowledge, in seconds."""

    schedules: tuple[str, ...] = ()  # whoever is on call in them
    people: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    within: float | None = 300.0  # None: nobody is waited for


@dataclass(frozen=True, slots=True)
class Escalation:
    """A policy: its levels are paged one after the other until somebody acknowledges, all of them `repeat` times more, and
    then those of the policy `then`. It is that of incidents of its `tiers` whose first alert one of `match` accepts."""

    name: str
    levels: tuple[Level, ...]
    repeat: int = 0
    then: str = ""
    tiers: frozenset[Priority] = frozenset()  # none: of no incident by itself, only where a step or a policy names it
    match: tuple[tuple[Matcher, ...], ...] = ()  # none: whatever the alert

    def accepts(self, priority: Priority, labels: Mapping[str, str]) -> bool:
        """Whether it is the policy of such an incident."""
        if priority not in self.tiers:
            return False
        return not self.match or any(matches_all(each, labels) for each in self.match)


@dataclass(frozen=True, slots=True)
class Rota:
    """Who is on call, and who is paged when nobody answers."""

    people: Mapping[str, Person] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    escalations: Mapping[str, Escalation] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    file: str = ""

    def with_overrides(self, overrides: Iterable[Override]) -> Rota:
        """The same with these overrides in force."""
        return replace(self, overrides=tuple(overrides))

    def on_call(self, schedule: str, at: float) -> tuple[str, ...]:
        """The people on call in a schedule at that moment; nobody in one that is no more."""
        found = self.schedules.get(schedule)
        return found.on_call(self.overrides, at) if found else ()

    def policy_of(self, priority: Priority, labels: Mapping[str, str]) -> str:
        """The policy of an incident of that tier whose first alert has these labels; empty where there is none."""
        return next((each.name for each in self.escalations.values() if each.accepts(priority, labels)), "")

    def escalation(self, name: str) -> Escalation | None:
        """The policy of that name; also what `once` named. None when there is none any more."""
        if name.startswith(_ALONE):
            return Escalation(name, (Level(schedules=(name.removeprefix(_ALONE),), within=None),))
        return self.escalations.get(name)

    @staticmethod
    def alone(policy: str) -> str:
        """The schedule that a step named instead of a policy; empty for a policy."""
        return policy.removeprefix(_ALONE) if policy.startswith(_ALONE) else ""

    def name_of(self, person: str) -> str:
        """What somebody is called."""
        found = self.people.get(person)
        return found.name if found else person

    def receivers(self) -> tuple[str, ...]:
        """Every receiver that people and policies name, each once."""
        of_people = (each.receiver for person in self.people.values() for each in person.contacts)
        of_levels = (name for each in self.escalations.values() for level in each.levels for name in level.receivers)
        return tuple(dict.fromkeys((*of_people, *of_levels)))


def once(schedule: str) -> str:
    """The name of the policy that pages whoever is on call in a schedule, once."""
    return _ALONE + schedule

"""Which open incident an alert belongs to (requirement R19), and which incidents are one because of it.

Alerts are nodes, and two are joined by an edge where their `likeness` reaches the threshold; incidents are the connected
components, grown as alerts come in. Edges alone would make one incident of two unrelated faults as soon as both reach a
service that depends on either, as a gateway does on nearly all. So there are two more conditions. What is one incident has one
origin: a service from which all others of it suffer, or a silent one which all that began to suffer call. And it has one time:
what suffers from two faults is of the one that began with it, and a fault that spread long ago is not what begins anew now. An
alert that is like alerts of two incidents makes them one if the two have one origin then. In come alerts of open incidents, and
who calls whom, out go ids with the edges that say why. Pure; `bench/correlation` measures it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import TypeAlias

from aiprism.model.alerts import Alert
from aiprism.respond.incident import Incident
from aiprism.respond.likeness import (
    Similarity,
    Subject,
    Weights,
    kind_likeness,
    made,
    scored,
    service_likeness,
    subject_of,
    time_likeness,
)
from aiprism.respond.ways import FARTHEST, Direction, Way, Ways

# Of one subject, alerts with onsets so near (seconds) are the same for the graph: a storm has hundreds of each.
_SAME_ONSET = 60.0


@dataclass(frozen=True, slots=True)
class Link:
    """An edge from the alert that was asked about into an incident."""

    incident_id: str
    why: Similarity


@dataclass(frozen=True, slots=True)
class Joined:
    """Where an alert belongs, and the incidents that are one with that because of it; the first is the oldest of them."""

    home: Link
    others: tuple[Link, ...] = ()


Parted: TypeAlias = Callable[[str, str], bool]
OutOf: TypeAlias = Callable[[str], bool]


def never(_one: str, _other: str) -> bool:
    """Nobody has parted any two incidents."""
    return False


def nowhere(_incident_id: str) -> bool:
    """Nobody has taken an alert out of any incident."""
    return False


class Neighbourhood:
    """The alerts of open incidents, so arranged that a new one meets each (service, alert name) once: at the onset
    nearest to its own. Ten thousand alerts of one storm are then compared with a few hundred each, not with all.

    `parted` says which two incidents were parted by a person and stay two.
    """

    def __init__(
        self,
        incidents: Iterable[Incident] = (),
        ways: Ways | None = None,
        weights: Weights | None = None,
        parted: Parted = never,
    ) -> None:
        self._ways, self._weights, self._parted = ways or Ways(), weights or Weights(), parted
        self._onsets: dict[str, dict[Subject, list[_Onset]]] = {}
        self._open: dict[str, _Open] = {}
        self._stale = False  # whether the next batch would arrange it in another way
        self._arrange(incidents)

    def current(self, incidents: Iterable[Incident], ways: Ways, weights: Weights, parted: Parted) -> Neighbourhood:
        """This one with what joined these incidents since, or a new one if something else happened: an incident is over or was
        taken in, an alert went elsewhere or fires anew, the topology is another one. So it holds what a new one would hold."""
        standing = [each for each in incidents if each.open]
        if ways == self._ways and weights == self._weights and self._only_grew(standing):
            self._parted = parted
            self._arrange(standing)
            return self
        return Neighbourhood(standing, ways, weights, parted)

    def _only_grew(self, standing: Sequence[Incident]) -> bool:
        if self._stale or not self._open.keys() <= {each.id for each in standing}:
            return False
        homes = ((incident, self._open.get(incident.id)) for incident in standing)
        return all(home is None or home.grew_to(incident) for incident, home in homes)

    def _arrange(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            home = self._open.get(incident.id)
            if not incident.open or (home and home.incident is incident):
                continue
            for alert in home.lacking(incident) if home else incident.alerts:
                self.add(incident, alert)
            if home := self._open.get(incident.id):
                home.incident = incident

    def add(self, incident: Incident, alert: Alert) -> None:
        """From now on `alert` is known to be in `incident`."""
        home = self._open.setdefault(incident.id, _Open(incident.id, incident.created_at))
        self._stale |= home.onsets.setdefault(alert.fingerprint, alert.active_at) != alert.active_at
        subject = subject_of(alert.labels)
        service = self._ways.named(subject.service)
        if not service:
            return
        self._place(home, service, subject.service)
        onsets = self._onsets.setdefault(service, {}).setdefault(subject, [])
        insort(onsets, _Onset(alert.active_at, home, alert), key=_Onset.order)

    def merge(self, older: str, younger: str) -> None:
        """From now on the alerts of the `younger` incident are the `older` one's."""
        into, gone = self._open[older], self._open.pop(younger)
        gone.merged_into, into.incident = into, None
        # Of an alert that both held, one episode is left: which, whoever arranges it anew sees.
        self._stale |= not into.onsets.keys().isdisjoint(gone.onsets)
        into.onsets |= gone.onsets
        for service in gone.services:
            self._place(into, service, gone.services[service])
            for onsets in self._onsets[service].values():
                onsets.sort(key=_Onset.order)  # which goes by the incident's age, too

    def origin(self, incident_id: str) -> str:
        """The service from which all others of an incident suffer, by the name its alerts have for it, or the silent one that
        they call. Empty when it has one service only, and when nobody can tell."""
        home = self._open.get(incident_id)
        if home is None or len(home.services) < 2:
            return ""
        seeing = self._seeing(home.origins)
        if len(seeing) > 1:
            return "" if self._in_circle(seeing) else self._third(seeing, max(home.onsets.values()))
        return home.services[next(iter(seeing or home.origins))] if seeing or len(home.origins) == 1 else ""

    def joined(self, alert: Alert, out_of: OutOf = nowhere) -> Joined | None:
        """Where `alert` belongs and why; None when it is like none. What began with it wins, to the minute, then what is the fewest
        calls away, then the most alike, of equals the older incident; of those that a person took it `out_of` none does."""
        subject = subject_of(alert.labels)
        service = self._ways.named(subject.service)
        if not service:
            return None
        again = self._again(alert, subject, service, out_of)
        if again is not None:
            return Joined(self._link(again, alert, subject, _same(service)))
        found = [
            each
            for each in self._best_edges(alert, subject, service)
            if not out_of(each.home.id) and self._fits(service, each.home, alert)
        ]
        if not found:
            return None
        first, *rest = sorted(found, key=_Edge.order)
        one = [first]
        for each in rest:
            # What people parted is not joined over a third either.
            apart = any(self._parted(each.home.id, other.home.id) for other in one)
            if not apart and self._recent(each) and self._are_one(first.home, each.home, service, alert):
                one.append(each)
        first, *others = sorted(one, key=lambda each: (each.home.created_at, each.home.id)) if len(one) > 1 else one
        return Joined(
            self._link(first.onset, alert, subject, first.way),
            tuple(self._link(each.onset, alert, subject, each.way) for each in others),
        )

    def _link(self, onset: _Onset, alert: Alert, subject: Subject, way: Way) -> Link:
        why = made(alert, onset.alert, subject, subject_of(onset.alert.labels), way, self._weights)
        return Link(onset.home.id, why)

    def _again(self, alert: Alert, subject: Subject, service: str, out_of: OutOf) -> _Onset | None:
        onsets = self._onsets.get(service, {}).get(subject, ())
        near = [
            each
            for each in _nearest(onsets, alert.active_at)
            if abs(each.at - alert.active_at) <= _SAME_ONSET and not out_of(each.home.id)
        ]
        # The rules below would give the same: it is as alike as can be to one that they have placed.
        return min(near, key=lambda each: (abs(each.at - alert.active_at), each.order()), default=None)

    # -- edges -----------------------------------------------------------------------------------------------------------

    def _best_edges(self, alert: Alert, subject: Subject, service: str) -> Iterable[_Edge]:
        """To each incident the edge that says best why: of those that reach the threshold the first in order."""
        best: dict[str, _Edge] = {}
        for way, other in self._related(service, alert.active_at):
            worth = service_likeness(way, self._weights)
            for theirs, onsets in self._onsets[other].items():
                kind = kind_likeness(subject, theirs)
                if scored(self._weights, 1.0, worth, kind) < self._weights.threshold:
                    continue
                for onset in _nearest(onsets, alert.active_at):
                    near = time_likeness(alert.active_at, onset.at, self._weights)
                    gap = abs(alert.active_at - onset.at)
                    edge = _Edge(scored(self._weights, near, worth, kind), onset, onset.home, way, gap)
                    if edge.score < self._weights.threshold or self._outlived(edge):
                        continue
                    before = best.get(edge.home.id)
                    if before is None or edge.order() < before.order():
                        best[edge.home.id] = edge
        return best.values()

    def _outlived(self, edge: _Edge) -> bool:
        """Whether what this leads to is over as a cause: it spread, and nothing like this has begun since for a whole window.
        What begins anew then is a fault of its own. A service that fails alone may go on so, one instance after the other."""
        return edge.gap >= self._weights.window and len(edge.home.services) > 1

    def _recent(self, edge: _Edge) -> bool:
        """Whether this says anything about incidents being one: no cascade takes longer from one service to the next."""
        return edge.gap <= self._weights.window / 2

    def _related(self, service: str, at: float) -> Iterator[tuple[Way, str]]:
        """The services that alert and that a way leads to from this one."""
        aside = self._aside(service, at)
        for other in self._onsets:
            way = self._ways.between(service, other)
            if way is None and other in aside:
                way = self._ways.sharing(service, other, aside[other])
            if way is not None:
                yield way, other

    # -- one origin ------------------------------------------------------------------------------------------------------

    def _place(self, home: _Open, service: str, called: str) -> None:
        """It with this service, which it may suffer from or which may suffer from it."""
        if service not in home.services:
            home.services[service] = called
            home.origins = self._ways.deepest({*home.origins, service})

    def _fits(self, service: str, home: _Open, alert: Alert) -> bool:
        """Whether the incident has one origin also with this service."""
        if service in home.services:
            return True
        origins = self._ways.deepest({*home.origins, service})
        return origins <= home.origins or self._coherent(origins, alert.active_at)

    def _are_one(self, one: _Open, other: _Open, service: str, alert: Alert) -> bool:
        """Whether two incidents have one origin, now that a service of both or between them alerts."""
        return self._coherent(self._ways.deepest({*one.origins, *other.origins, service}), alert.active_at)

    def _coherent(self, origins: Set[str], at: float) -> bool:
        """Whether these are one origin: one service, or some that call each other in a circle, or that call a silent third."""
        seeing = self._seeing(origins)
        return len(seeing) < 2 or self._in_circle(seeing) or bool(self._third(seeing, at))

    def _seeing(self, origins: Set[str]) -> list[str]:
        # What a blind service suffers from nobody sees: it is no origin where there is another one.
        return sorted(origins - self._ways.blind)

    def _in_circle(self, origins: Sequence[str]) -> bool:
        return all(self._circle(origins[0], other) for other in origins[1:])

    def _third(self, origins: Sequence[str], at: float) -> str:
        """The silent service that all of these call and may suffer from; empty when there is none."""
        called = frozenset.intersection(*map(self._ways.callees, origins))
        return next((third for third in sorted(called) if self._ails(third, {*origins}, at)), "")

    def _circle(self, one: str, other: str) -> bool:
        way = self._ways.between(one, other)
        return way is not None and way.direction is Direction.BOTH

    def _aside(self, service: str, at: float) -> dict[str, str]:
        """The services that may suffer from what this one suffers from, each with the silent third that both call."""
        found: dict[str, str] = {}
        for third in sorted(self._ways.callees(service)):
            if self._ails(third, {service}, at):
                found |= {each: third for each in self._ways.callers(third) - {service} if each not in found}
        return found

    def _ails(self, third: str, besides: Set[str], at: float) -> bool:
        """Whether a service that raises no alert is what its callers suffer from: enough of them began to, themselves."""
        callers = self._ways.callers(third)
        if third in self._onsets or len(callers) < 2:
            return False
        suffering = {each for each in callers if each in besides or self._began(each, at)}
        return len(suffering) >= 2 and len(suffering) >= self._weights.shared * len(callers)

    def _began(self, service: str, at: float) -> bool:
        """Whether an incident within the window of this moment originates in the service, as far as alerts tell."""
        return any(
            service in onset.home.origins and abs(onset.at - at) < self._weights.window
            for onsets in self._onsets.get(service, {}).values()
            for onset in _nearest(onsets, at)
        )


@dataclass(slots=True)
class _Open:
    """An incident as far as it matters here."""

    id: str
    created_at: float
    services: dict[str, str] = field(default_factory=dict)  # with what alerts call them, in the order they came
    origins: set[str] = field(default_factory=set)
    onsets: dict[str, float] = field(default_factory=dict)  # fingerprint → as it is arranged
    incident: Incident | None = None  # as it was when all its alerts were arranged last
    merged_into: _Open | None = None

    def grew_to(self, incident: Incident) -> bool:
        """Whether all that is arranged of it is in `incident` as it is."""
        if self._begins(incident):
            return True
        return self.onsets.items() <= {alert.fingerprint: alert.active_at for alert in incident.alerts}.items()

    def lacking(self, incident: Incident) -> Sequence[Alert]:
        """The alerts of `incident` that are not arranged."""
        alerts = incident.alerts
        if self.incident is not None and self._begins(incident):
            alerts = alerts[len(self.incident.alerts) :]
        return [alert for alert in alerts if alert.fingerprint not in self.onsets]

    def _begins(self, incident: Incident) -> bool:
        """Whether `incident` is this one with nothing but more alerts: mostly it is, and then few have to be looked at."""
        before = self.incident
        return before is not None and incident.alerts[: len(before.alerts)] == before.alerts


@dataclass(slots=True)
class _Onset:
    at: float
    place: _Open
    alert: Alert

    @property
    def home(self) -> _Open:
        while self.place.merged_into is not None:
            self.place = self.place.merged_into
        return self.place

    def order(self) -> tuple[float, float]:
        # Of onsets at one moment the oldest incident's stands first, where `_nearest` finds it.
        return self.at, self.home.created_at


@dataclass(frozen=True, slots=True)
class _Edge:
    score: float
    onset: _Onset
    home: _Open
    way: Way
    gap: float  # seconds between the two onsets

    def order(self) -> tuple[float, int, float, float, str]:
        # Who suffers from two faults began to because of the one that began then, be it some calls away. And a fault comes along
        # calls: what is next to a service tells better what ails it than what is more alike.
        suffers = self.way.direction in (Direction.SAME, Direction.CALLS, Direction.BOTH)
        hops = self.way.hops if suffers else FARTHEST
        return self.gap // _SAME_ONSET, hops, -self.score, self.home.created_at, self.home.id


_AT = attrgetter("at")  # as `_Onset.order` has them: which incident is older does not matter to where a moment stands


def _nearest(onsets: list[_Onset] | tuple[()], at: float) -> list[_Onset]:
    place = bisect_left(onsets, at, key=_AT)
    return list(onsets[max(0, place - 1) : place + 1])


@lru_cache(maxsize=10_000)
def _same(service: str) -> Way:
    return Way(Direction.SAME, 0, (service,))

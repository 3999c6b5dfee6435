"""Which notifications alerts of the past would have been: what fires together is told together, and again only in its time.

In: the routing tree and when alerts would have fired (`hindsight.Fired`). Out: `Telling`s, one for each time that a group would
have been told, by the rules of `group`. Hours of a route hold back as they do; inhibition, silences and what incidents keep back
are not known of a time that was not so, and are left out. Pure.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.model.labels import Labels
from aiprism.respond import group as groups
from aiprism.respond.channels.post import Integration
from aiprism.respond.group import Group, Told, Why
from aiprism.respond.hindsight import Fired
from aiprism.respond.route import Route, Routing


@dataclass(frozen=True, slots=True)
class Telling:
    """A notification of one group: to whom, when, why, and of how many alerts that fired and were over."""

    receiver: str
    route: str  # Route.id
    at: float
    why: Why
    firing: int
    resolved: int


@dataclass(frozen=True, slots=True)
class Receiver:
    """How often a receiver would have been told, by the reason; `channels` are none where nobody would have heard of it."""

    name: str
    channels: tuple[str, ...]
    times: Mapping[Why, int]

    @property
    def count(self) -> int:
        """Of all reasons."""
        return sum(self.times.values())


def told(routing: Routing, fired: Iterable[Fired], until: float) -> list[Telling]:
    """The notifications up to `until`, in order. What fires until then is not over."""
    inside: dict[tuple[str, Labels], list[Fired]] = {}
    routes: dict[str, Route] = {}
    for each in fired:
        for route in routing.root.matching(each.labels):
            routes[route.id] = route
            inside.setdefault((route.id, groups.labels_of(route, Labels(each.labels))), []).append(each)
    found = [
        telling
        for (route_id, labels), alerts in inside.items()
        for telling in _told_of(routing, routes[route_id], labels, alerts, until)
    ]
    return sorted(found, key=lambda telling: telling.at)


def receivers(routing: Routing, fired: Sequence[Fired], until: float) -> list[Receiver]:
    """Who would have been told, and how often; first who is told most. A receiver whose route took an alert and never came to tell
    of it is there with nothing."""
    counts: dict[str, Counter[Why]] = {
        route.receiver: Counter() for each in fired for route in routing.root.matching(each.labels)
    }
    for telling in told(routing, fired, until):
        counts[telling.receiver][telling.why] += 1
    named = [
        Receiver(name, tuple(each.channel for each in routing.integrations(name)), times)
        for name, times in counts.items()
    ]
    return sorted(named, key=lambda each: -each.count)


def _told_of(
    routing: Routing, route: Route, labels: Labels, alerts: Sequence[Fired], until: float
) -> Iterator[Telling]:
    """One group from its first alert on. It is forgotten when all of it is over and told, and begins anew with the next one."""
    coming = sorted(alerts, key=lambda each: each.start)
    last: dict[int, Told] = {}  # by the number of the integration
    integrations = routing.integrations(route.receiver) or (None,)  # one that has no channel is told as if it had
    while coming and coming[0].start <= until:
        members = _Members(coming)
        group: Group | None = groups.begun(route, labels, coming[0].start)
        while group is not None and group.next_at <= until:
            now = group.next_at
            firing, resolved = members.at(now)
            quiet = bool(routing.muting(route, now))
            reasons = [] if quiet else list(_reasons(route, integrations, last, firing, resolved, now))
            if reasons:
                yield Telling(route.receiver, route.id, now, reasons[0], len(firing), len(resolved))
            members.forget(resolved)
            group = _next(group, route, members, last, now, until) if members else None
        if members:
            return
        coming = members.left()


def _reasons(
    route: Route,
    integrations: Sequence[Integration | None],
    last: dict[int, Told],
    firing: frozenset[str],
    resolved: frozenset[str],
    now: float,
) -> Iterator[Why]:
    """Why each integration is told now, if it is; what they know by now is noted."""
    for number, integration in enumerate(integrations):
        send_resolved = integration is None or integration.send_resolved
        known = last.get(number)
        if known is not None and groups.log_expiry(route, known.at) <= now:
            known = None
        why = groups.reason(known, firing, resolved, send_resolved=send_resolved, repeat=route.repeat_interval, now=now)
        if why is None:
            continue
        last[number] = Told(firing, resolved, now)
        if firing or send_resolved:  # else it is only noted
            yield why


def _next(
    group: Group,
    route: Route,
    members: _Members,
    last: Mapping[int, Told],
    now: float,
    until: float,
) -> Group | None:
    """The group at its next look that can find anything new: those between are like the one before."""
    following = groups.after_flush(group, route, now)
    if route.mute_time_intervals or route.active_time_intervals:
        return following
    again = min((known.at for known in last.values()), default=now) + route.repeat_interval
    change = min(members.next_change(now), again)
    if change > until:
        return None
    looks = max(0, -int((following.next_at - change) // route.group_interval))
    return replace(following, next_at=following.next_at + looks * route.group_interval)


class _Members:
    """The alerts of a group, as they come and end: each by its labels, the last that began with them."""

    def __init__(self, coming: Sequence[Fired]) -> None:
        self._coming = list(reversed(coming))  # the next one at the end
        self._inside: dict[str, Fired] = {}
        self._ends: list[float] = []

    def __bool__(self) -> bool:
        return bool(self._inside)

    def at(self, now: float) -> tuple[frozenset[str], frozenset[str]]:
        """What fires and what is over, of those that have come."""
        while self._coming and self._coming[-1].start <= now:
            each = self._coming.pop()
            self._inside["\0".join(f"{name}={value}" for name, value in sorted(each.labels.items()))] = each
            heapq.heappush(self._ends, each.end)
        resolved = frozenset(name for name, each in self._inside.items() if each.end <= now)
        return frozenset(self._inside) - resolved, resolved

    def forget(self, names: Iterable[str]) -> None:
        """They were told as over."""
        for name in names:
            del self._inside[name]

    def next_change(self, now: float) -> float:
        """When the next one comes or ends after `now`; never: infinity."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        begins = self._coming[-1].start if self._coming else float("inf")
        return min(begins, self._ends[0] if self._ends else float("inf"))

    def left(self) -> list[Fired]:
        """Those that have not come."""
        return self._coming[::-1]

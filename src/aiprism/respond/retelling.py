"""Which notifications alerts of the past would have been: what fires together is told together, and again only in its time.

In: the routing tree and when alerts would have fired (`hindsight.Fired`). Out: `Telling`s, by the rules of `group`, or how many
of them each receiver would have had. Hours of a route hold back as they do; inhibition, silences and what incidents keep back
are not known of a time that was not so, and are left out. Pure.

A group is looked at when something begins or ends, and at each interval while its route is quiet: how often it is told again of
what does not change is worked out. A count that takes too many looks ends, and says that it is the least that it can be.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiprism.model.labels import Labels
from aiprism.respond import group as groups
from aiprism.respond.channels.post import Integration
from aiprism.respond.group import Group, Told, Why
from aiprism.respond.hindsight import Fired
from aiprism.respond.known import label_text
from aiprism.respond.route import Route, Routing


@dataclass(frozen=True, slots=True)
class Telling:
    """A notification of one group: to whom, when, why, and of how many alerts that fired and were over. Where nothing changes it
    is told `times`, each `every` seconds after the one before."""

    receiver: str
    route: str  # Route.id
    at: float
    why: Why
    firing: int
    resolved: int
    times: int = 1
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """How often a receiver would have been told, by the reason; `channels` are none where nobody would have heard of it. It was
    so often at least where it is not whole: there was too much to count."""

    name: str
    channels: tuple[str, ...]
    times: Mapping[Why, int]
    is_whole: bool = True

    @property
    def count(self) -> int:
        """Of all reasons."""
        return sum(self.times.values())


def _go_on() -> None:
    """Whoever asked waits for as long as it takes."""


def told(routing: Routing, fired: Sequence[Fired], until: float) -> list[Telling]:
    """The notifications up to `until`, by their first time. What fires until then is not over."""
    looks = _Looks(math.inf, _go_on)
    found = [
        telling
        for inside in _insides(routing, [fired], _go_on)
        for telling in _told_of(routing, inside, inside.alerts, until, looks)
    ]
    return sorted(found, key=lambda telling: telling.at)


def receivers(
    routing: Routing,
    rules: Sequence[Sequence[Fired]],
    until: float,
    going: Callable[[], object] = _go_on,
    most_looks: float = math.inf,
) -> tuple[list[list[Receiver]], list[Receiver]]:
    """Who would have been told, and how often, of what each of `rules` fired alone, and of all of it: alerts of one group are told
    together, whatever rule they are of. First who is told most; a receiver whose route took an alert and never came to tell of
    it is there with nothing.

    `going` is called over and over, and raises when nobody waits for the answer; each count takes `most_looks` at most.
    """
    alone = [_Tally(_Looks(most_looks, going)) for _ in rules]
    together = _Tally(_Looks(most_looks, going))
    for inside in _insides(routing, rules, going):
        for rule, alerts in inside.by_rule.items():
            counted = alone[rule].count(routing, inside, alerts, until)
        if len(inside.by_rule) == 1:
            together.add(inside.route.receiver, *counted)
        else:
            together.count(routing, inside, inside.alerts, until)
    return [each.receivers(routing) for each in alone], together.receivers(routing)


# -- counting --------------------------------------------------------------------------------------------------------


class _Looks:
    """How many looks there may still be; each asks whether anybody waits."""

    def __init__(self, most: float, going: Callable[[], object]) -> None:
        self._left, self._going = most, going
        self.are_over = False  # more were wanted than there may be

    def another(self) -> bool:
        """Whether there may be one more, which is counted."""
        self._going()
        self.are_over = self._left <= 0
        self._left -= 1
        return not self.are_over


class _Tally:
    """How often each receiver is told, over groups."""

    def __init__(self, looks: _Looks) -> None:
        self._looks = looks
        self._times: dict[str, Counter[Why]] = {}
        self._cut: set[str] = set()

    def count(
        self, routing: Routing, inside: _Inside, alerts: Sequence[_Alert], until: float
    ) -> tuple[Counter[Why], bool]:
        """How often a group is told of these alerts, and whether that is all."""
        times: Counter[Why] = Counter()
        for telling in _told_of(routing, inside, alerts, until, self._looks):
            times[telling.why] += telling.times
        is_whole = not self._looks.are_over
        self.add(inside.route.receiver, times, is_whole)
        return times, is_whole

    def add(self, receiver: str, times: Counter[Why], is_whole: bool) -> None:
        self._times.setdefault(receiver, Counter()).update(times)
        if not is_whole:
            self._cut.add(receiver)

    def receivers(self, routing: Routing) -> list[Receiver]:
        named = [
            Receiver(name, tuple(each.channel for each in routing.integrations(name)), times, name not in self._cut)
            for name, times in self._times.items()
        ]
        return sorted(named, key=lambda each: -each.count)


# -- groups ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Alert:
    name: str  # its labels
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class _Inside:
    """What comes into one group of a route, by the number of the rule that it is of."""

    route: Route
    labels: Labels
    by_rule: dict[int, list[_Alert]] = field(default_factory=dict)

    @property
    def alerts(self) -> list[_Alert]:
        return [alert for alerts in self.by_rule.values() for alert in alerts]


def _insides(routing: Routing, rules: Sequence[Sequence[Fired]], going: Callable[[], object]) -> Iterable[_Inside]:
    """The groups that take what fired. What has the same labels goes the same ways, which are looked for once."""
    found: dict[tuple[str, Labels], _Inside] = {}
    ways: dict[Labels, tuple[str, list[_Inside]]] = {}
    for rule, fired in enumerate(rules):
        for each in fired:
            going()
            labels = Labels(each.labels)
            if labels not in ways:
                into = [(route, groups.labels_of(route, labels)) for route in routing.root.matching(labels)]
                ways[labels] = (
                    label_text(labels),
                    [found.setdefault((route.id, key), _Inside(route, key)) for route, key in into],
                )
            name, insides = ways[labels]
            for inside in insides:
                inside.by_rule.setdefault(rule, []).append(_Alert(name, each.start, each.end))
    return found.values()


def _told_of(
    routing: Routing, inside: _Inside, alerts: Sequence[_Alert], until: float, looks: _Looks
) -> Iterator[Telling]:
    """One group from its first alert on. It is forgotten when all of it is over and told, and begins anew with the next one."""
    route = inside.route
    has_hours = bool(route.mute_time_intervals or route.active_time_intervals)
    period, repetition = _repetition(route)
    last: dict[int, Told] = {}  # by the number of the integration
    integrations = routing.integrations(route.receiver) or (None,)  # one that has no channel is told as if it had
    members = _Members(alerts)
    while (start := members.next_change()) <= until:
        group = groups.begun(route, inside.labels, start)
        while True:
            now = group.next_at
            if now > until or not looks.another():
                return
            firing, resolved = members.at(now)
            quiet = has_hours and bool(routing.muting(route, now))
            reasons = [] if quiet else list(_reasons(route, integrations, last, firing, resolved, now))
            if reasons:
                yield Telling(route.receiver, route.id, now, reasons[0], len(firing), len(resolved))
            if not firing:
                break
            change = members.next_change()
            if not has_hours:
                for at, times in _repeated(last, firing, period, change, until):
                    yield Telling(route.receiver, route.id, at, repetition, len(firing), 0, times, period)
            elif not quiet:
                # The hours may hold back what is told again: each time is looked at.
                change = min(change, *(known.at + _least_until_again(route) for known in last.values()))
            group = _next(group, route, now, now if quiet else min(change, until))


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
        why = _reason(route, last.get(number), firing, resolved, send_resolved, now)
        if why is None:
            continue
        last[number] = Told(firing, resolved, now)
        if firing or send_resolved:  # else it is only noted
            yield why


def _reason(
    route: Route,
    known: Told | None,
    firing: frozenset[str],
    resolved: frozenset[str],
    send_resolved: bool,
    now: float,
) -> Why | None:
    """By the rules of `group`, of what is not forgotten by now."""
    if known is not None and groups.log_expiry(route, known.at) <= now:
        known = None
    return groups.reason(known, firing, resolved, send_resolved=send_resolved, repeat=route.repeat_interval, now=now)


def _least_until_again(route: Route) -> float:
    """Seconds before which nobody is told again of what does not change: its time has come, or it is forgotten what was told."""
    return min(route.repeat_interval, groups.log_expiry(route, 0.0))


def _repetition(route: Route) -> tuple[float, Why]:
    """How many seconds after it was told a group is told again of what did not change, and why."""
    known = Told(frozenset({""}), frozenset(), 0.0)
    beats = max(1, math.floor(_least_until_again(route) / route.group_interval))
    while (why := _reason(route, known, known.firing, known.resolved, True, beats * route.group_interval)) is None:
        beats += 1
    return beats * route.group_interval, why


def _repeated(
    last: dict[int, Told], firing: frozenset[str], period: float, change: float, until: float
) -> Iterator[tuple[float, int]]:
    """When it is told again first, and how often, before `change` and up to `until`: each integration in its own time, and those
    that were told together together. That is noted."""
    for at in sorted({known.at for known in last.values()}):
        times = int((until - at) // period) if change > until else math.ceil((change - at) / period) - 1
        if times <= 0:
            continue
        yield at + period, times
        for number, known in last.items():
            if known.at == at:
                last[number] = Told(firing, frozenset(), at + times * period)


def _next(group: Group, route: Route, now: float, wanted: float) -> Group:
    """The group at its first look from `wanted` on: those between are like the one before."""
    following = groups.after_flush(group, route, now)
    beats = max(0, math.ceil((wanted - following.next_at) / route.group_interval))
    return replace(following, next_at=following.next_at + beats * route.group_interval)


class _Members:
    """The alerts of a group, as they come and end: each by its labels, the last that began with them."""

    def __init__(self, alerts: Iterable[_Alert]) -> None:
        self._coming = sorted(alerts, key=lambda each: each.start)[::-1]  # the next one at the end
        self._until: dict[str, float] = {}  # when what fires ends
        self._ends: list[tuple[float, str]] = []
        self._firing: frozenset[str] = frozenset()

    def at(self, now: float) -> tuple[frozenset[str], frozenset[str]]:
        """What fires, and what is over since the look before: it is told so once, and forgotten."""
        if self.next_change() > now:
            return self._firing, frozenset()
        while self._coming and self._coming[-1].start <= now:
            each = self._coming.pop()
            self._until[each.name] = each.end
            heapq.heappush(self._ends, (each.end, each.name))
        resolved = set()
        while self._ends and self._ends[0][0] <= now:
            end, name = heapq.heappop(self._ends)
            if self._until.get(name) == end:  # else it began anew
                del self._until[name]
                resolved.add(name)
        if not self._until:
            self._ends.clear()  # of what began anew, and is over
        self._firing = frozenset(self._until)
        return self._firing, frozenset(resolved)

    def next_change(self) -> float:
        """When the next one comes or ends after the last look; never: infinity."""
        begins = self._coming[-1].start if self._coming else math.inf
        return min(begins, self._ends[0][0] if self._ends else math.inf)

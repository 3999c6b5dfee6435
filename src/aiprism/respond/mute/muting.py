"""Who keeps an alert from being told: inhibition by other alerts, silences, and the hours of its route.

In: label sets, the alerts that fire, silences, the moment. Out: what mutes an alert, by name. Nothing here knows what is
muted of a notification; that is `notify`'s. Pure.
Source: inhibit/inhibit.go and silence/silence.go of Alertmanager 0.25.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiprism.model.labels import Labels, Matcher, matches_all
from aiprism.respond.known import Known
from aiprism.respond.mute.hours import TimeInterval, holding
from aiprism.respond.mute.silences import Silence


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """While an alert of `source` fires, those of `target` that have the same values of `equal` are not told."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def shared(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """What source and target must have in common; a label that is missing equals an empty one."""
        return tuple(labels.get(name, "") for name in self.equal)


@dataclass(slots=True)
class _Sources:
    """The alerts that fire on the source side of one rule, by what they share with their targets."""

    rule: InhibitRule
    all: dict[tuple[str, ...], Known] = field(default_factory=dict)
    # Of those the ones that are no targets themselves: only they inhibit an alert that is on both sides.
    pure: dict[tuple[str, ...], Known] = field(default_factory=dict)

    def add(self, alert: Known) -> None:
        if not matches_all(self.rule.source, alert.labels):
            return
        shared = self.rule.shared(alert.labels)
        self.all.setdefault(shared, alert)
        if not matches_all(self.rule.target, alert.labels):
            self.pure.setdefault(shared, alert)

    def muting(self, labels: Labels) -> Known | None:
        if not matches_all(self.rule.target, labels):
            return None
        sources = self.pure if matches_all(self.rule.source, labels) else self.all
        return sources.get(self.rule.shared(labels))


class Inhibition:
    """What inhibits what among the alerts that fire now. One pass over them makes it, each question is a look-up."""

    def __init__(self, rules: Sequence[InhibitRule], alerts: Iterable[Known], now: float) -> None:
        self._sources = [_Sources(rule) for rule in rules]
        for alert in alerts if rules else ():
            for sources in () if alert.over(now) else self._sources:
                sources.add(alert)

    def by(self, labels: Labels) -> Known | None:
        """The alert that inhibits one with these labels, or None."""
        return next((found for sources in self._sources if (found := sources.muting(labels)) is not None), None)


def silenced_by(labels: Labels, silences: Iterable[Silence], now: float) -> tuple[str, ...]:
    """The ids of the silences that hold for these labels at `now`, in order."""
    return tuple(sorted(each.id for each in silences if each.active(now) and matches_all(each.matchers, labels)))


def hours_muting(
    mute: Sequence[str], active: Sequence[str], intervals: Mapping[str, tuple[TimeInterval, ...]], now: float
) -> tuple[str, ...]:
    """The names of the time intervals that keep a route quiet at `now`: mute times it is in, or active times it is not."""
    if active and not holding(active, intervals, now):
        return tuple(active)
    return holding(mute, intervals, now)

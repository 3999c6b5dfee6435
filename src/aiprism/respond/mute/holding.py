"""Everything that may keep an alert from being told at one moment, and the words for it.

In: what is configured, the alerts that fire, silences, maintenance windows. Out: for an alert on its route the reason of
each stage that would hold it back, or an empty string. The stages of a flush and what is shown to those who look ask
here, so that they cannot differ. Pure but for `gathered`, which reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection

from aiprism import yamlfile
from aiprism.model.labels import Matcher, MatchOp, matches_all
from aiprism.respond.keeping import known_of, silence_of, window_of
from aiprism.respond.known import Known, label_text
from aiprism.respond.mute import maintenance, suppress
from aiprism.respond.mute.maintenance import Window
from aiprism.respond.mute.muting import Inhibition, silenced_by
from aiprism.respond.mute.silences import Silence
from aiprism.respond.mute.suppress import Suppress, Suppression
from aiprism.respond.route import Route, Routing
from aiprism.services import Catalogue
from aiprism.store import alerting, held
from aiprism.yamlfile import Node

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")  # names that need no quoting in a path of JSON


@dataclass(frozen=True, slots=True)
class Planned:
    """What maintenance.yml says."""

    windows: tuple[Window, ...] = ()
    rules: tuple[Suppress, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds alerts back at `now`. Each method is a stage's: the reason in words, empty for an alert that may pass."""

    now: float
    routing: Routing
    inhibition: Inhibition
    silences: Sequence[Silence]
    windows: Sequence[Window]  # those that hold
    suppression: Suppression

    def inhibited(self, alert: Known, _route: Route | None = None) -> str:
        """Another alert inhibits it."""
        by = self.inhibition.by(alert.labels)
        return f"inhibited by {label_text(by.labels)}" if by else ""

    def hours(self, _alert: Known, route: Route) -> str:
        """The route is quiet by its time intervals."""
        return ", ".join(self.routing.muting(route, self.now))

    def silenced(self, alert: Known, _route: Route | None = None) -> str:
        """A silence holds for it."""
        by = silenced_by(alert.labels, self.silences, self.now)
        return f"silence {', '.join(by)}" if by else ""

    def maintained(self, alert: Known, _route: Route | None = None) -> str:
        """Something is worked on that it is about."""
        return ", ".join(f"maintenance:{each.name}" for each in self.windows if each.accepts(alert.labels))

    def suppressed(self, alert: Known, _route: Route | None = None) -> str:
        """A suppression rule says that it is not worth telling."""
        return self.suppression.why(alert)


Hold: TypeAlias = Callable[[Holding, Known, Route], str]

# In the order of `pipeline.FLUSH`: the first that gives a reason is the stage that holds an alert back.
HOLDS: tuple[tuple[str, Hold], ...] = (
    ("inhibited", Holding.inhibited),
    ("hours", Holding.hours),
    ("silenced", Holding.silenced),
    ("maintenance", Holding.maintained),
    ("suppressed", Holding.suppressed),
)


def gathered(
    connection: Connection,
    routing: Routing,
    planned: Planned,
    services: Catalogue,
    now: float,
    *,
    coming: Collection[Known] = (),
) -> Holding:
    """What holds alerts back at `now`; `coming` are alerts that are not written yet: if there are some, only they are
    asked about."""
    sources = _sources(routing, planned, coming)
    rows = alerting.unfinished_alerts(connection, now, having=_having(sources)) if sources else []
    firing = {row["fingerprint"]: known_of(row) for row in rows} | {each.fingerprint: each for each in coming}
    return Holding(
        now=now,
        routing=routing,
        inhibition=Inhibition(routing.inhibit, firing.values(), now),
        silences=[silence_of(row) for row in alerting.silences_not_over(connection, now)],
        windows=[each for each in windows(connection, planned) if each.holding(now)],
        suppression=Suppression(planned.rules, firing.values(), services, now),
    )


def _sources(routing: Routing, planned: Planned, asked: Collection[Known]) -> list[tuple[Matcher, ...]]:
    """Which alerts have a say in whether those that are asked about are held back; of none, in whether any is."""

    def concerned(target: tuple[Matcher, ...]) -> bool:
        return not asked or any(matches_all(target, each.labels) for each in asked)

    depending = (rule for rule in planned.rules if rule.dependency_down)
    return [
        *(rule.source for rule in routing.inhibit if concerned(rule.target)),
        *(rule.down for rule in depending if concerned(rule.matchers)),
    ]


def _having(sources: Iterable[tuple[Matcher, ...]]) -> list[dict[str, str]] | None:
    """The labels by which alerts of these are found, or more than them; None where only looking at all will do."""
    found = [
        {
            each.name: each.value
            for each in matchers
            if each.op is MatchOp.EQUAL and each.value and _PLAIN.fullmatch(each.name)
        }
        for matchers in sources
    ]
    return found if all(found) else None


def nothing(routing: Routing, now: float) -> Holding:
    """What holds back where nothing is configured but the hours of routes."""
    return Holding(now, routing, Inhibition((), (), now), (), (), Suppression((), (), Catalogue(), now))


def windows(connection: Connection, planned: Planned) -> list[Window]:
    """The windows of the file and those that were asked for."""
    return [*planned.windows, *(window_of(row) for row in held.window_rows(connection))]


def load(path: Path) -> Planned:
    """What `path`, a maintenance.yml, says; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path))


def read(root: Node) -> Planned:
    """What a maintenance.yml document says."""
    root.fields("maintenance", "suppress")
    return Planned(maintenance.read(root["maintenance"]), suppress.read(root["suppress"]))

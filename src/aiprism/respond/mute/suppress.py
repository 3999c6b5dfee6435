"""Suppression rules: alerts that are not worth telling, and the reason that is shown for it.

In: the rules under `suppress` of maintenance.yml, the alerts that fire, the catalogue of services. Out: why an alert is
held back, by name of the rule, or an empty string. Pure. Inhibition between alerts is alertmanager.yml's `inhibit_rules`;
here stands what that cannot say: alerts that must be older first, and those whose service has a dependency that is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiprism.model.labels import Labels, Matcher, matches_all
from aiprism.model.timerange import format_duration
from aiprism.respond import matcher
from aiprism.respond.known import Known
from aiprism.respond.subject import Kind, kind_of, service_of
from aiprism.services import Catalogue
from aiprism.yamlfile import Node

_FIELDS = ("name", "matchers", "reason", "until", "younger_than", "dependency_down", "down")


@dataclass(frozen=True, slots=True)
class Suppress:
    """Alerts of `matchers` are held back while everything else it names is so, too."""

    name: str
    matchers: tuple[Matcher, ...]
    reason: str
    until: float | None = None  # it is of no account from then on
    younger_than: float | None = None  # seconds an alert must have fired before it is told
    dependency_down: bool = False
    down: tuple[Matcher, ...] = ()  # which alerts say that a service is down; none: those whose name speaks of it

    def says_down(self, labels: Labels) -> bool:
        """Whether an alert with these labels says that its service is down."""
        return matches_all(self.down, labels) if self.down else kind_of(labels) is Kind.AVAILABILITY


class Suppression:
    """What the rules hold back among the alerts that fire now. Each question is a look-up."""

    def __init__(self, rules: Sequence[Suppress], alerts: Iterable[Known], services: Catalogue, now: float) -> None:
        self.rules = [rule for rule in rules if rule.until is None or now < rule.until]
        self._services, self._now = services, now
        asking = [rule for rule in self.rules if rule.dependency_down]
        firing = [alert for alert in alerts if not alert.over(now)] if asking else []
        self._down = {rule.name: self._first_down(rule, firing) for rule in asking}

    def why(self, alert: Known) -> str:
        """Why the alert is held back, or an empty string."""
        for rule in self.rules:
            if matches_all(rule.matchers, alert.labels) and (why := self._held(rule, alert)):
                return why
        return ""

    def _held(self, rule: Suppress, alert: Known) -> str:
        said = f"{rule.name}: {rule.reason}"
        if rule.younger_than is not None:
            if self._now - alert.starts_at >= rule.younger_than:
                return ""
            said += f" (younger than {format_duration(rule.younger_than)})"
        if rule.dependency_down:
            root = self._root(rule, alert)
            if root is None:
                return ""
            since = datetime.fromtimestamp(root.starts_at, UTC).strftime("%H:%M:%S UTC")
            said += f" ({service_of(root.labels)} is down: {root.labels.get('alertname', '')} fires since {since})"
        return said

    def _first_down(self, rule: Suppress, firing: Iterable[Known]) -> dict[str, Known]:
        """Service → the alert that said first that it is down."""
        found: dict[str, Known] = {}
        for alert in sorted(firing, key=lambda each: (each.starts_at, each.fingerprint)):
            service = self._services.named(service_of(alert.labels))
            if service is not None and rule.says_down(alert.labels):
                found.setdefault(service.name, alert)
        return found

    def _root(self, rule: Suppress, alert: Known) -> Known | None:
        down = self._down[rule.name]
        beneath = self._services.beneath(service_of(alert.labels)) & down.keys()
        # The deepest of those that are down: what stands beneath another one that is down is nearer to the cause.
        roots = [name for name in beneath if not self._services.beneath(name) & down.keys()]
        return min((down[name] for name in roots), key=lambda each: (each.starts_at, each.fingerprint), default=None)


def read(node: Node) -> tuple[Suppress, ...]:
    """The list under `suppress`; ConfigError with file:line and the fix."""
    rules: dict[str, Suppress] = {}
    for item in node.items():
        rule = _rule(item.fields(*_FIELDS))
        if rule.name in rules:
            raise item.error(f"suppression rule {rule.name!r} stands twice")
        rules[rule.name] = rule
    return tuple(rules.values())


def _rule(node: Node) -> Suppress:
    matchers = matcher.read(node["matchers"])
    if not matchers:
        raise node.error("a suppression rule needs `matchers`: which alerts it holds back")
    reason = node["reason"].text()
    if not reason.strip():
        raise node["reason"].error("say why: this text is shown for everything that is held back")
    return Suppress(
        name=node["name"].text(),
        matchers=matchers,
        reason=reason,
        until=_until(node["until"]),
        younger_than=node["younger_than"].seconds() if node["younger_than"] else None,
        dependency_down=node["dependency_down"].flag(False),
        down=_down(node),
    )


def _down(node: Node) -> tuple[Matcher, ...]:
    if node["down"] and not node["dependency_down"].flag(False):
        raise node["down"].error("`down` says which alerts count for `dependency_down: true`, which is not set")
    return matcher.read(node["down"])


def _until(node: Node) -> float | None:
    if not node:
        return None
    try:
        found = datetime.fromisoformat(node.text())
    except ValueError:
        raise node.error(f"{node.text()!r} is no time; write for example 2026-12-31T18:00Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

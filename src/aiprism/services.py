"""The catalogue of services: who owns one, how much it matters, how it is repaired, and what it depends on.

In: `services.yml`, named by `respond.services`. Out: a frozen `Catalogue` that is asked by the name alerts and telemetry
use. Whoever needs to know about services (messages, correlation, suppression, the service map) asks here; nothing here
knows about them.

    services:
      checkout:
        owner: ann@example.com
        tier: 1
        dependencies: [postgres]
      postgres: {}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiprism import yamlfile
from aiprism.yamlfile import Node

_FIELDS = (
    "description", "kind", "owner", "team", "tier", "repository", "runbook", "aliases", "dependencies", "channels",
)  # fmt: skip
_TIERS = range(5)
KINDS = ("service", "database", "queue", "model", "external")


@dataclass(frozen=True, slots=True)
class Service:
    """One service as it was declared; what was not said is empty."""

    name: str
    description: str = ""
    owner: str = ""
    team: str = ""
    tier: int | None = None  # 0 matters most
    repository: str = ""
    runbook: str = ""
    aliases: tuple[str, ...] = ()  # what telemetry calls it besides
    dependencies: tuple[str, ...] = ()
    channels: Mapping[str, str] = field(default_factory=dict)  # where its people are: slack → "#payments"
    kind: str = ""  # one of KINDS


class Catalogue:
    """Every declared service.

    >>> found = Catalogue([Service("shop", aliases=("shop-api",), dependencies=("db",)), Service("db")])
    >>> found.named("shop-api").name, found.related("db", "shop"), found.beneath("shop")
    ('shop', True, frozenset({'db'}))
    """

    def __init__(self, services: Iterator[Service] | list[Service] | tuple[Service, ...] = ()) -> None:
        self._services = {service.name: service for service in services}
        self._named = {alias: each for each in self._services.values() for alias in (*each.aliases, each.name)}
        self._reached = {name: frozenset(self._reach(name)) for name in self._services}

    def __len__(self) -> int:
        return len(self._services)

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())

    def named(self, name: str) -> Service | None:
        """The service of that name or alias, or None."""
        return self._named.get(name)

    @property
    def aliases(self) -> Mapping[str, str]:
        """What telemetry calls services besides, with the name of each."""
        return {alias: each.name for each in self._services.values() for alias in each.aliases}

    def related(self, one: str, other: str) -> bool:
        """Whether the two names mean one service, or two of which one depends directly on the other."""
        first, second = self.named(one), self.named(other)
        if first is None or second is None:
            return False
        return first is second or second.name in first.dependencies or first.name in second.dependencies

    def beneath(self, name: str) -> frozenset[str]:
        """The names of what a service depends on, directly or not; of services that depend on each other none stands
        beneath the other."""
        service = self.named(name)
        if service is None:
            return frozenset()
        below = self._reached[service.name]
        return frozenset(each for each in below if service.name not in self._reached[each])

    def _reach(self, name: str) -> set[str]:
        found: set[str] = set()
        ahead = list(self._services[name].dependencies)
        while ahead:
            each = ahead.pop()
            if each not in found:
                found.add(each)
                ahead += self._services[each].dependencies
        return found


def load(path: Path) -> Catalogue:
    """The catalogue in `path`; ConfigError with file:line and the fix."""
    return read(yamlfile.read(path))


def read(root: Node) -> Catalogue:
    """The catalogue in a services.yml document."""
    nodes = root.fields("services")["services"].entries()
    services = [_service(name, node) for name, node in nodes.items()]
    _check_names(services, nodes)
    for service in services:
        for at, wanted in enumerate(service.dependencies):
            if wanted not in nodes:
                raise (
                    nodes[service.name]["dependencies"]
                    .items()[at]
                    .error(
                        f"service {service.name!r} depends on {wanted!r}, which is not declared; add `{wanted}: {{}}`"
                    )
                )
    return Catalogue(services)


def _service(name: str, node: Node) -> Service:
    node.fields(*_FIELDS)
    tier = node["tier"].integer() if node["tier"] else None
    if tier is not None and tier not in _TIERS:
        raise node["tier"].error(f"a tier is a number from 0 (matters most) to 4, not {tier}")
    kind = node["kind"].text("")
    if kind and kind not in KINDS:
        raise node["kind"].error(f"a kind is one of {', '.join(KINDS)}, not {kind!r}")
    return Service(
        name=name,
        kind=kind,
        **{key: node[key].text("") for key in ("description", "owner", "team", "repository", "runbook")},
        tier=tier,
        aliases=tuple(node["aliases"].texts()),
        dependencies=tuple(item.text() for item in node["dependencies"].items()),
        channels=node["channels"].mapping(),
    )


def _check_names(services: list[Service], nodes: Mapping[str, Node]) -> None:
    owners = {service.name: service.name for service in services}
    for service in services:
        for alias in service.aliases:
            if alias in owners:
                raise nodes[service.name]["aliases"].error(f"{alias!r} is already a name of {owners[alias]!r}")
            owners[alias] = service.name

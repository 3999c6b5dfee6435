"""Systems of services as they grow in companies: gateways, frontends, domains with services, workers and stores of their own,
platform services that everybody calls, models and foreign APIs. Made from a seed, so that a storm can be repeated.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

DOMAINS = (
    "orders", "payments", "catalog", "search", "users", "shipping", "documents", "analysis", "billing", "messages",
    "reports", "pricing", "returns", "loyalty", "content", "media",
)  # fmt: skip
PLATFORM = ("auth", "config", "notifications", "audit-log", "feature-flags", "rate-limiter")


@dataclass(frozen=True)
class System:
    """Services with their kind and domain, and who calls whom."""

    kinds: Mapping[str, str]
    domains: Mapping[str, str]
    calls: frozenset[tuple[str, str]]

    @cached_property
    def callers(self) -> Mapping[str, frozenset[str]]:
        return _gathered((callee, caller) for caller, callee in self.calls)

    @cached_property
    def callees(self) -> Mapping[str, frozenset[str]]:
        return _gathered(self.calls)

    def above(self, service: str) -> Mapping[str, int]:
        """Who calls a service, directly or not, and over how many calls."""
        return _reached(self.callers, service)

    def beneath(self, service: str) -> Mapping[str, int]:
        """Whom a service calls, directly or not."""
        return _reached(self.callees, service)

    def telling(self, share: float, dice: random.Random) -> frozenset[str]:
        """The services that send spans, if this part of them does."""
        return frozenset(each for each in sorted(self.kinds) if dice.random() < share)


def _gathered(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        found[one].add(other)
    return {name: frozenset(others) for name, others in found.items()}


def _reached(edges: Mapping[str, frozenset[str]], start: str) -> Mapping[str, int]:
    found, ahead = {start: 0}, [start]
    while ahead:
        at = ahead.pop(0)
        for each in sorted(edges.get(at, ())):
            if each not in found:
                found[each] = found[at] + 1
                ahead.append(each)
    del found[start]
    return found


def system(size: int, dice: random.Random) -> System:
    """About `size` services in tiers."""
    kinds: dict[str, str] = {}
    domains: dict[str, str] = {}
    calls: set[tuple[str, str]] = set()

    def made(name: str, kind: str, domain: str) -> str:
        kinds[name], domains[name] = kind, domain
        return name

    gateways = [made(f"gateway-{name}", "service", "edge") for name in ("web", "api")]
    fronts = [made(f"{name}-frontend", "service", "edge") for name in ("shop", "mobile", "partner", "admin")]
    calls |= {(gateways[0 if at < 2 else 1], front) for at, front in enumerate(fronts)}
    platform = [made(name, "service", "platform") for name in PLATFORM]
    shared = [made(name, "store", "platform") for name in ("kafka", "redis-sessions", "postgres-shared")]
    calls |= {("auth", "redis-sessions"), ("config", "postgres-shared"), ("audit-log", "kafka")}
    chosen = DOMAINS[: max(2, min(len(DOMAINS), size // 12))]
    rest = size - len(kinds)
    for at, domain in enumerate(chosen):
        count = rest // len(chosen) + (at < rest % len(chosen))
        _domain(domain, count, made, calls, dice)
    entries = [f"{domain}-api" for domain in chosen]
    for front in fronts:
        calls |= {(front, each) for each in dice.sample(entries, k=max(1, len(entries) // 2))}
    calls |= {(dice.choice(fronts), each) for each in entries if not any((front, each) in calls for front in fronts)}
    services = [name for name, kind in sorted(kinds.items()) if kind == "service" and domains[name] in chosen]
    for each in services:
        if dice.random() < 0.18:  # from one domain into another, downwards only: calls have no circles here
            other = dice.choice(entries)
            if entries.index(other) > chosen.index(domains[each]):
                calls.add((each, other))
        calls |= {(each, hub) for hub in platform if dice.random() < 0.12}
        calls |= {(each, store) for store in shared if dice.random() < 0.08}
    calls |= {(gateway, "auth") for gateway in gateways} | {(gateway, "rate-limiter") for gateway in gateways}
    return System(kinds, domains, frozenset(calls))


def _domain(
    domain: str, count: int, made: Callable[[str, str, str], str], calls: set[tuple[str, str]], dice: random.Random
) -> None:
    """An entry, services below it in a tree of at most three calls, and the stores they keep their data in."""
    stores = max(1, count // 5)
    entry = made(f"{domain}-api", "service", domain)
    levels = [[entry], [], []]
    for at in range(max(0, count - 1 - stores)):
        name = made(f"{domain}-{'worker' if at % 4 == 3 else 'service'}-{at + 1}", "service", domain)
        level = 0 if not levels[1] else dice.choice((0, 0, 1))
        calls.add((dice.choice(levels[level]), name))
        levels[level + 1].append(name)
    kinds = ["store"] * stores
    if dice.random() < 0.4:
        kinds[-1] = "model" if dice.random() < 0.5 else "external"
    below = [each for level in levels for each in level]
    for at, kind in enumerate(kinds):
        names = {"store": f"{domain}-db-{at + 1}", "model": f"{domain}-model", "external": f"{domain}-partner-api"}
        store = made(names[kind], kind, domain)
        users = dice.sample(below, k=min(len(below), dice.randint(1, 4)))
        calls.update((each, store) for each in users)

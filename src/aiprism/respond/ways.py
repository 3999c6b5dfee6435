"""By which way two services are related: one calls the other, over so many calls, or both call a third.

In: who calls whom, as declared or seen (`learn/topology` hands it over), and under which names services are known. Out: `Way`s,
with the path that says why. Directions matter to `correlate`: a fault spreads from who is called to who calls. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import pairwise

from aiprism.services import Catalogue

FARTHEST = 8  # calls: no cascade is deeper, and a circle is not walked for ever


class Direction(Enum):
    """How the other service stands to the one."""

    SAME = "same"
    CALLS = "calls"  # the one calls the other, so it suffers from it
    CALLED = "called"  # the other calls the one
    BOTH = "both"  # each calls the other, by whatever ways
    SHARES = "shares"  # both call a third


@dataclass(frozen=True, slots=True)
class Way:
    """From one service to another over `hops` calls; `path` has both ends, `known` says how its calls are known."""

    direction: Direction
    hops: int
    path: tuple[str, ...]
    known: str = ""  # declared, seen, or both words

    def __str__(self) -> str:
        if self.direction is Direction.SHARES:
            return " → ".join(self.path[:2]) + f" ← {self.path[2]}"
        return " → ".join(self.path)


@dataclass(frozen=True)
class Ways:
    """Who calls whom: (caller, callee) → how that is known. `naming` gives the name under which a service stands here, `blind`
    are services of which nobody knows whom they call: they send no spans, and nothing is declared.

    >>> ways = Ways({("web", "api"): "seen", ("api", "db"): "declared"})
    >>> str(ways.between("web", "db")), ways.between("db", "web").direction, ways.between("web", "mail")
    ('web → api → db', <Direction.CALLED: 'called'>, None)
    """

    calls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    naming: Callable[[str], str] | None = None
    blind: frozenset[str] = frozenset()
    _found: dict[tuple[str, str], Way | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    _names: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def named(self, name: str) -> str:
        """The name of a service here; one that nobody knows has its own."""
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = (self.naming(name) if self.naming and name else "") or name
        return known

    def between(self, one: str, other: str) -> Way | None:
        """How two services, by their names here, are related: as caller and callee at most `FARTHEST` calls apart."""
        key = (one, other)
        if key not in self._found:
            self._found[key] = self._between(one, other)
        return self._found[key]

    def callees(self, name: str) -> frozenset[str]:
        """Whom a service calls."""
        return self._callees.get(name, frozenset())

    def callers(self, name: str) -> frozenset[str]:
        """Who calls a service."""
        return self._callers.get(name, frozenset())

    def deepest(self, names: Iterable[str]) -> set[str]:
        """Those of these services that suffer from no other of them.

        >>> sorted(Ways({("web", "api"): "seen", ("api", "db"): "seen"}).deepest(["web", "db", "mail"]))
        ['db', 'mail']
        """
        every = {*names}
        return {each for each in every if not any(self._suffers(each, other) for other in every)}

    def _suffers(self, one: str, other: str) -> bool:
        way = self.between(one, other)
        return way is not None and way.direction is Direction.CALLS

    def beneath(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """What a service calls, directly or not, with the shortest path to each."""
        found = self._beneath.get(name)
        if found is None:
            found = self._beneath[name] = self._reached(name)
        return found

    def sharing(self, one: str, other: str, third: str) -> Way:
        """That both call a third."""
        return Way(Direction.SHARES, 2, (one, third, other), self._known([(one, third), (other, third)]))

    def _between(self, one: str, other: str) -> Way | None:
        if one == other:
            return Way(Direction.SAME, 0, (one,))
        down, up = self.beneath(one).get(other), self.beneath(other).get(one)
        if down is None and up is None:
            return None
        path = min((each for each in (down, up) if each), key=len)
        direction = Direction.BOTH if down and up else Direction.CALLS if down else Direction.CALLED
        return Way(direction, len(path) - 1, path, self._known(pairwise(path)))

    def _known(self, calls: Iterable[tuple[str, str]]) -> str:
        kinds = {word for call in calls for word in self.calls[call].split(" and ")}
        return " and ".join(sorted(kinds))

    def _reached(self, name: str) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {name: (name,)}
        ahead = [name]
        for _ in range(FARTHEST):
            ahead, edge = [], ahead
            for at in edge:
                for callee in sorted(self.callees(at)):
                    if callee not in found:
                        found[callee] = (*found[at], callee)
                        ahead.append(callee)
        del found[name]
        return found

    @cached_property
    def _callees(self) -> Mapping[str, frozenset[str]]:
        return _gathered((caller, callee) for caller, callee in self.calls)

    @cached_property
    def _callers(self) -> Mapping[str, frozenset[str]]:
        return _gathered((callee, caller) for caller, callee in self.calls)

    @cached_property
    def _beneath(self) -> dict[str, Mapping[str, tuple[str, ...]]]:
        return {}


def declared(catalogue: Catalogue) -> Ways:
    """The ways that services.yml declares."""

    def named(name: str) -> str:
        known = catalogue.named(name)
        return known.name if known else ""

    return Ways({(each.name, on): "declared" for each in catalogue for on in each.dependencies}, named)


def _gathered(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        found[one].add(other)
    return {name: frozenset(others) for name, others in found.items()}

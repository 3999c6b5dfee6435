"""Who depends on whom: what services.yml declares and what spans show, as one graph that is asked.

In: the catalogue, and who was seen calling whom. Out: a frozen `Topology`: its nodes and edges under the names of the
catalogue, a `networkx.DiGraph` of them (from who calls to who is called), and the questions that correlation and the
search for causes ask of it. Nothing here reads or waits: `survey` keeps one up to date.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiprism.model.servicemap import DATABASE, MESSAGING, SeenCall, SeenService
from aiprism.respond.ways import Ways
from aiprism.services import Catalogue, Service

if TYPE_CHECKING:
    import networkx as nx

# Fewer calls than this in the time that was looked at are noise: a probe, a mistake in an address, somebody at a terminal.
FEW = 10
# The edge of all addresses that are called too rarely to have their own (store/edges.py); it stands for nothing.
OTHERS = "(others)"
_KINDS = {DATABASE: "database", MESSAGING: "queue"}


@dataclass(frozen=True, slots=True)
class Node:
    """A service, or what services call. `signals` are what it sends itself, `seen_as` the names under which it does; first and
    last (Unix seconds) are None while nothing was seen of it."""

    name: str
    kind: str
    declared: Service | None = None
    signals: tuple[str, ...] = ()
    seen_as: tuple[str, ...] = ()
    items: int = 0  # spans, records and calls that show it
    first_seen: int | None = None
    last_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """That one calls another; `share` is the part of the caller's calls that go there, 0 where none were seen."""

    caller: str
    callee: str
    declared: bool = False
    connections: tuple[str, ...] = ()
    calls: int = 0
    errors: int = 0
    share: float = 0.0
    first_seen: int | None = None
    last_seen: int | None = None

    @property
    def seen(self) -> bool:
        """Whether it was seen, more often than by chance."""
        return self.calls >= FEW


@dataclass(frozen=True, slots=True)
class Affected:
    """Who suffers when a service fails: so many calls away, and what part of its calls ends there at most by one way."""

    name: str
    hops: int
    share: float


@dataclass(frozen=True)
class Topology:
    """Nodes by name, and edges by caller and callee. `version` grows with each one that differs from the one before."""

    catalogue: Catalogue = field(default_factory=Catalogue)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    edges: Mapping[tuple[str, str], Edge] = field(default_factory=dict)
    version: int = 0

    def named(self, name: str) -> str:
        """The name under which a node is known that somebody calls `name`, or an empty string. OpenTelemetry's `job` label has a
        namespace before the name, as in `shop/cart`."""
        for each in (name, name.rpartition("/")[2]):
            declared = self.catalogue.named(each)
            if declared is not None or each in self.nodes:
                return declared.name if declared else each
        return ""

    def related(self, one: str, other: str) -> bool:
        """Whether the two are one node, or one calls the other: as declared, or as seen."""
        first, second = self.named(one), self.named(other)
        if not first or not second:
            return False
        return first == second or (first, second) in self._near or (second, first) in self._near

    @cached_property
    def ways(self) -> Ways:
        """By which ways services are related. Blind are services that send no spans and of which no dependency is declared."""
        calls = {
            key: " and ".join(word for word, so in (("declared", edge.declared), ("seen", edge.seen)) if so)
            for key, edge in self.edges.items()
            if edge.declared or edge.seen
        }
        callers = {caller for caller, _ in calls}
        blind = (each for each in self.nodes.values() if each.kind == "service" and "traces" not in each.signals)
        return Ways(calls, self.named, frozenset(each.name for each in blind if each.name not in callers))

    def downstream(self, name: str, hops: int | None = None) -> Mapping[str, int]:
        """What a service calls, directly or not, and over how many calls; at most `hops` of them."""
        return self._reached(self.graph, name, hops)

    def upstream(self, name: str, hops: int | None = None) -> Mapping[str, int]:
        """Who calls a service, directly or not, and over how many calls."""
        return self._reached(self.graph.reverse(copy=False), name, hops)

    def path(self, caller: str, callee: str) -> tuple[str, ...]:
        """The shortest way of calls from one to the other, both included; of several the one with most traffic. Empty: none."""
        import networkx as nx

        first, last = self.named(caller), self.named(callee)
        # What all hops of a way can differ by is less than one hop more.
        weight = 1 / (1 + len(self.nodes))

        def length(_one: str, _other: str, edge: Mapping[str, Any]) -> float:
            return 1 + weight * (1 - float(edge["share"]))

        try:
            return tuple(nx.dijkstra_path(self.graph, first, last, length))
        except (nx.NetworkXNoPath, nx.NodeNotFound):
            return ()

    def circles(self) -> Sequence[tuple[str, ...]]:
        """Services that depend on each other (strongly connected), each circle by name, the largest first."""
        import networkx as nx

        found = [tuple(sorted(each)) for each in nx.strongly_connected_components(self.graph) if len(each) > 1]
        return sorted(found, key=lambda each: (-len(each), each))

    def affected(self, name: str) -> Sequence[Affected]:
        """Who suffers when a service fails: its callers, theirs and so on; nearest first, of those the most exposed first."""
        import networkx as nx

        hops = self.upstream(name)
        busy = nx.subgraph_view(self.graph, filter_edge=lambda one, other: self.graph.edges[one, other]["share"] > 0)
        # Shares multiply along a way; the greatest product is the shortest way of logarithms.
        lengths = (
            nx.single_source_dijkstra_path_length(
                busy.reverse(copy=False), self.named(name), weight=lambda _one, _other, edge: -math.log(edge["share"])
            )
            if hops
            else {}
        )
        found = [
            Affected(each, distance, round(math.exp(-lengths[each]), 6) if each in lengths else 0.0)
            for each, distance in hops.items()
        ]
        return sorted(found, key=lambda each: (each.hops, -each.share, each.name))

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        """The graph, frozen. Nodes carry kind, declared, seen, owner and tier; edges declared, seen, connections, calls, errors
        and share."""
        # Half a second of imports that only those pay who ask for paths.
        import networkx as nx

        made: nx.DiGraph[str] = nx.DiGraph(version=self.version)
        for node in self.nodes.values():
            said = node.declared or Service(node.name)
            seen = node.last_seen is not None
            about = {"declared": node.declared is not None, "seen": seen, "owner": said.owner, "tier": said.tier}
            made.add_node(node.name, kind=node.kind, **about)
        for edge in self.edges.values():
            if edge.declared or edge.seen:
                measured = {"calls": edge.calls, "errors": edge.errors, "share": edge.share}
                about = {"declared": edge.declared, "seen": edge.seen, "connections": edge.connections}
                made.add_edge(edge.caller, edge.callee, **about, **measured)
        nx.freeze(made)
        return made

    @cached_property
    def _near(self) -> frozenset[tuple[str, str]]:
        return frozenset(key for key, edge in self.edges.items() if edge.declared or edge.seen)

    def _reached(self, graph: nx.DiGraph[str], name: str, hops: int | None) -> Mapping[str, int]:
        import networkx as nx

        start = self.named(name)
        if start not in graph:
            return {}
        found = nx.single_source_shortest_path_length(graph, start, cutoff=hops)
        return {each: int(distance) for each, distance in found.items() if distance}


def topology(
    catalogue: Catalogue, services: Iterable[SeenService] = (), calls: Iterable[SeenCall] = (), *, version: int = 0
) -> Topology:
    """The topology of what is declared and what was seen."""
    known = catalogue.aliases
    counted = [
        each
        for each in (
            replace(one, caller=known.get(one.caller, one.caller), callee=known.get(one.callee, one.callee))
            for one in calls
            if OTHERS not in (one.caller, one.callee)
        )
        if each.caller != each.callee
    ]
    sightings = [*services]
    return Topology(catalogue, _nodes(catalogue, sightings, counted, known), _edges(catalogue, counted), version)


def kind_of(connection: str, system: str) -> str:
    """What a callee is that sends no spans, by what its callers say.

    >>> kind_of("database", "postgresql"), kind_of("request", "openai"), kind_of("request", "")
    ('database', 'model', 'external')
    """
    if connection in _KINDS:
        return _KINDS[connection]
    return "model" if system else "external"


def _nodes(
    catalogue: Catalogue, services: Sequence[SeenService], calls: Sequence[SeenCall], known: Mapping[str, str]
) -> dict[str, Node]:
    shown: dict[str, list[_Shown]] = defaultdict(list)
    for each in services:
        name = known.get(each.service, each.service)
        shown[name].append(_Shown("service", each.items, each.first_seen, each.last_seen, each.signal, each.service))
    for call in calls:
        kind = kind_of(call.connection, call.system) if call.virtual else "service"
        shown[call.callee].append(_Shown(kind, call.calls, call.first_seen, call.last_seen))
        shown[call.caller].append(_Shown("service", call.calls, call.first_seen, call.last_seen))
    names = sorted({*shown, *(each.name for each in catalogue)})
    return {name: _node(name, catalogue.named(name), shown.get(name, ())) for name in names}


@dataclass(frozen=True, slots=True)
class _Shown:
    """One thing that shows a node."""

    kind: str
    items: int
    first: int
    last: int
    signal: str = ""
    name: str = ""


def _node(name: str, declared: Service | None, shown: Sequence[_Shown]) -> Node:
    kinds = {each.kind for each in shown}
    # Who sends something itself is a service, whatever its callers say of it.
    seen_kind = "service" if "service" in kinds else max(shown, key=lambda each: each.items).kind if shown else ""
    return Node(
        name=name,
        kind=(declared.kind if declared else "") or seen_kind or "service",
        declared=declared,
        signals=tuple(sorted({each.signal for each in shown if each.signal})),
        seen_as=tuple(sorted({each.name for each in shown if each.name})),
        items=sum(each.items for each in shown),
        first_seen=min((each.first for each in shown), default=None),
        last_seen=max((each.last for each in shown), default=None),
    )


def _edges(catalogue: Catalogue, calls: Sequence[SeenCall]) -> dict[tuple[str, str], Edge]:
    seen: dict[tuple[str, str], list[SeenCall]] = defaultdict(list)
    of_caller: dict[str, int] = defaultdict(int)
    for call in calls:
        seen[call.caller, call.callee].append(call)
        of_caller[call.caller] += call.calls
    declared = {(each.name, on) for each in catalogue for on in each.dependencies}
    return {
        key: _edge(key, key in declared, seen.get(key, ()), of_caller[key[0]]) for key in sorted({*seen, *declared})
    }


def _edge(key: tuple[str, str], declared: bool, calls: Sequence[SeenCall], of_caller: int) -> Edge:
    total = sum(each.calls for each in calls)
    return Edge(
        *key,
        declared=declared,
        connections=tuple(sorted({each.connection for each in calls})),
        calls=total,
        errors=sum(each.errors for each in calls),
        share=total / of_caller if total else 0.0,
        first_seen=min((each.first_seen for each in calls), default=None),
        last_seen=max((each.last_seen for each in calls), default=None),
    )

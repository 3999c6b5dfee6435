"""The service map: every service with how it does and what is declared of it, and every call between two of them.

In: a topology of the window, and loads under the names of the catalogue (store/servicemap.py). Out: frozen nodes and edges, each
with its load over the whole window and, when that was asked, by steps. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiprism.learn.topology import Node, Topology
from aiprism.model.servicemap import CallLoad, Load, ServiceLoad

Point = tuple[int, Load]


@dataclass(frozen=True, slots=True)
class MapNode:
    """A node of the map: what it is, and how it did."""

    node: Node
    load: Load
    points: tuple[Point, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether anything came from it, or went to it, in the window."""
        return self.node.last_seen is not None or self.load.calls > 0


@dataclass(frozen=True, slots=True)
class MapEdge:
    """Calls of one kind between two nodes; a declared dependency that was not seen has no `connection`."""

    caller: str
    callee: str
    connection: str = ""
    virtual: bool = False
    system: str = ""
    declared: bool = False
    load: Load = field(default_factory=Load)
    points: tuple[Point, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether there were calls in the window."""
        return self.load.calls > 0


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """Nodes and edges, by name."""

    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]


@dataclass(frozen=True, slots=True)
class Loads:
    """What was measured in a window. A service that sends spans is measured by them, any other by those who call it."""

    services: Sequence[ServiceLoad] = ()
    callees: Sequence[ServiceLoad] = ()
    calls: Sequence[CallLoad] = ()

    @property
    def rows(self) -> tuple[Sequence[object], ...]:
        """What was read, answer by answer."""
        return self.services, self.callees, self.calls


def service_map(topology: Topology, whole: Loads, steps: Loads | None = None) -> ServiceMap:
    """The map of `topology`, with the loads of the whole window and of its steps."""
    steps = steps or Loads()
    answered, got = _by_service(whole.services), _by_service(whole.callees)
    answered_by_step, got_by_step = _by_service(steps.services), _by_service(steps.callees)
    nodes = []
    for name in sorted({*topology.nodes, *answered, *got}):
        node = topology.nodes.get(name) or Node(name, "external")  # `(others)`, which the topology leaves out
        sends = "traces" in node.signals
        points = (answered_by_step if sends else got_by_step).get(name, ())
        load = (answered if sends else got).get(name, ())
        nodes.append(MapNode(node, load[0][1] if load else Load(), tuple(points)))
    return ServiceMap(tuple(nodes), _edges(topology, whole.calls, steps.calls))


def _by_service(loads: Iterable[ServiceLoad]) -> Mapping[str, Sequence[Point]]:
    found: dict[str, list[Point]] = defaultdict(list)
    for each in loads:
        found[each.service].append((each.start, each.load))
    return found


def _edges(topology: Topology, whole: Sequence[CallLoad], steps: Sequence[CallLoad]) -> tuple[MapEdge, ...]:
    points: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for each in steps:
        points[each.caller, each.callee, each.connection].append((each.start, each.load))
    declared = {key for key, edge in topology.edges.items() if edge.declared}
    seen = [
        MapEdge(
            call.caller,
            call.callee,
            call.connection,
            call.virtual,
            call.system,
            (call.caller, call.callee) in declared,
            call.load,
            tuple(points[call.caller, call.callee, call.connection]),
        )
        for call in whole
    ]
    silent = declared - {(each.caller, each.callee) for each in seen}
    return tuple(
        sorted(
            [*seen, *(MapEdge(*key, declared=True) for key in silent)], key=lambda e: (e.caller, e.callee, e.connection)
        )
    )

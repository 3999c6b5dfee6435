"""Where services.yml and what is seen disagree: services and dependencies that one has and the other has not.

In: a `Topology` of some days, and the moment. Out: a frozen `Drift`. Pure. What is declared and not seen lately may have been
turned off, renamed or left without instrumentation; what is seen and not declared has no owner who would be told. What
was seen less often than `few` times is noise: it is counted, not told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiprism.learn.topology import FEW, Edge, Node, Topology

QUIET = 86_400.0  # seconds without a sign after which what is declared counts as not seen


@dataclass(frozen=True, slots=True)
class Drift:
    """What to put right; each list by name. `ignored` is how much was seen too rarely to be told."""

    undeclared_services: tuple[Node, ...] = ()
    unseen_services: tuple[Node, ...] = ()
    undeclared_dependencies: tuple[Edge, ...] = ()
    unseen_dependencies: tuple[Edge, ...] = ()
    ignored: int = 0

    @property
    def none(self) -> bool:
        """Whether both say the same."""
        found = (
            self.undeclared_services, self.unseen_services, self.undeclared_dependencies, self.unseen_dependencies,
        )  # fmt: skip
        return not any(found)


def drift(seen: Topology, now: float, *, quiet: float = QUIET, few: int = FEW, measured: Collection[str] = ()) -> Drift:
    """What is declared and not seen for `quiet` seconds, and what was seen and is not declared. `measured` are the names that
    series of that time give to services: who sends metrics only is seen as well, whom it calls is not.

    A dependency is told where its caller is declared and seen: else the caller is the news. Without any declared service there
    is nothing to compare with, and nothing drifts.
    """
    if not len(seen.catalogue):
        return Drift()

    def is_quiet(thing: Node | Edge) -> bool:
        return thing.last_seen is None or thing.last_seen < now - quiet

    unseen = [node for node in seen.nodes.values() if node.declared and is_quiet(node)]
    silent = {node.name for node in unseen}
    strangers = [node for node in seen.nodes.values() if not node.declared]
    between = [edge for edge in seen.edges.values() if seen.nodes[edge.caller].declared and edge.caller not in silent]
    new = [edge for edge in between if not edge.declared]
    return Drift(
        undeclared_services=tuple(node for node in strangers if node.items >= few),
        unseen_services=tuple(node for node in unseen if not _names(node) & set(measured)),
        undeclared_dependencies=tuple(edge for edge in new if edge.calls >= few),
        unseen_dependencies=tuple(edge for edge in between if edge.declared and is_quiet(edge)),
        ignored=sum(node.items < few for node in strangers) + sum(edge.calls < few for edge in new),
    )


def _names(node: Node) -> set[str]:
    return {node.name, *(node.declared.aliases if node.declared else ())}

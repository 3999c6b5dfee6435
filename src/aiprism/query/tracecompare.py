"""What differs between two traces.

In: two traces that were understood. Out: a row for each path of calls (service and operation, from the root down), with
what it did in each. Pure. Traces are matched by structure: spans of the same path are one row, however many there are, so that a
loop that ran more often is a count, and no span is without a partner because an id differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aiprism.query.traces import Story

Path = tuple[tuple[str, str], ...]
Change = Literal["missing", "added", "slower", "faster", "failed", "same"]
# A difference that is told: by a fifth, and by a millisecond.
_FACTOR, _LEAST_NS = 1.2, 1_000_000


@dataclass(frozen=True, slots=True)
class Did:
    """What the spans of a path did in one trace: how many, how long in all, in themselves and on the critical path, and how many
    failed."""

    spans: int = 0
    duration_ns: int = 0
    self_ns: int = 0
    critical_ns: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A path of calls in both traces. `change` is what happened from the first to the second: what failed only there is told
    before what took longer."""

    path: Path
    first: Did
    second: Did
    change: Change

    @property
    def slower_ns(self) -> int:
        """How much longer the path itself took, without what it called."""
        return self.second.self_ns - self.first.self_ns


def compared(first: Story, second: Story) -> Sequence[Difference]:
    """Every path of either trace, parents before children, in the order of the second; what is missing there stands where
    its parent's children end."""
    one, other = _by_path(first), _by_path(second)
    rows: list[Difference] = []
    for path in _ordered([*other], [*one]):
        did = one.get(path, Did()), other.get(path, Did())
        rows.append(Difference(path, *did, _change(*did)))
    return rows


def _by_path(told: Story) -> Mapping[Path, Did]:
    paths: list[Path] = []
    found: dict[Path, Did] = {}
    for node in told.nodes:
        above = paths[node.parent] if node.parent is not None else ()
        paths.append((*above, (node.span.service, node.span.name))[-_DEEPEST:])
        before = found.get(paths[-1], Did())
        found[paths[-1]] = replace(
            before,
            spans=before.spans + 1,
            duration_ns=before.duration_ns + node.span.duration_ns,
            self_ns=before.self_ns + node.self_ns,
            critical_ns=before.critical_ns + node.critical_ns,
            errors=before.errors + node.failed,
        )
    return found


_DEEPEST = 64  # of a path this many last steps tell it apart


def _ordered(paths: Sequence[Path], missing: Sequence[Path]) -> Sequence[Path]:
    """Depth first, children in the order of `paths`, then of `missing`."""
    below: dict[Path, list[Path]] = {}
    known = {*paths, *missing}
    for path in dict.fromkeys((*paths, *missing)):
        above = path[:-1] if path[:-1] in known else ()
        below.setdefault(above, []).append(path)
    waiting, ordered = [*reversed(below.get((), []))], []
    while waiting:
        path = waiting.pop()
        ordered.append(path)
        waiting += reversed(below.get(path, []))
    return ordered


def _change(first: Did, second: Did) -> Change:
    if not second.spans:
        return "missing"
    if not first.spans:
        return "added"
    if second.errors > first.errors:
        return "failed"
    if _longer(first.duration_ns, second.duration_ns):
        return "slower"
    return "faster" if _longer(second.duration_ns, first.duration_ns) else "same"


def _longer(short: int, long: int) -> bool:
    return long > short * _FACTOR and long - short >= _LEAST_NS

"""What the spans of one trace say together: who called whom, what took the time, where an error began.

In: the spans of a trace, in any order, broken in any way. Out: a frozen `Story`. Pure; times are nanoseconds.

Nothing of a broken trace is hidden: a span whose parent is not there is an orphan and stands like a root, spans that name each
other as parents are cut where they begin, a span that was sent twice counts once. A server whose clock differs from its
client's is marked with how far; what is computed here (not what is shown) is computed as if its clock were right.

The critical path is that of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures",
USENIX ATC 2022), as Jaeger has it: from the end backwards, the time of a span belongs to its child that finished last before it,
and to the span itself where no child was at work. Both end it with the root; here it ends with whatever ends last below the
root, as a request may be answered before its work is done (a queue lies between): what goes on after its parent comes first, and
then what the parent did before it set that going. Where all lies within its parent, the two are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aiprism.model.spans import Span

_CALLED = ("server", "consumer")
# What is told as a wrong clock. NTP keeps hosts within some milliseconds of each other, and some clients round to whole ones: of
# a span that lies less outside of its caller's, nothing follows for the clock.
_LEAST_SKEW_NS = 5_000_000
_LONGEST_PATH = 32  # of an error: ten thousand of them may have come the same way of thousands of spans


@dataclass(frozen=True, slots=True)
class Node:
    """A span in its trace. `parent` and `children` are indices of `Story.nodes`; `begin` and `end` are by the clock of the root.

    `self_ns` is what it took while none of its children was at work, `critical_ns` its share of the critical path, `skew_ns`
    by how much its clock is ahead of its parent's.
    """

    span: Span
    parent: int | None
    depth: int
    begin: int
    end: int
    children: tuple[int, ...] = ()
    self_ns: int = 0
    critical_ns: int = 0
    skew_ns: int = 0
    is_orphan: bool = False
    in_cycle: bool = False

    @property
    def failed(self) -> bool:
        return self.span.status == "error"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the critical path: the span at work from `start_ns` to `end_ns` (by its own clock)."""

    span_id: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An error where it began, and the spans it travelled through, from there up; of a long way the beginning, and the end."""

    span_id: str
    service: str
    name: str
    message: str
    exception: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A trace that was understood. `nodes` stand depth first, children by their begin; `roots` are the first of each tree, `root`
    is the one of them that the trace is called after and whose critical path is told."""

    nodes: tuple[Node, ...]
    roots: tuple[int, ...]
    critical_path: tuple[Section, ...]
    failures: tuple[Failure, ...]
    repeated: int = 0  # spans that were sent again
    root: int | None = None


def story(spans: Sequence[Span]) -> Story:
    """What the spans of one trace say together."""
    once = list({_identity(span): span for span in reversed(spans)}.values())
    once.sort(key=lambda span: (span.start_ns, -span.duration_ns, span.span_id))
    nodes = _with_self_times(_tree(once))
    roots = tuple(number for number, node in enumerate(nodes) if node.parent is None)
    above = _followed(nodes)
    begins, lasts = _reach(nodes, above)
    root = max(roots, key=lambda at: (not nodes[at].span.parent_span_id, lasts[at] - begins[at]), default=None)
    sections = () if root is None else _critical_path(nodes, root, above, begins, lasts)
    spent: dict[int, int] = defaultdict(int)
    for number, start, end in sections:
        spent[number] += end - start
    nodes = tuple(replace(node, critical_ns=spent[number]) for number, node in enumerate(nodes))
    path = tuple(
        Section(nodes[number].span.span_id, *(at + nodes[number].span.start_ns - nodes[number].begin for at in between))
        for number, *between in reversed(sections)
    )
    return Story(nodes, roots, path, tuple(_failures(nodes)), len(spans) - len(once), root)


def _identity(span: Span) -> tuple[object, ...]:
    return span.span_id, span.kind, span.service, span.name, span.start_ns, span.duration_ns, span.status


# -- the tree ----------------------------------------------------------------------------------------------------------


def _tree(spans: Sequence[Span]) -> tuple[Node, ...]:
    parents, cut = _parents(spans)
    known = {span.span_id for span in spans}
    below: dict[int | None, list[int]] = defaultdict(list)
    for at, parent in enumerate(parents):
        below[parent].append(at)
    nodes: list[Node] = []
    waiting: list[tuple[int, int | None]] = [(at, None) for at in reversed(below[None])]
    while waiting:
        at, parent = waiting.pop()
        span, number = spans[at], len(nodes)
        above = None if parent is None else nodes[parent]
        skew = 0 if above is None else _skew(span, above)
        shift = skew if above is None else skew + above.span.start_ns - above.begin
        begin = span.start_ns - shift
        nodes.append(
            Node(
                span, parent, 0 if above is None else above.depth + 1, begin, begin + span.duration_ns,
                skew_ns=skew if abs(skew) >= _LEAST_SKEW_NS else 0,
                is_orphan=bool(span.parent_span_id) and span.parent_span_id not in known, in_cycle=at in cut,
            )
        )  # fmt: skip
        waiting += [(child, number) for child in reversed(below[at])]
    children: dict[int | None, list[int]] = defaultdict(list)
    for number, node in enumerate(nodes):
        children[node.parent].append(number)
    return tuple(replace(node, children=tuple(children[number])) for number, node in enumerate(nodes))


def _parents(spans: Sequence[Span]) -> tuple[list[int | None], set[int]]:
    """For each span the number of its parent, and the spans that were cut off as they would be their own ancestors.

    Zipkin's two sides of a call share an id: the server is a child of the client, and what names the id as its parent lies
    below the server.
    """
    callers: dict[str, int] = {}
    called: dict[str, int] = {}
    for at, span in enumerate(spans):
        (called if span.kind in _CALLED else callers).setdefault(span.span_id, at)
    parents: list[int | None] = []
    for span in spans:
        above = callers.get(span.span_id) if span.kind in _CALLED else None
        if above is None and span.parent_span_id:
            above = called.get(span.parent_span_id, callers.get(span.parent_span_id))
        parents.append(above)
    return parents, _cut(parents)


def _cut(parents: list[int | None]) -> set[int]:
    """Makes a span of each cycle a root, the earliest one."""
    cut: set[int] = set()
    seen = [0] * len(parents)  # by which walk
    for first in range(len(parents)):
        at: int | None = first
        while at is not None and not seen[at]:
            seen[at] = first + 1
            at = parents[at]
        if at is not None and seen[at] == first + 1:
            members, each = [at], parents[at]
            while each is not None and each != at:
                members.append(each)
                each = parents[each]
            parents[min(members)] = None
            cut.add(min(members))
    return cut


def _skew(span: Span, above: Node) -> int:
    """By how much a server's clock is ahead of its client's, where its span cannot lie where it says.

    Only a call that is answered within the client's span says so: then the server's span is thought to lie in its middle; one
    that lies outside by less than clocks differ anyway, at its edge.
    """
    client = above.span
    if span.service == client.service or span.kind != "server" or client.kind != "client":
        return 0
    room = client.duration_ns - span.duration_ns
    # Both as their own clocks say, so that a skew is told against the parent, not against the root.
    late = span.start_ns - client.start_ns
    if room < 0 or 0 <= late <= room:
        return 0
    outside = late if late < 0 else late - room
    return late - room // 2 if abs(outside) >= _LEAST_SKEW_NS else outside


# -- times -------------------------------------------------------------------------------------------------------------


def _with_self_times(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    return tuple(replace(node, self_ns=node.end - node.begin - _covered(node, nodes)) for node in nodes)


def _covered(node: Node, nodes: Sequence[Node]) -> int:
    """How much of a span some child was at work; children stand by their begin."""
    covered, reached = 0, node.begin
    for first, last in sorted((nodes[child].begin, nodes[child].end) for child in node.children):
        begin, end = max(first, reached), min(last, node.end)
        if end > begin:
            covered += end - begin
            reached = end
    return covered


def _critical_path(
    nodes: Sequence[Node], root: int, above: Sequence[int | None], begins: Sequence[int], lasts: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(node, from, to) of the tree of `root`, from its last end backwards to its begin.

    While something waits in a queue and all that led to it is over, the time belongs to nobody.
    """
    # Both its own end and the last one below, as a child that was waited for may have left work behind that was not.
    ends: dict[int, set[tuple[int, int, int]]] = defaultdict(set)
    for number, parent in enumerate(above):
        if parent is not None:
            ends[parent] |= {(end, nodes[number].begin, number) for end in (nodes[number].end, lasts[number])}
    sections: list[tuple[int, int, int]] = []
    # Each entry: a span, the ends below it by their time, the time before which it has to be accounted for.
    stack = [(root, sorted(ends[root]), lasts[root])]
    while stack:
        at, left, until = stack.pop()
        last, ended = at, begins[at]
        # What ended after the child that was followed had begun did not decide when that could begin.
        while left and last == at:
            end, _, child = left.pop()
            if begins[child] < end <= until:
                last, ended = child, end
        itself = min(nodes[at].end, until)
        if itself > ended:
            sections.append((at, ended, itself))
        if last != at:
            stack.append((at, left, begins[last]))
            stack.append((last, sorted(ends[last]), ended))
    return sections


def _followed(nodes: Sequence[Node]) -> list[int | None]:
    """For each span whose time the path goes on with before it: its parent's; where that had ended, of the nearest ancestor
    that was still at work; where none was, of the one that had ended last."""
    above: list[int | None] = []
    later: list[int | None] = []  # the nearest ancestor that ends later
    for node in nodes:
        at = node.parent
        while at is not None and nodes[at].end < node.begin and later[at] is not None:
            at = later[at]
        above.append(at)
        at = node.parent
        while at is not None and nodes[at].end <= node.end:
            at = later[at]
        later.append(at)
    return above


def _reach(nodes: Sequence[Node], above: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """From when on each span counts, which is not before what is above it, and when the last one ends of it and all below."""
    begins, lasts = [node.begin for node in nodes], [node.end for node in nodes]
    for number, parent in enumerate(above):
        if parent is not None:
            begins[number] = max(begins[number], begins[parent])
    for number, parent in reversed([*enumerate(above)]):
        if parent is not None:
            lasts[parent] = max(lasts[parent], lasts[number])
    return begins, lasts


# -- errors ------------------------------------------------------------------------------------------------------------


def _failures(nodes: Sequence[Node]) -> Iterator[Failure]:
    """Failed spans of which no child failed, with the failed spans above them without a gap."""
    tops: list[int] = []
    for number, node in enumerate(nodes):
        travelled = node.failed and node.parent is not None and nodes[node.parent].failed
        tops.append(tops[node.parent] if travelled and node.parent is not None else number)
    for number, node in enumerate(nodes):
        if not node.failed or any(nodes[child].failed for child in node.children):
            continue
        path, at = [node.span.span_id], number
        while at != tops[number]:
            above = nodes[at].parent
            at = tops[number] if above is None or len(path) == _LONGEST_PATH - 1 else above
            path.append(nodes[at].span.span_id)
        told = _exception(node.span)
        message = node.span.status_message or told.get("exception.message", "")
        yield Failure(
            node.span.span_id, node.span.service, node.span.name, message, told.get("exception.type", ""), tuple(path)
        )


def _exception(span: Span) -> Mapping[str, str]:
    return next((event.attributes for event in reversed(span.events) if event.name == "exception"), {})

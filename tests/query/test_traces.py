"""What a trace says: its tree, however broken, its critical path, its self times, its errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprism.model.spans import Span, SpanEvent
from aiprism.query.traces import Story, story


def span(
    span_id: str, parent: str, start: int, took: int, *, service: str = "a", kind: str = "internal", error: str = ""
) -> Span:
    """A span of which an error has a message."""
    events = (SpanEvent(start, "exception", {"exception.type": "E"}),) if error else ()
    status = "error" if error else "unset"
    return Span("t", span_id, parent, service, f"op-{span_id}", kind, start, took, status, error, {}, {}, events)


def shape(told: Story) -> list[tuple[str, int]]:
    return [(node.span.span_id, node.depth) for node in told.nodes]


def path(told: Story) -> list[tuple[str, int, int]]:
    return [(each.span_id, each.start_ns, each.end_ns) for each in told.critical_path]


def test_children_stand_below_their_parents_by_their_begin() -> None:
    told = story([span("c", "r", 50, 10), span("b", "r", 10, 10), span("d", "b", 12, 1), span("r", "", 0, 100)])
    assert shape(told) == [("r", 0), ("b", 1), ("d", 2), ("c", 1)]
    assert [node.self_ns for node in told.nodes] == [80, 9, 1, 10]


def test_what_is_broken_is_marked_and_nothing_is_hidden() -> None:
    told = story(
        [span("r", "", 0, 9), span("o", "gone", 1, 2), span("x", "y", 3, 1), span("y", "x", 4, 1), span("s", "s", 5, 1)]
    )
    assert shape(told) == [("r", 0), ("o", 0), ("x", 0), ("y", 1), ("s", 0)]
    assert [node.span.span_id for node in told.nodes if node.is_orphan] == ["o"]
    assert [node.span.span_id for node in told.nodes if node.in_cycle] == ["x", "s"]
    assert story([]) == Story((), (), (), ())


def test_a_span_that_was_sent_twice_counts_once() -> None:
    once = span("r", "", 0, 9)
    told = story([once, once])
    assert (len(told.nodes), told.repeated) == (1, 1)


def test_the_two_sides_of_a_call_may_share_an_id() -> None:
    client, server = (
        span("s", "r", 1, 8, kind="client"),
        span("s", "r", 2, 6, service="b", kind="server"),
    )
    told = story([span("r", "", 0, 10), server, client, span("w", "s", 3, 1, service="b")])
    assert [(node.span.kind, node.depth) for node in told.nodes] == [
        ("internal", 0), ("client", 1), ("server", 2), ("internal", 3),
    ]  # fmt: skip


def test_the_critical_path_goes_through_the_child_that_finished_last() -> None:
    """After the figure of CRISP: of two children at once, the longer one decides; before them one that was waited for."""
    told = story(
        [
            span("r", "", 0, 100),
            span("first", "r", 5, 15),
            span("short", "r", 30, 20),
            span("long", "r", 25, 60),
            span("deep", "long", 40, 45),
            span("after", "r", 90, 50),  # goes on after its parent: the trace has not ended before
        ]
    )
    assert path(told) == [
        ("r", 0, 5), ("first", 5, 20), ("r", 20, 25), ("long", 25, 40), ("deep", 40, 85), ("r", 85, 90), ("after", 90, 140),
    ]  # fmt: skip
    assert sum(node.critical_ns for node in told.nodes) == 140


MS = 1_000_000


def test_a_server_whose_clock_is_wrong_is_marked_and_thought_within_its_call() -> None:
    call = span("c", "r", 10 * MS, 80 * MS, kind="client")
    server = span("s", "c", 5_000 * MS, 60 * MS, service="b", kind="server")
    told = story([span("r", "", 0, 100 * MS), call, server, span("w", "s", 5_010 * MS, 20 * MS, service="b")])
    assert [node.skew_ns for node in told.nodes] == [0, 0, 4_980 * MS, 0]
    assert [(node.begin // MS, node.self_ns // MS) for node in told.nodes] == [(0, 20), (10, 20), (20, 40), (30, 20)]
    assert [(each, begin // MS, end // MS) for each, begin, end in path(told)[3:6]] == [
        ("w", 5_010, 5_030), ("s", 5_030, 5_060), ("c", 80, 90),
    ]  # fmt: skip  # by their own clocks
    late = story([call, span("s", "c", 40 * MS, 60 * MS, service="b", kind="server")])
    assert [node.skew_ns for node in late.nodes] == [0, 20 * MS]


@pytest.mark.parametrize(("begun", "thought"), [(-4 * MS, 0), (894 * MS, 890 * MS)])
def test_a_span_outside_by_less_than_clocks_differ_anyway_is_at_the_edge_of_its_call_and_not_marked(
    begun: int, thought: int
) -> None:
    call = span("c", "", 0, 900 * MS, kind="client")
    told = story([call, span("s", "c", begun, 10 * MS, service="b", kind="server")])
    assert [(node.begin, node.skew_ns, node.critical_ns) for node in told.nodes] == [
        (0, 0, 890 * MS), (thought, 0, 10 * MS),
    ]  # fmt: skip


def test_the_way_of_many_errors_through_many_spans_is_told_by_its_beginning_and_its_end() -> None:
    chain = [span(f"c{at}", f"c{at - 1}" if at else "", at, 1000, error="e") for at in range(1000)]
    told = story([*chain, *(span(f"l{at}", "c999", 1000 + at, 1, error="e") for at in range(2000))])
    assert {len(each.path) for each in told.failures} == {32}
    assert {(each.path[1], each.path[-1]) for each in told.failures} == {("c999", "c0")}


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param(
            [span("r", "", 0, 5), span("w", "r", 5, 4800), span("m", "w", 20, 4700), span("y", "r", 1, 2)],
            [("r", 0, 1), ("y", 1, 3), ("r", 3, 5), ("w", 5, 20), ("m", 20, 4720), ("w", 4720, 4805)],
            id="answered before its work is done",
        ),
        pytest.param(
            [span("r", "", 0, 5), span("a", "r", 5, 1000), span("b", "a", 1005, 2000), span("c", "b", 3005, 900)],
            [("r", 0, 5), ("a", 5, 1005), ("b", 1005, 3005), ("c", 3005, 3905)],
            id="one step sets the next going",
        ),
        pytest.param(
            [span("r", "", 0, 200), span("db", "r", 10, 180), span("task", "r", 195, 5000)],
            [("r", 0, 10), ("db", 10, 190), ("r", 190, 195), ("task", 195, 5195)],
            id="a task is left behind",
        ),
        pytest.param(
            [span("r", "", 0, 10), span("w", "r", 60, 100)], [("r", 0, 10), ("w", 60, 160)], id="a queue is nobody's"
        ),
        pytest.param(
            [span("r", "", 0, 200), span("send", "r", 10, 5), span("w", "send", 12, 5000), span("db", "r", 20, 5000)],
            [("r", 0, 10), ("send", 10, 15), ("r", 15, 20), ("db", 20, 5020)],
            id="a child was waited for, not what it left behind",
        ),
        pytest.param(
            [span("r", "", 0, 100), span("send", "r", 10, 5), span("w", "send", 90, 5), span("db", "r", 20, 60)],
            [
                ("r", 0, 10),
                ("send", 10, 15),
                ("r", 15, 20),
                ("db", 20, 80),
                ("r", 80, 90),
                ("w", 90, 95),
                ("r", 95, 100),
            ],
            id="what runs while something waits in a queue has the time",
        ),
        pytest.param(
            [span("r", "", 10, 10), span("early", "r", 5, 30)], [("early", 10, 35)], id="nothing before its parent"
        ),
        pytest.param(
            [span("r", "", 0, 6), span("s", "", 1, 5), span("w", "s", 6, 50)],
            [("s", 1, 6), ("w", 6, 56)],
            id="of two trees the one that takes longer with all that lies below",
        ),
        pytest.param(
            [span("o", "gone", 0, 500), span("r", "", 10, 100), span("c", "r", 20, 30)],
            [("r", 10, 20), ("c", 20, 50), ("r", 50, 110)],
            id="of two trees the one that has its root, however long the other takes",
        ),
        pytest.param(
            [span("x", "y", 0, 500), span("y", "x", 1, 2), span("r", "", 10, 5)],
            [("r", 10, 15)],
            id="and not one that was cut out of a ring",
        ),
        pytest.param(
            [span("o", "gone", 0, 5), span("p", "gone", 3, 9)],
            [("p", 3, 12)],
            id="of orphans the one that takes longest",
        ),
    ],
)
def test_the_critical_path_ends_with_what_ends_last_and_begins_with_the_root(
    spans: Sequence[Span], expected: Sequence[tuple[str, int, int]]
) -> None:
    assert path(story(spans)) == expected


def test_a_nanosecond_of_difference_changes_the_path_by_no_more() -> None:
    for last in (99, 100, 101):
        told = story([span("r", "", 0, 100), span("x", "r", 2, 90), span("w", "r", 95, last - 95)])
        assert {node.span.span_id: node.critical_ns for node in told.nodes} == {
            "r": 5 + max(0, 100 - last), "x": 90, "w": last - 95,
        }  # fmt: skip


def test_an_error_is_told_where_it_began_and_how_far_it_came() -> None:
    told = story(
        [
            span("r", "", 0, 100, error="502"),
            span("m", "r", 1, 80, error="failed"),
            span("d", "m", 2, 50, error="no disk"),
            span("h", "r", 85, 10),  # was caught here
            span("e", "h", 86, 5, error="retried"),
        ]
    )
    assert [(each.span_id, each.message, each.exception, each.path) for each in told.failures] == [
        ("d", "no disk", "E", ("d", "m", "r")),
        ("e", "retried", "E", ("e",)),
    ]


def test_a_trace_of_many_spans_is_told_soon_whatever_its_shape() -> None:
    """Each shape takes a fraction of a second; were one of them quadratic, this would take minutes."""
    count = 20_000
    chain = [span(str(at), str(at - 1) if at else "", at, 2 * count - 2 * at) for at in range(count)]
    row = [span("r", "", 0, count), *(span(f"c{at}", "r", at, 1) for at in range(count))]
    at_once = [span("r", "", 0, count), *(span(f"c{at}", "r", 1, 1 + at) for at in range(count - 2))]
    ring = [span(str(at), str((at + 1) % count), at, 1) for at in range(count)]
    for spans in (chain, row, at_once, ring):
        assert len(story(spans).nodes) == len(spans)


SPANS = st.lists(
    st.builds(
        span, st.sampled_from("abcdef"), st.sampled_from(["", *"abcdefg"]), st.integers(0, 50), st.integers(0, 50),
        service=st.sampled_from("ab"), kind=st.sampled_from(["internal", "client", "server"]), error=st.sampled_from(["", "x"]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(SPANS)
def test_whatever_spans_there_are(spans: Sequence[Span]) -> None:
    told = story(spans)
    assert len(told.nodes) + told.repeated == len(spans)
    assert {id(node.span) for node in told.nodes} <= {id(each) for each in spans}
    for number, node in enumerate(told.nodes):
        assert 0 <= node.self_ns <= node.span.duration_ns
        assert node.parent is None or node.parent < number
        assert all(told.nodes[child].parent == number for child in node.children)
        assert 0 <= node.critical_ns <= node.span.duration_ns
    trees = {one: told.nodes[one:other] for one, other in pairwise((*told.roots, len(told.nodes)))}
    lengths = {root: max(node.end for node in tree) - tree[0].begin for root, tree in trees.items()}
    begun = {root for root in told.roots if not told.nodes[root].span.parent_span_id}
    assert told.root in (begun or told.roots)
    longest = max(lengths[root] for root in begun or told.roots)
    spent = sum(node.critical_ns for node in told.nodes)
    # All of the time is accounted for, unless something waits in a queue.
    assert spent <= longest
    if all(node.parent is None or node.begin <= told.nodes[node.parent].end for node in told.nodes):
        assert spent == longest
    began = {failure.span_id for failure in told.failures}
    assert bool(began) == any(each.status == "error" for each in spans)


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_spans_come_does_not_matter(order: int) -> None:
    spans = [span("r", "", 0, 100), span("a", "r", 10, 20), span("b", "r", 10, 20), span("c", "b", 11, 2, error="x")]
    assert story(spans[::order]) == story(spans)


def grown(steps: Sequence[tuple[int, int, int]], *, within: bool) -> list[Span]:
    """A trace of one root: of each step the parent, how long after its begin, how long; `within` it, or wherever."""
    spans = [span("0", "", 0, 40)]
    for number, (which, after, took) in enumerate(steps, 1):
        above = spans[which % number]
        if within:
            after %= above.duration_ns + 1
            took %= above.duration_ns - after + 1
        spans.append(span(str(number), above.span_id, above.start_ns + after, took))
    return spans


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-10, 60), st.integers(0, 40)), max_size=10))
def test_the_critical_path_is_a_chain_of_stretches_within_their_spans(steps: Sequence[tuple[int, int, int]]) -> None:
    told = story(grown(steps, within=False))
    spans = {node.span.span_id: node for node in told.nodes}
    sections = path(told)
    assert all(spans[each].begin <= start < end <= spans[each].end for each, start, end in sections)
    assert all(one[2] <= other[1] for one, other in pairwise(sections))
    assert sum(end - start for _, start, end in sections) <= max(node.end for node in told.nodes)
    assert sum(min(40, end) - min(40, start) for _, start, end in sections) == 40  # none of the root's time is missing


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(0, 40)), max_size=10))
def test_the_critical_path_is_the_published_one_where_all_lies_within_its_parent(
    steps: Sequence[tuple[int, int, int]],
) -> None:
    told = story(grown(steps, within=True))
    assert path(told) == list(published(told, 0))[::-1]


def published(told: Story, at: int) -> Iterator[tuple[str, int, int]]:
    """CRISP's path of a span backwards from its end."""
    node = told.nodes[at]
    until = node.end
    by_end = sorted((told.nodes[child].end, told.nodes[child].begin, child) for child in node.children)
    for _, _, child in reversed(by_end):
        below = told.nodes[child]
        if below.begin < below.end <= until:
            if below.end < until:
                yield node.span.span_id, below.end, until
            yield from published(told, child)
            until = below.begin
    if node.begin < until:
        yield node.span.span_id, node.begin, until

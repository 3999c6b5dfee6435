"""What differs between two traces, by the path of their calls."""

from __future__ import annotations

from dataclasses import replace

from aiprism.model.spans import Span
from aiprism.query.tracecompare import Difference, compared
from aiprism.query.traces import story
from tests.query.test_traces import span

MS = 1_000_000


def named(name: str, each: Span) -> Span:
    return replace(each, name=name)


def told(rows: list[Difference]) -> list[tuple[str, str]]:
    return [("/".join(name for _, name in row.path), row.change) for row in rows]


def test_paths_are_matched_by_structure() -> None:
    before = story(
        [
            named("GET", span("1", "", 0, 100 * MS)),
            named("cache", span("2", "1", 1 * MS, 5 * MS)),
            named("query", span("3", "1", 10 * MS, 20 * MS)),
            named("old", span("4", "3", 11 * MS, 2 * MS)),
            named("send", span("5", "1", 40 * MS, 50 * MS)),
        ]
    )
    after = story(
        [
            named("GET", span("a", "", 0, 105 * MS)),
            named("cache", span("b", "a", 1 * MS, 5 * MS, error="gone")),
            named("query", span("c", "a", 10 * MS, 20 * MS)),
            named("query", span("d", "a", 31 * MS, 20 * MS)),
            named("retry", span("e", "d", 32 * MS, 1 * MS)),
            named("send", span("f", "a", 60 * MS, 10 * MS)),
        ]
    )
    rows = list(compared(before, after))
    assert told(rows) == [
        ("GET", "same"),
        ("GET/cache", "failed"),
        ("GET/query", "slower"),
        ("GET/query/retry", "added"),
        ("GET/query/old", "missing"),
        ("GET/send", "faster"),
    ]
    query = rows[2]
    assert (query.first.spans, query.second.spans, query.slower_ns) == (1, 2, 21 * MS)


def test_a_trace_is_the_same_as_itself_and_differences_turn_around() -> None:
    one = story([span("1", "", 0, 100 * MS), span("2", "1", 1, 50 * MS), span("3", "gone", 5, 5)])
    other = story([span("1", "", 0, 200 * MS)])
    assert {row.change for row in compared(one, one)} == {"same"}
    turned = {"slower": "faster", "missing": "added", "same": "same"}
    there, back = dict(told(list(compared(one, other)))), dict(told(list(compared(other, one))))
    assert {path: turned[change] for path, change in there.items()} == back

"""Change events are found by time as their last words have it, reading little."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism.model.events import ChangeEvent
from aiprism.model.timerange import TimeRange
from aiprism.store import events
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore


def event(key: str, ts: float, kind: str = "restart", service: str = "") -> ChangeEvent:
    return ChangeEvent(key, ts, kind, service, "title", "text", {}, "")


said = st.builds(
    event, st.sampled_from("abcdef"), st.integers(0, 9).map(float), st.sampled_from("xy"), st.sampled_from(["", "s"])
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inserts=st.lists(st.lists(said, min_size=1, max_size=4), max_size=5),
    ends=st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted),
    kinds=st.sampled_from([[], ["x"]]),
    services=st.sampled_from([[], ["s"], ["s", ""]]),
    limit=st.integers(1, 4),
)
def test_what_was_said_last_of_each_event_is_what_is_found(
    engine: Engine,
    inserts: Sequence[Sequence[ChangeEvent]],
    ends: Sequence[int],
    kinds: Sequence[str],
    services: Sequence[str],
    limit: int,
) -> None:
    engine.command("TRUNCATE TABLE events")
    store = EventStore(engine)
    for each in inserts:
        store.put(each)
    last = {each.id: each for many in inserts for each in many}.values()
    wanted = [
        each
        for each in sorted(last, key=lambda each: (-each.ts, each.id))
        if ends[0] <= each.ts <= ends[1]
        and (not kinds or each.kind in kinds)
        and (not services or each.service in services)
    ]
    found = store.search(TimeRange(*map(float, ends)), kinds=kinds, services=services, limit=limit)
    assert found == wanted[:limit]


def test_many_events_that_were_moved_away_hide_none(engine: Engine) -> None:
    store = EventStore(engine)
    store.put([event(f"moved {n}", 100.0 + n) for n in range(50)] + [event("stayed", 50.0), event("older", 40.0)])
    store.put([event(f"moved {n}", 10.0) for n in range(50)])
    found = store.search(TimeRange(20.0, 1000.0), limit=1)
    assert [each.id for each in found] == ["stayed"]


def test_a_search_by_time_reads_the_range_and_not_the_table(engine: Engine) -> None:
    engine.command(
        "INSERT INTO events (id, ts, title) "
        "SELECT hex(MD5(toString(number))), toDateTime64(number, 3, 'UTC'), 'x' FROM numbers(100000)"
    )
    bound = {"start": 50_000_000, "end": 50_010_000, "kinds": [], "services": [], "limit": 10}
    plan = "\n".join(line for (line,) in engine.query(f"EXPLAIN indexes = 1 {events._FOUND}", bound))
    assert "ReadFromMergeTree (by_time)" in plan
    assert re.search(r"Granules: 1/1\d\b", plan)
    found = EventStore(engine).search(TimeRange(50_000.0, 50_010.0), limit=100)
    assert [each.ts for each in found] == [50_010.0 - n for n in range(11)]


def test_events_of_before_there_was_an_order_by_time_are_found_beside_later_ones(engine: Engine) -> None:
    store = EventStore(engine)
    engine.command("ALTER TABLE events DROP PROJECTION by_time SETTINGS mutations_sync = 2")
    store.put([event("old", 1.0), event("moved", 2.0)])
    engine.command("ALTER TABLE events ADD PROJECTION by_time (SELECT * ORDER BY ts)")
    store.put([event("new", 3.0), event("moved", 4.0)])
    assert [each.id for each in store.search(TimeRange(0.0, 9.0))] == ["moved", "new", "old"]

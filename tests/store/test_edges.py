"""Who calls whom, joined from the stored spans: whatever way and order they came in, the edges are the same."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.clock import FakeClock
from aiprism.config import RetentionConfig
from aiprism.model.spans import ServiceEdge
from aiprism.model.timerange import TimeRange
from aiprism.store.edges import MOST_VIRTUAL, OTHERS, EdgeJoin, cut, service_edges
from aiprism.store.engine import Engine
from aiprism.store.housekeeping import Housekeeping
from aiprism.store.rollups import Rollups
from aiprism.store.spancolumns import span_columns
from aiprism.store.usage import Marks
from aiprism.telemetry import Telemetry

AT = 1_700_000_040  # begins a minute
DAY = 86_400
TOKENS = itertools.count()
DURATION_MS = {"internal": 5, "server": 20, "client": 30, "producer": 1, "consumer": 40}
KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


@dataclass(frozen=True)
class Sent:
    """One span as a service sends it; `at` is in seconds after AT, ids are small numbers."""

    id: int
    service: str
    kind: str
    at: float = 0.0
    parent: int = 0
    trace: int = 1
    links: tuple[tuple[int, int], ...] = ()
    failed: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


def body(spans: Sequence[Sent]) -> bytes:
    request = ExportTraceServiceRequest()
    for each in spans:
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = each.service
        span = resource.scope_spans.add().spans.add(trace_id=trace_id(each.trace), span_id=span_id(each.id), name="op")
        span.kind = KINDS[each.kind]  # type: ignore[assignment]
        span.parent_span_id = span_id(each.parent) if each.parent else b""
        span.start_time_unix_nano = int((AT + each.at) * 1000) * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + DURATION_MS[each.kind] * 1_000_000
        span.status.code = 2 if each.failed else 0  # type: ignore[assignment]
        for key, value in each.attributes.items():
            span.attributes.add(key=key).value.string_value = value
        for trace, of in each.links:
            span.links.add(trace_id=trace_id(trace), span_id=span_id(of))
    return request.SerializeToString()


def trace_id(number: int) -> bytes:
    return bytes([number]) * 16


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def store(engine: Engine, *spans: Sent) -> None:
    engine.insert_arrow("spans", span_columns(body(spans)), token=str(next(TOKENS)))


def joined(engine: Engine, *, after: float = 600) -> list[ServiceEdge]:
    """All edges, `after` seconds after AT."""
    join = EdgeJoin(engine, quiet=0)
    drain(join.advance(AT + after))
    drain(join.redo())
    return list(service_edges(engine, TimeRange(AT - 600, AT + 7200)))


def drain(work: object) -> None:
    list(work)  # type: ignore[call-overload]


def told(edges: Sequence[ServiceEdge]) -> list[tuple[str, str, str, bool, int, int]]:
    return [(each.caller, each.callee, each.connection, each.virtual, each.calls, each.errors) for each in edges]


# -- what counts as a call -------------------------------------------------------------------------------------------


def test_a_call_between_two_services_is_told_with_what_the_caller_waited(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client"))
    store(engine, Sent(2, "orders", "server", parent=1, failed=True))
    [edge] = joined(engine)
    assert (edge.caller, edge.callee, edge.calls, edge.errors) == ("gateway", "orders", 1, 1)
    assert (edge.p50_ms, edge.p99_ms) == pytest.approx((30, 30))


def test_without_a_client_span_the_parent_is_the_caller_and_its_own_failure_is_not_the_calls(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "server", failed=True), Sent(2, "orders", "server", parent=1))
    [edge] = joined(engine)
    assert (edge.calls, edge.errors) == (1, 0)
    assert edge.p50_ms == pytest.approx(20)


def test_a_timeout_that_only_the_caller_noticed_is_an_error(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client", failed=True), Sent(2, "orders", "server", parent=1))
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 1, 1)]


@pytest.mark.parametrize(
    ("attributes", "edge", "system"),
    [
        ({"peer.service": "billing", "server.address": "10.0.0.7"}, ("billing", "request"), ""),
        ({"server.address": "api.openai.com", "gen_ai.system": "openai"}, ("api.openai.com", "request"), "openai"),
        ({"gen_ai.provider.name": "anthropic"}, ("anthropic", "request"), "anthropic"),
        ({"db.system.name": "postgresql", "server.address": "db"}, ("db", "database"), "postgresql"),
        ({"db.system": "redis"}, ("redis", "database"), "redis"),
        ({"net.peer.name": "legacy"}, ("legacy", "request"), ""),
        ({"messaging.system": "kafka"}, ("kafka", "messaging"), "kafka"),
        ({"rpc.service": "shop.Carts"}, ("shop.Carts", "request"), ""),
    ],
)
def test_what_sends_no_spans_is_named_by_its_callers(
    engine: Engine, attributes: Mapping[str, str], edge: tuple[str, str], system: str
) -> None:
    store(engine, Sent(1, "orders", "client", attributes=attributes))
    [found] = joined(engine)
    assert ((found.callee, found.connection), found.system, found.virtual) == (edge, system, True)


def test_of_very_many_that_send_no_spans_the_most_called_are_told_and_the_others_together(engine: Engine) -> None:
    for kind in ("client", "producer"):
        store(
            engine,
            *(
                Sent(number, kind, kind, attributes={"server.address": f"10.0.0.{min(number, MOST_VIRTUAL + 5)}"})
                for number in range(1, MOST_VIRTUAL + 8)
            ),
        )
    store(engine, Sent(999, "db", "server", parent=1))
    for _, edges in itertools.groupby(joined(engine), key=lambda each: each.caller):
        found = {each.callee: (each.calls, each.virtual) for each in edges}
        assert len(found) == MOST_VIRTUAL + 2
        assert found.items() >= {f"10.0.0.{MOST_VIRTUAL + 5}": (3, True), OTHERS: (4, True), "db": (1, False)}.items()


def test_spans_that_were_sent_again_count_once(engine: Engine) -> None:
    spans = (
        Sent(1, "web", "client"),
        Sent(2, "api", "server", parent=1),
        Sent(3, "api", "client", parent=2, attributes={"server.address": "db"}),
        Sent(4, "api", "producer", parent=2, attributes={"messaging.system": "kafka"}),
        Sent(5, "mailer", "consumer", parent=4, links=((1, 4),)),
        Sent(6, "api", "producer", parent=2, attributes={"messaging.system": "kafka"}),
    )
    for _ in range(3):
        store(engine, *spans)
    assert told(joined(engine)) == [
        ("api", "db", "request", True, 1, 0),
        ("api", "kafka", "messaging", True, 1, 0),
        ("api", "mailer", "messaging", False, 1, 0),
        ("web", "api", "request", False, 1, 0),
    ]


def test_both_sides_of_a_call_that_share_an_id_are_two_spans(engine: Engine) -> None:
    shared = (Sent(1, "web", "server"), Sent(2, "web", "client", parent=1), Sent(2, "api", "server", parent=1))
    for _ in range(2):
        store(engine, *shared, Sent(3, "db", "server", parent=2))
    assert told(joined(engine)) == [
        ("api", "db", "request", False, 1, 0),
        ("web", "api", "request", False, 1, 0),
        ("web", "db", "request", False, 1, 0),
    ]


def test_a_client_that_names_nobody_makes_no_edge(engine: Engine) -> None:
    store(engine, Sent(1, "orders", "client"))
    assert joined(engine) == []


def test_a_client_span_around_another_is_not_counted_twice(engine: Engine) -> None:
    chat = Sent(1, "writer", "client", attributes={"gen_ai.system": "openai"})
    store(engine, chat, Sent(2, "writer", "client", parent=1, attributes={"server.address": "proxy"}))
    assert told(joined(engine)) == [("writer", "proxy", "request", True, 1, 0)]


def test_a_service_that_calls_itself_makes_no_edge(engine: Engine) -> None:
    store(
        engine,
        Sent(1, "orders", "client", attributes={"server.address": "orders"}),
        Sent(2, "orders", "server", parent=1),
    )
    assert joined(engine) == []


def test_messages_are_known_by_parent_and_by_link_across_traces(engine: Engine) -> None:
    kafka = {"messaging.system": "kafka"}
    store(engine, *(Sent(number, "orders", "producer", trace=number, attributes=kafka) for number in (1, 2, 3)))
    store(engine, Sent(9, "mailer", "consumer", trace=1, parent=1, links=((1, 1), (2, 2))))
    assert told(joined(engine)) == [
        ("orders", "kafka", "messaging", True, 1, 0),
        ("orders", "mailer", "messaging", False, 2, 0),
    ]


def test_a_message_may_have_waited_for_half_an_hour(engine: Engine) -> None:
    store(engine, Sent(1, "orders", "producer", attributes={"messaging.system": "kafka"}))
    store(engine, Sent(2, "mailer", "consumer", parent=1, at=1800))
    assert told(joined(engine, after=3600)) == [
        ("orders", "kafka", "messaging", True, 1, 0),  # by the time the minute was over it was in the queue
        ("orders", "mailer", "messaging", False, 1, 0),
    ]


def test_a_part_of_nothing_but_the_last_half_second_of_a_minute_is_read(engine: Engine) -> None:
    store(engine, Sent(1, "orders", "client", at=59.5, attributes={"server.address": "db"}))
    assert told(joined(engine)) == [("orders", "db", "request", True, 1, 0)]


def test_a_call_is_one_across_the_turn_of_the_minute(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client", at=59.999, attributes={"server.address": "orders"}))
    store(engine, Sent(2, "orders", "server", at=60.001, parent=1))
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 1, 0)]
    by_minute = service_edges(engine, TimeRange(AT, AT + 600), step=60)
    assert [(each.start, each.calls) for each in by_minute] == [(AT + 60, 1)]


# -- when it is joined -----------------------------------------------------------------------------------------------


def test_a_minute_is_joined_three_minutes_after_its_end(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client"), Sent(2, "orders", "server", parent=1))
    assert joined(engine, after=239) == []
    assert len(joined(engine, after=240)) == 1


def test_an_edge_to_a_virtual_node_goes_when_the_answer_comes_late(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client", attributes={"server.address": "10.0.0.7"}))
    assert told(joined(engine)) == [("gateway", "10.0.0.7", "request", True, 1, 0)]
    store(engine, Sent(2, "orders", "server", at=61, parent=1))
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 1, 0)]
    assert engine.query("SELECT count() FROM spans_late") == [(0,)]


def test_a_minute_joined_again_counts_after_the_clock_was_set_back(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client", attributes={"server.address": "orders"}))
    joined(engine)
    engine.command(
        "INSERT INTO service_edges_1m SELECT * REPLACE (version + 1000000000000 AS version) FROM service_edges_1m"
    )
    store(engine, *(Sent(number, "gateway", "client", attributes={"server.address": "orders"}) for number in (2, 3)))
    assert told(joined(engine)) == [("gateway", "orders", "request", True, 3, 0)]
    store(engine, *(Sent(9, "orders", "server", parent=number) for number in (1, 2, 3)))
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 3, 0)]


def test_minutes_that_come_again_after_the_clock_was_set_back_are_joined_again(engine: Engine) -> None:
    store(engine, *calls(2))
    joined(engine, after=7200)
    engine.command("INSERT INTO housekeeping SELECT * REPLACE (at + toIntervalDay(1) AS at) FROM housekeeping")
    store(engine, Sent(1, "web", "client", at=300), Sent(2, "api", "server", at=300, parent=1))
    engine.command("TRUNCATE TABLE spans_late")  # by that clock they were not late
    edges = [("gateway", "orders", "request", False, 2, 1), ("web", "api", "request", False, 1, 0)]
    assert told(joined(engine, after=400)) == edges[:1]
    assert told(joined(engine, after=600)) == edges


def test_notes_of_late_spans_from_a_clock_that_was_ahead_are_taken_up(engine: Engine) -> None:
    store(engine, *calls(2))
    joined(engine)
    store(engine, *(replace(each, trace=each.trace + 2) for each in calls(2)))
    engine.command("INSERT INTO spans_late SELECT minute, seen + toIntervalDay(1), produced FROM spans_late")
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 4, 2)]
    assert engine.query("SELECT count() FROM spans_late") == [(0,)]


@pytest.mark.parametrize("window", [TimeRange(-8e9, 8e9), TimeRange(0, AT + 60), TimeRange(AT, AT)])
def test_edges_of_a_range_are_told_from_the_first_minute_that_is_known(engine: Engine, window: TimeRange) -> None:
    assert service_edges(engine, window) == []
    store(engine, *calls(2))
    joined(engine)
    assert [(each.start, each.calls) for each in service_edges(engine, window)] == [(AT, 2)]
    assert service_edges(engine, TimeRange(-8e9, -7e9)) == service_edges(engine, TimeRange(7e9, 8e9)) == []


def test_late_spans_wait_until_their_minute_is_quiet(engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client"))
    joined(engine)
    store(engine, Sent(2, "orders", "server", parent=1))
    drain(EdgeJoin(engine, quiet=3600).redo())
    assert service_edges(engine, TimeRange(AT, AT + 60)) == []
    assert len(joined(engine)) == 1


def test_a_minute_joined_again_in_other_slices_is_the_same(engine: Engine) -> None:
    store(engine, *calls(40))
    for size in (3, 1000, 7, 1):
        join = EdgeJoin(engine, slice_spans=size)
        drain(join._join(AT, join._extent(AT)))
        [edge] = service_edges(engine, TimeRange(AT, AT + 60))
        assert (edge.calls, edge.errors) == (40, 20)


def test_a_run_that_was_broken_off_is_done_again_and_counts_nothing_twice(engine: Engine) -> None:
    store(engine, *calls(40))
    broken_off = EdgeJoin(engine, slice_spans=20).advance(AT + 600)
    next(broken_off)
    assert Marks(engine).get("edges_joined") is None
    assert told(joined(engine)) == [("gateway", "orders", "request", False, 40, 20)]


def test_what_has_left_or_was_thinned_is_not_joined_again(engine: Engine) -> None:
    store(engine, *calls(40))
    before = joined(engine)
    engine.command("TRUNCATE TABLE spans")
    store(engine, Sent(1, "gateway", "client", trace=99), Sent(2, "orders", "server", parent=1, trace=99))
    Marks(engine).set("spans_from", AT + 60)
    assert joined(engine) == before
    assert engine.query("SELECT count() FROM spans_late") == [(0,)]


def test_housekeeping_joins_and_forgets_after_the_period_of_rollups(engine: Engine) -> None:
    store(engine, *calls(4))
    for days, left in ((0.1, 1), (300, 1), (450, 0)):
        clock = FakeClock(AT + days * DAY)
        keeping = Housekeeping(
            engine,
            replace(RetentionConfig(), downsample=False),
            clock,
            Telemetry(),
            rollups=Rollups(engine, clock.now),
            free_bytes=lambda: 10**12,
            settle=0,
        )
        keeping.run_once()
        assert len(service_edges(engine, TimeRange(AT, AT + 60))) == left


def calls(count: int) -> list[Sent]:
    """Calls of the gateway, one a trace, every other of which fails."""
    return [
        each
        for trace in range(1, count + 1)
        for each in (
            Sent(1, "gateway", "client", trace=trace),
            Sent(2, "orders", "server", parent=1, trace=trace, failed=trace % 2 == 0),
        )
    ]


def test_traces_are_cut_into_parts_that_leave_none_out() -> None:
    ids = [f"{number:032x}" for number in range(100)]
    parts = cut(ids, 4)
    assert [low for low, _ in parts] == [f"{number:032x}" for number in (0, 25, 50, 75)]
    assert [high for _, high in parts] == [*(low for low, _ in parts[1:]), ""]
    assert cut([ids[7]] * 10, 3) == [("00" * 16, ids[7]), (ids[7], "")]
    assert cut([], 0) == [("00" * 16, "")]


# -- any way and order -----------------------------------------------------------------------------------------------

SERVICES = ("a", "b", "c")
NAMED = {"server.address": "outside", "messaging.system": "kafka"}


@st.composite
def worlds(draw: st.DrawFn) -> list[list[Sent]]:
    """Spans of two traces over a few minutes, in the order and the requests in which they arrive, some of them again."""
    spans: list[Sent] = []
    for number in range(1, draw(st.integers(2, 14)) + 1):
        kind = draw(st.sampled_from(sorted(KINDS)))
        trace = draw(st.integers(1, 2))
        ids = [each.id for each in spans if each.trace == trace]
        sent = [(each.trace, each.id) for each in spans if each.kind == "producer"]
        spans.append(
            Sent(
                number,
                draw(st.sampled_from(SERVICES)),
                kind,
                at=draw(st.sampled_from([0, 1, 59.5, 60, 61, 150, 1800, 3599, 3700])),
                parent=draw(st.sampled_from([0, 99, *ids])),
                trace=trace,
                links=tuple(draw(st.lists(st.sampled_from(sent), max_size=2))) if kind == "consumer" and sent else (),
                failed=draw(st.booleans()),
                attributes=NAMED if draw(st.booleans()) else {},
            )
        )
    order = draw(st.permutations(spans))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    requests = [order[low:high] for low, high in zip([0, *cuts], [*cuts, len(order)], strict=True) if low < high]
    sent_again = draw(st.lists(st.sampled_from(requests), max_size=3))
    return draw(st.permutations([*requests, *sent_again]))


def expected(spans: Sequence[Sent]) -> Counter[tuple[str, str, str, bool, bool]]:
    """The definition, span by span: (caller, callee, connection, virtual, failed) → calls."""
    by_id = {(each.trace, each.id): each for each in spans}
    found: Counter[tuple[str, str, str, bool, bool]] = Counter()
    for each in spans:
        parents = {(each.trace, each.parent)} if each.parent else set()
        asked = parents | set(each.links) if each.kind == "consumer" else parents if each.kind == "server" else set()
        for key in asked & by_id.keys():
            ask = by_id[key]
            earliest = -60 if ask.kind == "producer" and each.kind == "consumer" else -1
            if not earliest <= minute(ask) - minute(each) <= 1 or ask.service == each.service:
                continue
            messaging = each.kind == "consumer" or ask.kind == "producer"
            failed = each.failed or (ask.kind == "client" and ask.failed)
            found[ask.service, each.service, "messaging" if messaging else "request", False, failed] += 1
        if each.kind in ("client", "producer") and each.attributes and not answered(each, spans):
            found[each.service, "outside", "messaging", True, each.failed] += 1
    return found


def answered(each: Sent, spans: Sequence[Sent]) -> bool:
    by = ("server", "consumer", "client", "producer") if each.kind == "client" else ("server", "consumer")
    return any(
        other.kind in by
        and abs(minute(other) - minute(each)) <= 1
        and (
            (other.trace, other.parent) == (each.trace, each.id)
            or (each.kind == "producer" and (each.trace, each.id) in other.links)
        )
        for other in spans
    )


def minute(each: Sent) -> int:
    return int(each.at // 60)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=worlds(), looks=st.lists(st.integers(240, 4000), max_size=4))
def test_any_split_over_requests_any_order_of_arrival_and_any_repeat_gives_the_same_edges(
    engine: Engine, requests: list[list[Sent]], looks: list[int]
) -> None:
    for table in ("spans", "service_edges_1m", "spans_late", "housekeeping"):
        engine.command(f"TRUNCATE TABLE {table}")
    clock = iter(sorted(looks))
    for each in requests:
        store(engine, *each)
        if (at := next(clock, None)) is not None:
            joined(engine, after=at)
    joined(engine, after=5_000)
    found: Counter[tuple[str, str, str, bool, bool]] = Counter()
    for edge in service_edges(engine, TimeRange(AT - 600, AT + 5_000)):
        key = (edge.caller, edge.callee, edge.connection, edge.virtual)
        found[*key, True] += edge.errors
        found[*key, False] += edge.calls - edge.errors
    assert +found == expected(list({each.id: each for request in requests for each in request}.values()))

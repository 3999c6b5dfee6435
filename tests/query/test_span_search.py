"""Which spans a query finds, on the real store, and its SQL; no text of a query leaves its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.errors import BadInput
from aiprism.model.search import Between, Condition, Is, Like, Matches, Wild
from aiprism.model.timerange import TimeRange
from aiprism.query.lucene import SPANS, condition
from aiprism.store import spansearch
from aiprism.store.engine import Engine
from aiprism.store.spancolumns import span_columns
from aiprism.store.spans import SpanStore
from aiprism.store.tracesearch import TraceCursor, TraceSearch, trace_page

AT = 1_800_000_000
MS = 1_000_000
SNAPSHOT = Path(__file__).parent.parent / "sql" / "span_search.sql"
Value = str | int | float | bool


@dataclass(frozen=True)
class Sent:
    """A span as a test writes it down; its number is its second and its ids."""

    name: str
    service: str = "api"
    took_ms: float = 10
    kind: int = 2
    status: int = 0
    message: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    parent: int | None = None


SPANS_SENT = [
    Sent("POST /documents", took_ms=2500, attributes={"http.status_code": 504, "user": "ada"}),
    Sent("analyse document", "worker", 2400, 1, parent=0, attributes={"gen_ai.request.model": "gpt-4", "wait": 0.25}),
    Sent("call model", "worker", 900, 3, 2, "read timed out of patience", {"http.status_code": "500"}, parent=1,
         events={"exception": {"exception.type": "TimeoutError", "attempt": 3}, "retry": {}}),
    Sent("GET /health", took_ms=0.25, status=1, attributes={"order": "12345678901234567", "flag": True}),
    Sent("naïve café 100%", "o'brien", 100, 4, attributes={"odd key": "a'b\"c\\d", "empty": "", "host.name": "mine"}),
]  # fmt: skip
FOUND = [
    ("", "01234"),
    ("document", "1"),
    ("documents", "0"),
    ("POST", "0"),
    ("docu*", "01"),
    ('"timed out"', "2"),
    ('"out of" -service:api', "2"),
    ("/[Mm]odel$/", "2"),
    ("café", "4"),
    ("service:worker", "12"),
    ("service:wor*", "12"),
    ("service:o'brien", "4"),
    ("service:/^[ao]/", "034"),
    ("name:call\\ model", "2"),
    ('operation:"GET /health"', "3"),
    ("name:GET*", "3"),
    ("kind:server", "03"),
    ("kind:(client OR producer)", "24"),
    ("-span.kind:server", "124"),
    ("status:error", "2"),
    ("status:OK", "3"),
    ("status_message:*patience", "2"),
    ("_exists_:status_message", "2"),
    ("duration:>2.4s", "0"),
    ("duration:>=2.4s", "01"),
    ("duration:[100ms TO 1s]", "24"),
    ("duration:<1ms", "3"),
    ("duration:250µs", "3"),
    ("duration:>1s OR status:error", "012"),
    ("trace_id:" + "01" * 16, "1"),
    ("trace_id:zz", ""),
    ("span_id:" + "02" * 8, "2"),
    ("-_exists_:parent_span_id", "034"),
    ("scope:tests", "01234"),
    ("http.status_code:500", "2"),
    ("http.status_code:>=500", "02"),
    ("http.status_code:[500 TO 503]", "2"),
    ("order:12345678901234567", "3"),
    ("order:12345678901234568", ""),
    ("order:>12345678901234566", "3"),
    ("wait:<0.3", "1"),
    ("wait:0.250", "1"),
    ("flag:true", "3"),
    ("user:ada", "0"),
    ("attributes.user:a*", "0"),
    ("-user:ada", "1234"),
    ("_exists_:http.status_code", "02"),
    ("empty:*", "4"),
    ('empty:""', "4"),
    ('user:""', ""),
    ("gen_ai.request.model:gpt-4", "1"),
    ("gen_ai.request.model:/^gpt/", "1"),
    ("host.name:h1", "0123"),
    ("host.name:mine", "4"),
    ("resource.host.name:h1", "01234"),
    ("attributes.host.name:h1", ""),
    ("scope.lane:fast", "01234"),
    ("event:exception", "2"),
    ("event:re*", "2"),
    ("-event:retry", "0134"),
    ("_exists_:event", "2"),
    ("event.exception.type:TimeoutError", "2"),
    ("exception.type:Timeout*", "2"),
    ("event.attempt:>2", "2"),
    ("attempt:3", ""),
    ("timestamp:>=2027-01-15T08:00:03Z", "34"),
    ("level:error", ""),
]


def sent(spans: Sequence[Sent]) -> bytes:
    """Spans on the host h1, as they are sent; span `n` begins in second `n` and has the id of its trace's `n`."""
    request = ExportTraceServiceRequest()
    for number, each in enumerate(spans):
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = each.service
        group.resource.attributes.add(key="host.name").value.string_value = "h1"
        scoped = group.scope_spans.add()
        scoped.scope.name = "tests"
        scoped.scope.attributes.add(key="lane").value.string_value = "fast"
        start = (AT + number) * 10**9
        span = scoped.spans.add(trace_id=bytes([number] * 16), span_id=bytes([number] * 8), name=each.name)
        span.kind, span.start_time_unix_nano = each.kind, start  # type: ignore[assignment]
        span.end_time_unix_nano = start + round(each.took_ms * MS)
        span.parent_span_id = b"" if each.parent is None else bytes([each.parent + 16] * 8)
        span.status.code, span.status.message = each.status, each.message  # type: ignore[assignment]
        put(span.attributes, each.attributes)
        for name, attributes in each.events.items():
            put(span.events.add(time_unix_nano=start + MS, name=name).attributes, attributes)
    return request.SerializeToString()


def put(into: object, attributes: Mapping[str, Value]) -> None:
    names = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
    for key, value in attributes.items():
        setattr(into.add(key=key).value, names[type(value)], value)  # type: ignore[attr-defined]


@pytest.fixture
def stocked(engine: Engine) -> Engine:
    engine.insert_arrow("spans", span_columns(sent(SPANS_SENT)), token="t")
    return engine


def numbers(engine: Engine, asked: Condition) -> str:
    """The numbers of the spans that fit."""
    wanted = spansearch.where(asked)
    rows = engine.query(
        f"SELECT toUnixTimestamp64Nano(start) FROM spans WHERE {wanted.sql} ORDER BY start", wanted.bound
    )
    return "".join(str(ns // 10**9 - AT) for (ns,) in rows)


def test_a_query_finds_its_spans(stocked: Engine) -> None:
    assert {text: numbers(stocked, condition(text, SPANS)) for text, _ in FOUND} == dict(FOUND)


def test_the_sql_of_a_query_is_this() -> None:
    """Where a change is meant: write what is left of the comparison into tests/sql/span_search.sql."""
    written = ((text, spansearch.where(condition(text, SPANS))) for text, _ in FOUND)
    told = "\n\n".join(f"-- {text}\n{made.sql}\n-- {made.bound}" for text, made in written)
    assert told.splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()


TEXTS = st.text(st.sampled_from("ab'\"\\`{}%_:;-/*\x00\n\té0 "), max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS)
def test_any_text_may_be_asked_for(stocked: Engine, name: str, value: str) -> None:
    for prefix in ("", "attributes.", "resource.", "event."):
        assert len(numbers(stocked, Is(prefix + name, value))) <= len(SPANS_SENT)
    with suppress(BadInput):
        numbers(stocked, condition(f"{name}:{value}", SPANS))


PREFIXES = ("attributes.", "resource.", "scope.", "event.", "exception.")


@given(st.sampled_from(PREFIXES), st.text(min_size=1), st.text())
def test_no_text_is_part_of_the_sql(prefix: str, name: str, value: str) -> None:
    def conditions(name: str, value: str) -> Sequence[Condition]:
        field = prefix + name
        like, between = Like(field, (value, Wild.MANY)), Between(field, value + "x", None)
        return (Is(field, value + "x"), Is("", value + "x"), like, Matches(field, value), between)

    for one, other in zip(conditions(name, value), conditions("k", "v"), strict=True):
        assert spansearch.where(one).sql == spansearch.where(other).sql


def test_values_of_any_characters_are_found(stocked: Engine) -> None:
    assert numbers(stocked, Is("odd key", "a'b\"c\\d")) == "4"


def test_a_trace_fits_when_one_of_its_spans_does(stocked: Engine) -> None:
    wanted = TraceSearch(TimeRange(AT - 60, AT + 60), asked=condition("kind:client OR duration:>2.4s", SPANS))
    assert [found.trace_id[:2] for found in SpanStore(stocked).search(wanted)] == ["02", "00"]


def test_pages_hold_each_trace_once_though_spans_come_in(engine: Engine) -> None:
    """Traces whose spans that fit are minutes apart, more than one in a moment, and roots that are sent last."""

    def insert(trace: int, seconds: float, took: int, token: str) -> None:
        engine.command(
            "INSERT INTO spans (trace_id, span_id, service, name, start, duration_ns) VALUES (toFixedString({id:String}, 16), "
            "toFixedString({token:String}, 8), 'api', 'op', fromUnixTimestamp64Nano({ns:Int64}), {took:UInt64})",
            {"id": f"{trace:016}", "token": token, "ns": int((AT + seconds) * 1e9), "took": took},
        )

    for number in range(12):
        insert(number, -300 * (number // 3), 10**9 + number, f"a{number}")
        insert(number, -300 * (number // 3) - 400, 10**9, f"b{number}")
    orders: tuple[Literal["time", "duration"], ...] = ("time", "duration")
    for order in orders:
        seen: list[str] = []
        wanted = TraceSearch(TimeRange(AT - 7200, AT + 60), service="api", min_duration=0.5, limit=5, order=order)
        for turn in range(9):
            page = trace_page(engine, wanted)
            seen += [each.trace_id for each in page.traces]
            if page.after is None:
                break
            insert(100 + turn, 1, 5 * 10**9, f"n{order[0]}{turn}")  # new
            insert(turn, -3000, 10**8, f"r{order[0]}{turn}")  # a root, which does not fit itself
            wanted = replace(wanted, after=TraceCursor.of(str(page.after)))
        ids = [f"{number:016}".encode().hex() for number in range(12)]
        by_time = [ids[3 * group + place] for group in range(4) for place in (2, 1, 0)]
        assert [each for each in seen if each in ids] == (by_time if order == "time" else ids[::-1])
        assert len(seen) == len({*seen})
    with pytest.raises(BadInput, match="take the one of the page before"):
        TraceCursor.of("x")


def test_every_query_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
    table = page.partition("## The language")[2].partition("## Over HTTP")[0]
    queries = [
        text for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for text in re.findall("`([^`]+)`", row)
    ]
    assert len(queries) > 20
    for text in queries:
        spansearch.where(condition(text, SPANS))

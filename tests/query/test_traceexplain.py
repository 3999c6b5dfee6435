"""What tells slow traces from others: the value that does, not one that is everywhere, nor one that is rare."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aiprism.clock import FakeClock
from aiprism.query.traceexplain import Counted, Fourfold, reasons
from aiprism.store.engine import Engine
from aiprism.store.spancolumns import span_columns
from aiprism.telemetry import Telemetry
from aiprism.web import explore, routes
from tests.query.test_span_search import AT, Value, put
from tests.web.serving import serving

TRACES, SECTIONS = 300, 6


def documents(chance: random.Random) -> bytes:
    """Documents as the lab analyses them: six sections each, three of four by the main model, which from the 200th document on
    takes twenty times as long. All of them are of one tenant, and each has an id; three slow ones were debugged."""
    request = ExportTraceServiceRequest()
    groups = {}
    for service in ("gateway", "ai-analysis-service"):
        groups[service] = request.resource_spans.add()
        put(groups[service].resource.attributes, {"service.name": service, "deployment.environment": "lab"})
        groups[service].scope_spans.add()

    def add(service: str, trace: int, number: int, name: str, begin_ms: float, took_ms: float) -> Any:
        span = groups[service].scope_spans[0].spans.add(trace_id=trace.to_bytes(16, "big"), name=name, kind=1)
        span.span_id = bytes([1, *trace.to_bytes(6, "big"), number])
        span.parent_span_id = bytes([1, *trace.to_bytes(6, "big"), 0]) if number else b""
        span.start_time_unix_nano = round(AT * 10**9 + begin_ms * 1e6)
        span.end_time_unix_nano = span.start_time_unix_nano + round(took_ms * 1e6)
        return span

    for trace in range(1, TRACES + 1):
        begin, longest = trace * 1000, 0.0
        for section in range(1, SECTIONS + 1):
            model = "large" if chance.random() < 0.75 else "small"
            took = chance.lognormvariate(4.6, 0.3) * (20 if model == "large" and trace > 200 else 1)
            longest = max(longest, took)
            span = add("ai-analysis-service", trace, section, "ai_model_invocation", begin + 5, took)
            attributes: dict[str, Value] = {
                "model.name": model,
                "prompt.tokens": chance.randrange(200, 4000),
                "host.name": f"h{section % 2}",
            }
            put(span.attributes, attributes)
            if model == "large" and trace > 298:
                span.status.code = 2
        root = add("gateway", trace, 0, "document_processing", begin, longest + 20)
        put(root.attributes, {"document.id": f"d{trace}", "tenant": "acme", "document.type": chance.choice("abcd")})
        if trace in (250, 260, 270):
            put(root.attributes, {"debug": True})
    return request.SerializeToString()


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    engine.insert_arrow("spans", span_columns(documents(random.Random(7))), token="t")
    app = routes.build([explore.router(engine, FakeClock(AT + 400))], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1/traces", timeout=60) as opened:
        yield opened


def test_a_model_that_is_twenty_times_slower_is_named(client: httpx.Client) -> None:
    told = client.get("/explain", params={"service": "gateway", "min_duration": "1s"}).json()
    assert (told["slow"], told["other"], told["sampled"]) == (100, 200, {"slow": 100, "other": 200, "most": 1000})
    [where, *_] = told["operations"]
    assert (where["operation"], where["share"] > 0.95, where["slow_ns"] > 10 * where["other_ns"]) == (
        "ai_model_invocation", True, True,
    )  # fmt: skip
    first, *more = told["reasons"]
    assert (first["key"], first["value"], first["operation"]) == ("model.name", "large", "ai_model_invocation")
    assert (first["evidence"], first["odds"] > 5, first["slow_share"] > 0.85) == ("span", True, True)
    named = {each["key"] for each in (first, *more)}
    assert not named & {"document.id", "tenant", "debug", "deployment.environment", "host.name", "document.type"}


def test_what_failed_is_explained_too(client: httpx.Client) -> None:
    told = client.get("/explain", params={"failed": "true"}).json()
    assert told["slow"] == 2
    assert told["reasons"] == []  # two traces are no evidence
    assert client.get("/explain").status_code == 400
    assert client.get("/explain", params={"failed": "true", "errors": "true"}).status_code == 400
    none = client.get("/explain", params={"service": "nobody", "min_duration": "1s"}).json()
    assert (none["slow"], none["other"], none["reasons"]) == (0, 0, [])


def test_spans_are_counted_by_time_and_duration(client: httpx.Client) -> None:
    told = client.get(
        "/heatmap", params={"service": "ai-analysis-service", "step": 100, "query": "model.name:large"}
    ).json()
    cells = told["cells"]
    assert {each["at"] for each in cells} == {AT, AT + 100, AT + 200, AT + 300}
    longest = {at: max(each["to_ns"] for each in cells if each["at"] == at) for at in (AT, AT + 200)}
    assert longest[AT] < 10**9 < longest[AT + 200]
    assert all(each["from_ns"] < each["to_ns"] <= 1.5 * each["from_ns"] for each in cells)
    assert client.get("/heatmap", params={"step": 0.001}).status_code == 400


def test_red_figures_come_from_the_rollup(client: httpx.Client) -> None:
    told = client.get("/aggregate", params={"by": "operation", "step": 60, "service": "gateway"}).json()
    assert sum(row["spans"] for row in told["rows"]) == TRACES
    assert {(row["operation"], row["kind"]) for row in told["rows"]} == {("document_processing", "internal")}
    slow = [row for row in told["rows"] if row["at"] >= AT + 240]
    assert all(row["p50_ms"] > 1000 and row["rate"] == row["spans"] / 60 for row in slow)
    [row] = client.get("/aggregate", params={"kind": "internal", "step": 0, "service": "ai-analysis-service"}).json()[
        "rows"
    ]
    assert (row["spans"], row["errors"] > 0) == (TRACES * SECTIONS, True)
    assert client.get("/aggregate", params={"service": "gateway"}).json()["rows"] == []  # no server spans


def counted(key: str, slow: int, other: int, *, bad: int = 0, good: int = 0) -> Counted:
    return Counted("s", "op", slow, other, 0, 0, bad, good, key, "v")


def test_what_is_everywhere_or_rare_is_no_reason() -> None:
    operation = Counted("s", "op", 100, 900, 90, 90, 90, 910)
    values = [
        counted("everywhere", 100, 900), counted("rare", 4, 0), counted("telling", 80, 45), counted("weaker", 40, 90),
        counted("rather of others", 2, 800),
    ]  # fmt: skip
    told = reasons([operation], values, 100, 900)
    assert [each.key for each in told] == ["telling", "weaker"]
    assert reasons([operation], values, 0, 900) == []


def test_a_slow_span_that_slows_no_trace_explains_nothing() -> None:
    """Of the operation, spans with the value are slow, in slow and in other traces alike."""
    detour = Counted("s", "op", 500, 500, 100, 100, 200, 800)
    assert reasons([detour], [counted("model", 500, 500, bad=200, good=50)], 500, 500) == []
    culprit = Counted("s", "op", 500, 500, 450, 20, 470, 530)
    [told] = reasons([culprit], [counted("model", 500, 500, bad=440, good=50)], 500, 500)
    assert (told.key, told.evidence) == ("model", "span")


COUNTS = st.integers(0, 10_000)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_fourfold_table_of_any_counts(a: int, b: int, c: int, d: int) -> None:
    table = Fourfold(a, b, c, d)
    assert 0 <= table.explained <= 1 + 1e-9
    assert 0 < table.odds_low < table.odds
    assert Fourfold(a, b, a, b).explained < 1e-9  # the same shares on both sides say nothing


def test_values_of_spans_that_came_in_while_it_was_counted_are_no_mistake() -> None:
    operation = Counted("a", "call", 90, 90, 90, 0, bad_spans=90, good_spans=90)
    more = Counted("a", "call", 90, 90, 90, 0, bad_spans=91, good_spans=91, key="model", value="slow")
    unknown = Counted("a", "new", 90, 0, 90, 0, bad_spans=90, good_spans=0, key="model", value="new")
    told = reasons([operation], [more, unknown], 90, 90)
    assert [(each.value, each.evidence) for each in told] == [("new", "trace")]

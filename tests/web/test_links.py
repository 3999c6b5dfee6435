"""Addresses lead where they say: whatever names are made of, and from each thing to what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism.clock import FakeClock
from aiprism.model.timerange import TimeRange
from aiprism.query.promql.parse import parse
from aiprism.query.promql.syntax import selectors
from aiprism.store.engine import Engine
from aiprism.store.logcolumns import log_columns
from aiprism.telemetry import Telemetry
from aiprism.web import explore, links, logs, routes
from tests.store.test_edges import AT, Sent, span_id, store, trace_id
from tests.web.serving import serving

SPAN = TimeRange(AT - 0.5, AT + 60.2)
texts = st.text(max_size=8)


@given(name=st.text(min_size=1, max_size=8), operation=texts, attribute=texts)
def test_what_a_name_is_made_of_does_not_change_where_it_leads(name: str, operation: str, attribute: str) -> None:
    address = links.traces(SPAN, service=name, operation=operation, attribute=attribute)
    asked = dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
    wanted = {"service": name, "operation": operation, "attribute": attribute}
    assert asked == {key: value for key, value in wanted.items() if value} | {
        "start": str(AT - 1),
        "end": str(AT + 61),
    }
    assert [unquote(part) for part in links.service(name).split("/")[1:]] == ["aiprism", "v1", "services", name]


@given(st.dictionaries(st.from_regex(r"[a-zA-Z_.é ][a-z0-9_. é]*", fullmatch=True), texts.filter(bool), min_size=1))
def test_a_selector_finds_the_labels_it_was_made_of(labels: dict[str, str]) -> None:
    [selector] = selectors(parse(links.selector_of(labels)))
    assert {each.name: each.value for each in selector.matchers} == labels


LINES = ((1, 2, "charged"), (1, 3, "stored"), (0, 0, "without a trace"))


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    """A trace of two services, a record in each of two spans, and one in none."""

    async def nothing() -> None:
        return None

    store(engine, Sent(1, "gateway", "client"), Sent(2, "shop & co", "server", parent=1), Sent(3, "db", "internal"))
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop & co"
    for trace, span, line in LINES:
        record = resource.scope_logs.add().log_records.add(time_unix_nano=AT * 10**9 + span * 1000)
        record.trace_id, record.span_id = (trace_id(trace), span_id(span)) if trace else (b"", b"")
        record.body.string_value = line
    engine.insert_arrow("logs_received", log_columns(request.SerializeToString()), token="t")
    clock = FakeClock(AT + 600)
    app = routes.build([explore.router(engine, clock), logs.router(engine, clock)], Telemetry(), {}, nothing)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as opened:
        yield opened


def got(client: httpx.Client, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    return answer.json()


def test_spans_and_records_lead_to_each_other(client: httpx.Client) -> None:
    found = got(client, links.trace(trace_id(1).hex()))
    lines = {
        span["span_id"]: [each["body"] for each in got(client, span["links"]["logs"])["logs"]]
        for span in found["spans"]
    }
    assert lines == {span_id(1).hex(): [], span_id(2).hex(): ["charged"], span_id(3).hex(): ["stored"]}
    of_trace = {each["body"]: each["links"] for each in found["logs"]}
    assert of_trace["charged"]["service"] == "/aiprism/v1/services/shop%20%26%20co"
    records = got(client, links.logs(SPAN, service="shop & co"))["logs"]
    charged, alone = (next(each for each in records if each["body"] == line) for line in ("charged", LINES[2][2]))
    assert charged["links"] == of_trace["charged"]
    assert got(client, charged["links"]["trace"])["spans"] == found["spans"]
    assert [each["body"] for each in got(client, charged["links"]["span_logs"])["logs"]] == ["charged"]
    assert set(alone["links"]) == {"context", "service"}
    context = got(client, alone["links"]["context"])
    assert [each["body"] for each in context["from"]] == [LINES[2][2], "charged", "stored"]


def test_a_pattern_leads_to_its_records_and_their_traces(client: httpx.Client, engine: Engine) -> None:
    [[pattern]] = engine.query("SELECT pattern_id FROM logs WHERE body = 'charged'")
    found = links.of_pattern(pattern, "shop & co", SPAN)
    assert [each["body"] for each in got(client, found["logs"])["logs"]] == ["charged"]
    assert got(client, found["trace_ids"])["facets"] == {"trace_id": [{"value": trace_id(1).hex(), "records": 1}]}

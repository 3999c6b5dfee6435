"""A service leads to everything of it, and a metric to its service and traces: every address is followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiprism import services as service_files
from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.config import LimitsConfig
from aiprism.learn.survey import Survey
from aiprism.model.events import ChangeEvent
from aiprism.model.labels import Labels
from aiprism.receive.limits import Admission
from aiprism.respond.desk import Policy
from aiprism.respond.responder import Responder
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.store.events import EventStore
from aiprism.store.logcolumns import log_columns
from aiprism.store.records import Records
from aiprism.telemetry import Telemetry
from aiprism.web import events, explore, incidents, logs, prometheus, related, routes, servicepage, services
from tests.query.promql.stocked import Stocked
from tests.respond.making import alert
from tests.store.test_edges import AT, Sent, drain, span_id, store, trace_id
from tests.web.serving import serving

PAGE = (Path(__file__).parents[2] / "docs" / "correlation.md").read_text(encoding="utf-8")
DECLARED = """
services:
  orders: {owner: ann@example.com, tier: 1, runbook: https://wiki.example.com/orders, aliases: [orders-v2], dependencies: [mail]}
  mail: {}
  metered: {aliases: [meters], dependencies: [mail]}
"""
NOW = AT + 600.0
TRACE = trace_id(4).hex()


@dataclass
class Shop:
    """A gateway whose requests to orders fail in the end, known by all kinds of telemetry."""

    http: httpx.Client

    def get(self, address: str) -> Any:
        answer = self.http.get(address)
        assert answer.status_code == 200, (address, answer.text)
        return answer.json()

    def page(self, name: str = "orders") -> Any:
        return self.get(f"/aiprism/v1/services/{name}?start={AT - 60}&end={AT + 540}")


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    async def nothing() -> None:
        return None

    clock, stocked = FakeClock(NOW), Stocked.on(engine)
    limits, telemetry = LimitsConfig(), Telemetry()
    fill(engine, stocked)
    known = service_files.read(yamlfile.parse(DECLARED, file="services.yml"))
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    responder = Responder(records, policy=Policy(services=known), actuators={}, ask=lambda query, at: [], clock=clock)
    responder.accept([alert("HighErrorRate", "orders-v2", at=NOW - 60), alert("HighErrorRate", "other", at=NOW - 60)])
    survey = Survey(engine, lambda: known, clock)
    survey.refresh()
    doors = [
        services.router(engine, clock, lambda: known, index=stocked.index),
        servicepage.router(engine, clock, stocked.index, responder),
        related.router(stocked.promql, engine, clock, survey),
        explore.router(engine, clock),
        logs.router(engine, clock),
        events.router(engine, clock, limits, Admission("default", limits, clock, telemetry), telemetry),
        incidents.router(responder),
        prometheus.router(stocked.promql, engine, clock),
    ]
    with serving(routes.build(doors, telemetry, {}, nothing)) as url, httpx.Client(base_url=url, timeout=60) as http:
        yield Shop(http)
    records.close()


def fill(engine: Engine, stocked: Stocked) -> None:
    for trace in range(1, 5):
        name = "orders-v2" if trace == 4 else "orders"
        store(
            engine,
            Sent(1, "gateway", "client", trace=trace),
            Sent(2, name, "server", parent=1, trace=trace, failed=trace == 4),
        )
    drain(EdgeJoin(engine).advance(NOW))
    request = ExportLogsServiceRequest()
    for name, trace in (("orders", 1), ("orders-v2", 4)):
        resource = request.resource_logs.add()
        resource.resource.attributes.add(key="service.name").value.string_value = name
        record = resource.scope_logs.add().log_records.add(time_unix_nano=AT * 10**9, severity_number=17)
        record.trace_id, record.span_id = trace_id(trace), span_id(2)
        record.body.string_value = f"order {trace} failed"
    engine.insert_arrow("logs_received", log_columns(request.SerializeToString()), token="t")
    EventStore(engine).put([ChangeEvent("d1", AT - 3600, "deployment", "orders-v2", "orders v2", "", {}, "ci")])
    took = {"__name__": "took_seconds", "job": "shop/orders", "instance": "a:1"}
    ups = [Labels({"__name__": "up", "job": job}) for job in ("other", "shop/meters")]
    stocked.add([(Labels(took), [(AT * 1000, 0.5)]), *((up, [(AT * 1000, 1.0)]) for up in ups)])
    engine.command(
        "INSERT INTO exemplars SELECT 'took_seconds', {fp:UInt64}, fromUnixTimestamp64Milli({at:Int64}, 'UTC'), 0.5, "
        "unhex({trace:String}), unhex({span:String}), map()",
        {"fp": Labels(took).fingerprint, "at": AT * 1000, "trace": TRACE, "span": span_id(2).hex()},
    )


def test_a_page_has_everything_of_a_service_under_all_its_names(shop: Shop) -> None:
    page = shop.page()
    assert (page["owner"], page["tier"], page["names"]) == ("ann@example.com", 1, ["orders", "orders-v2"])
    assert page["signals"] == ["logs", "metrics", "traces"]
    assert (page["red"]["calls"], page["red"]["errors"], page["red"]["p95_ms"]) == (4, 1, 20.0)
    assert [(each["name"], each["kind"], each["calls"]) for each in page["operations"]] == [("op", "server", 4)]
    assert [(each["name"], each["calls"], each["seen"], each["declared"]) for each in page["callers"]] == [
        ("gateway", 4, True, False)
    ]
    assert [(each["name"], each["seen"], each["declared"]) for each in page["callees"]] == [("mail", False, True)]
    assert [each["trace_id"] for each in page["errors"]] == [TRACE]
    assert [(each["level"], each["records"]) for each in page["logs"]["levels"]] == [("ERROR", 2)]
    assert [(each["pattern"], each["lines"]) for each in page["logs"]["patterns"]] == [("order <num> failed", 2)]
    assert [each["title"] for each in page["events"]] == ["orders v2"]
    assert [each["name"] for each in page["metrics"]] == ["took_seconds"]
    assert [each["labels"]["service"] for each in page["alerts"]] == ["orders-v2"]
    assert [each["status"] for each in page["incidents"]] == ["investigating"]


def leads(thing: Any) -> Iterator[str]:
    """Every address in an answer."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from value.values() if key == "links" else leads(value)
    elif isinstance(thing, list):
        for each in thing:
            yield from leads(each)


def test_every_address_on_a_page_leads_somewhere(shop: Shop) -> None:
    addresses = {address for name in ("orders", "gateway", "mail") for address in leads(shop.page(name))}
    kinds = {
        re.sub(r"\?.*|(?<=traces/).*|(?<=incidents/).*|(?<=services/)(?!map)[a-z]+$", "", each) for each in addresses
    }
    assert kinds == {
        "/aiprism/v1/services/", "/aiprism/v1/traces", "/aiprism/v1/traces/", "/aiprism/v1/logs", "/aiprism/v1/logs/facets",
        "/aiprism/v1/incidents/", "/aiprism/v1/events", "/aiprism/v1/metrics/related", "/api/v1/query_range", "/api/v1/series",
        "/aiprism/v1/services/map",
    }  # fmt: skip
    for address in addresses:
        shop.get(address)


def test_addresses_on_a_page_find_what_the_page_tells(shop: Shop) -> None:
    page = shop.page()
    [failure], [pattern], [metric] = page["errors"], page["logs"]["patterns"], page["metrics"]
    assert [each["body"] for each in shop.get(failure["links"]["logs"])["logs"]] == ["order 4 failed"]
    assert {each["service"] for each in shop.get(failure["links"]["trace"])["spans"]} == {"gateway", "orders-v2"}
    assert [each["trace_id"] for each in shop.get(page["links"]["errors"])["traces"]] == [TRACE]
    assert len(shop.get(page["links"]["traces"])["traces"]) == 4
    assert len(shop.get(page["operations"][0]["links"]["traces"])["traces"]) == 4
    assert len(shop.get(page["links"]["logs"])["logs"]) == len(shop.get(pattern["links"]["logs"])["logs"]) == 2
    assert len(shop.get(page["logs"]["levels"][0]["links"]["logs"])["logs"]) == 2
    assert [each["id"] for each in shop.get(page["links"]["events"])["events"]] == ["d1"]
    assert [each["job"] for each in shop.get(page["links"]["series"])["data"]] == ["shop/orders"]
    values = shop.get(metric["links"]["values"])["data"]["result"]
    assert [each["metric"]["job"] for each in values] == ["shop/orders"]


def test_a_metric_leads_to_its_service_and_to_the_traces_of_its_exemplars(shop: Shop) -> None:
    [metric] = shop.page()["metrics"]
    found = shop.get(metric["links"]["related"])
    [series], [exemplar] = found["series"], found["exemplars"]
    assert (series["service"], exemplar["value"], exemplar["ts"]) == ("orders", 0.5, AT)
    assert shop.get(series["links"]["service"])["name"] == "orders"
    assert len(shop.get(series["links"]["logs"])["logs"]) == 2
    assert len(shop.get(exemplar["links"]["trace"])["spans"]) == 2
    assert len(shop.get(series["links"]["exemplars"])["data"]) == 1
    many = shop.get(f"/aiprism/v1/metrics/related?query=%7Bjob%3D~%22.%2B%22%7D&start={AT - 60}&end={AT + 60}&limit=1")
    assert (len(many["series"]), many["is_whole"]) == (1, False)
    assert shop.http.get("/aiprism/v1/metrics/related?query=up%7B").status_code == 400


def test_what_several_selectors_find_is_told_once_and_hides_nothing_else(shop: Shop) -> None:
    door = f"/aiprism/v1/metrics/related?start={AT - 60}&end={AT + 60}"
    twice = shop.get(f"{door}&query=took_seconds%20/%20rate(took_seconds%5B1m%5D)")
    assert (len(twice["series"]), len(twice["exemplars"])) == (1, 1)
    prometheus_says = shop.get(f"/api/v1/query_exemplars?start={AT - 60}&end={AT + 60}&query=took_seconds/took_seconds")
    assert [len(each["exemplars"]) for each in prometheus_says["data"]] == [1]
    both = shop.get(f"{door}&query=up%20or%20%7Bjob%3D~%22.%2B%22%7D&limit=1")
    assert (len(both["series"]), both["is_whole"]) == (1, False)


def test_what_is_only_known_by_its_series_has_a_page(shop: Shop) -> None:
    page = shop.page("other")
    assert (page["signals"], page["seen"], page["declared"], page["red"]["calls"]) == (["metrics"], True, False, 0)
    assert [each["labels"]["service"] for each in page["alerts"]] == ["other"]


def test_a_service_that_sends_metrics_only_has_not_drifted(shop: Shop) -> None:
    drifted = shop.get("/aiprism/v1/services/drift?min_calls=1")
    assert [each["name"] for each in drifted["unseen_services"]] == ["mail"]
    assert [(each["caller"], each["callee"]) for each in drifted["unseen_dependencies"]] == [("orders", "mail")]


def test_a_name_nobody_goes_by_is_not_found(shop: Shop) -> None:
    answer = shop.http.get("/aiprism/v1/services/odrers")
    assert (answer.status_code, "services/map" in answer.json()["error"]["message"]) == (404, True)
    assert shop.http.get("/aiprism/v1/services/").status_code == 404


def test_the_example_of_the_documentation_is_what_is_answered(shop: Shop) -> None:
    path = PAGE.partition("http://127.0.0.1:9090")[2].partition("'")[0]
    told = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    answer = shop.get(path)
    assert {key: answer[key] for key in told} == told

"""Services over our API: the map and its drift, from spans that were stored and a services.yml that was read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism import services as service_files
from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.services import Catalogue
from aiprism.store.edges import EdgeJoin
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from aiprism.web import routes, services
from tests.store.test_edges import AT, Sent, drain, store
from tests.web.serving import serving

PAGE = (Path(__file__).parents[2] / "docs" / "service-map.md").read_text(encoding="utf-8")
DECLARED = """
services:
  orders:
    {owner: ann@example.com, tier: 1, runbook: https://wiki.example.com/orders, aliases: [orders-v2], dependencies: [db, mail]}
  db: {kind: database, aliases: ["10.0.0.7"]}
  mail: {kind: external}
"""
BEGIN, END = AT - 60, AT + 180


def catalogue() -> Catalogue:
    return service_files.read(yamlfile.parse(DECLARED, file="services.yml"))


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    clock = FakeClock(AT + 600)
    app = routes.build([services.router(engine, clock, catalogue)], Telemetry(), {}, nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1", timeout=60) as opened:
        yield opened


def call_orders(engine: Engine, trace: int, *, at: float = 0.0, name: str = "orders", failed: bool = False) -> None:
    """One request of the gateway to orders, which asks the database."""
    asks = {"db.system.name": "postgresql", "server.address": "10.0.0.7"}
    store(
        engine,
        Sent(1, "gateway", "client", trace=trace, at=at),
        Sent(2, name, "server", parent=1, trace=trace, at=at, failed=failed),
        Sent(3, name, "client", parent=2, trace=trace, at=at, attributes=asks),
    )


def measured(thing: dict[str, Any]) -> tuple[Any, ...]:
    return thing["calls"], thing["errors"], thing["p95_ms"]


def test_the_map_has_all_that_is_seen_or_declared_under_one_name(client: httpx.Client, engine: Engine) -> None:
    for number in range(4):
        call_orders(engine, number + 1, name="orders-v2" if number % 2 else "orders", failed=number == 3)
    call_orders(engine, 9, at=60)
    drain(EdgeJoin(engine).advance(AT + 600))
    answer = client.get("/services/map", params={"start": BEGIN, "end": END - 1, "step": 60}).json()
    assert (answer["start"], answer["end"], answer["is_whole"]) == (BEGIN, END, True)
    nodes = {each["name"]: each for each in answer["nodes"]}
    assert {name: (each["kind"], each["seen"], each["declared"], *measured(each)) for name, each in nodes.items()} == {
        "gateway": ("service", True, False, 0, 0, None),
        "orders": ("service", True, True, 5, 1, 20.0),
        "db": ("database", True, True, 5, 0, 30.0),
        "mail": ("external", False, True, 0, 0, None),
    }
    orders = nodes["orders"]
    assert (orders["owner"], orders["tier"], orders["seen_as"], orders["rate"]) == (
        "ann@example.com", 1, ["orders", "orders-v2"], 5 / 240,
    )  # fmt: skip
    assert [(each["start"], each["calls"], each["errors"], each["rate"]) for each in orders["points"]] == [
        (AT, 4, 1, 4 / 60), (AT + 60, 1, 0, 1 / 60),
    ]  # fmt: skip
    edges = {(each["caller"], each["callee"]): each for each in answer["edges"]}
    assert {
        key: (each["connection"], each["seen"], each["declared"], *measured(each)) for key, each in edges.items()
    } == {
        ("gateway", "orders"): ("request", True, False, 5, 1, 30.0),
        ("orders", "db"): ("database", True, True, 5, 0, 30.0),
        ("orders", "mail"): ("", False, True, 0, 0, None),
    }
    assert [each["calls"] for each in edges["orders", "db"]["points"]] == [4, 1]


def test_how_services_do_is_told_of_the_last_seconds_until_any_moment(client: httpx.Client, engine: Engine) -> None:
    call_orders(engine, 1)
    call_orders(engine, 2, at=100, failed=True)

    def rates(**asked: float) -> list[tuple[str, float, float]]:
        found = client.get("/services", params=asked).json()["services"]
        return [(each["service"], each["rate"], each["error_share"]) for each in found]

    assert rates(end=AT + 60) == [("orders", 1 / 60, 0.0)]
    assert rates(end=AT + 120) == [("orders", 1 / 60, 1.0)]
    assert rates(end=AT + 120, window=200) == [("orders", 2 / 200, 0.5)]
    assert rates() == []


def test_the_example_of_the_documentation_is_what_is_answered(client: httpx.Client, engine: Engine) -> None:
    call_orders(engine, 1)
    call_orders(engine, 2, failed=True)
    drain(EdgeJoin(engine).advance(AT + 600))
    example = PAGE.partition("## The map")[2]
    answer = client.get(example.partition("http://127.0.0.1:9090/aiprism/v1")[2].partition("'")[0]).json()
    told = json.loads(example.partition("```json\n")[2].partition("```")[0])
    assert [each for each in answer["nodes"] if each["name"] == "orders"] == told["nodes"]
    assert [each for each in answer["edges"] if each["callee"] == "db"] == told["edges"]
    assert {key: answer[key] for key in answer if key not in ("nodes", "edges")} == {
        key: told[key] for key in told if key not in ("nodes", "edges")
    }


def test_drift_tells_what_was_seen_often_enough(client: httpx.Client, engine: Engine) -> None:
    for trace in range(1, 11):
        call_orders(engine, trace)
    store(engine, Sent(8, "gateway", "client", trace=50, attributes={"server.address": "typo"}))
    drain(EdgeJoin(engine).advance(AT + 600))
    found = client.get("/services/drift").json()
    assert [(each["name"], each["first_seen"]) for each in found["undeclared_services"]] == [("gateway", AT)]
    assert [(each["name"], each["last_seen"]) for each in found["unseen_services"]] == [("mail", None)]
    assert found["undeclared_dependencies"] == []
    assert [(each["caller"], each["callee"]) for each in found["unseen_dependencies"]] == [("orders", "mail")]
    assert (found["ignored"], found["declared"]) == (1, 3)
    few = client.get("/services/drift", params={"min_calls": 1}).json()
    assert {each["name"] for each in few["undeclared_services"]} == {"gateway", "typo"}


def test_a_node_that_stands_for_many_leads_to_no_page(client: httpx.Client, engine: Engine) -> None:
    store(engine, Sent(1, "gateway", "client", attributes={"server.address": "(others)"}))
    drain(EdgeJoin(engine).advance(AT + 600))
    nodes = client.get("/services/map", params={"start": BEGIN, "end": END}).json()["nodes"]
    assert {each["name"]: list(each["links"]) for each in nodes if each["seen"]} == {
        "(others)": [], "gateway": ["service", "traces"],
    }  # fmt: skip


def test_an_empty_store_shows_what_is_declared(client: httpx.Client) -> None:
    answer = client.get("/services/map").json()
    assert {each["name"]: each["seen"] for each in answer["nodes"]} == {"orders": False, "db": False, "mail": False}
    assert client.get("/services/map", params={"step": 90}).status_code == 400

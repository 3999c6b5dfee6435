"""Patterns of stored logs over our API, on the real store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aiprism.clock import SystemClock
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from aiprism.web import logs, routes
from tests.logmaking import Line, store_logs
from tests.web.serving import serving

AT = 1_800_000_000
TRACE = b"\xab" * 16
LINES = [
    *(Line(AT + 30 * n, f"order {n} took {n * 10} ms", trace=TRACE if n == 3 else b"") for n in range(4)),
    Line(AT + 70, "order 9 took 5 ms", level="ERROR", service="cart"),
    Line(AT + 80, "no disk", level="FATAL", service="cart"),
]


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    store_logs(engine, LINES)
    app = routes.build([logs.router(engine, SystemClock())], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=f"{url}/aiprism/v1", timeout=60) as opened:
        yield opened


def asked(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = client.get("/logs/patterns", params={"start": AT, "end": AT + 179} | parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_window_is_told_as_its_statements(client: httpx.Client) -> None:
    answer = asked(client)
    assert {name: answer[name] for name in ("start", "end", "step", "lines", "is_whole")} == {
        "start": AT, "end": AT + 179, "step": 60, "lines": 6, "is_whole": True,
    }  # fmt: skip
    took, disk = answer["patterns"]
    assert (took["template"], took["count"], took["services"], took["levels"]) == (
        "order <*> took <*>", 5, {"api": 4, "cart": 1}, {"INFO": 4, "ERROR": 1},
    )  # fmt: skip
    assert took["series"] == [[AT, 2], [AT + 60, 3]]
    assert (took["first_seen"], took["last_seen"]) == (AT, AT + 60)
    assert (disk["template"], disk["series"], disk["variables"]) == ("no disk", [[AT + 60, 1]], [])


def test_variables_and_examples_are_of_real_lines(client: httpx.Client) -> None:
    took = asked(client)["patterns"][0]
    assert took["sampled"] == 5
    assert took["examples"][0]["body"] == "order 3 took 30 ms"  # the newest first
    number, duration = took["variables"]
    assert (number["position"], number["distinct"], number["numbers"]["max"]) == (1, 5, 9)
    assert duration["top"][0] == {"value": "0 ms", "lines": 1}
    assert duration["numbers"] == {
        "unit": "s", "min": 0.0, "max": 0.03, "mean": pytest.approx(0.013), "p50": 0.01, "p95": pytest.approx(0.028),
    }  # fmt: skip
    assert asked(client, samples=2)["patterns"][0]["sampled"] == 2
    without = asked(client, samples=0)["patterns"][0]
    assert (without["sampled"], without["variables"], len(without["examples"])) == (0, [], 1)


def test_links_lead_to_the_lines_and_traces(client: httpx.Client) -> None:
    links = asked(client)["patterns"][0]["links"]
    assert links["traces"] == [f"/aiprism/v1/traces/{TRACE.hex()}"]
    found = client.get(links["logs"].removeprefix("/aiprism/v1")).json()["logs"]
    assert sorted(record["body"] for record in found) == sorted(line.body for line in LINES if "order" in line.body)


def test_a_window_is_narrowed(client: httpx.Client) -> None:
    def told(**parameters: Any) -> list[tuple[str, int]]:
        return [(each["template"], each["count"]) for each in asked(client, **parameters)["patterns"]]

    assert told(service="cart") == [("no disk", 1), ("order <*> took <*>", 1)]
    assert told(level="info") == [("order <*> took <*>", 4)]
    assert told(start=AT + 60, level=["ERROR", "FATAL"], limit=1) == [("no disk", 1)]
    assert told(start=AT - 600, end=AT - 60) == []


def test_an_id_is_that_of_the_template_wherever_it_is_found(client: httpx.Client) -> None:
    ids = {each["template"]: each["id"] for each in asked(client)["patterns"]}
    assert asked(client, service="cart")["patterns"][1]["id"] == ids["order <*> took <*>"] == "E6d62c8e4"


def test_a_day_and_a_year_are_counted_in_as_many_steps_as_people_can_look_at(client: httpx.Client) -> None:
    assert asked(client, start=AT - 86_400, end=AT)["step"] == 60
    year = asked(client, start=AT - 365 * 86_400, end=AT)
    assert year["step"] == 365 * 60
    assert asked(client, step=120)["step"] == 120
    assert client.get("/logs/patterns", params={"step": 90}).status_code == 400

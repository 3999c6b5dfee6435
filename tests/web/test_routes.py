"""Who may ask: pages of other origins only what was opened to them."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter

from aiprism.telemetry import Telemetry
from aiprism.web import routes
from tests.web.test_prometheus import Client

GRAFANA = {"Origin": "https://grafana.example"}


def _client(origins: str) -> Client:
    router = APIRouter()

    @router.api_route("/api/v1/query", methods=["GET", "POST"])
    async def query() -> dict[str, str]:
        return {"status": "success"}

    @router.post("/api/v1/write")
    @router.post("/aiprism/v1/events")
    async def change() -> dict[str, str]:
        return {"status": "changed"}

    async def reload() -> None:
        return None

    pattern = re.compile(origins) if origins else None
    return Client(routes.build([router], Telemetry(), {}, reload, names=["test"], origins=pattern))


def test_by_default_no_other_page_gets_anything() -> None:
    client = _client("")
    answer = client._ask("GET", "/api/v1/query", headers=GRAFANA)
    assert "access-control-allow-origin" not in answer.headers
    assert client._ask("POST", "/api/v1/query", headers=GRAFANA).status_code == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_a_named_origin_may_ask(method: str) -> None:
    answer = _client(r"https://(grafana|other)\.example")._ask(method, "/api/v1/query", headers=GRAFANA)
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    assert answer.headers["access-control-allow-origin"] == "https://grafana.example"
    assert answer.headers["vary"] == "Origin"


def test_its_browser_may_ask_first_what_is_allowed() -> None:
    answer = _client(r"https://grafana\.example")._ask("OPTIONS", "/api/v1/query", headers=GRAFANA)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"


@pytest.mark.parametrize("path", ["/api/v1/query", "/api/v1/write", "/api/v1/nothing"])
def test_who_asks_what_is_allowed_is_answered_as_by_prometheus(path: str) -> None:
    """Compared with Debian's Prometheus: 204 and no body for any path below /api/v1; elsewhere the method is none."""
    answer = _client("")._ask("OPTIONS", path, headers=GRAFANA)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert _client("")._ask("OPTIONS", "/-/healthy").status_code == 405


@pytest.mark.parametrize("path", ["/api/v1/write", "/aiprism/v1/events"])
def test_but_not_change_anything(path: str) -> None:
    answer = _client(r"https://grafana\.example")._ask("POST", path, headers=GRAFANA)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)


@pytest.mark.parametrize("origin", ["https://grafana.example.evil", "http://grafana.example", "null", ""])
def test_nor_may_a_page_of_an_origin_that_matches_in_part(origin: str) -> None:
    answer = _client(r"https://grafana\.example")._ask("GET", "/api/v1/query", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers

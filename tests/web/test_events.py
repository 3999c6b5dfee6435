"""Change events over our API: stored once, found again, refused in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism.clock import FakeClock
from aiprism.config import IngestConfig, LimitsConfig
from aiprism.receive.inflight import InFlight
from aiprism.receive.limits import Admission
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from aiprism.web import events, routes

AT = 1_700_000_000.0
PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


class Api:
    """The routes on `engine`, at `clock`."""

    def __init__(self, engine: Engine, bodies: IngestConfig | None = None, **limits: int) -> None:
        self.clock, self.telemetry = FakeClock(AT), Telemetry()
        config = LimitsConfig(**limits)
        admission = Admission("default", config, self.clock, self.telemetry)
        router = events.router(engine, self.clock, config, admission, self.telemetry)
        self.in_flight = InFlight((bodies or IngestConfig()).in_flight_bytes, self.telemetry)
        self._app = routes.build(
            [router], self.telemetry, checks={}, reload=_nothing, bodies=bodies, in_flight=self.in_flight
        )

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        async def run() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app), base_url="http://localhost"
            ) as client:
                if isinstance(body, bytes):
                    headers = {"Content-Type": "application/json"}
                    return await client.request(method, path, content=body, headers=headers)
                return await client.request(method, path, json=body)

        return asyncio.run(run())

    def post(self, *said: Mapping[str, Any]) -> httpx.Response:
        return self.ask("POST", "/aiprism/v1/events", {"events": list(said)})

    def found(self, query: str = "") -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self.ask("GET", f"/aiprism/v1/events{query}").json()["events"]
        return answer


async def _nothing() -> None:
    return None


@pytest.fixture
def api(engine: Engine) -> Api:
    return Api(engine)


def test_the_example_of_the_documentation_is_stored_and_found(api: Api) -> None:
    sent = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    assert api.ask("POST", "/aiprism/v1/events", sent).json() == {"ids": ["deploy-4711"]}
    path = PAGE.partition("curl 'http://127.0.0.1:9090")[2].partition("'")[0]
    assert api.ask("GET", path).json() == sent
    assert api.ask("GET", path.replace("orders", "mailer")).json() == {"events": []}


def test_an_event_sent_again_is_one_and_its_last_words_count(api: Api) -> None:
    api.post({"id": "a", "title": "began"})
    api.clock._now += 60
    api.post({"id": "a", "title": "done"}, {"id": "a", "title": "really done"})
    assert [(each["id"], each["title"], each["ts"]) for each in api.found()] == [("a", "really done", AT)]


def test_without_an_id_what_is_said_at_a_time_is_one_event(api: Api) -> None:
    for _ in range(2):
        api.post({"title": "restarted", "ts": AT}, {"title": "restarted", "ts": AT + 1})
    assert [each["ts"] for each in api.found(f"?end={AT + 9}")] == [AT + 1, AT]


def test_events_are_found_by_time_kind_and_service_newest_first(api: Api) -> None:
    for number, (kind, service) in enumerate(
        (("deployment", "a"), ("restart", "a"), ("deployment", "b"), ("restart", "c"))
    ):
        api.post({"title": str(number), "kind": kind, "service": service, "ts": AT - number})
    assert [each["title"] for each in api.found()] == ["0", "1", "2", "3"]
    assert [each["title"] for each in api.found("?kind=deployment")] == ["0", "2"]
    assert [each["title"] for each in api.found("?service=b&service=c&limit=1")] == ["2"]
    assert [each["title"] for each in api.found(f"?start={AT - 2}&end={AT - 1}")] == ["1", "2"]


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x", "kind": "Kind of"}, "kind"),
        ({"title": "x", "ts": "soon"}, "ts"),
        ({"title": "x", "ts": AT + 7200}, "events[1].ts"),
        ({"title": "x", "ts": 5}, "events[1].ts"),
        ({"title": "x", "attributes": {"a": {"b": 1}}}, "attributes"),
        ({"title": "x", "attributes": {str(n): "" for n in range(65)}}, "attributes"),
        ({"title": "x", "severity": 1}, "severity"),
    ],
)
def test_a_bad_event_is_refused_with_its_place_and_its_neighbours_with_it(
    api: Api, said: Mapping[str, Any], where: str
) -> None:
    refused = api.post({"title": "good"}, said)
    assert refused.status_code == 400
    assert where in refused.text
    assert api.found() == []


def test_a_tenant_that_sends_too_many_is_told_the_limit(engine: Engine) -> None:
    api = Api(engine, log_records_per_second=1)
    assert api.post(*({"title": str(n)} for n in range(10))).status_code == 200
    refused = api.post({"title": "one more"})
    assert (refused.status_code, "limits.log_records_per_second" in refused.text) == (429, True)
    assert 'dropped_total{reason="refused",stage="receive.events"} 1.0' in api.telemetry.exposition().decode()


words = st.text(st.characters(codec="utf-8"), max_size=50)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=words.filter(bool), text=words, attributes=st.dictionaries(words, words, max_size=5))
def test_whatever_is_said_comes_back_as_it_was_said(
    api: Api, title: str, text: str, attributes: dict[str, str]
) -> None:
    assert api.post({"id": "x", "title": title, "text": text, "attributes": attributes}).status_code == 200
    [found] = api.found()
    assert (found["title"], found["text"], found["attributes"]) == (title, text, attributes)


@pytest.mark.parametrize(
    "body", [b'{"events": [{"title": "\\ud800"}]}', b'{"events": [{"title": "x", "ts": NaN}]}', b"[", b"[]"]
)
def test_what_is_no_event_at_all_is_refused(api: Api, body: bytes) -> None:
    assert api.ask("POST", "/aiprism/v1/events", body).status_code == 400
    assert api.found() == []


def test_a_body_that_is_too_large_or_has_no_room_is_told_so(engine: Engine) -> None:
    api = Api(engine, bodies=IngestConfig(body_bytes=100, in_flight_bytes=50))
    answer = api.post({"title": "x" * 100})
    assert (answer.status_code, "ingest.body_bytes" in answer.text) == (413, True)
    with api.in_flight.lease() as others:
        others.grow(40)
        answer = api.post({"title": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert api.post({"title": "x"}).status_code == 200

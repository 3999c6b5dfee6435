"""/aiprism/v1/explain, and the statistics of the Prometheus API: what a query took, and where each part was answered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from aiprism.clock import FakeClock
from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.telemetry import Telemetry
from aiprism.web import explain, prometheus, routes
from aiprism.web.turns import Turns
from tests.query.promql.stocked import Stocked
from tests.web.test_prometheus import Client

NOW = 1_000


@pytest.fixture(scope="module")
def client(chdb_url: str) -> Iterator[Client]:
    engine = Engine.open(chdb_url, database=f"explain_{uuid.uuid4().hex}")
    migrate(engine)
    stocked = Stocked.on(engine)
    points = [(ts * 1000, float(ts)) for ts in range(0, NOW + 1, 10)]
    stocked.add([(Labels({"__name__": "asked_total", "n": n}), points) for n in ("a", "b", "c")])
    turns, clock = Turns(engine), FakeClock(NOW)
    routers = [prometheus.router(stocked.promql, engine, clock, turns), explain.router(stocked.promql, turns, clock)]
    yield Client(routes.build(routers, Telemetry(), checks={}, reload=_never, names=["test"]))
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


def explained(client: Client, query: str, **more: Any) -> Any:
    answer = client.get("/aiprism/v1/explain", {"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_each_node_tells_how_it_was_answered_and_with_which_statement(client: Client) -> None:
    found = explained(client, "sum(rate(asked_total[1m]))", start=NOW - 60, end=NOW, step=30)
    assert found["analyzed"] is True
    assert (found["plan"]["series"], found["plan"]["cells"]) == (1, 3)
    [leaf] = found["plan"]["children"]
    assert (leaf["series"], leaf["cells"], leaf["answered"]) == (3, 9, "timeSeriesRateToGrid of samples")
    [statement] = leaf["statements"]
    assert statement["parameters"]["metric"] == "asked_total"
    assert "{metric:String}" in statement["sql"]
    assert statement["rows_to_read"] >= statement["rows"] == 3
    assert "SQL SELECT fp, timeSeriesRateToGrid" in found["text"]


def test_a_plan_can_be_had_without_running_it(client: Client) -> None:
    found = explained(client, "sum(rate(asked_total[1m])) + 1", analyze="false")
    assert found["analyzed"] is False
    aggregate, one = found["plan"]["children"]
    assert aggregate["children"][0]["planned"] == "timeSeriesRateToGrid of samples"
    assert one == {"node": "Constant value=1.0"}
    assert "SQL" not in found["text"]


def test_what_stands_twice_is_computed_once(client: Client) -> None:
    found = explained(client, "asked_total / asked_total")
    first, second = found["plan"]["children"]
    assert len(first["statements"]) == 1
    assert second == {"node": first["node"], "answered": "as above"}


def test_a_wrong_question_is_refused_in_our_form(client: Client) -> None:
    for asked, words in (
        ({"query": "sum("}, "parse error"),
        ({"query": "up", "start": "1", "step": "0"}, 'invalid parameter "step"'),
        ({"query": "up", "analyze": "maybe"}, "neither true nor false"),
    ):
        answer = client.get("/aiprism/v1/explain", asked)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]


def test_statistics_come_with_the_answer_of_whoever_asks_for_them(client: Client) -> None:
    asked = {"query": "rate(asked_total[1m])", "start": NOW - 60, "end": NOW, "step": 30}
    plain = client.get("/api/v1/query_range", asked).json()["data"]
    whole = client.get("/api/v1/query_range", {**asked, "stats": "all"}).json()["data"]
    stats = whole.pop("stats")
    assert whole == plain
    assert stats["samples"]["totalQueryableSamplesPerStep"] == [[NOW - 60, 18], [NOW - 30, 18], [NOW, 18]]
    assert stats["samples"]["totalQueryableSamples"] == 54
    assert stats["samples"]["peakSamples"] >= 9
    assert stats["timings"].keys() == {
        *("evalTotalTime", "resultSortTime", "queryPreparationTime"),
        *("innerEvalTime", "execQueueTime", "execTotalTime"),
    }
    assert stats["timings"]["execTotalTime"] > stats["timings"]["innerEvalTime"] > 0
    some = client.get("/api/v1/query", {"query": "asked_total", "stats": "true"}).json()["data"]["stats"]
    assert some["samples"] == {"totalQueryableSamples": 3, "peakSamples": 3}


def test_the_lookback_can_be_chosen_for_one_query(client: Client) -> None:
    for lookback, series in (("5m", 3), ("10s", 0), ("30", 3), ("0", 3)):
        asked = {"query": "asked_total", "time": NOW + 25, "lookback_delta": lookback}
        assert len(client.get("/api/v1/query", asked).json()["data"]["result"]) == series

"""Clients that were written for Prometheus work against aiprism: promtool, and prometheus-api-client from PyPI."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_api_client import PrometheusConnect

from aiprism.clock import FakeClock
from aiprism.model.labels import Labels
from aiprism.query.promql.functions import FUNCTIONS
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.telemetry import Telemetry
from aiprism.web import prometheus, prometheus_only, routes, targets
from tests.query.promql import peer
from tests.query.promql.stocked import Stocked
from tests.web.serving import serving

NOW = 1_700_000_100


@pytest.fixture(scope="module")
def url(chdb_url: str) -> Iterator[str]:
    engine = Engine.open(chdb_url, database=f"clients_{uuid.uuid4().hex}")
    migrate(engine)
    stocked = Stocked.on(engine)
    times = range((NOW - 100) * 1000, (NOW + 1) * 1000, 10_000)
    stocked.add(
        [
            (Labels({"__name__": "up", "job": "api"}), [(ts, 1.0) for ts in times]),
            (Labels({"__name__": "up", "job": "web"}), [(ts, 0.0) for ts in times]),
            (Labels({"__name__": "asked_total", "job": "api"}), [(ts, place * 5.0) for place, ts in enumerate(times)]),
        ]
    )
    questions = prometheus.router(stocked.promql, engine, FakeClock(NOW))
    nothing = targets.router(list, stocked.promql, engine)
    application = routes.build([questions, prometheus_only.router(), nothing], Telemetry(), checks={}, reload=_never)
    with serving(application) as served:
        yield served
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


# -- promtool ------------------------------------------------------------------------------------------------------------


def promtool(*words: str) -> str:
    if shutil.which("promtool") is None:
        assert not peer.installed()
        pytest.skip(peer.HINT)
    ran = subprocess.run(["promtool", "query", *words], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_promtool_asks_at_one_time(url: str) -> None:
    assert promtool("instant", f"--time={NOW}", url, "sum by (job) (up)").splitlines() == [
        f'{{job="api"}} => 1 @[{NOW}]',
        f'{{job="web"}} => 0 @[{NOW}]',
    ]


def test_promtool_asks_over_a_time(url: str) -> None:
    words = ("range", f"--start={NOW - 20}", f"--end={NOW}", "--step=10s", url, "rate(asked_total[30s])")
    assert promtool(*words).splitlines() == [
        '{job="api"} =>',
        *(f"0.5 @[{at}]" for at in (NOW - 20, NOW - 10, NOW)),
    ]


def test_promtool_lists_series_and_labels(url: str) -> None:
    span = (f"--start={NOW - 100}", f"--end={NOW}")
    listed = promtool("series", '--match={job="api"}', *span, url).splitlines()
    assert listed == ['{__name__="asked_total", job="api"}', '{__name__="up", job="api"}']
    assert promtool("labels", *span, url, "job").splitlines() == ["api", "web"]


def test_promtool_is_told_what_is_wrong(url: str) -> None:
    ran = subprocess.run(
        ["promtool", "query", "instant", url, "rat(up)"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "1:1: parse error: unknown function" in ran.stderr


# -- prometheus-api-client -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(url: str) -> PrometheusConnect:
    return PrometheusConnect(url=url, disable_ssl=True)


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def test_the_client_finds_metrics_and_labels(client: PrometheusConnect) -> None:
    assert client.check_prometheus_connection()
    assert client.all_metrics() == ["asked_total", "up"]
    assert client.get_label_names() == ["__name__", "job"]
    assert client.get_label_values("job") == ["api", "web"]
    assert client.get_series(moment(NOW - 60), moment(NOW), params={"match[]": "up"}) == [
        {"__name__": "up", "job": "api"},
        {"__name__": "up", "job": "web"},
    ]


def test_the_client_asks_at_one_time_and_over_a_time(client: PrometheusConnect) -> None:
    [found] = client.get_current_metric_value("up", label_config={"job": "web"})
    assert found == {"metric": {"__name__": "up", "job": "web"}, "value": [NOW, "0"]}
    assert client.custom_query("count(up)") == [{"metric": {}, "value": [NOW, "2"]}]
    [ranged] = client.custom_query_range("sum(up)", moment(NOW - 20), moment(NOW), "10")
    assert ranged["values"] == [[NOW - 20, "1"], [NOW - 10, "1"], [NOW, "1"]]
    chunks = client.get_metric_range_data(
        "asked_total", start_time=moment(NOW - 30), end_time=moment(NOW), chunk_size=timedelta(seconds=30)
    )
    assert chunks[0]["metric"] == {"__name__": "asked_total", "job": "api"}
    assert chunks[0]["values"][-1] == [NOW, "50"]
    assert client.get_metric_aggregation("up", ["max", "average"]) == {"max": 1.0, "average": 0.5}


def test_the_client_asks_by_post_too(url: str) -> None:
    assert PrometheusConnect(url=url, method="POST").custom_query("count(up)")[0]["value"][1] == "2"


def test_the_client_is_told_that_nothing_is_scraped(client: PrometheusConnect) -> None:
    assert client.get_targets() == {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}
    assert client.get_scrape_pools() == []
    assert client.get_target_metadata({"job": "api"}) == []
    assert client.get_metric_metadata("up") == []


# -- what only a Prometheus has ------------------------------------------------------------------------------------------


def data(url: str, path: str, **asked: str) -> Any:
    answer = httpx.get(f"{url}/api/v1/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty Prometheus."""
    if not peer.installed():
        pytest.skip(peer.HINT)
    with peer.running(tmp_path_factory.mktemp("peer")) as running:
        yield running.url


def test_prometheus_has_no_field_that_is_missing(url: str, theirs: str) -> None:
    for path in ("targets", "alertmanagers", "scrape_pools", "targets/metadata"):
        there, here = data(theirs, path), data(url, path)
        assert type(here) is type(there)
        assert isinstance(here, list) or {**here, **there} == here
    assert httpx.get(f"{url}/version").json().keys() >= httpx.get(f"{theirs}/version").json().keys()


LONG = f'x{{job="{"a" * 90}",b!="c"}}'


@pytest.mark.parametrize(
    "query",
    [
        "sum(up{job='a',b!='c'})by(b)",
        f"-(sum by (job) (rate({LONG}[5m]))+on(a)group_left(b)(topk(2,up)) > bool 1)",
        f"-sum without (z) ({LONG}) + ignoring(c) y",
        f"histogram_quantile(0.9, {LONG}) + max_over_time((sum({LONG}))[5m:1m] offset 5m)",
        f'count_values("x", rate({LONG}[5m]) / 2) and on() vector(1)',
        f"rate({LONG}[5m:1m] @ end() offset 1m)",
        f"sum(sum(sum(sum(x)))) + {'1 + ' * 40} 2",
    ],
)
def test_prometheus_lays_an_expression_out_the_same(url: str, theirs: str, query: str) -> None:
    assert data(url, "format_query", query=query) == data(theirs, "format_query", query=query)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("labels", {"start": "5", "end": "1"}),
        ("series", {"match[]": "up", "start": "5", "end": "1"}),
        ("query", {"query": "1", "time": "5", "timeout": "1d1h"}),
        ("query", {"query": "time()", "time": "1700000000.1234"}),
        ("query", {"query": "time()", "time": "1_000"}),
        ("query", {"query": "time()", "time": "2023-01-01T00:00:00.123456789Z"}),
        ("query", {"query": "time()", "time": "2023-01-01T00:00:00.1+01:00"}),
        ("query_range", {"query": "nothing", "start": "0", "end": "11000.9", "step": "1"}),
        ("query_range", {"query": "1", "start": "0", "end": "11001", "step": "1"}),
        ("query_range", {"query": "1", "start": "0", "end": "9", "step": "x"}),
        ("query_range", {"query": "1", "start": "0", "end": "9", "step": "Inf"}),
        ("query_range", {"query": "1", "start": "9", "end": "0", "step": "1"}),
        ("query_exemplars", {"query": "up", "start": "5", "end": "1"}),
        ("series", {}),
        ("metadata", {"limit": "x"}),
        ("targets/metadata", {"limit": "x"}),
        ("targets", {"state": "x"}),
    ],
)
def test_prometheus_answers_the_same(url: str, theirs: str, path: str, asked: dict[str, str]) -> None:
    """Status and body, but for a field that 2.42 does not have."""
    there, here = (httpx.get(f"{each}/api/v1/{path}", params=asked) for each in (theirs, url))
    body = here.json()
    if path == "targets":
        body["data"].pop("droppedTargetCounts")
    assert (here.status_code, body) == (there.status_code, there.json())


def test_features_tell_what_there_is(url: str) -> None:
    found = data(url, "features")
    assert found["promql_functions"] == dict.fromkeys(sorted(FUNCTIONS), True)
    assert found["promql_operators"].keys() >= {"+", "atan2", "unless", "=~", "topk", "limit_ratio"}
    assert found["promql"]["at_modifier"] is True


def test_life_is_asked_with_head_too(url: str) -> None:
    for path in ("/-/healthy", "/-/ready"):
        assert httpx.head(url + path).status_code == httpx.get(url + path).status_code == 200


def test_what_is_asked_of_scraping_and_blocks_is_answered_in_words(url: str) -> None:
    assert data(url, "status/tsdb/blocks") == {"blocks": []}
    assert data(url, "notifications") == []
    assert httpx.get(f"{url}/api/v1/notifications/live").status_code == 204
    steps = httpx.get(f"{url}/api/v1/targets/relabel_steps", params={"scrapePool": "node", "labels": "{}"})
    assert (steps.status_code, steps.json()["error"]) == (
        400,
        "unable to get scrape pool: scrape pool node not found",
    )
    for action in ("snapshot", "delete_series", "clean_tombstones"):
        refused = httpx.post(f"{url}/api/v1/admin/tsdb/{action}")
        assert (refused.status_code, refused.json()["errorType"]) == (503, "unavailable")
        assert refused.json()["error"].startswith("admin APIs disabled")
    assert httpx.post(f"{url}/api/v1/admin/tsdb/nothing").status_code == 404

"""/api/v1/status/tsdb says what Prometheus says of the same series."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from aiprism.model.labels import Labels
from aiprism.store.engine import Engine
from aiprism.web import tsdb
from tests.query.promql import peer
from tests.query.promql.stocked import Stocked
from tests.web.test_prometheus import Client, data, failure

START = int(time.time()) // 60 * 60_000
SERIES = [
    (Labels({"__name__": "requests_total", "code": str(code), "path": f"/{'p' * at}"}), [(START, 1.0), (START + 15_000, 2.0)])
    for code in (200, 404, 500)
    for at in range(1, 5)
] + [(Labels({"__name__": "size", "zone": "a=b"}), [(START + 30_000, 1.0)])]  # fmt: skip


@pytest.fixture
def client(engine: Engine) -> Client:
    stocked = Stocked.on(engine)
    stocked.add(SERIES)
    application = FastAPI()
    application.include_router(tsdb.router(stocked.index.cardinality, engine))
    return Client(application)


def test_prometheus_says_the_same(client: Client, tmp_path: Path) -> None:
    if not peer.installed():
        pytest.skip(peer.HINT)
    with peer.running(tmp_path) as prometheus:
        prometheus.write(SERIES)
        with urllib.request.urlopen(f"{prometheus.url}/api/v1/status/tsdb") as answer:
            theirs: Any = json.load(answer)["data"]
    ours = data(client, "status/tsdb")
    assert list(ours) == list(theirs)
    assert list(ours["headStats"]) == list(theirs["headStats"])
    for stat in ("numSeries", "numLabelPairs", "minTime", "maxTime"):
        assert ours["headStats"][stat] == theirs["headStats"][stat], stat
    for kind in list(theirs)[1:]:
        if kind == "memoryInBytesByLabelName":
            # 2.42 counts each value once, later ones and we once for each series that has it
            assert {each["name"] for each in ours[kind]} == {each["name"] for each in theirs[kind]}
            continue
        assert _sorted(ours[kind]) == _sorted(theirs[kind]), kind


def _sorted(counts: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return sorted((-each["value"], each["name"]) for each in counts)


def test_the_heaviest_stand_first(client: Client) -> None:
    for counts in list(data(client, "status/tsdb").values())[1:]:
        assert [each["value"] for each in counts] == sorted((each["value"] for each in counts), reverse=True)


def test_as_many_of_each_kind_as_asked_for(client: Client) -> None:
    found = data(client, "status/tsdb", limit=2)
    assert found["seriesCountByMetricName"] == [{"name": "requests_total", "value": 12}, {"name": "size", "value": 1}]
    assert [len(found[kind]) for kind in list(found)[1:]] == [2, 2, 2, 2]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "²"])
def test_a_limit_that_is_none_is_refused(client: Client, limit: str) -> None:
    assert failure(client, "status/tsdb", limit=limit) == (400, "bad_data", "limit must be a positive number")


def test_the_example_of_the_docs_is_true(engine: Engine) -> None:
    stocked = Stocked.on(engine)
    stocked.add([(labels, [(1_790_000_000_000 + at, 1.0) for at in (0, 15_000)]) for labels, _ in SERIES])
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    shown = json.loads("".join(page.partition("tsdb?limit=1'\n")[2].partition("\n```")[0].split()))
    assert tsdb.as_prometheus(stocked.index.cardinality(1)) == shown["data"]

"""The Prometheus HTTP API answers to the letter: forms, numbers, errors, and a client that knows only Prometheus."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from aiprism.clock import FakeClock
from aiprism.errors import Unavailable
from aiprism.model.histograms import NativeHistogram
from aiprism.model.labels import Labels
from aiprism.query.promql import Limits, Matrix, PromQL, Scalar, Series, String, Vector, VectorItem
from aiprism.query.promql.native import Histogram
from aiprism.store.engine import Engine
from aiprism.web import prometheus, prometheus_json
from tests.query.promql.stocked import Stocked

UP = {"__name__": "up", "job": "api"}


@pytest.fixture
def stocked(engine: Engine) -> Stocked:
    store = Stocked.on(engine, Limits(samples=10_000))
    store.add(
        [
            (Labels(UP), [(place * 15_000, float(place)) for place in range(20)]),
            (Labels({**UP, "job": "web"}), [(0, 0.5), (15_000, math.nan), (30_000, math.inf)]),
            (Labels({"__name__": "down", "zone": 'eu "west"'}), [(0, 1e-7), (15_000, 1e21), (30_500, 0.1)]),
        ]
    )
    return store


class Client:
    """Asks the application over HTTP, without a socket."""

    def __init__(self, application: FastAPI) -> None:
        self._application = application

    def get(self, path: str, params: dict[str, Any] | None = None, **what: Any) -> httpx.Response:
        return self._ask("GET", path, params=params, **what)

    def post(self, path: str, data: dict[str, Any] | None = None, **what: Any) -> httpx.Response:
        return self._ask("POST", path, data=data, **what)

    def _ask(self, method: str, path: str, host: str = "127.0.0.1", **what: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._application, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **what)

        return asyncio.run(ask())


@pytest.fixture
def client(stocked: Stocked) -> Client:
    application = FastAPI()
    application.include_router(prometheus.router(stocked.promql, stocked.engine, FakeClock(15.0)))
    return Client(application)


def data(client: Client, path: str, **parameters: Any) -> Any:
    answer = client.get(f"/api/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "success"
    return body["data"]


def failure(client: Client, path: str, **parameters: Any) -> tuple[int, str, str]:
    answer = client.get(f"/api/v1/{path}", params=parameters)
    body = answer.json()
    assert body["status"] == "error"
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["errorType"], body["error"]


# -- queries ---------------------------------------------------------------------------------------------------------


def test_an_instant_query_gives_a_vector(client: Client):
    answer = client.get("/api/v1/query", params={"query": 'up{job="api"}', "time": "30"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == (
        '{"status":"success","data":{"resultType":"vector","result":'
        '[{"metric":{"__name__":"up","job":"api"},"value":[30,"2"]}]}}'
    )


def test_without_a_time_the_query_is_of_now(client: Client):
    assert data(client, "query", query="time()") == {"resultType": "scalar", "result": [15, "15"]}


def test_texts_and_ranges_have_their_own_types(client: Client):
    assert data(client, "query", query="'a \"b\"'") == {"resultType": "string", "result": [15, 'a "b"']}
    matrix = data(client, "query", query="down[1m]", time="40")
    values = [[0, "1e-07"], [15, "1e+21"], [30.5, "0.1"]]
    assert matrix == {
        "resultType": "matrix",
        "result": [{"metric": {"__name__": "down", "zone": 'eu "west"'}, "values": values}],
    }


def test_a_range_query_gives_a_matrix(client: Client):
    found = data(client, "query_range", query='up{job="web"}', start="0", end="45", step="15")
    values = [[0, "0.5"], [15, "NaN"], [30, "+Inf"], [45, "+Inf"]]
    assert found == {"resultType": "matrix", "result": [{"metric": {**UP, "job": "web"}, "values": values}]}


def test_times_are_unix_seconds_or_rfc_3339_and_steps_seconds_or_durations(client: Client):
    plain = data(client, "query_range", query="up", start="0", end="60.5", step="0.5")
    text = data(
        client, "query_range", query="up", start="1970-01-01T00:00:00Z", end="1970-01-01T01:01:00.5+01:00", step="500ms"
    )
    assert plain == text
    assert plain["result"][0]["values"][1][0] == 0.5
    assert data(client, "query", query="time()", time="1970-01-01T00:00:01.25Z")["result"] == [1.25, "1.25"]


def test_a_post_with_a_form_is_the_same(client: Client):
    asked = {"query": "up", "start": "0", "end": "60", "step": "15s"}
    posted = client.post("/api/v1/query_range", data=asked)
    assert posted.json()["data"] == data(client, "query_range", **asked)
    mixed = client.post("/api/v1/query?time=30", data={"query": "up{job='api'}"})
    assert mixed.json()["data"]["result"][0]["value"] == [30, "2"]


def test_a_limit_cuts_and_says_so(client: Client):
    for path, asked in (("query", {"time": "0"}), ("query_range", {"start": "0", "end": "30", "step": "15"})):
        body = client.get(f"/api/v1/{path}", params={"query": "up", "limit": "1", **asked}).json()
        assert len(body["data"]["result"]) == 1
        assert body["warnings"] == ["results truncated due to limit"]
        whole = client.get(f"/api/v1/{path}", params={"query": "up", "limit": "0", **asked}).json()
        assert (len(whole["data"]["result"]), "warnings" in whole) == (2, False)


@pytest.mark.parametrize(
    "text", ["2023-01-01", "2023-01-01 00:00:00Z", "20230101T000000Z", "2023-01-01T00:00:00+0100", " 5", "1__0", "NaN"]
)
def test_only_rfc_3339_and_plain_numbers_are_times(client: Client, text: str):
    assert failure(client, "query", query="time()", time=text) == (
        400,
        "bad_data",
        f'invalid parameter "time": invalid time value for \'time\': cannot parse "{text}" to a valid timestamp',
    )


def test_forms_are_read_however_their_type_is_written(client: Client):
    for kind in ("APPLICATION/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"):
        answer = client.post("/api/v1/query", content=b"query=1%2B1&time=5", headers={"Content-Type": kind})
        assert answer.json()["data"]["result"] == [5, "2"]
    parts = client.post("/api/v1/query", files={"query": (None, "1+1"), "time": (None, "5")})
    assert parts.json()["data"]["result"] == [5, "2"]


def test_a_range_has_as_many_steps_as_prometheus_allows(client: Client):
    assert data(client, "query_range", query="nothing", start="0", end="11000.9", step="1")["result"] == []
    status, _, message = failure(client, "query_range", query="nothing", start="0", end="11001", step="1")
    assert (status, message[:27]) == (400, "exceeded maximum resolution")


def test_statistics_of_whole_seconds_have_whole_times(client: Client):
    answer = client.get("/api/v1/query", params={"query": "up", "time": "30", "stats": "all"})
    assert '"totalQueryableSamplesPerStep":[[30,2]]' in answer.text


@pytest.mark.parametrize(
    ("encodings", "host", "packed"),
    [
        ("gzip", "192.0.2.1", True),
        ("zstd, gzip;q=0.5", "192.0.2.1", True),
        ("gzip;q=0", "192.0.2.1", False),
        ("identity", "192.0.2.1", False),
        ("gzip", "127.0.0.1", False),
    ],
)
def test_answers_are_packed_for_those_who_take_it_over_a_network(
    client: Client, encodings: str, host: str, packed: bool
):
    asked = {"query": "up", "start": "0", "end": "300", "step": "1"}
    answer = client.get("/api/v1/query_range", asked, headers={"Accept-Encoding": encodings}, host=host)
    assert answer.headers.get("content-encoding") == ("gzip" if packed else None)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.json()["data"] == data(client, "query_range", **asked)
    assert (
        "content-encoding"
        not in client.get("/api/v1/labels", headers={"Accept-Encoding": encodings}, host=host).headers
    )


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("query", {"query": "rat(up)"}, (400, "bad_data", "invalid parameter \"query\": 1:1: parse error: unknown function")),
        ("query", {}, (400, "bad_data", 'invalid parameter "query": 1:1: parse error: no expression found in input')),
        ("query", {"query": "up", "time": "x"}, (400, "bad_data", 'cannot parse "x" to a valid timestamp')),
        ("query", {"query": "up", "time": "1e300"}, (400, "bad_data", 'cannot parse "1e300"')),
        ("query", {"query": "up", "timeout": "x"}, (400, "bad_data", '"timeout": cannot parse "x" to a valid duration')),
        ("query", {"query": "up", "limit": "-1"}, (400, "bad_data", 'invalid parameter "limit": limit must be non-negative')),
        ("query", {"query": "up", "limit": "x"}, (400, "bad_data", 'invalid parameter "limit": cannot parse "x"')),
        ("query", {"query": "up", "lookback_delta": "x"}, (400, "bad_data", "error parsing lookback delta duration: cannot")),
        ("query_range", {"query": "up"}, (400, "bad_data", 'invalid parameter "start": cannot parse "" to a valid timestamp')),
        (
            "query_range",
            {"query": "up", "start": "2", "end": "1", "step": "1"},
            (400, "bad_data", 'invalid parameter "end": end timestamp must not be before start time'),
        ),
        (
            "query_range",
            {"query": "up", "start": "0", "end": "1", "step": "0"},
            (400, "bad_data", 'invalid parameter "step": zero or negative query resolution step widths are not accepted'),
        ),
        (
            "query_range",
            {"query": "up", "start": "0", "end": "20000", "step": "1"},
            (400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries"),
        ),
        (
            "query_range",
            {"query": "up[5m]", "start": "0", "end": "1", "step": "1"},
            (400, "bad_data", 'invalid parameter "query": invalid expression type "range vector" for range query'),
        ),
        (
            "query",
            {"query": "up * on () up"},
            (422, "execution", "found duplicate series for the match group {} on the right"),
        ),
        (
            "query_range",
            {"query": "up", "start": "0", "end": "9000", "step": "1"},
            (422, "execution", "limit max_samples"),
        ),
        ("query", {"query": "up", "timeout": "0.000000001"}, (503, "timeout", "limit timeout")),
        ("query", {"query": "up", "timeout": "0"}, (503, "timeout", "limit timeout")),
        ("series", {}, (400, "bad_data", "no match[] parameter provided")),
        ("series", {"match[]": "up{"}, (400, "bad_data", 'invalid parameter "match[]": 1:4: parse error')),
        ("series", {"match[]": "rate(up[5m])"}, (400, "bad_data", 'invalid parameter "match[]"')),
        ("query_exemplars", {"query": "up", "start": "2", "end": "1"}, (400, "bad_data", "end timestamp must not be before")),
        ("labels", {"match[]": "{}"}, (400, "bad_data", 'invalid parameter "match[]"')),
        ("metadata", {"limit": "x"}, (400, "bad_data", "limit must be a number")),
        ("format_query", {"query": "sum("}, (400, "bad_data", 'invalid parameter "query": 1:5: parse error')),
    ],
)  # fmt: skip
def test_errors_have_prometheus_types_and_codes(
    client: Client, path: str, asked: dict[str, str], expected: tuple[int, str, str]
):
    status, kind, message = failure(client, path, **asked)
    assert (status, kind) == expected[:2]
    assert expected[2] in message


def test_when_the_store_is_away_the_client_is_told_to_come_again(client: Client, monkeypatch: pytest.MonkeyPatch):
    def away(*args: object, **kwargs: object) -> None:
        raise Unavailable("the store is closed", retry_after=2.5)

    monkeypatch.setattr(PromQL, "instant", away)
    answer = client.get("/api/v1/query", params={"query": "up"})
    assert (answer.status_code, answer.json()["errorType"], answer.headers["retry-after"]) == (503, "unavailable", "3")


# -- series and labels -----------------------------------------------------------------------------------------------


def test_series_are_those_any_selector_selects(client: Client):
    found = data(client, "series", **{"match[]": ['up{job="api"}', '{zone!=""}', "up"]})
    assert found == [{"__name__": "down", "zone": 'eu "west"'}, UP, {**UP, "job": "web"}]
    assert data(client, "series", **{"match[]": "up", "start": "1000000", "end": "1000001"}) == []
    assert data(client, "series", **{"match[]": "up", "start": "15", "end": "0"}) == []
    body = client.post("/api/v1/series", data={"match[]": ["up", "down"], "limit": "2"}).json()
    assert (len(body["data"]), body["warnings"]) == (2, ["results truncated due to limit"])


def test_label_names_and_values(client: Client):
    assert data(client, "labels") == ["__name__", "job", "zone"]
    assert data(client, "labels", **{"match[]": "up"}) == ["__name__", "job"]
    assert data(client, "label/job/values") == ["api", "web"]
    assert data(client, "label/job/values", limit="1") == ["api"]
    assert data(client, "label/__name__/values", **{"match[]": '{job=~".+"}'}) == ["up"]
    assert data(client, "label/nothing/values") == []
    assert data(client, "label/U__job/values") == ["api", "web"]
    for name in ("U__job_", "U__job_ffffff_", "U__job_d800_"):  # no escapes: such a label nobody has
        assert data(client, f"label/{name}/values") == []
    for path in ("labels", "label/job/values"):
        assert data(client, path, start="15", end="0") == []
    everything = {"start": "-292273086-05-16T16:47:06Z", "end": "292277025-08-18T07:12:54.999999999Z"}
    assert data(client, "label/job/values", **everything) == ["api", "web"]


# -- about metrics and queries ---------------------------------------------------------------------------------------


def test_metadata_by_metric(client: Client, stocked: Stocked):
    stocked.engine.command(
        "INSERT INTO metric_metadata VALUES ('up', 'gauge', 'It lives.', '', now()), ('up', 'unknown', '', '', now() - 60), "
        "('down', 'counter', 'Falls.', 's', now())"
    )
    up = [{"type": "gauge", "help": "It lives.", "unit": ""}, {"type": "unknown", "help": "", "unit": ""}]
    assert data(client, "metadata") == {"down": [{"type": "counter", "help": "Falls.", "unit": "s"}], "up": up}
    assert data(client, "metadata", metric="up", limit_per_metric="1") == {"up": up[:1]}
    assert list(data(client, "metadata", limit="1")) == ["down"]
    assert data(client, "metadata", metric="nope") == {}
    assert data(client, "metadata", metric="up", limit="-1", limit_per_metric="0") == {"up": up}


def test_exemplars_of_the_series_a_query_reads(client: Client, stocked: Stocked):
    stocked.engine.command(
        "INSERT INTO exemplars SELECT 'up', {fp:UInt64}, fromUnixTimestamp64Milli(toInt64(1500), 'UTC'), 0.25, "
        "unhex('0af7651916cd43dd8448eb211c80319c'), unhex('b7ad6b7169203331'), map()",
        {"fp": Labels(UP).fingerprint},
    )
    labels = {"span_id": "b7ad6b7169203331", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    exemplar = {"labels": labels, "value": "0.25", "timestamp": 1.5}
    found = data(client, "query_exemplars", query='sum(rate(up{job="api"}[5m])) / down', start="0", end="10")
    assert found == [{"seriesLabels": UP, "exemplars": [exemplar]}]
    assert data(client, "query_exemplars", query="up", start="2", end="10") == []


def test_a_query_is_formatted_and_taken_apart(client: Client):
    assert data(client, "format_query", query="sum(up{job='api'})by(job)>1") == 'sum by (job) (up{job="api"}) > 1'
    long = data(client, "format_query", query=f"-(sum(up{{z='',job='{'a' * 90}'}})+on(job)(up))")
    assert long.splitlines() == [
        "-(",
        "    sum(",
        f'      up{{job="{"a" * 90}",z=""}}',
        "    )",
        "  + on (job)",
        "    (up)",
        ")",
    ]
    tree = data(client, "parse_query", query="rate(up[5m] offset 1m)")
    assert tree["func"] == {"name": "rate", "returnType": "vector"}
    assert tree["args"][0] == {
        "type": "matrixSelector",
        "range": 300_000,
        "name": "up",
        "matchers": [{"type": "=", "name": "__name__", "value": "up"}],
        "offset": 60_000,
        "timestamp": None,
        "startOrEnd": None,
        "anchored": False,
        "smoothed": False,
    }


def test_build_info_tells_which_prometheus_this_speaks_like(client: Client):
    assert data(client, "status/buildinfo")["version"].startswith("3.")


# -- the bytes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-6, "0.000001"),
        (9.9e-7, "9.9e-07"),
        (5e-324, "5e-324"),
        (1e16, "10000000000000000"),
        (1.5e20, "150000000000000000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2.0**53 + 2, "9007199254740994"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_written_as_prometheus_writes_them(value: float, text: str):
    assert prometheus_json.number(value) == text
    for company in ([], [0.5], [3.0], [math.nan], [1e-9, 1e30]):
        assert prometheus_json.numbers(np.array([value, *company]))[0] == text.encode()


def test_many_numbers_read_back_as_the_same():
    chance = np.random.default_rng(3)
    values = np.concatenate([chance.normal(size=500) * 10.0 ** chance.integers(-30, 30, 500), np.arange(-50, 50) / 4])
    assert [float(text) for text in prometheus_json.numbers(values)] == values.tolist()
    assert prometheus_json.numbers(values) == [prometheus_json.number(value).encode() for value in values.tolist()]


@pytest.mark.parametrize(
    ("ms", "text"), [(0, b"0"), (1500, b"1.500"), (1_435_781_451_781, b"1435781451.781"), (-50, b"-0.050")]
)
def test_times_are_seconds_with_three_decimals_unless_whole(ms: int, text: bytes):
    assert prometheus_json.seconds(ms) == text


def test_a_series_without_points_and_one_of_another_time_are_still_json():
    times = np.array([0, 1000], dtype=np.int64)
    series = (
        Series(Labels(), times, np.array([1.0, 2.0])),
        Series(Labels({"a": 'q"\n'}), times[:0], np.array([])),
        Series(Labels({"b": "1"}), np.array([500], dtype=np.int64), np.array([math.inf])),
    )
    assert json.loads(prometheus_json.result(Matrix(series)))["result"] == [
        {"metric": {}, "values": [[0, "1"], [1, "2"]]},
        {"metric": {"a": 'q"\n'}, "values": []},
        {"metric": {"b": "1"}, "values": [[0.5, "+Inf"]]},
    ]
    assert json.loads(prometheus_json.result(Scalar(1.25, -0.0))) == {"resultType": "scalar", "result": [1.25, "-0"]}
    assert json.loads(prometheus_json.result(String(2, "é\\"))) == {"resultType": "string", "result": [2, "é\\"]}


def test_histograms_are_lists_of_buckets_with_what_belongs_to_them():
    one = Histogram(0, 12.0, -0.5, 0.001, 2.0, {0: 3.0, 1: 1e21}, {2: 4.0})
    shown = {
        "count": "12",
        "sum": "-0.5",
        "buckets": [
            [1, "-4", "-2", "4"],
            [3, "-0.001", "0.001", "2"],
            [0, "0.5", "1", "3"],
            [0, "1", "2", "1e+21"],
        ],
    }
    vector = Vector((VectorItem(Labels(), 1.5, math.nan, one), VectorItem(Labels(), 1.5, 2.0)))
    assert json.loads(prometheus_json.result(vector))["result"] == [
        {"metric": {}, "histogram": [1.5, shown]},
        {"metric": {}, "value": [1.5, "2"]},
    ]
    times = np.array([0, 1000, 2000], dtype=np.int64)
    cells = np.array([one, None, Histogram(-53, 0.0, 0.0)], dtype=object)
    assert json.loads(prometheus_json.result(Matrix((Series(Labels(), times, np.ones(3), cells),))))["result"] == [
        {"metric": {}, "values": [[1, "1"]], "histograms": [[0, shown], [2, {"count": "0", "sum": "0"}]]}
    ]


def test_custom_buckets_reach_from_minus_to_plus_infinity():
    one = Histogram(-53, 6.0, 9.0, positive={0: 1.0, 1: 2.0, 2: 3.0}, bounds=(1.0, 2.5))
    assert json.loads(prometheus_json.histogram(one))["buckets"] == [
        [3, "-Inf", "1", "1"],
        [0, "1", "2.5", "2"],
        [0, "2.5", "+Inf", "3"],
    ]


def test_what_was_left_out_is_told_beside_the_answer(stocked: Stocked, client: Client):
    stocked.add([(Labels({"__name__": "size"}), [(0, NativeHistogram(0, 1.0, 1.0))])])
    answer = client.get("/api/v1/query", {"query": "max(size)", "time": 0}).json()
    assert answer["infos"] == ["PromQL info: ignored histogram in max aggregation (1:5)"]
    assert "warnings" not in answer

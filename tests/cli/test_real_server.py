"""The commands against a real server that was sent a trace, a log record and a metric."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aiprism.cli import printing
from tests.cli.conftest import Run
from tests.journeys.conftest import Server, eventually

TRACE_ID, ROOT, CHILD = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b175"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that holds one trace, one record, one metric."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    try:
        _send(server.url)
        eventually(lambda: server.instant("queue_length"))
        yield server.url
    finally:
        server.stop()


def _send(url: str) -> None:
    now = time.time_ns()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    spans = [
        _span(ROOT, "", "POST /orders", 2, now - 300_000_000, 200_000_000, {}),
        _span(CHILD, ROOT, "charge card", 3, now - 250_000_000, 100_000_000, {"code": 2, "message": "declined"}),
    ]
    record = {
        "timeUnixNano": str(now - 200_000_000),
        "severityNumber": 17,
        "severityText": "ERROR",
        "body": {"stringValue": "card declined"},
        "traceId": TRACE_ID,
        "spanId": CHILD,
    }
    point = {
        "asDouble": 7.5,
        "timeUnixNano": str(now),
        "attributes": [{"key": "queue", "value": {"stringValue": "mail"}}],
    }
    metric = {"name": "queue_length", "gauge": {"dataPoints": [point]}}
    for signal, body in (
        ("traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}),
        ("logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}),
        ("metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}),
    ):
        httpx.post(f"{url}/v1/{signal}", json=body).raise_for_status()


def _span(
    span_id: str, parent: str, name: str, kind: int, start: int, took: int, status: dict[str, Any]
) -> dict[str, Any]:
    return {
        "traceId": TRACE_ID,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + took),
        "status": status,
    }


@pytest.fixture(autouse=True)
def _real_time(monkeypatch: pytest.MonkeyPatch, _utc: None) -> None:
    monkeypatch.setattr(printing, "present", time.time)


def test_the_service_is_listed_with_its_rate(aiprism: Run, url: str) -> None:
    status, out, err = aiprism("services", "--window", "1h", "--server", url)
    assert (status, err) == (0, "")
    assert out.splitlines()[2].split()[0] == "shop"
    assert "200 ms" in out


def test_the_record_is_found_by_text_level_and_trace(aiprism: Run, url: str) -> None:
    for arguments in (("DECLINED",), ("--level", "ERROR"), ("--trace", TRACE_ID), ("--service", "shop")):
        assert "ERROR shop                 card declined" in aiprism("logs", *arguments, "--server", url)[1]
    assert aiprism("logs", "no such words", "--server", url)[1] == "no record fits\n"


def test_the_trace_is_found_and_drawn(aiprism: Run, url: str) -> None:
    for arguments in (("--errors",), ("--min-duration", "150ms"), ("--operation", "charge card")):
        assert TRACE_ID in aiprism("traces", *arguments, "--server", url)[1]
    drawn = aiprism("trace", TRACE_ID, "--server", url)[1]
    assert [" ".join(line.translate({ord("━"): "", ord("─"): ""}).split()) for line in drawn.splitlines()[3:]] == [
        "error began in shop charge card declined",
        "",
        "shop POST /orders 200 ms",
        "✗ charge card 100 ms",
        "declined",
        "",
        "logs",
        "+100 ms ERROR shop card declined",
    ]


def test_a_trace_id_that_is_none_is_refused_in_words(aiprism: Run, url: str) -> None:
    assert aiprism("trace", "xyz", "--server", url) == (
        1, "", "aiprism: 'xyz' is not a trace id: 32 hexadecimal digits\n"
    )  # fmt: skip


def test_the_metric_is_asked_for_at_once_and_over_time(aiprism: Run, url: str) -> None:
    out = aiprism("query", 'queue_length{queue="mail"}', "--server", url)[1]
    assert 'queue_length{job="shop", queue="mail"}' in out
    assert out.split()[-1] == "7.5"
    assert aiprism("query", "1 + 1", "--server", url)[1] == "2\n"
    over_time = aiprism("query", "queue_length", "--start", "5m", "--step", "1s", "--server", url)
    assert over_time[0] == 0
    assert over_time[1].split()[-4:] == ["7.5", "7.5", "7.5", "7.5"]


def test_what_makes_the_series_is_listed(aiprism: Run, url: str) -> None:
    status, out, err = aiprism("cardinality", "--limit", "3", "--server", url)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith("label values")
    assert ["queue_length", "1", "100", "%"] in [line.split() for line in out.splitlines()]
    assert ["queue=mail", "1", "100", "%"] in [line.split() for line in out.splitlines()]


def test_what_is_stored_is_listed_with_size_and_period(aiprism: Run, url: str) -> None:
    status, out, err = aiprism("storage", "--partitions", "--server", url)
    assert (status, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["samples"][-1] == "1"  # of the list of partitions, which stands last
    [samples] = [line for line in out.splitlines() if line.startswith("samples ") and "395d" in line]
    assert samples.split()[-4:] == ["395d", "1", "in", "1"]
    assert "aiprism_default" in out
    tables = json.loads(aiprism("storage", "-o", "json", "--server", url)[1])["tables"]
    assert {row["table"]: row["retention_seconds"] for row in tables}["spans"] == 30 * 86_400


def test_a_slip_in_a_query_is_pointed_at(aiprism: Run, url: str) -> None:
    status, out, err = aiprism("query", "sum(rat(up[5m]))", "--server", url)
    assert (status, out) == (1, "")
    assert err.startswith("aiprism: ")
    assert "1:5" in err


def test_there_is_no_alert_and_no_incident(aiprism: Run, url: str) -> None:
    assert aiprism("alerts", "--server", url) == (0, "no alert is pending or firing\n", "")
    assert aiprism("incidents", "list", "--status", "all", "--server", url) == (0, "there has been no incident\n", "")
    assert aiprism("incidents", "show", "last", "--server", url) == (1, "", "aiprism: there has been no incident\n")
    status, _, err = aiprism("incidents", "show", "INC_1", "--server", url)
    assert (status, "INC_1" in err) == (1, True)


def test_an_error_that_a_service_never_wrote_before_is_an_alert(url: str) -> None:
    def write(body: str, ago: float) -> None:
        record = {
            "timeUnixNano": str(time.time_ns() - round(ago * 1e9)),
            "severityNumber": 17,
            "body": {"stringValue": body},
        }
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "till"}}]}
        logs = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}
        httpx.post(f"{url}/v1/logs", json=logs).raise_for_status()

    def alerts() -> list[dict[str, Any]]:
        found = httpx.get(f"{url}/api/v2/alerts", params={"filter": "alertname=NewErrorPattern"}).json()
        return [each for each in found if each["labels"]["service"] == "till"]

    write("drawer 4 is stuck", ago=3600)  # it is no new service
    write("no paper in printer 7", ago=0)
    [alert] = eventually(alerts)
    assert alert["annotations"]["template"] == "no paper in printer <*>"
    assert alert["annotations"]["description"] == "no paper in printer 7"


def test_a_service_is_found_by_the_doors_of_the_server(aiprism: Run, url: str) -> None:
    def metrics() -> Any:
        page = httpx.get(f"{url}/aiprism/v1/services/shop").json()
        return page if "queue_length" in {each["name"] for each in page["metrics"]} else None

    page = eventually(metrics)
    assert (page["signals"], [each["name"] for each in page["errors"]]) == (
        ["logs", "metrics", "traces"],
        ["charge card"],
    )
    found = httpx.get(url + page["metrics"][0]["links"]["related"]).json()
    assert {each["service"] for each in found["series"]} == {"shop"}
    nodes = httpx.get(f"{url}/aiprism/v1/services/map").json()["nodes"]
    assert ("shop", 1) in [(each["name"], each["calls"]) for each in nodes]
    assert aiprism("services", "--drift", "--server", url)[1].startswith("no service is declared")


def test_an_incident_on_a_running_server_has_its_changes_on_its_timeline_and_then_its_postmortem(url: str) -> None:
    events, incidents = f"{url}/aiprism/v1/events", f"{url}/aiprism/v1/incidents"
    change = {"events": [{"kind": "deployment", "service": "shop", "title": "shop 2.0 is out"}]}
    httpx.post(events, json=change).raise_for_status()
    labels = {"alertname": "OrdersFail", "service": "shop", "severity": "critical"}
    httpx.post(f"{url}/api/v2/alerts", json=[{"labels": labels}]).raise_for_status()
    [incident] = [each["id"] for each in httpx.get(incidents).json()["incidents"] if "shop" in each["services"]]
    eventually(lambda: "change" in [each["event"] for each in httpx.get(f"{incidents}/{incident}").json()["timeline"]])
    assert httpx.post(f"{incidents}/{incident}/postmortem", json={"actor": "ann"}).status_code == 409  # it is open
    httpx.post(f"{incidents}/{incident}/resolve", json={"actor": "ann"}).raise_for_status()
    eventually(lambda: httpx.get(f"{incidents}/{incident}/postmortem").status_code == 200)
    text = httpx.get(f"{incidents}/{incident}/postmortem.md").text
    assert "shop 2.0 is out" in text
    week = httpx.get(f"{url}/aiprism/v1/reports/weekly").json()["week"]
    assert week["by_service"]["shop"]["incidents"] == 1
    assert httpx.post(f"{url}/aiprism/v1/hooks/github", json={}).status_code == 404  # its secret is not set

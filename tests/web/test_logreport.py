"""The report on the logs of an hour, on the real store: what stands out is told, with the plan's keys."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism import cli
from aiprism.clock import SystemClock
from aiprism.detect.loganalysis import LogAnalysis
from aiprism.detect.loghints import Hints
from aiprism.detect.logsecurity import LogSecurity
from aiprism.model.timerange import TimeRange
from aiprism.store.engine import Engine
from aiprism.telemetry import Telemetry
from aiprism.web import logs, routes
from tests.logmaking import Line, store_logs
from tests.web.serving import serving

END = 1_800_000_000
HOUR = 3600
TRACE = b"\xab" * 16


def lines() -> Iterator[Line]:
    """Two hours of a shop: in the second its database goes away, charging becomes slow, and one odd line is written."""
    chance = random.Random(7)
    for at in range(END - 2 * HOUR, END, 20):
        later = at >= END - HOUR
        yield Line(at, f"served cart {chance.randrange(10_000)} in {chance.randrange(5, 30)} ms")
        yield Line(
            at, f"charged card in {chance.uniform(2, 3) if later else chance.uniform(0.2, 0.3):.3f} s", service="pay"
        )
        if later and at % 60 == 0:
            refused = f"dial tcp 10.0.0.{at % 7}:5432: connect: connection refused"
            yield Line(at, refused, "ERROR", chance.choice(("api", "pay")), TRACE)
        if not later:
            yield Line(at, "refreshed prices")
    yield Line(END - 100, "entropy pool is odd", "WARN")


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    async def nothing() -> None:
        return None

    store_logs(engine, lines())
    app = routes.build([logs.router(engine, SystemClock())], Telemetry(), checks={}, reload=nothing)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as opened:
        yield opened


def reported(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"end": END - 1, "window": "60m"} | parameters
    answer = client.get("/aiprism/v1/logs/report", params=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_report_tells_what_stands_out(client: httpx.Client) -> None:
    report = reported(client)
    assert list(report) == [
        "analysis_id", "analyzed_at", "window_minutes", "total_logs", "findings", "metrics", "recommendations",
        "left_out",
    ]  # fmt: skip
    assert list(report["findings"]) == ["anomalies", "error_patterns", "performance_issues", "security_events"]
    assert (report["window_minutes"], report["total_logs"]) == (60, 180 + 180 + 60 + 1)
    assert report["analysis_id"].startswith("log_analysis_")
    assert report["metrics"]["by_service"].keys() == {"api", "pay"}
    assert (report["metrics"]["errors"], report["metrics"]["logs_before"]) == (60, 540)

    [error] = report["findings"]["error_patterns"]
    assert error["pattern"] == "dial tcp <*>: connect: connection refused"
    assert (error["occurrence_count"], sorted(error["affected_services"])) == (60, ["api", "pay"])
    assert (error["time_span_minutes"], error["frequency_per_hour"], error["severity"]) == (59, 60, "high")
    assert error["root_cause_hints"] == ["nothing listens where the service wants to connect"]
    assert len(error["example_logs"]) == 3
    assert error["example_logs"][0]["trace_id"] == TRACE.hex()

    anomalies = {each["pattern"]: each for each in report["findings"]["anomalies"]}
    assert {pattern: each["anomaly_type"] for pattern, each in anomalies.items()} == {
        "dial tcp <*>: connect: connection refused": "new_pattern",
        "entropy pool is odd": "new_pattern",
        "refreshed prices": "vanished_pattern",
    }
    gone = anomalies["refreshed prices"]
    assert (gone["before"], gone["now"], gone["message"]) == (180, 0, "refreshed prices")

    [slower] = report["findings"]["performance_issues"]
    assert (slower["issue_type"], slower["pattern"], slower["severity"]) == (
        "slower_operation",
        "charged card in <*>",
        "high",
    )
    assert 2 <= slower["p50_seconds"] <= slower["p95_seconds"] <= slower["longest_seconds"] <= 3
    assert 0.2 <= slower["p95_seconds_before"] <= 0.3
    assert sum(lines for _, lines, _, _ in slower["series"]) == 180
    assert slower["series"][0][0] == END - HOUR

    advice = [each["recommendation"] for each in report["recommendations"]]
    assert advice == [
        "Check that the service it connects to runs, and the host and port it is told.",
        "Find in a trace of pay what the time is spent on.",
    ]


def test_links_of_findings_lead_to_their_lines(client: httpx.Client) -> None:
    [error] = reported(client)["findings"]["error_patterns"]
    found = client.get(error["links"]["logs"]).json()["logs"]
    assert len(found) == 60
    assert {record["level"] for record in found} == {"ERROR"}
    assert error["links"]["traces"] == [f"/aiprism/v1/traces/{TRACE.hex()}"]


def test_matters_of_security_are_told_with_what_to_do(client: httpx.Client, engine: Engine) -> None:
    store_logs(
        engine,
        [Line(END - 300 + n, f"login failed for user{n}", "WARN", "auth", TRACE) for n in range(4)],
        token="more",
    )
    report = reported(client)
    [event] = report["findings"]["security_events"]
    assert (event["title"], event["occurrence_count"], event["affected_services"]) == ("Failed logins", 4, ["auth"])
    assert event["links"]["traces"][0] == f"/aiprism/v1/traces/{TRACE.hex()}"
    found = client.get(event["links"]["logs"]).json()["logs"]
    assert {record["service"] for record in found} == {"auth"}
    [advice] = [each for each in report["recommendations"] if each["finding"] == event["rule_id"]]
    assert advice["recommendation"].startswith("See which accounts and addresses")
    assert advice["because"] == "Failed logins: 4 lines of auth"


def test_a_line_among_many_is_rare(client: httpx.Client) -> None:
    # Of the last two hours, before which there is nothing to compare with.
    report = reported(client, window="2h")
    rare = [each for each in report["findings"]["anomalies"] if each["anomaly_type"] == "rare_pattern"]
    assert [(each["message"], each["cluster_size"], each["severity"]) for each in rare] == [
        ("entropy pool is odd", 1, "medium")
    ]


def test_a_report_of_one_service_or_of_a_time_without_logs(client: httpx.Client) -> None:
    assert reported(client, service="pay")["metrics"]["by_service"].keys() == {"pay"}
    nothing = reported(client, end=END + 86_400)
    assert (nothing["total_logs"], nothing["recommendations"]) == (0, [])
    assert nothing["findings"] == {
        "anomalies": [], "error_patterns": [], "performance_issues": [], "security_events": [],
    }  # fmt: skip


def test_what_is_left_out_of_a_report_is_said_and_its_lines_are_counted(engine: Engine) -> None:
    store_logs(engine, lines())
    security = LogSecurity(engine, most_lines=100)
    analysis = LogAnalysis(engine, Hints(()), slow=1.0, security=security.events, most_patterns=3)
    report = analysis.report(TimeRange(END - HOUR - 1, END - 1), now=END, links_of=lambda *_: {})
    assert (report.total_logs, report.metrics["logs_per_minute"]) == (421, 7.017)
    assert [each.partition(":")[0] for each in report.left_out] == [
        "61 lines of rare patterns", "security rules were asked of lines from 2027-01-15T07",
    ]  # fmt: skip


@pytest.mark.parametrize("window", ["", "10s", "2d", "soon"])
def test_a_window_that_is_none_is_the_askers_mistake(client: httpx.Client, window: str) -> None:
    assert client.get("/aiprism/v1/logs/report", params={"window": window}).status_code == 400


def test_the_command_shows_it_as_the_documentation_does(
    client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["report", "logs", "--server", str(client.base_url), "--end", "2027-01-15T07:59:59Z"]
    assert cli.run(asked) == 0
    said = capsys.readouterr().out
    page = (Path(__file__).parents[2] / "docs" / "log-patterns.md").read_text(encoding="utf-8")
    shown = page.partition("$ aiprism report logs\n")[2].partition("```")[0]
    assert [line.split() for line in said.splitlines() if "──" not in line] == [
        line.split() for line in shown.splitlines() if "──" not in line
    ], said
    assert cli.run([*asked, "-o", "json"]) == 0
    assert '"analysis_id"' in capsys.readouterr().out

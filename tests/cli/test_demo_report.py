"""What the demonstration concludes from records: times, checks, receivers."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aiprism.cli import demoreport
from aiprism.cli.demoreport import Received, measured
from aiprism.cli.demostage import _free_ports
from aiprism.cli.demoview import Picture, PlainView, drawn
from aiprism.cli.scenarios import SCENARIOS, Scenario
from tests.cli.test_incidents import INCIDENT_ID, OPENED, incident

CRASH = SCENARIOS["service-crash"]
FAULT_AT = OPENED - 10
TOLD: dict[str, dict[str, Any]] = {
    "pagerduty": {"opened": {"event_action": "trigger"}, "resolved": {"event_action": "resolve"}},
    "slack": {"opened": {"text": "🚨 Incident: [P0] down"}, "resolved": {"text": "✅ Resolved: [P0] down"}},
    "webhook": {"opened": {"incident": {"event": "opened"}}, "resolved": {"incident": {"event": "resolved"}}},
}


def posts(incident_id: str = INCIDENT_ID) -> list[dict[str, Any]]:
    """Everything the three receivers keep when an incident was opened and resolved."""
    made = []
    for kind, events in TOLD.items():
        for at, body in zip((OPENED + 1, OPENED + 31), events.values(), strict=True):
            named = {
                "pagerduty": {**body, "dedup_key": incident_id},
                "slack": {**body, "attachments": [{"footer": incident_id}]},
                "webhook": {"incident": {**body.get("incident", {}), "id": incident_id}},
            }
            made.append({"kind": kind, "path": "/", "at": at, "headers": {}, "body": named[kind]})
    return made


def test_a_closed_loop_is_measured_from_the_fault() -> None:
    timeline = [*incident()["timeline"], {"id": 3, "at": OPENED + 13, "event": "monitoring", "actor": "", "text": ""}]
    report = measured(CRASH, FAULT_AT, [incident(timeline=timeline)], posts())
    assert report.closed
    assert report.times == {
        "detect": 10.0,
        "notify": 10.4,
        "remediate": 13.0,
        "verify": 18.0,
        "monitor": 23.0,
        "resolve": 40.0,
    }
    assert Received("slack", "resolved", OPENED + 31) in report.received


def _unverified() -> dict[str, Any]:
    [run] = incident()["runs"]
    return incident(runs=[{**run, "outcome": "done, not verified"}])


@pytest.mark.parametrize(
    ("incidents", "received", "missing"),
    [
        ([], posts(), "ServiceDown opened an incident"),
        ([incident(status="monitoring", resolved_at=None)], posts(), "every incident is resolved"),
        (
            [incident(), incident(id="INC_2", status="identified", resolved_at=None)],
            posts(),
            "every incident is resolved",
        ),
        ([incident(runs=[])], posts(), "runbook restart-crashed-service succeeded and was verified"),
        ([_unverified()], posts(), "runbook restart-crashed-service succeeded and was verified"),
        ([incident()], posts()[1:], "pagerduty was told that it opened"),
        ([incident()], posts("INC_of_another_day"), "slack was told that it resolved"),
    ],
)
def test_a_loop_that_did_not_close_says_what_is_missing(incidents: Any, received: Any, missing: str) -> None:
    report = measured(CRASH, FAULT_AT, incidents, received)
    assert not report.closed
    assert report.checks[missing] is False


def test_the_incident_of_the_scenario_comes_first_whatever_else_happened() -> None:
    other = incident(id="INC_other", created_at=OPENED - 5, alerts=[])
    report = measured(CRASH, FAULT_AT, [other, incident()], posts())
    assert [each["id"] for each in report.incidents] == [INCIDENT_ID, "INC_other"]


def test_the_report_on_paper_has_every_station_with_its_target() -> None:
    out = Console(file=io.StringIO(), width=200)
    report = measured(CRASH, FAULT_AT, [incident()], posts()[:-1])
    for part in demoreport.pages(report, OPENED + 60):
        out.print(part)
    file = out.file
    assert isinstance(file, io.StringIO)
    told = [" ".join(line.split()) for line in file.getvalue().splitlines()]
    for line in (
        "service-crash: the loop did not close",
        "alert firing 10.0 s < 30 s ✓",
        "first notification accepted 10.4 s < 120 s ✓",
        "alerts clear, incident monitored not reached",
        "incident resolved 40.0 s",
        "✗ webhook was told that it resolved",
        "webhook +11.0 s – 0",
    ):
        assert line in told


def test_json_holds_what_a_machine_asks() -> None:
    made = measured(CRASH, FAULT_AT, [incident()], posts()).to_json()
    assert (made["scenario"], made["closed"], made["times"]["detect"], made["targets"]["detect"]) == (
        "service-crash", True, 10.0, 30.0,
    )  # fmt: skip


def test_the_plain_view_tells_everything_once() -> None:
    out = io.StringIO()
    view = PlainView(out)
    view.step("lab", 3, 9, "model-server-1")
    for _ in range(3):
        view.step("lab", 9, 9, "all processes run")
        view.show(Picture(OPENED, incidents=[incident()]))
    told = [line[10:] for line in out.getvalue().splitlines()]
    assert told == [
        "lab: all processes run",
        f"{INCIDENT_ID}  incident_created: ServiceDown fires",
        f"{INCIDENT_ID}  resolved: quiet",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 18), (120, 18), (160, 40)])
def test_the_live_view_keeps_to_the_terminals_size(width: int, height: int) -> None:
    row = {
        "service": "notification-service",
        "rate": 1.0,
        "error_share": 0.2,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "last_seen": OPENED,
    }
    entries = [
        {"id": at, "at": OPENED + at, "event": "comment", "actor": "", "text": f"line {at} {'x' * 200}"}
        for at in range(50)
    ]
    courses = {"notification-service": tuple(float(at) for at in range(40))}
    picture = Picture(OPENED + 60, [row] * 3, courses, [], [incident(timeline=entries, title="y" * 300)])
    out = Console(file=io.StringIO(), width=width)
    out.print(drawn(picture, width, height))
    file = out.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue().splitlines()
    assert len(lines) <= height
    assert "line 49" in lines[-1]
    assert lines[-1].startswith("14:15:49")
    assert "1 ms" in lines[2]
    assert "2 ms" in lines[2]


def test_ports_that_are_chosen_together_differ() -> None:
    ports = _free_ports(20)
    assert len(set(ports)) == 20


EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_each_story_has_its_postmortem_in_the_documentation(scenario: Scenario) -> None:
    page = (EXAMPLES / f"{scenario.name}.md").read_text(encoding="utf-8")
    assert scenario.alert in page
    assert f"Runbook **{scenario.runbook}**: succeeded" in page
    assert not re.search(r"/(tmp|home|root|work)/", page)  # nothing of the machine it was written on
    charts = re.findall(r"!\[.*\]\((.*)\)", page)
    assert sorted(charts) == sorted(f"{scenario.name}/{chart.name}" for chart in (EXAMPLES / scenario.name).iterdir())
    assert f"[{scenario.name}]({scenario.name}.md)" in (EXAMPLES / "index.md").read_text(encoding="utf-8")

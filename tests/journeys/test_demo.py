"""The whole loop, four times over: a real fault in a real system, noticed, told, repaired, verified, resolved."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

MINUTE = 60.0
ALLOWED_SECONDS = 5 * MINUTE  # what the demo promises of one scenario
CHANNELS = {"pagerduty", "slack", "webhook"}
Played = tuple[str, list[dict[str, Any]], Path]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All scenarios of one lab, played one after the other on one platform."""
    return play("all", tmp_path_factory.mktemp("demo"), stories=4)


def play(scenario: str, folder: Path, stories: int = 1) -> Played:
    """What the demo said, its report of each story, and where their postmortems are."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "aiprism", "demo", "--once", "--scenario", scenario, "--report", str(report)]
    command += ["--postmortems", str(folder / "postmortems")]
    done = subprocess.run(
        [*command, "--data", str(folder / "demo")],
        capture_output=True,
        text=True,
        timeout=stories * ALLOWED_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout, json.loads(report.read_text())["scenarios"], folder / "postmortems"


@pytest.mark.parametrize(
    ("place", "scenario", "alert", "runbook", "step"),
    [
        (0, "model-slow", "AIModelLatencyHigh", "open-ai-model-circuit-breaker", "control"),
        (1, "service-crash", "ServiceDown", "restart-crashed-service", "process"),
        (2, "bad-deploy", "DeploymentErrorRate", "rollback-bad-deploy", "process"),
        (3, "memory-leak", "MemoryLeak", "restart-leaking-service", "process"),
    ],
)
def test_the_loop_closes(played: Played, place: int, scenario: str, alert: str, runbook: str, step: str) -> None:
    assert_closed(played, place, scenario, alert, runbook, [step])


def assert_closed(played: Played, place: int, scenario: str, alert: str, runbook: str, steps: list[str]) -> None:
    """The story went as docs/demo.md tells it; `steps` are the kinds that its runbook began with."""
    said, reports, postmortems = played
    report = reports[place]

    assert report["closed"]
    times = report["times"]
    assert all(at is not None for at in times.values()), times
    assert 0 < times["detect"] < report["targets"]["detect"]
    assert times["detect"] <= times["notify"] < report["targets"]["notify"]
    assert times["detect"] <= times["remediate"] <= times["verify"]
    assert times["monitor"] <= times["resolve"]

    main = report["incidents"][0]
    assert alert in {each["name"] for each in main["alerts"]}
    [run] = [run for run in main["runs"] if run["runbook"] == runbook and run["state"] == "succeeded"]
    assert [each["kind"] for each in run["steps"]][: len(steps)] == steps
    assert {each["state"] for each in run["steps"]} == {"done"}
    assert {each["channel"] for each in report["received"] if each["event"] == "opened"} == CHANNELS
    assert {each["channel"] for each in report["received"] if each["event"] == "resolved"} == CHANNELS
    assert f"{scenario}: the loop closed" in said
    assert "\x1b" not in said

    page = (postmortems / f"{scenario}.md").read_text(encoding="utf-8")
    charts = re.findall(r"!\[.*\]\((.*)\)", page)
    assert runbook in page
    assert [chart.partition("/")[0] for chart in charts] == [scenario] * len(charts) != []
    assert all((postmortems / chart).read_text(encoding="utf-8").startswith("<svg") for chart in charts)


def test_ending_the_demo_ends_every_process_it_started(tmp_path: Path) -> None:
    """SIGTERM in the middle of things; no process that works in its directory is left."""
    command = [sys.executable, "-m", "aiprism", "demo", "--data", str(tmp_path / "demo"), "--listen", "127.0.0.1:0"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert demo.stdout
        for line in demo.stdout:
            if "lab: " in line:
                break
        assert len(processes_about(tmp_path)) > 8
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=MINUTE)
        assert eventually_none(tmp_path) == []
    finally:
        demo.kill()
        demo.wait()


def processes_about(folder: Path) -> list[int]:
    """Processes whose command line or environment names `folder`, this one left out."""
    found = []
    for each in Path("/proc").iterdir():
        if not each.name.isdecimal() or int(each.name) == os.getpid():
            continue
        try:
            told = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in told:
            found.append(int(each.name))
    return found


def eventually_none(folder: Path) -> list[int]:
    deadline = time.monotonic() + MINUTE
    while (left := processes_about(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left

"""POST /aiprism/v1/backtest and the command that asks it, on stored samples and incidents."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism import yamlfile
from aiprism.cli import run
from aiprism.clock import FakeClock
from aiprism.detect.annotations import Surroundings
from aiprism.detect.signals import Answers, RuleQuestion
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.query.promql import Matrix
from aiprism.respond import route
from aiprism.respond.incident import Incident, Periods, opened
from aiprism.store.engine import Engine
from aiprism.store.question import Question
from aiprism.store.schema import migrate
from aiprism.store.signals import SignalStore
from aiprism.telemetry import Telemetry
from aiprism.web import backtest, routes
from aiprism.web.turns import Turns
from tests.detect.test_signals import Line, store_lines
from tests.query.promql.stocked import Stocked
from tests.web.serving import serving

NOW = 1_700_000_040
RULES = """
groups:
- name: g
  interval: 1m
  rules:
  - {alert: Errors, expr: errors > 5, for: 2m, labels: {severity: critical}}
  - {alert: Never, expr: errors > 100}
"""

ROUTING = route.read(
    yamlfile.parse(
        """
route:
  receiver: team
  group_by: [site]
  routes: [{receiver: pager, matchers: ['severity="critical"', 'site="one"'], repeat_interval: 10m}]
receivers:
- {name: team}
- {name: pager, webhook_configs: [{url: 'http://127.0.0.1/'}]}
""",
        file="am.yml",
    )
)


class Answering(Answers):
    """The answers of the store; where `is_left`, whoever asks hangs up when the last of them is there."""

    is_left = False

    def range(self, asked: RuleQuestion, start: float, end: float, step: float, question: Question) -> Matrix:
        found = super().range(asked, start, end, step, question)
        if self.is_left:
            question.give_up()
        return found


def incident(start: float, end: float) -> list[Incident]:
    labels = Labels({"alertname": "Slow", "severity": "critical", "job": "api"})
    alert = Alert(labels, Labels(), AlertState.FIRING, 1.0, NOW - 900, fired_at=NOW - 900)
    known = opened(alert, NOW - 900, Periods(), id="INC_1")[0]
    return [known] if known.created_at <= end else []


@pytest.fixture(scope="module")
def url(chdb_url: str) -> Iterator[str]:
    engine = Engine.open(chdb_url, database=f"backtest_{uuid.uuid4().hex}")
    migrate(engine)
    stocked = Stocked.on(engine)
    values = [0] * 30 + [9] * 20 + [0] * 11  # the last hour, minute by minute
    times = range((NOW - 3600) * 1000, (NOW + 1) * 1000, 60_000)
    stocked.add([(Labels({"__name__": "errors", "job": "api"}), list(zip(times, map(float, values), strict=True)))])
    turns, clock = Turns(engine), FakeClock(NOW)
    lines: list[Line] = [(ms, "ERROR", "api", "failed", {}) for ms in range(0, 600_000, 10_000)]
    store_lines(engine, lines, start=NOW - 1800)
    answers = Answering(stocked.promql, engine, SignalStore(engine), 60.0)
    asked = backtest.router(answers, turns, incident, lambda: ROUTING, clock, Surroundings({"site": "one"}), 60.0)
    with serving(routes.build([asked], Telemetry(), checks={}, reload=_never)) as served:
        yield served
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


async def _never() -> None:
    raise AssertionError("nobody asked for a reload")


def asked(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/aiprism/v1/backtest", json=body, timeout=60)


def test_it_tells_when_alerts_would_have_fired_and_of_which_incidents(url: str) -> None:
    answer = asked(url, files={"r.yml": RULES}, start=NOW - 3600, end=NOW).json()
    errors, never = answer["rules"]
    assert (errors["alert"], errors["fired"], errors["seconds"], errors["evaluations"]) == ("Errors", 1, 1080.0, 61)
    assert errors["firings"] == [
        {
            "labels": {"alertname": "Errors", "job": "api", "severity": "critical"},
            "annotations": {},
            "active_at": NOW - 1800,
            "fired_at": NOW - 1680,
            "ended_at": NOW - 600,
        }
    ]
    assert (never["alert"], never["fired"], never["told"]) == ("Never", 0, [])
    # 18 minutes: at once, after 10 minutes at the first look after them, and that it is over.
    pager = {"receiver": "pager", "channels": ["webhook"], "notifications": 3}
    counts = {"first": 1, "firing": 0, "repeat": 1, "resolved": 1, "is_whole": True}
    assert answer["told"] == errors["told"] == [{**pager, **counts}]
    [caught] = answer["incidents"]["caught"]
    assert (caught["id"], caught["alert"], caught["earlier"]) == ("INC_1", "Errors", 780.0)
    assert (answer["incidents"]["missed"], answer["incidents"]["noise"]) == ([], [])


def test_rules_on_logs_have_a_past_too(url: str) -> None:
    rule = "{alert: Failing, logs: 'level:ERROR', by: [service], over: 1m, when: '> 5'}"
    text = f"groups: [{{name: g, interval: 1m, rules: [{rule}]}}]"
    [failing] = asked(url, files={"s.yml": text}, start=NOW - 3600, end=NOW).json()["rules"]
    assert failing["expr"] == "count by (service) (logs{level:ERROR}[1m]) > 5"
    # Ten minutes with six lines in each, seen ten seconds late.
    [firing] = failing["firings"]
    assert (firing["labels"]["service"], firing["fired_at"], firing["ended_at"]) == ("api", NOW - 1680, NOW - 1140)


def test_who_would_have_been_told_is_counted_while_somebody_waits_for_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "is_left", True)
    text = "groups: [{name: g, rules: [{alert: Errors, expr: errors > 5}]}]"
    answer = asked(url, files={"r.yml": text}, start=NOW - 3600, end=NOW)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        499,
        "the query was cancelled: who asked has hung up",
    )


REFUSALS = [
    ({"files": {"r.yml": "groups: [{name: g, rules: [{alert: A}]}]"}}, 400, "r.yml:1: group 'g'.*needs an 'expr'"),
    ({"files": {"r.yml": RULES}, "start": NOW, "end": NOW - 1}, 400, "ends .* before it begins"),
    ({"files": {"r.yml": RULES}, "start": 0, "end": NOW}, 422, "more than 500000"),
    ({"files": {}}, 400, "files"),
]


@pytest.mark.parametrize(("body", "status", "why"), REFUSALS)
def test_what_cannot_be_answered_is_refused(url: str, body: dict[str, Any], status: int, why: str) -> None:
    answer = asked(url, **body)
    assert answer.status_code == status
    assert re.search(why, answer.json()["error"]["message"])


def test_the_command_shows_it(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "r.yml"
    rules.write_text(RULES)
    period = ["--from", str(NOW - 3600), "--to", str(NOW)]
    assert run(["backtest", str(rules), *period, "--firings", "--server", url]) == 0
    shown = capsys.readouterr().out
    assert "1 of 1 incidents caught; 0 firings are about no incident" in shown
    assert "job=api" in shown
    assert re.search(r"pager +.?webhook", shown)
    assert run(["backtest", str(rules), *period, "-o", "json", "--server", url]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["fired"] == 1


def test_a_count_that_took_too_long_is_the_least_that_it_can_be(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backtest, "_MOST_LOOKS", 1)
    rules = tmp_path / "r.yml"
    rules.write_text(RULES)
    period = ["--from", str(NOW - 3600), "--to", str(NOW)]
    assert run(["backtest", str(rules), *period, "--server", url]) == 0
    assert re.search(r"pager +.?webhook +.?at least \d", capsys.readouterr().out)


def test_a_rule_file_that_is_not_there_is_said(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", str(tmp_path / "none.yml"), "--server", url]) == 1
    assert "none.yml: cannot be read: No such file" in capsys.readouterr().err

"""/api/v1/rules and /api/v1/alerts, word for word as Prometheus answers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from aiprism.detect import rules as rule_files
from aiprism.detect.groups import GroupStatus, RuleStatus
from aiprism.model.alerts import Alert, AlertState
from aiprism.model.labels import Labels
from aiprism.web import rules

FILE = """\
groups:
- name: first
  interval: 1s
  limit: 5
  rules:
  - alert: Waits
    expr: vector(1)   > 0
    for: 1h
    keep_firing_for: 2m
    labels: {severity: page, shown: "{{ $value }}"}
    annotations: {summary: "v {{ $value }}"}
  - alert: Sleeps
    expr: vector(0) > 1
  - alert: Fires
    expr: vector(0.5)
  - record: job:x
    expr: vector(2)
    labels: {a: b}
  - alert: Fails
    expr: '"text"'
- name: never
  interval: 1h
  rules:
  - record: q
    expr: 'sum by(x) (rate(y{a="b"}[5m]))'
"""


def groups_of(path: Path) -> tuple[GroupStatus, ...]:
    """The file's groups as they stand after one evaluation of the first."""
    first, never = rule_files.load([path])
    results: dict[str, dict[str, Any]] = {
        "Waits": {"alerts": (alert("Waits", AlertState.PENDING, 1.0, severity="page", shown="1"),)},
        "Fires": {"alerts": (alert("Fires", AlertState.FIRING, 0.5),)},
        "Fails": {"health": "err", "last_error": "rule result is not a vector or scalar"},
    }
    evaluated: dict[str, Any] = {"health": "ok", "evaluated_at": 1_700_000_000.25, "seconds": 0.5}
    ran = tuple(RuleStatus(rule, **evaluated | results.get(rule.name, {})) for rule in first.rules)
    waiting = tuple(RuleStatus(rule) for rule in never.rules)
    return (
        GroupStatus(first, ran, evaluated_at=1_700_000_000.25, seconds=2.0),
        GroupStatus(never, waiting),
    )


def alert(name: str, state: AlertState, value: float, **labels: str) -> Alert:
    annotations = Labels({"summary": "v 1"} if name == "Waits" else {})
    return Alert(Labels({"alertname": name, **labels}), annotations, state, value, active_at=1_700_000_000.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(FILE)
    return path


class Client:
    """Asks the router over given groups."""

    def __init__(self, *groups: GroupStatus) -> None:
        self.application = FastAPI()
        self.application.include_router(rules.router(lambda: groups))

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path)

        return asyncio.run(ask())


@pytest.fixture
def client(file: Path) -> Client:
    return Client(*groups_of(file))


def names(answer: dict[str, Any]) -> list[str]:
    return [rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]]


def test_a_pending_alert_is_shown_with_its_rule(client: Client, file: Path) -> None:
    group = client.get("/api/v1/rules").json()["data"]["groups"][0]
    assert {name: value for name, value in group.items() if name != "rules"} == {
        "name": "first",
        "file": str(file),
        "interval": 1,
        "limit": 5,
        "evaluationTime": 2,
        "lastEvaluation": "2023-11-14T22:13:20.25Z",
    }
    assert group["rules"][0] == {
        "state": "pending",
        "name": "Waits",
        "query": "vector(1) > 0",
        "duration": 3600,
        "keepFiringFor": 120,
        "labels": {"severity": "page", "shown": "{{ $value }}"},
        "annotations": {"summary": "v {{ $value }}"},
        "alerts": [
            {
                "labels": {"alertname": "Waits", "severity": "page", "shown": "1"},
                "annotations": {"summary": "v 1"},
                "state": "pending",
                "activeAt": "2023-11-14T22:13:20Z",
                "value": "1e+00",
            }
        ],
        "health": "ok",
        "evaluationTime": 0.5,
        "lastEvaluation": "2023-11-14T22:13:20.25Z",
        "type": "alerting",
    }


def test_alerts_are_listed_without_their_rules(client: Client) -> None:
    answer = client.get("/api/v1/alerts").json()
    assert answer["status"] == "success"
    assert [(each["labels"]["alertname"], each["state"], each["value"]) for each in answer["data"]["alerts"]] == [
        ("Waits", "pending", "1e+00"),
        ("Fires", "firing", "5e-01"),
    ]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", ["Waits", "Sleeps", "Fires", "job:x", "Fails", "q"]),
        ("type=alert", ["Waits", "Sleeps", "Fires", "Fails"]),
        ("type=record", ["job:x", "q"]),
        ("rule_name[]=Fires&rule_name[]=q", ["Fires", "q"]),
        ("rule_group[]=never", ["q"]),
        ("rule_group[]=first&type=record", ["job:x"]),
        ("file[]=nowhere.yml", []),
        ("group_limit=1", ["Waits", "Sleeps", "Fires", "job:x", "Fails"]),
        ("type=RECORD&group_limit=1", ["job:x"]),
        ("type=record&rule_group[]=never&group_limit=1", ["q"]),
        ("match[]={a='b'}", ["job:x"]),
        ("match[]={severity='page',shown=~'.*value.*'}&match[]={a='b'}", ["Waits", "job:x"]),
        ("match[]={nobody='has'}", []),
    ],
)
def test_parameters_choose_rules(client: Client, parameters: str, expected: list[str]) -> None:
    assert names(client.get(f"/api/v1/rules?{parameters}").json()) == expected


def test_alerts_can_be_left_out(client: Client) -> None:
    groups = client.get("/api/v1/rules?exclude_alerts=true").json()["data"]["groups"]
    assert [rule.get("alerts", "none") for rule in groups[0]["rules"]] == [None, None, None, "none", None]


def test_an_alerting_rule_that_never_ran_is_in_no_known_state(file: Path) -> None:
    first, _ = rule_files.load([file])
    [group] = Client(GroupStatus(first, (RuleStatus(first.rules[1]),))).get("/api/v1/rules").json()["data"]["groups"]
    assert (group["rules"][0]["name"], group["rules"][0]["state"]) == ("Sleeps", "unknown")


def test_groups_come_in_pages(client: Client) -> None:
    first = client.get("/api/v1/rules?group_limit=1").json()["data"]
    second = client.get(f"/api/v1/rules?group_limit=1&group_next_token={first['groupNextToken']}").json()["data"]
    assert [group["name"] for group in first["groups"] + second["groups"]] == ["first", "never"]
    assert "groupNextToken" not in second


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("type=foo", 'invalid parameter "type": not supported value "foo"'),
        ("exclude_alerts=maybe", 'invalid parameter "exclude_alerts": "maybe" is neither true nor false'),
        ("match[]=up[5m]", 'invalid parameter "match[]": 1:1: parse error: "up[5m]" is not a series selector'),
        ("group_limit=0", 'invalid parameter "group_limit": group_limit needs to be greater than 0'),
        ("group_limit=x", 'invalid parameter "group_limit": group_limit needs to be a valid number, not "x"'),
        (
            "group_next_token=x",
            'invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups',
        ),
        (
            "group_limit=1&group_next_token=x",
            "invalid parameter \"group_next_token\": invalid group_next_token 'x'. were rule groups changed?",
        ),
    ],
)
def test_a_bad_parameter_is_refused_in_prometheus_form(client: Client, parameters: str, message: str) -> None:
    answer = client.get(f"/api/v1/rules?{parameters}")
    assert (answer.status_code, answer.json()) == (
        400,
        {"status": "error", "errorType": "bad_data", "error": message},
    )


def test_an_alert_that_is_only_kept_firing_says_since_when(file: Path) -> None:
    first, _ = rule_files.load([file])
    kept = alert("Fires", AlertState.FIRING, float("nan"))
    rule = RuleStatus(first.rules[2], alerts=(kept,), keep_firing_since={kept.fingerprint: 1_700_000_060.0})
    [shown] = Client(GroupStatus(first, (rule,))).get("/api/v1/alerts").json()["data"]["alerts"]
    assert (shown["keepFiringSince"], shown["value"]) == ("2023-11-14T22:14:20Z", "NaN")


# -- beside Prometheus -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has evaluated FILE."""
    program = shutil.which("prometheus")
    if program is None:
        why = "prometheus is not installed: apt-get install -y prometheus"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "rules.yml").write_text(FILE)
    (directory / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
    try:
        yield _evaluated(f"http://127.0.0.1:{port}", directory / "log")
    finally:
        process.kill()
        process.wait(30)


def _evaluated(address: str, log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if len(httpx.get(f"{address}/api/v1/alerts").json()["data"]["alerts"]) == 2:
                return address
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_prometheus_answers_the_same_but_for_times_and_paths(prometheus: str, client: Client) -> None:
    for path in ("/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?type=record", "/api/v1/alerts"):
        theirs, ours = httpx.get(prometheus + path), client.get(path)
        assert masked(ours.text) == masked(theirs.text)
        assert ours.headers["content-type"] == theirs.headers["content-type"]


def test_prometheus_refuses_the_same_way(prometheus: str, client: Client) -> None:
    theirs, ours = httpx.get(f"{prometheus}/api/v1/rules?type=foo"), client.get("/api/v1/rules?type=foo")
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


def masked(text: str) -> Any:
    """The answer with what differs by nature taken out."""
    text = re.sub(r'"(activeAt|lastEvaluation)":\s?"2\d{3}-[^"]*Z"', r'"\1":"then"', text)
    text = re.sub(r'"evaluationTime":\s?[\d.e-]+', '"evaluationTime":1', text)
    text = re.sub(r'"file":\s?"[^"]*rules.yml"', '"file":"rules.yml"', text)
    answer = json.loads(text)
    # Prometheus before 3 leaves the groups standing of which no rule was chosen.
    answer["data"]["groups"] = [group for group in answer["data"].get("groups", []) if group["rules"]]
    return answer

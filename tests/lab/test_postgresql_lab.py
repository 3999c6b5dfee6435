"""A lab on PostgreSQL: its primary is lost and its standby promoted while the services run on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiprism import yamlfile
from aiprism.clock import SystemClock
from aiprism.respond.actions import postgresql
from aiprism.respond.actions.act import Done, Order
from aiprism_lab.postgresql import programs
from aiprism_lab.wiring import LabSettingsError
from tests import pgcluster
from tests.lab.conftest import Lab, Visitor, alive, eventually
from tests.lab.sink import OtlpSink


@pytest.fixture(scope="module")
def lab(sink: OtlpSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    pgcluster.programs()
    running = Lab(tmp_path_factory.mktemp("lab"), sink.url, "--no-load", "--database", "postgresql")
    pids = [each["pid"] for each in running.processes()]
    yield running
    running.stop()
    assert alive(pids) == []


def failover(lab: Lab) -> Done:
    node = yamlfile.parse("{connection_file: database.url, dead_for: 1s}", file=str(lab.data / "runbook.yml"))
    step = postgresql.PostgreSQL(lambda query, at: [], SystemClock())
    return asyncio.run(step.act(Order(postgresql.read(node), "RUN_1_0", 40.0, "runbook:x for INC_1")))


def primary(sink: OtlpSink) -> dict[str, float]:
    return {name: sink.value("lab_database_last_primary", server=name) for name in ("database-1", "database-2")}


def takes_writes(visitor: Visitor) -> str:
    try:
        return visitor.upload(seed=4)
    except AssertionError:
        return ""


def test_services_go_on_with_the_promoted_standby_and_lose_nothing(lab: Lab, sink: OtlpSink) -> None:
    up = {"component": "lab-database", "check_type": "primary"}
    eventually(lambda: sink.value("ai_prism_system_health", **up) == 1.0, "a primary in the metrics")
    assert sink.value("ai_prism_system_health", component="database-2", check_type="database") == 1.0
    before = {each["name"]: each["pid"] for each in lab.processes() if "database" not in each["name"]}
    with Visitor(lab) as ada:
        document = ada.upload()
        assert lab.act("database-1", "kill")["ok"]
        eventually(lambda: sink.value("ai_prism_system_health", **up) == 0.0, "no primary in the metrics")
        assert primary(sink) == {"database-1": 1.0, "database-2": 0.0}
        failed = {"database": "postgresql"}
        eventually(
            lambda: sink.value("ai_prism_database_connections_failed_total", **failed) > 0, "failures are counted"
        )

        done = failover(lab)
        assert done.ok, done.message
        assert (done.data["timeline_before"], done.data["timeline_after"]) == (1, 2)
        eventually(lambda: takes_writes(ada), "uploads are taken again")
        assert ada.outcome(document)["status"] == "completed"  # it was acknowledged by the old primary
        eventually(lambda: primary(sink) == {"database-1": 0.0, "database-2": 1.0}, "the new primary in the metrics")
    assert {each["name"]: each["pid"] for each in lab.processes() if "database" not in each["name"]} == before


def test_the_old_primary_comes_back_as_a_standby(lab: Lab, sink: OtlpSink) -> None:
    assert lab.act("database-1", "start")["ok"]
    both = {"server": "database-1", "role": "standby"}
    eventually(lambda: sink.value("lab_database_position_bytes", **both) > 0, "a standby in the metrics")
    done = failover(lab)
    assert (done.ok, done.data["promoted"]) == (True, False)  # a repeated order: there is nothing left to do


def test_a_server_that_may_lack_what_was_written_since_is_not_started_alone(lab: Lab) -> None:
    assert lab.act("database-2", "stop")["ok"]
    assert lab.act("database-1", "stop")["ok"]
    refused = lab.act("database-1", "start")
    assert (refused["ok"], refused["message"]) == (
        False,
        "database-2 was the primary last and has what was written since: start that one first",
    )
    assert lab.act("database-2", "start")["ok"]
    assert lab.act("database-1", "start")["ok"]


@pytest.mark.parametrize(("action", "body"), [("scale", {"replicas": 2}), ("deploy", {"version": "2.2.0"})])
def test_a_database_is_neither_scaled_nor_deployed(lab: Lab, action: str, body: dict[str, Any]) -> None:
    assert not lab.act("database-1", action, **body)["ok"]


def test_it_is_no_target_to_scrape_and_its_addresses_are_for_its_owner_only(lab: Lab) -> None:
    targets: list[dict[str, dict[str, str]]] = lab.http.get("/targets").json()
    assert [each for each in targets if "database" in each["labels"]["service"]] == []
    assert (lab.data / "database.url").stat().st_mode & 0o077 == 0
    assert httpx.get(f"{lab.url}/healthz").status_code == 200


def test_without_debians_package_it_says_which_one_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LabSettingsError, match="apt-get install -y postgresql"):
        programs(tmp_path)

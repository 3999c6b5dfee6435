"""Two platforms on one PostgreSQL and one ClickHouse: what one stores the other finds; kill -9 of one leaves every duty
with the other within the deadline, alerts fire on, the incident continues, nobody is told twice."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Server, eventually
from tests.journeys.test_resume import RULES, Receiver, alerts, incidents, sent
from tests.lab.servers import postgresql
from tests.store.test_engine_http import ClickHouse

# Getting the lock (1 s), waiting for the former leader to notice (5 s), and one evaluation; the rest is a slow machine.
TAKEOVER_SECONDS = 30
CONFIG = """
store: {{url: '{store}', cluster: one}}
control: {{database: '{control}', token: one-token-for-both}}
rules: {{files: [rules.yml]}}
respond: {{alertmanager: alertmanager.yml, incident_receivers: [hook], progress: 1s}}
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server, Receiver]]:
    receiver = Receiver()
    (tmp_path / "rules.yml").write_text(RULES.replace("for: 10s", "for: 1s"), encoding="utf-8")
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: nobody}\nreceivers: [{name: nobody}, "
        f"{{name: hook, webhook_configs: [{{url: '{receiver.url}/hook'}}]}}]",
        encoding="utf-8",
    )
    clickhouse = ClickHouse(tmp_path / "clickhouse", "one")
    clickhouse.start()
    with postgresql() as url:
        text = CONFIG.format(store=clickhouse.url, control=url)
        (tmp_path / "aiprism.yml").write_text(text, encoding="utf-8")
        servers = [Server(tmp_path / name, tmp_path / "aiprism.yml") for name in ("one", "two")]
        for each in servers:
            each.start()
        yield servers[0], servers[1], receiver
        for each in servers:
            each.stop()
    clickhouse.stop()
    receiver.close()


def duties(server: Server) -> dict[str, float]:
    """Each duty, and 1.0 where this process leads it."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    lines = [line for line in text.splitlines() if line.startswith("aiprism_leader{")]
    return {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}


def push(server: Server, metric: str) -> None:
    """One gauge through the OTLP door, stored when this returns."""
    point = {"asDouble": 1.0, "timeUnixNano": str(time.time_ns())}
    metrics = [{"name": metric, "gauge": {"dataPoints": [point]}}]
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}
    httpx.post(f"{server.url}/v1/metrics", json=body, timeout=30).raise_for_status()


def shown(server: Server, incident: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/aiprism/v1/incidents/{incident['id']}")
    return found


def test_the_other_process_takes_over_what_a_killed_one_led(pair: tuple[Server, Server, Receiver]) -> None:
    one, other, receiver = pair
    eventually(lambda: all((duties(one)[duty] or duties(other)[duty]) for duty in duties(one)), what="a leader each")
    assert all(duties(one)[duty] + duties(other)[duty] == 1 for duty in duties(one))
    for server, name in ((one, "written_by_one"), (other, "written_by_other")):
        push(server, name)
    for server in (one, other):
        for name in ("written_by_one", "written_by_other"):
            eventually(functools.partial(server.instant, name), what=f"{name} found everywhere")

    leader, heir = (one, other) if duties(one)["respond"] else (other, one)
    [opened] = eventually(lambda: incidents(leader), what="an incident")
    eventually(lambda: sent(leader, opened["id"]), what="its notification")
    [alert] = alerts(heir)  # told from what the leader keeps, or by itself
    assert alert["state"] == "firing"

    leader.kill()
    eventually(lambda: all(duties(heir).values()), within=TAKEOVER_SECONDS, what="every duty with the other process")
    evaluated = time.time() + 3
    eventually(lambda: time.time() > evaluated and alerts(heir)[0]["state"] == "firing", what="evaluations since")
    assert alerts(heir)[0]["activeAt"] == alert["activeAt"]
    [still] = incidents(heir)
    assert (still["id"], still["status"]) == (opened["id"], "investigating")
    assert [note["state"] for note in shown(heir, opened)["notifications"]] == ["sent"]
    assert len(receiver.received) == 1

    httpx.post(f"{heir.url}/aiprism/v1/incidents/{opened['id']}/resolve", json={"actor": "ada"}).raise_for_status()
    eventually(lambda: len(receiver.received) == 2, what="the all-clear from the heir")


def test_a_process_serves_what_its_roles_are(tmp_path: Path) -> None:
    (tmp_path / "aiprism.yml").write_text("server: {roles: [query]}", encoding="utf-8")
    server = Server(tmp_path / "data", tmp_path / "aiprism.yml").start()
    assert server.instant("vector(1)")[0]["value"][1] == "1"
    assert httpx.get(f"{server.url}/-/ready", timeout=30).status_code == 200
    assert "aiprism_items_passed" in httpx.get(f"{server.url}/metrics", timeout=30).text
    assert duties(server) == {}
    assert httpx.post(f"{server.url}/v1/metrics", json={}, timeout=30).status_code == 404
    assert server.grpc == ""
    assert server.stop() == 0

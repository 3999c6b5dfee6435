"""Logging agents and libraries that are not ours send to a running server, each by its own protocol."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.conftest import Server, eventually

DEADLINE = 120


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all clients."""
    running = Server(tmp_path_factory.mktemp("clients")).start()
    yield running
    running.stop()


def run_client(script: str, *arguments: str) -> str:
    """What a Python client in a process of its own printed."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def lines(server: Server, service: str, count: int) -> list[dict[str, Any]]:
    """The `count` records of `service`, oldest first."""

    def found() -> list[dict[str, Any]] | None:
        logs = server.get("/aiprism/v1/logs", service=service)["logs"]
        return list(reversed(logs)) if len(logs) >= count else None

    answer = eventually(found, what=f"{count} records of {service}")
    assert len(answer) == count
    return list(answer)


@pytest.mark.parametrize("version", ["1", "0"])
def test_python_logging_loki(shared: Server, version: str) -> None:
    service = f"loki-py-{version}"
    path = "/loki/api/v1/push" if version == "1" else "/api/prom/push"
    run_client(
        """
        import logging, sys, logging_loki
        url, service, version = sys.argv[1:]
        handler = logging_loki.LokiHandler(url=url, tags={"app": service, "env": "test"}, version=version)
        logging.raiseExceptions = True
        logger = logging.getLogger("shop")
        logger.addHandler(handler)
        def refused(record):
            raise
        handler.handleError = refused
        logger.error("card %s declined", 4711, extra={"tags": {"region": "eu"}})
        logger.warning("slow")
        """,
        shared.url + path,
        service,
        version,
    )
    first, second = lines(shared, service, 2)
    assert (first["level"], first["body"]) == ("ERROR", "card 4711 declined")
    assert {"env": "test", "region": "eu", "logger": "shop"}.items() <= first["resource"].items()
    assert (second["level"], second["body"]) == ("WARN", "slow")

"""/api/v1/status says of aiprism what Prometheus says of itself, field by field, and no secret."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI

from aiprism import config as configuration
from aiprism.clock import FakeClock
from aiprism.config import Config, QueryConfig, RetentionConfig, StoreConfig, StreamsConfig
from aiprism.web import status
from tests.query.promql import peer
from tests.web.test_prometheus import Client

CONFIG = Config(
    data=Path("data"),
    base=Path(),
    store=StoreConfig(url="https://me:hidden@host"),
    query=QueryConfig(lookback=300.0, timeout=90.0),
    retention=RetentionConfig(archive_secret="hidden"),
    streams=StreamsConfig(fluent_users={"shop": "hidden"}),
)


@pytest.fixture
def loaded() -> status.Loaded:
    return status.Loaded(CONFIG, 1_700_000_000.0)


@pytest.fixture
def client(loaded: status.Loaded) -> Client:
    application = FastAPI()
    application.include_router(status.router(loaded, FakeClock(1_700_000_100.5)))
    return Client(application)


def said(client: Client, name: str) -> Any:
    answer = client.get(f"/api/v1/status/{name}").json()
    assert answer["status"] == "success"
    return answer["data"]


def test_prometheus_has_no_field_that_is_missing(client: Client, tmp_path: Path) -> None:
    if not peer.installed():
        pytest.skip(peer.HINT)
    with peer.running(tmp_path) as theirs:
        for name in ("runtimeinfo", "config", "walreplay"):
            with urllib.request.urlopen(f"{theirs.url}/api/v1/status/{name}", timeout=60) as answer:
                there = json.load(answer)["data"]
            here = said(client, name)
            assert set(there) <= set(here)
            assert all(type(here[field]) is type(value) for field, value in there.items())
        with urllib.request.urlopen(f"{theirs.url}/api/v1/status/flags", timeout=60) as answer:
            assert set(said(client, "flags")) <= set(json.load(answer)["data"])


def test_runtime_information_follows_a_reload(client: Client, loaded: status.Loaded) -> None:
    first = said(client, "runtimeinfo")
    assert (first["startTime"], first["lastConfigTime"]) == ("2023-11-14T22:15:00.500000Z", "2023-11-14T22:13:20Z")
    assert (first["reloadConfigSuccess"], first["storageRetention"]) == (True, "395d")
    loaded.taken, loaded.at = False, 1_700_000_200.0
    later = said(client, "runtimeinfo")
    assert (later["reloadConfigSuccess"], later["lastConfigTime"]) == (False, "2023-11-14T22:16:40Z")


def test_the_configuration_can_be_read_again_and_holds_no_secret(client: Client, tmp_path: Path) -> None:
    text = said(client, "config")["yaml"]
    assert "hidden" not in text
    assert text.count("<secret>") == 3
    (tmp_path / "aiprism.yml").write_text(text.replace("<secret>", "hidden"), encoding="utf-8")
    again = configuration.load(tmp_path / "aiprism.yml", {})
    assert (again.query, again.limits, again.server) == (CONFIG.query, CONFIG.limits, CONFIG.server)


def test_flags_are_texts(client: Client) -> None:
    found = said(client, "flags")
    assert (found["query.lookback-delta"], found["query.timeout"]) == ("5m", "1m30s")
    assert all(isinstance(value, str) for value in found.values())
    assert yaml.safe_load(said(client, "config")["yaml"])["query"]["timeout"] == found["query.timeout"]

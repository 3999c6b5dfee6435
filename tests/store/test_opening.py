"""A store that is opened while the platform's code is being loaded: what an older aiprism left waits for the word to go."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from aiprism.config import Config, StoreConfig
from aiprism.store import opening
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate, migrations
from tests.journeys.conftest import eventually

T = TypeVar("T")

NEWEST = migrations()[-1].version
DEADLINE = 120


@pytest.fixture
def config(chdb_url: str) -> Iterator[Config]:
    """That of a data directory which is open in this process, with a database of its own that is not there yet."""
    found = Config(
        data=Path(chdb_url.removeprefix("chdb:///")).parent, base=Path(), store=StoreConfig(tenant=uuid.uuid4().hex)
    )
    yield found
    with_database(found, lambda engine: engine.command(f"DROP DATABASE IF EXISTS {engine.database}"))


def with_database(config: Config, work: Callable[[Engine], T]) -> T:
    """What `work` gives of the database of `config`."""
    engine = Engine.open(config.store_url, database=f"aiprism_{config.store.tenant}")
    try:
        return work(engine)
    finally:
        engine.close()


def version(config: Config) -> int:
    """That of the schema, 0 while there is none."""

    def asked(engine: Engine) -> int:
        there = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'schema_version'"
        return int(engine.query("SELECT max(version) FROM schema_version")[0][0]) if engine.query(there) else 0

    return with_database(config, asked)


def test_an_empty_store_is_made_at_once(config: Config) -> None:
    with opening.begun(config):
        eventually(lambda: version(config) == NEWEST, within=DEADLINE, what="the store to be there")


def test_one_of_an_older_version_is_changed_once_it_is_known_that_this_one_serves(config: Config) -> None:
    with_database(config, lambda engine: migrate(engine, to=NEWEST - 1))
    with opening.begun(config) as store:
        assert store
        store().result(DEADLINE)
    assert version(config) == NEWEST


def test_one_of_an_older_version_stays_as_it_is_when_this_one_does_not_serve(config: Config) -> None:
    with_database(config, lambda engine: migrate(engine, to=NEWEST - 1))
    with opening.begun(config):
        pass  # a port was taken
    assert version(config) == NEWEST - 1

"""What many tests share: one embedded store a test process, one database a test.

chDB allows one data directory per process, and opening it costs more than most tests: so the directory lives as long as
the test process and each test gets a database of its own in it. Laying one out takes half a second, emptying it some
milliseconds: so a database that is as it was laid out is emptied and given to the next test.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

from aiprism.store.engine import Engine
from aiprism.store.schema import migrate

# The first example of a test may load compiled code, and the machine may be busy: time says nothing here.
settings.register_profile("aiprism", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aiprism")
# Nor is an answer of a real server late after five seconds, httpx' own default.
for ask in (httpx.get, httpx.post, httpx.put, httpx.delete, httpx.request, httpx.Client.__init__):
    defaults: dict[str, object] = getattr(ask, "__kwdefaults__")  # noqa: B009
    defaults["timeout"] = httpx.Timeout(60)


@pytest.fixture(scope="session")
def chdb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of this test process's embedded store."""
    url = f"chdb:///{tmp_path_factory.mktemp('chdb') / 'telemetry'}"
    keep_open = Engine.open(url, database="keep_open")
    yield url
    keep_open.close()


@pytest.fixture(scope="session")
def laid_out() -> dict[str, str]:
    """The databases that are empty and wait for a test, each with what it looks like."""
    return {}


@pytest.fixture
def engine(chdb_url: str, laid_out: dict[str, str]) -> Iterator[Engine]:
    """An engine on an empty, migrated database."""
    with _emptied_after(chdb_url, laid_out) as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_engine(chdb_url: str, laid_out: dict[str, str]) -> Iterator[Engine]:
    """An engine on a database that the tests of a file share: one of them fills it, and all of them only read."""
    with _emptied_after(chdb_url, laid_out) as opened:
        yield opened


@contextmanager
def _emptied_after(chdb_url: str, laid_out: dict[str, str]) -> Iterator[Engine]:
    database, form = laid_out.popitem() if laid_out else (f"test_{uuid.uuid4().hex}", "")
    opened = Engine.open(chdb_url, database=database)
    if not form:
        migrate(opened)
        form = form_of(opened)
    yield opened
    if form_of(opened) == form:
        empty(opened)
        laid_out[database] = form
    else:  # the test has laid it out anew
        opened.command(f"DROP DATABASE {database}")
    opened.close()


def form_of(engine: Engine) -> str:
    """What the tables of a database are, and which migrations it has seen."""
    tables = engine.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    return repr([tables, engine.query("SELECT version, name FROM schema_version ORDER BY version")])


def empty(engine: Engine) -> None:
    """Leave no row in a database but its version."""
    kept = engine.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND name != 'schema_version'"
    )
    for (name,) in kept:
        engine.command(f"TRUNCATE TABLE {name}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory

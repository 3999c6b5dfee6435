"""What many tests share: one embedded store a test process, one database a test.

chDB allows one data directory per process, and opening it costs more than most tests: so the directory lives as long as
the test process and each test gets a database of its own in it. Laying one out takes half a second, emptying it some
milliseconds: so a database that is as it was laid out is emptied and given to the next test. A new control database is
a copy of one that was migrated.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from aiprism.store.engine import Engine
from aiprism.store.records import Records
from aiprism.store.schema import migrate
from tests import order

# The first example of a test may load compiled code, and the machine may be busy: time says nothing here.
settings.register_profile("aiprism", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aiprism")
# Nor is an answer of a real server late after five seconds, httpx' own default.
for ask in (httpx.get, httpx.post, httpx.put, httpx.delete, httpx.request, httpx.Client.__init__):
    defaults: dict[str, object] = getattr(ask, "__kwdefaults__")  # noqa: B009
    defaults["timeout"] = httpx.Timeout(60)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In processes that share the suite its order is that of tests/order.py."""
    if hasattr(config, "workerinput"):
        places = order.places(order.scope(each.nodeid) for each in items)
        items.sort(key=lambda each: places[order.scope(each.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """`--dist loadfile` as pytest-xdist has it, with the scopes of tests/order.py."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return order.scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not among the modules and tests that are loaded now, a million objects: a tenth of the
    CPU of tests that make many small ones."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control database at this version that nobody has used."""
    file = tmp_path_factory.mktemp("control") / "migrated.db"
    Records.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session", autouse=True)
def _copied_control_databases(migrated: Path) -> Iterator[None]:
    """A control database that is not there yet is opened as a copy: twenty migrations take 50 ms, and a thousand tests have
    one. What `open` does with a new file is left to tests/store/test_records.py."""
    opened = Records.open

    def copied(url: str) -> Records:
        if url.startswith("sqlite:///"):
            file = Path(sa.make_url(url).database or "")
            if file.parent.is_dir() and not file.exists():
                shutil.copyfile(migrated, file)
        return opened(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "open", copied)
        yield


@pytest.fixture(scope="session")
def chdb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of this test process's embedded store."""
    with _where_files_are_cheap(tmp_path_factory.mktemp("chdb")) as directory:
        url = f"chdb:///{directory}/telemetry"
        keep_open = Engine.open(url, database="keep_open")
        yield url
        keep_open.close()


@contextmanager
def _where_files_are_cheap(otherwise: Path) -> Iterator[Path]:
    """A directory in memory, where there is plenty: the files that tables are made of and lose again cost a fifth of the CPU of
    tests on ext4."""
    memory, room, prefix = Path("/dev/shm"), 2 * 1024**3, "aiprism-tests-"
    room *= int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # each worker has one
    if not memory.is_dir() or shutil.disk_usage(memory).free < room:
        yield otherwise
        return
    for left in memory.glob(f"{prefix}*"):  # by a process that was killed; no suite takes a day
        if left.stat().st_mtime < time.time() - 86_400:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=memory, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def laid_out() -> Iterator[dict[Engine, str]]:
    """Engines on databases that are empty and wait for a test, each with what its database looks like."""
    waiting: dict[Engine, str] = {}
    yield waiting
    for each in waiting:
        each.close()


@pytest.fixture
def engine(chdb_url: str, laid_out: dict[Engine, str]) -> Iterator[Engine]:
    """An engine on an empty, migrated database."""
    with _emptied_after(chdb_url, laid_out) as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_engine(chdb_url: str, laid_out: dict[Engine, str]) -> Iterator[Engine]:
    """An engine on a database that the tests of a file share: one of them fills it, and all of them only read."""
    with _emptied_after(chdb_url, laid_out) as opened:
        yield opened


@contextmanager
def _emptied_after(chdb_url: str, laid_out: dict[Engine, str]) -> Iterator[Engine]:
    if laid_out:
        opened, form = laid_out.popitem()
    else:
        opened = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
        migrate(opened)
        form = form_of(opened)
    yield opened
    if opened._closed:  # which the test was about
        opened = Engine.open(chdb_url, database=opened.database)
    if form_of(opened) == form:
        empty(opened)
        laid_out[opened] = form
    else:  # the test has laid it out anew
        opened.command(f"DROP DATABASE {opened.database}")
        opened.close()


def form_of(engine: Engine) -> str:
    """What the tables of a database are, and which migrations it has seen: a table that is changed has a new file that says
    so, and looking at files takes a fifth of the time of having every table described."""
    tables = engine.query(
        "SELECT name, metadata_path FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    directory = Path(engine.url.removeprefix("chdb://"))
    written = [(directory / path).stat().st_mtime_ns for _, path in tables]
    return repr([tables, written, engine.query("SELECT version, name FROM schema_version ORDER BY version")])


def empty(engine: Engine) -> None:
    """Leave no row in a database but its version."""
    filled = engine.query(
        "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND table != 'schema_version'"
    )
    for (name,) in filled:
        engine.command(f"TRUNCATE TABLE {name}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory

"""Opening the store: the engine, the schema at this version, the series index read.

A second or two of work for a large directory, most of it in the engine and not in Python, and so long again takes the
loading of the platform's code. `begun` lets both go on at once. What an older aiprism left is changed only when it is known
that this one will serve: an upgrade cannot be taken back, and whoever started it by mistake may want to go on with the old.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from aiprism.config import Config
from aiprism.errors import ConfigError
from aiprism.store.engine import Engine
from aiprism.store.schema import is_older, migrate
from aiprism.store.series import SeriesIndex
from aiprism.store.seriesload import load_series


@dataclass(frozen=True, slots=True)
class OpenStore:
    """An engine whose schema is that of this version, and the index of its series."""

    engine: Engine
    index: SeriesIndex


# The store that is being opened; from this call on what an older aiprism left in it may be changed.
Opening = Callable[[], Future[OpenStore]]


@contextlib.contextmanager
def begun(config: Config) -> Iterator[Opening | None]:
    """The embedded store, which a thread opens from now on, and which is closed in the end; None when the store is a server,
    which others may use, too."""
    if config.store.url:
        yield None
        return
    allowed: Future[None] = Future()

    @contextlib.contextmanager
    def once_allowed(engine: Engine) -> Iterator[None]:
        if is_older(engine):
            allowed.result()
        yield

    def store() -> Future[OpenStore]:
        allowed.set_result(None)
        return opening

    pool = ThreadPoolExecutor(1, "store-opening")
    opening = pool.submit(opened, config, once_allowed)
    pool.shutdown(wait=False)
    try:
        yield store
    finally:
        allowed.cancel()
        if opening.exception() is None:
            opening.result().engine.close()


def opened(config: Config, turn: Callable[[Engine], AbstractContextManager[object]]) -> OpenStore:
    """The store `config` names; its schema is changed within `turn(engine)`, which only one process has at a time.

    Raises ConfigError when the data directory cannot be written, Unavailable when the store is away or another
    process holds the directory.
    """
    make_directory(config.data)
    engine = Engine.open(
        config.store_url,
        database=f"aiprism_{config.store.tenant}",
        workers=config.store.workers,
        cluster=config.store.cluster,
    )
    try:
        with turn(engine):
            migrate(engine)
        return OpenStore(engine, load_series(engine))
    except BaseException:
        engine.close()
        raise


def make_directory(data: Path) -> None:
    """See to it that the data directory is there and can be written; ConfigError when it cannot."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise ConfigError(
            f"data: {data} cannot be written: {error.strerror}; give aiprism a directory of its own that it may write"
        ) from error

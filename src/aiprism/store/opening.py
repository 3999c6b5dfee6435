"""Opening the store: the engine, the schema at this version, the series index read.

A second or two of work for a large directory, most of it in the engine and not in Python, and so long again takes the
loading of the platform's code. `begin` lets both go on at once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from aiprism.config import Config
from aiprism.errors import ConfigError
from aiprism.store.engine import Engine
from aiprism.store.schema import migrate
from aiprism.store.series import SeriesIndex


@dataclass(frozen=True, slots=True)
class OpenStore:
    """An engine whose schema is that of this version, and the index of its series."""

    engine: Engine
    index: SeriesIndex


def begin(config: Config) -> Future[OpenStore] | None:
    """The embedded store, which a thread opens from now on; None when the store is a server, which others may use, too."""
    if config.store.url:
        return None
    pool = ThreadPoolExecutor(1, "store-opening")
    opening = pool.submit(opened, config, contextlib.nullcontext)
    pool.shutdown(wait=False)
    return opening


def opened(config: Config, turn: Callable[[], AbstractContextManager[object]]) -> OpenStore:
    """The store `config` names; its schema is changed within `turn()`, which only one process has at a time.

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
        with turn():
            migrate(engine)
        return OpenStore(engine, SeriesIndex.load(engine))
    except BaseException:
        engine.close()
        raise


def close(opening: Future[OpenStore]) -> None:
    """Close what was opened, once it is."""
    if not opening.cancel() and opening.exception() is None:
        opening.result().engine.close()


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

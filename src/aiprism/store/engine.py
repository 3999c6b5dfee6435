"""The one ClickHouse client: embedded (chDB in this process) or a server, with the same SQL and the same answers.

In: SQL with bound parameters, Arrow tables. Out: rows or Arrow. Every call is
blocking and thread-safe; `Engine.run` moves one into the bounded pool so that the event loop stays free. What the
statements mean is left to the other modules of this room.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import structlog
from clickhouse_connect.driver import create_client
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.query import QueryResult

from aiprism.errors import StoreError, Unavailable
from aiprism.store.question import Question

log = structlog.get_logger()

T = TypeVar("T")

WRITERS = 3  # one for each group commit

# On every connection. The two dedup settings make a retried insert write nothing twice, views included (decision D3).
SESSION_SETTINGS: Mapping[str, object] = {
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "enable_time_series_aggregate_functions": 1,
    "parallel_view_processing": 0,
    # Spans and records of many days may share one group commit.
    "max_partitions_per_insert_block": 0,
    # No statement of ours may hold a connection for longer; queries set their own, shorter limit.
    "max_execution_time": 120,
    "log_queries": 0,
}

# Beside them on every connection to a cluster.
CLUSTER_SETTINGS: Mapping[str, object] = {
    # An INSERT returns once the shards have it; in the background an acknowledged row could still be lost.
    "distributed_foreground_insert": 1,
    # Subqueries of ours ask for rows with the key of the outer query, and those lie on the same shard (cluster.py).
    "distributed_product_mode": "local",
    "optimize_skip_unused_shards": 1,
    "optimize_distributed_group_by_sharding_key": 1,
    # Half an answer is a wrong answer.
    "skip_unavailable_shards": 0,
}
_MADV_DONTNEED = 4
# address range, permissions and file of a line of /proc/self/maps, of executable mappings of libraries
_CODE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-xp .* /\S+\.so[.0-9]*$")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ERROR_CODE = re.compile(r"Code: (\d+)")
# What ClickHouse says of the data or the statement itself; nothing else is the sender's fault. Whatever is not listed
# (away, busy, read-only, out of memory or disk, a missing table …) is "not now": the sender keeps its data and comes again.
_FAULTY_DATA = frozenset({
    6, 26, 27, 32, 33, 36, 38, 41, 43, 44, 46, 47, 49, 53, 62, 69, 70, 72, 117, 130, 131, 190, 321, 349, 427, 444, 478, 569,
    636, 667,
})  # fmt: skip
# What a statement that somebody else wrote is not to blame for: its time and its end (the question says which), connections,
# a full disk, no memory left in the machine.
_NOT_OF_THE_STATEMENT = frozenset({159, 394, 173, 202, 209, 210, 236, 243, 279, 425, 999})


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows with the names and types of their columns."""

    names: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Engine:
    """An open ClickHouse with one database of ours. Close it, or the data directory stays locked."""

    def __init__(self, url: str, database: str, *, workers: int = 6, cluster: str = "") -> None:
        self.url, self.database, self.cluster = url, database, cluster
        self._settings = {**SESSION_SETTINGS, **(CLUSTER_SETTINGS if cluster else {})}
        self._clients: queue.LifoQueue[Client] = queue.LifoQueue()
        self._all: list[Client] = []
        self._opened = 0  # clients that exist or are being opened
        self._lock = threading.Lock()
        self._thread = threading.local()  # whose question the thread is at
        self._limit = workers + WRITERS + 2
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="clickhouse")
        # Writing has threads of its own, so that heavy queries cannot hold up what must be stored.
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="clickhouse-write")
        self._closed = False

    @classmethod
    def open(cls, url: str, *, database: str = "aiprism_default", workers: int = 6, cluster: str = "") -> Engine:
        """Connect to `url` (``chdb:///dir`` or ``http(s)://user:password@host:port``) and make sure `database` exists,
        on every node of `cluster` when one is named.

        Raises Unavailable when the server is away or another process holds the directory.
        """
        check_name("database", database)
        check_name("cluster", cluster or "none")
        engine = cls(url, database, workers=workers, cluster=cluster)
        try:
            first = create_client(dsn=url, settings=dict(engine._settings), **_options(url))
            first.command(f"CREATE DATABASE IF NOT EXISTS {database}" + (f" ON CLUSTER {cluster}" if cluster else ""))
            first.database = database
        except Exception as error:
            engine._pool.shutdown(wait=False)
            engine._writers.shutdown(wait=False)
            raise Unavailable(f"cannot open the store at {_without_secret(url)}: {_first_line(error)}") from error
        if engine.embedded:
            _forget_loaded_code()
        engine._all.append(first)
        engine._opened = 1
        engine._clients.put(first)
        return engine

    @property
    def embedded(self) -> bool:
        """True when the engine is chDB in this process, False when it is a server."""
        return self.url.startswith("chdb:")

    def close(self) -> None:
        """End every connection; waits for statements under way."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._writers.shutdown(wait=True)
        for client in self._all:
            client.close()

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`function(*args, **kwargs)` in the engine's bounded thread pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def write(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """As `run`, in the threads that are kept for storing."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, lambda: function(*args, **kwargs))

    def ping(self) -> None:
        """Return when the store answers; Unavailable when it does not."""
        self.query("SELECT 1")

    # -- statements ----------------------------------------------------------------------------------------------

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that gives nothing back."""
        with self._client() as client:
            client.command(sql, parameters=dict(parameters or {}))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """Rows of `sql`; parameters are bound as ``{name:Type}``."""
        return list(self._asked(sql, parameters).result_rows)

    def records(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of `sql` as dicts by column name."""
        result = self._asked(sql, parameters)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The answer of `sql` as one Arrow table: the way for numbers in bulk."""
        with self._client() as client:
            return client.query_arrow(sql, parameters=dict(parameters or {}))

    def answered(self, sql: str, settings: Mapping[str, Any]) -> Answered:
        """What `sql`, which somebody else wrote, gives within `settings`; StoreError, too, where it asks for more than those."""
        question: Question | None = getattr(self._thread, "question", None)
        asked = dict(settings)
        if question is not None:
            asked |= {"max_execution_time": f"{question.left():.3f}", "log_comment": question.mark}
        with self._client(foreign=True) as client:
            found = client.query(sql, settings=asked)
            types = [each.name for each in found.column_types]
            return Answered(list(found.column_names), types, list(found.result_rows))

    def parsed(self, sql: str) -> list[str]:
        """The tree that the engine reads in `sql`, a node a line; nothing of it is executed, nor looked up."""
        with self._client() as client:
            return [str(line) for (line,) in client.query(f"EXPLAIN AST {sql}").result_rows]

    def insert_arrow(self, table: str, rows: pa.Table, *, token: str) -> None:
        """Store `rows`; the same token a second time stores nothing."""
        with self._client() as client:
            client.insert_arrow(table, rows, settings={"insert_deduplication_token": token})

    @contextmanager
    def asked_by(self, question: Question) -> Iterator[None]:
        """Statements of this thread by `query` and `records` are the question's: they end with its time, or by its mark."""
        self._thread.question = question
        try:
            yield
        except Unavailable:
            question.left()  # raises when that it was given up, or its time, is why the statement was ended
            raise
        finally:
            self._thread.question = None

    def end(self, mark: str) -> None:
        """End the statements whose ``log_comment`` is `mark`, if there are any; they fail soon after, not at once."""
        on = f" ON CLUSTER {self.cluster}" if self.cluster else ""
        self.query(f"KILL QUERY{on} WHERE Settings['log_comment'] = {{mark:String}} ASYNC", {"mark": mark})

    def _asked(self, sql: str, parameters: Mapping[str, Any] | None) -> QueryResult:
        question: Question | None = getattr(self._thread, "question", None)
        settings: dict[str, Any] = {}
        if question is not None:
            settings = {"max_execution_time": f"{question.left():.3f}", "log_comment": question.mark}
        with self._client() as client:
            return client.query(sql, parameters=dict(parameters or {}), settings=settings)

    # -- inside --------------------------------------------------------------------------------------------------

    @contextmanager
    def _client(self, *, foreign: bool = False) -> Iterator[Client]:
        try:
            client = self._take()
            try:
                yield client
            except ClickHouseError:
                _drain(client)
                raise
            finally:
                self._clients.put(client)
        except ClickHouseError as error:
            raise _translated(error, foreign=foreign) from error

    def _take(self) -> Client:
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            return self._clients.get_nowait()
        except queue.Empty:
            pass
        # chDB serialises calls on one handle, so each thread at work needs its own.
        with self._lock:
            room = self._opened < self._limit
            self._opened += room
        if not room:
            return self._clients.get()
        try:
            client = create_client(
                dsn=self.url, database=self.database, settings=dict(self._settings), **_options(self.url)
            )
        except BaseException:
            with self._lock:
                self._opened -= 1
            raise
        self._all.append(client)
        return client


def check_name(what: str, name: object) -> None:
    """StoreError unless `name` may stand in a statement as it is."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StoreError(f"{name!r} is not a {what} name: letters, digits and underscores only")


def quoted(text: str) -> str:
    """SQL: `text` as a literal, where no parameter can or should stand."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@cache  # a second opening loads nothing anew
def _forget_loaded_code() -> None:
    """Take out of the resident set the code of libraries that only starting needed (some 150 MB of chDB's).

    The pages are clean copies of files: one that is wanted again comes back from the page cache with a minor fault.
    """
    with suppress(OSError, AttributeError):  # no Linux, no /proc: nothing is lost
        madvise = ctypes.CDLL(None).madvise
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            if found := _CODE.match(line):
                start, end = (int(text, 16) for text in found.groups())
                madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _drain(client: Client) -> None:
    # chDB 4.4: a statement that fails half-way leaves what it had written of its (Arrow) answer in front of the answer
    # to the next statement on that connection. One statement whose answer nobody reads takes it away.
    with suppress(Exception):
        client.raw_query("SELECT 1")


def _translated(error: ClickHouseError, *, foreign: bool = False) -> StoreError | Unavailable:
    text = str(error)
    found = _ERROR_CODE.search(text)
    code = int(found.group(1)) if found else 0
    if code in _FAULTY_DATA or (foreign and code and code not in _NOT_OF_THE_STATEMENT):
        return StoreError(_first_line(error), code=code)
    # The driver's words may hold user, host and SQL: they belong into our log, not into an answer.
    log.warning("store.unavailable", code=code, error=_first_line(error))
    return Unavailable(f"the store cannot serve this now (ClickHouse code {code})")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:500]


def _options(url: str) -> dict[str, Any]:
    """What only the embedded engine takes: the file that configures it."""
    if not url.startswith("chdb:"):
        return {}
    return {"chdb_options": {"config-file": str(files("aiprism.store") / "chdb.xml")}}


def _without_secret(url: str) -> str:
    return re.sub(r"//.*@", "//…@", url.partition("?")[0])

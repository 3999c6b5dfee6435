"""Logs and traces after they have left the tables: Parquet files by day, in a directory or an S3-compatible bucket.

In: partitions that are to leave. Out: files, verified before the partition is dropped; a list of them; and the SQL that
stands for them in a search. ClickHouse writes and reads the files itself, so that no row passes through Python:

    <place>/<database>/<table>/<day>/<number>/00.parquet …  and, last of all, complete.json

Without complete.json a directory counts for nothing and is written anew. A day has a second number when rows came for it
after it had been archived.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import structlog
from pyarrow import fs

from aiprism.errors import BadInput, ConfigError, StoreError, Unavailable
from aiprism.store.engine import Engine
from aiprism.store.usage import Partition

log = structlog.get_logger()

DAY = 86_400
# Of each archived table: the column of time, and what tells two sets of rows apart (their sum is compared).
TABLES: Mapping[str, tuple[str, str]] = {
    "logs": ("ts", "cityHash64(ts, service, body)"),
    "spans": ("start", "cityHash64(trace_id, span_id, start)"),
}
_FILE_ROWS = 2_000_000  # a file of more rows is cut by time, at most by the hour
_MARKER = "complete.json"

_COLUMNS = """
SELECT name, type FROM system.columns
WHERE database = {database:String} AND table = {table:String} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
ORDER BY position
"""
# Columns that are computed of others when they are read.
_ALIASES = """
SELECT name, default_expression FROM system.columns
WHERE database = {database:String} AND table = {table:String} AND default_kind = 'ALIAS'
ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """One complete set of files: a day of a table. `hash` tells its rows from others, `path` is within the place."""

    table: str
    day: str
    number: int
    rows: int
    hash: int
    bytes: int
    files: int
    written: float
    path: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where archives lie: a directory, or a bucket with how to reach it."""

    root: str
    filesystem: fs.FileSystem
    url: str = ""  # of the bucket, as ClickHouse's s3() wants it; empty for a directory
    key: str = ""
    secret: str = ""

    @classmethod
    def of(
        cls, where: str, base: Path, default: Path, *, endpoint: str, region: str, key: str, secret: str
    ) -> Place | None:
        """The place `where` means: a directory below `base` (empty: `default`), ``s3://bucket/prefix``, or ``none``."""
        if where == "none":
            return None
        if not where.startswith("s3://"):
            return cls(str((base / where if where else default).resolve()), fs.LocalFileSystem())
        bucket, _, prefix = where.removeprefix("s3://").strip("/").partition("/")
        if not bucket:
            raise ConfigError(f"retention.archive: {where!r} names no bucket; write s3://bucket/prefix")
        address = endpoint or f"https://s3.{region or 'us-east-1'}.amazonaws.com"
        filesystem = fs.S3FileSystem(
            access_key=key or None,
            secret_key=secret or None,
            region=region or "us-east-1",
            endpoint_override=endpoint or None,
            connect_timeout=10,
            request_timeout=60,
        )
        root = f"{bucket}/{prefix}".rstrip("/")
        return cls(root, filesystem, f"{address.rstrip('/')}/{quote(root)}", key, secret)

    def relation(self, engine: Engine, paths: str) -> tuple[str, Mapping[str, str]]:
        """The table function for files at `paths` (a pattern below the place), and its parameters but for the structure."""
        if self.url:
            bound = {"place": f"{self.url}/{paths}", "key": self.key, "secret": self.secret}
            keys = "{key:String}, {secret:String}" if self.key else "NOSIGN"
            return f"s3({{place:String}}, {keys}, 'Parquet', {{structure:String}})", bound
        if not engine.embedded:
            raise BadInput(
                "the archive is a directory of aiprism's machine, which a ClickHouse server cannot read or write; "
                "set retention.archive to s3://bucket/prefix, or to none"
            )
        return "file({place:String}, 'Parquet', {structure:String})", {"place": f"{self.root}/{paths}"}


def reading(archive: Archive | None) -> Archive:
    """The archive, for a search; BadInput when there is none."""
    if archive is None:
        raise BadInput("there is no archive (retention.archive is none); ask without archive=true")
    return archive


class Archive:
    """The archive of one database."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self._engine, self._place = engine, place

    # -- writing -------------------------------------------------------------------------------------------------

    def export(self, partition: Partition, now: float) -> Iterator[None]:
        """Write a day's partition and verify it, unless that very one is there; yields after each file. Once this is
        exhausted the partition may be dropped. Raises StoreError when the files do not hold what the table holds."""
        day = f"{partition.id[:4]}-{partition.id[4:6]}-{partition.id[6:]}"
        held = self._held(partition)
        known = self._numbers(partition.table, day)
        if any(each and (each.rows, each.hash) == held for each in known.values()):
            return
        number = next((number for number, each in known.items() if each is None), max(known, default=-1) + 1)
        path = f"{self._engine.database}/{partition.table}/{day}/{number}"
        self._remove(path)
        self._place.filesystem.create_dir(f"{self._place.root}/{path}", recursive=True)
        spans = _slices(date.fromisoformat(day), partition.rows)
        for file, (start, end) in enumerate(spans):
            self._write(partition, f"{path}/{file:02}.parquet", start, end)
            yield
        written = self._written(partition.table, f"{path}/*.parquet")
        if not written == held == self._held(partition):
            raise StoreError(
                f"archiving {partition.table} of {day}: {written[0]} rows were written and {held[0]} are stored; "
                "rows may just have come in, the next run writes it anew"
            )
        self._complete(Archived(partition.table, day, number, *held, *self._size(path), now, path))

    def expire(self, table: str, before: float) -> Sequence[Archived]:
        """Remove the days of `table` that ended before then; gives what was removed."""
        last = datetime.fromtimestamp(before, UTC).date()
        gone = [each for each in self.listed(table) if date.fromisoformat(each.day) < last]
        for each in gone:
            # The marker first: half a set must not look whole.
            self._place.filesystem.delete_file(f"{self._place.root}/{each.path}/{_MARKER}")
            self._remove(each.path)
        return gone

    # -- reading -------------------------------------------------------------------------------------------------

    def listed(self, table: str = "") -> Sequence[Archived]:
        """Every complete day, of one table or of all, by table and time."""
        base = f"{self._engine.database}/{table}".rstrip("/")
        found = self._files(base)
        markers = [info.path for info in found if info.base_name == _MARKER]
        return sorted((self._marker(path) for path in markers), key=lambda each: (each.table, each.day, each.number))

    def relation(self, table: str, start: float, end: float) -> tuple[str, Mapping[str, object]]:
        """What stands after FROM to read `table` and the archived days of [start, end] as one, and its parameters."""
        columns = self._engine.query(_COLUMNS, {"database": self._engine.database, "table": table})
        first, last = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (start, end))
        days = [each for each in self.listed(table) if first <= each.day <= last]
        if not days:
            return table, {}
        paths = ",".join(each.path.partition(f"/{table}/")[2] for each in days)
        function, bound = self._place.relation(self._engine, f"{self._engine.database}/{table}/{{{paths}}}/*.parquet")
        names = ", ".join(f"`{name}`" for name, _ in columns)
        structure = ", ".join(f"`{name}` {kind}" for name, kind in columns)
        aliases = self._engine.query(_ALIASES, {"database": self._engine.database, "table": table})
        computed = "".join(f", {expression} AS `{name}`" for name, expression in aliases)
        rows = f"SELECT {names} FROM {table} UNION ALL SELECT {names} FROM {function}"
        relation = f"(SELECT {names}{computed} FROM ({rows})) AS {table}"
        return relation, {**bound, "structure": structure}

    # -- inside --------------------------------------------------------------------------------------------------

    def _held(self, partition: Partition) -> tuple[int, int]:
        _, hashed = TABLES[partition.table]
        [[rows, total]] = self._engine.query(
            f"SELECT count(), sum({hashed}) FROM {partition.table} WHERE _partition_id = {{id:String}}",
            {"id": partition.id},
        )
        return int(rows), int(total)

    def _written(self, table: str, paths: str) -> tuple[int, int]:
        _, hashed = TABLES[table]
        function, bound = self._place.relation(self._engine, f"{paths}")
        structure = "trace_id FixedString(16), span_id FixedString(8), service String, body String, " + ", ".join(
            f"{column} DateTime64(9, 'UTC')" for column, _ in TABLES.values()
        )
        [[rows, total]] = self._engine.query(
            f"SELECT count(), sum({hashed}) FROM {function}", {**bound, "structure": structure}
        )
        return int(rows), int(total)

    def _write(self, partition: Partition, path: str, start: datetime, end: datetime) -> None:
        column, _ = TABLES[partition.table]
        columns = self._engine.query(_COLUMNS, {"database": self._engine.database, "table": partition.table})
        function, bound = self._place.relation(self._engine, path)
        names = ", ".join(f"`{name}`" for name, _ in columns)
        self._engine.command(
            f"INSERT INTO FUNCTION {function} SELECT {names} FROM {partition.table} WHERE _partition_id = {{id:String}} "
            # As fine as the column: see store/edges.py for what ClickHouse makes of whole seconds.
            f"AND {column} >= {{start:DateTime64(9, 'UTC')}} AND {column} < {{end:DateTime64(9, 'UTC')}} "
            "SETTINGS output_format_parquet_compression_method = 'zstd', max_execution_time = 0, max_threads = 1",
            {
                **bound,
                "id": partition.id,
                "start": start,
                "end": end,
                "structure": ", ".join(f"`{name}` {kind}" for name, kind in columns),
            },
        )

    def _complete(self, done: Archived) -> None:
        with (
            _reachable(),
            self._place.filesystem.open_output_stream(f"{self._place.root}/{done.path}/{_MARKER}") as file,
        ):
            file.write(json.dumps(asdict(done)).encode())
        log.info("archive.written", table=done.table, day=done.day, rows=done.rows, bytes=done.bytes)

    def _numbers(self, table: str, day: str) -> dict[int, Archived | None]:
        """The numbers there are of a day: complete, or None for what a crash left."""
        found = self._files(f"{self._engine.database}/{table}/{day}")
        numbers = {int(info.path.rsplit("/", 2)[1]) for info in found if info.path.rsplit("/", 2)[1].isdigit()}
        markers = {info.path for info in found if info.base_name == _MARKER}
        root = f"{self._place.root}/{self._engine.database}/{table}/{day}"
        return {
            number: self._marker(path) if (path := f"{root}/{number}/{_MARKER}") in markers else None
            for number in sorted(numbers)
        }

    def _marker(self, path: str) -> Archived:
        with _reachable(), self._place.filesystem.open_input_stream(path) as file:
            return Archived(**json.loads(file.read()))

    def _size(self, path: str) -> tuple[int, int]:
        files = self._files(path)
        return sum(info.size for info in files), len(files)

    def _files(self, path: str) -> list[fs.FileInfo]:
        selector = fs.FileSelector(f"{self._place.root}/{path}", recursive=True, allow_not_found=True)
        with _reachable():
            return [info for info in self._place.filesystem.get_file_info(selector) if info.type is fs.FileType.File]

    def _remove(self, path: str) -> None:
        whole = f"{self._place.root}/{path}"
        with _reachable():
            if self._place.filesystem.get_file_info(whole).type is fs.FileType.Directory:
                self._place.filesystem.delete_dir(whole)


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the archive cannot be reached: {str(error).splitlines()[0][:200]}") from error


def _slices(day: date, rows: int) -> Sequence[tuple[datetime, datetime]]:
    """A day cut into equal spans of time, so that each has about as many rows as a file should."""
    count = next(hours for hours in (1, 2, 3, 4, 6, 8, 12, 24) if rows / hours <= _FILE_ROWS or hours == 24)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    step = timedelta(hours=24 // count)
    return [(begin + place * step, begin + (place + 1) * step) for place in range(count)]

"""Logs and traces after they have left the tables: Parquet files by day, in a directory or an S3-compatible bucket.

In: partitions that are to leave. Out: files, verified before the partition is dropped; a list of them; and the SQL that
stands for them in a search. ClickHouse writes and reads the files itself, so that no row passes through Python:

    <place>/<database>/<table>/<day>/<number>/00.parquet …  and, last of all, complete.json

Without complete.json a directory counts for nothing and is written anew. A day has a second number when rows came for it
after it had been archived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import structlog

from aiprism.errors import BadInput, StoreError
from aiprism.store.engine import Engine
from aiprism.store.place import Place
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
        self._place.remove(path)
        self._place.make(path)
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
            self._place.remove(f"{each.path}/{_MARKER}")
            self._place.remove(each.path)
        return gone

    # -- reading -------------------------------------------------------------------------------------------------

    def listed(self, table: str = "") -> Sequence[Archived]:
        """Every complete day, of one table or of all, by table and time."""
        found = self._place.files(f"{self._engine.database}/{table}".rstrip("/"))
        markers = [path for path in found if path.endswith(f"/{_MARKER}")]
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
        self._place.write(f"{done.path}/{_MARKER}", json.dumps(asdict(done)).encode())
        log.info("archive.written", table=done.table, day=done.day, rows=done.rows, bytes=done.bytes)

    def _numbers(self, table: str, day: str) -> dict[int, Archived | None]:
        """The numbers there are of a day: complete, or None for what a crash left."""
        base = f"{self._engine.database}/{table}/{day}"
        found = self._place.files(base)
        numbers = {int(number) for path in found if (number := path.rsplit("/", 2)[1]).isdigit()}
        return {
            number: self._marker(path) if (path := f"{base}/{number}/{_MARKER}") in found else None
            for number in sorted(numbers)
        }

    def _marker(self, path: str) -> Archived:
        return Archived(**json.loads(self._place.read(path)))

    def _size(self, path: str) -> tuple[int, int]:
        files = self._place.files(path)
        return sum(files.values()), len(files)


def _slices(day: date, rows: int) -> Sequence[tuple[datetime, datetime]]:
    """A day cut into equal spans of time, so that each has about as many rows as a file should."""
    count = next(hours for hours in (1, 2, 3, 4, 6, 8, 12, 24) if rows / hours <= _FILE_ROWS or hours == 24)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    step = timedelta(hours=24 // count)
    return [(begin + place * step, begin + (place + 1) * step) for place in range(count)]

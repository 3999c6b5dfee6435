"""Log records as files: newline-delimited JSON, CSV and Parquet, written page by page as they are read.

In: a search and a way to compute. Out: parts of a file. Reading and writing a page happen beside the event loop.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from aiprism.model.logs import LogRecord
from aiprism.store.logs import Cursor, LogSearch, LogStore

_PAGE = 5_000
_COLUMNS = ("time", "level", "service", "body", "trace_id", "span_id", "attributes", "resource")
_TEXTS = pa.map_(pa.string(), pa.string())
_SCHEMA = pa.schema(
    [("time", pa.timestamp("ns", "UTC"))]
    + [(name, _TEXTS if name in ("attributes", "resource") else pa.string()) for name in _COLUMNS[1:]]
)


class Format(Protocol):
    """A file that grows: `begun`, then pages of records, then `ended`; each gives the bytes it added."""

    kind: ClassVar[str]

    def begun(self) -> bytes: ...

    def page(self, records: Sequence[LogRecord]) -> bytes: ...

    def ended(self) -> bytes: ...


async def exported(
    logs: LogStore, wanted: LogSearch, file: Format, computed: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> AsyncIterator[bytes]:
    """Every record that fits, at most `limit`, as parts of the file."""
    left, before = wanted.limit, file.begun()

    def part(search: LogSearch) -> tuple[bytes, int, Cursor | None]:
        page = logs.page(search)
        return file.page(page.records), len(page.records), page.after

    while left > 0:
        search = replace(wanted, limit=min(left, _PAGE))
        written, records, after = await computed(partial(part, search))
        yield before + written
        before = b""
        if after is None:
            break
        left -= records
        wanted = replace(wanted, after=after)
    yield file.ended()


class Ndjson:
    """A JSON object a line."""

    kind: ClassVar[str] = "application/x-ndjson"

    def begun(self) -> bytes:
        return b""

    def page(self, records: Sequence[LogRecord]) -> bytes:
        return "".join(json.dumps(_row(each), ensure_ascii=False) + "\n" for each in records).encode()

    def ended(self) -> bytes:
        return b""


class Csv:
    """A header and a row for each record (RFC 4180); attributes are JSON."""

    kind: ClassVar[str] = "text/csv; charset=utf-8"

    def begun(self) -> bytes:
        return (",".join(_COLUMNS) + "\r\n").encode()

    def page(self, records: Sequence[LogRecord]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(_cells(_row(each)) for each in records)
        return text.getvalue().encode()

    def ended(self) -> bytes:
        return b""


class Parquet:
    """A row group for each page."""

    kind: ClassVar[str] = "application/vnd.apache.parquet"

    def __init__(self) -> None:
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, _SCHEMA, compression="zstd")

    def begun(self) -> bytes:
        return self._sink.taken()

    def page(self, records: Sequence[LogRecord]) -> bytes:
        rows = [_row(each) | {"time": each.ts_ns} for each in records]
        columns = {
            name: [list(row[name].items()) if isinstance(row[name], dict) else row[name] for row in rows]
            for name in _COLUMNS
        }
        self._writer.write_table(pa.table(columns, schema=_SCHEMA))
        return self._sink.taken()

    def ended(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


FORMATS: Mapping[str, Callable[[], Format]] = {"ndjson": Ndjson, "csv": Csv, "parquet": Parquet}


class _Sink(io.RawIOBase):
    """What a writer appends to, and a sender takes from its front."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + len(self._waiting)

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        some = bytes(self._waiting)
        self._taken += len(some)
        self._waiting.clear()
        return some


def _row(record: LogRecord) -> dict[str, Any]:
    seconds, rest = divmod(record.ts_ns, 10**9)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
    return {"time": time, **{name: value for name, value in asdict(record).items() if name in _COLUMNS}}


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = (row[name] for name in _COLUMNS)
    return [cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False) for cell in cells]

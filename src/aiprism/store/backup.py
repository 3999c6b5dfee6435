"""A backup of everything while the platform runs, and the way back into an empty place.

In: an open engine, the control database, a directory. Out: a directory with the telemetry as ClickHouse's own BACKUP, the
control database as one snapshot in lines of JSON (so that SQLite's goes into PostgreSQL and back), and `manifest.json`
with versions, checksums and rows, written last: without it a directory is no backup. The control snapshot is taken
first and the table of series last, so that whatever refers to a row finds it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

import structlog

from aiprism.errors import BadInput, Conflict, StoreError
from aiprism.store.engine import Engine
from aiprism.store.records import Records

log = structlog.get_logger()

FORM = 1
_MANIFEST, _CONTROL, _TELEMETRY, _SERIES = "manifest.json", "control.ndjson.gz", "telemetry", "series"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `rows` is counted in the backup itself, `checksums` are SHA-256 by file."""

    form: int
    aiprism: str
    taken_at: float
    database: str
    schema: int
    control: str
    rows: Mapping[str, int]
    checksums: Mapping[str, str]
    bytes: int


def backup(engine: Engine, records: Records, directory: Path, *, now: float, version: str) -> Manifest:
    """Everything is in `directory`, which must be new or empty; Conflict when it is not."""
    if not directory.is_absolute():
        raise BadInput(f"{directory}: name the directory with its full path")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(f"{directory} is not empty; name a new directory")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with gzip.open(directory / _CONTROL, "wt", encoding="utf-8") as file:
        revision = records.revision()
        for line in records.dump():
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    target = str(directory).replace("\\", "\\\\").replace("'", "\\'")
    engine.command(
        f"BACKUP DATABASE {engine.database} EXCEPT TABLES {engine.database}.series TO File('{target}/{_TELEMETRY}')"
    )
    engine.command(f"BACKUP TABLE {engine.database}.series TO File('{target}/{_SERIES}')")
    manifest = Manifest(
        form=FORM,
        aiprism=version,
        taken_at=now,
        database=engine.database,
        schema=int(engine.query("SELECT max(version) FROM schema_version")[0][0]),
        control=revision,
        rows=_rows(directory),
        checksums={name: _checksum(directory / name) for name in _signed()},
        bytes=sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()),
    )
    (directory / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    log.info("backup.taken", directory=str(directory), bytes=manifest.bytes, rows=sum(manifest.rows.values()))
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """What `directory` says it holds; BadInput when it is no whole backup, or one of a newer form."""
    file = directory / _MANIFEST
    if not file.is_file():
        raise BadInput(f"{directory} is no whole backup: it has no {_MANIFEST}")
    manifest = Manifest(**json.loads(file.read_text(encoding="utf-8")))
    if manifest.form > FORM:
        raise BadInput(f"{directory} was made by aiprism {manifest.aiprism}; restore it with that or a newer one")
    for name, checksum in manifest.checksums.items():
        if not (directory / name).is_file() or _checksum(directory / name) != checksum:
            raise BadInput(f"{directory / name} is missing or damaged: its checksum is not that of the manifest")
    return manifest


def restore(engine: Engine, control_url: str, directory: Path) -> Manifest:
    """The backup is in `engine`'s database and the control database, at the versions it was taken at; opening them with
    this aiprism migrates them. Conflict when either holds anything already."""
    manifest = read_manifest(directory)
    if engine.query("SELECT count() FROM system.tables WHERE database = {name:String}", {"name": engine.database}) != [
        (0,)
    ]:
        raise Conflict(f"the database {engine.database} is not empty; restore into a new data directory")
    source = str(directory.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    old, new = manifest.database, engine.database
    Records.restore(control_url, manifest.control, _lines(directory / _CONTROL))
    engine.command(f"RESTORE TABLE {old}.series AS {new}.series FROM File('{source}/{_SERIES}')")
    engine.command(f"RESTORE DATABASE {old} AS {new} FROM File('{source}/{_TELEMETRY}')")
    _verify(engine, manifest)
    return manifest


def _verify(engine: Engine, manifest: Manifest) -> None:
    """Every row is there. Tables whose merges join rows may have fewer by now."""
    found = engine.query(
        "SELECT name, engine, total_rows FROM system.tables WHERE database = {name:String} AND total_rows IS NOT NULL",
        {"name": engine.database},
    )
    rows = {name: (kind, int(count)) for name, kind, count in found}
    for table, wanted in manifest.rows.items():
        kind, count = rows.get(table, ("", 0))
        if count > wanted or (count < wanted and kind in ("", "MergeTree")) or (wanted and not count):
            raise StoreError(f"{table} has {count} rows after the restore, the backup has {wanted}")


def _rows(directory: Path) -> dict[str, int]:
    """Rows by table: every part of a backup names its own. Files that are alike are kept once, so ClickHouse's list of
    them is read, and not the directory."""
    rows: dict[str, int] = {}
    for part in (_TELEMETRY, _SERIES):
        for _, file in ElementTree.iterparse(directory / part / ".backup"):  # noqa: S314 - written a moment ago by us
            if file.tag != "file":
                continue
            name = file.findtext("name", "")
            if name.startswith("data/") and name.endswith("/count.txt"):
                table = name.split("/")[2]
                lies = file.findtext("data_file") or name
                rows[table] = rows.get(table, 0) + int((directory / part / lies).read_text())
            file.clear()
    return dict(sorted(rows.items()))


def _signed() -> tuple[str, ...]:
    # ClickHouse's list holds the checksum of each of its files and is checked by RESTORE; we sign the list.
    return _CONTROL, f"{_TELEMETRY}/.backup", f"{_SERIES}/.backup"


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _lines(file: Path) -> Iterator[dict[str, object]]:
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        for line in opened:
            yield json.loads(line)

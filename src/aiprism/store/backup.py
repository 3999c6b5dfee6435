"""A backup of everything while the platform runs, and the way back into an empty place.

In: an open engine, the control database, a place (a directory or a bucket). Out: there, the telemetry as ClickHouse's own
BACKUP, the control database as one snapshot in lines of JSON (so that SQLite's goes into PostgreSQL and back), and
`manifest.json` with versions, checksums and rows, written last: without it a place holds no backup. The control snapshot is taken
first and the table of series last, so that whatever refers to a row finds it.

A restore that breaks off anywhere is begun anew by the same command. From its first step to its last the telemetry database
has the table `restore_unfinished`, which nothing but another restore gets past; the control database is filled last, in one
transaction.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

import structlog

from aiprism.errors import BadInput, Conflict, StoreError
from aiprism.store.engine import Engine, check_name, quoted
from aiprism.store.place import Place
from aiprism.store.records import Records
from aiprism.store.schema import UNFINISHED, migrations, unfinished_restore

log = structlog.get_logger()

FORM = 1
_MANIFEST, _CONTROL, _TELEMETRY, _SERIES = "manifest.json", "control.ndjson.gz", "telemetry", "series"
_AT_A_TIME = 16  # files that are read at once
# ClickHouse tries a bucket that does not answer a thousand times, which takes more than an hour; so often, a minute.
_S3_ATTEMPTS = 20


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


def backup(engine: Engine, records: Records, place: Place, *, now: float, version: str) -> Manifest:
    """Everything is in `place`, which must be new or empty; Conflict when it is not."""
    if place.files():
        raise Conflict(f"{place.name} is not empty; name a new one")
    if not place.url:  # a directory is for nobody else's eyes
        Path(place.root).mkdir(parents=True, exist_ok=True, mode=0o700)
    with place.writing(_CONTROL) as file, gzip.open(file, "wt", encoding="utf-8") as lines:
        revision = records.revision()
        for line in records.dump():
            lines.write(json.dumps(line, separators=(",", ":")) + "\n")
    _carry_out(
        engine, f"BACKUP DATABASE {engine.database} EXCEPT TABLES {engine.database}.series TO", place, _TELEMETRY
    )
    _carry_out(engine, f"BACKUP TABLE {engine.database}.series TO", place, _SERIES)
    manifest = Manifest(
        form=FORM,
        aiprism=version,
        taken_at=now,
        database=engine.database,
        schema=int(engine.query("SELECT max(version) FROM schema_version")[0][0]),
        control=revision,
        rows=_rows(place),
        checksums={name: _checksum(place, name) for name in _signed()},
        bytes=sum(place.files().values()),
    )
    place.write(_MANIFEST, (json.dumps(asdict(manifest), indent=1) + "\n").encode())
    log.info("backup.taken", place=place.name, bytes=manifest.bytes, rows=sum(manifest.rows.values()))
    return manifest


def read_manifest(place: Place) -> Manifest:
    """What `place` says it holds; BadInput when it is no whole backup, a damaged one, or one of a newer form."""
    try:
        said = json.loads(place.read(_MANIFEST))
        if said["form"] > FORM:  # before anything else is read: a newer form may say other things
            raise BadInput(
                f"{place.name} was made by aiprism {said.get('aiprism')}; restore it with that or a newer one"
            )
        manifest = Manifest(**said)
        check_name("database", manifest.database)  # it becomes part of statements, and anybody may have written it
    except FileNotFoundError:
        raise BadInput(f"{place.name} is no whole backup: it has no {_MANIFEST}") from None
    except (ValueError, TypeError, KeyError, StoreError) as error:
        raise BadInput(f"{place.name}/{_MANIFEST} is damaged: {error}") from None
    for name, checksum in manifest.checksums.items():
        if _checksum(place, name) != checksum:
            raise BadInput(f"{place.name}/{name} is missing or damaged: its checksum is not that of the manifest")
    return manifest


def restore(engine: Engine, control_url: str, place: Place) -> Manifest:
    """The backup is in `engine`'s database and the control database, at the versions it was taken at; opening them with
    this aiprism migrates them. What an unfinished restore left is removed first. Conflict when either holds anything else,
    BadInput when it is of a newer aiprism."""
    manifest = read_manifest(place)
    known = migrations()[-1].version
    if manifest.schema > known:
        raise BadInput(
            f"{place.name} was made by aiprism {manifest.aiprism} at schema version {manifest.schema}, this one knows "
            f"{known}; restore it with that or a newer one"
        )
    again = unfinished_restore(engine) is not None
    if not again and _tables(engine):
        raise Conflict(f"the database {engine.database} is not empty; restore into a new data directory")
    # Broken off behind its last transaction, a restore has left just the rows of the backup.
    filled = again and Records.holds(control_url, manifest.control, _lines(place))
    if not filled:
        Records.check_empty(control_url)
    _begin(engine, place)
    old, new = manifest.database, engine.database
    _carry_out(engine, f"RESTORE TABLE {old}.series AS {new}.series FROM", place, _SERIES)
    _carry_out(engine, f"RESTORE DATABASE {old} AS {new} FROM", place, _TELEMETRY)
    _verify(engine, manifest)
    if not filled:
        Records.restore(control_url, manifest.control, _lines(place))
    engine.command(f"DROP TABLE {UNFINISHED} SYNC")
    return manifest


def _begin(engine: Engine, place: Place) -> None:
    """The database is marked, and otherwise empty."""
    engine.command(
        f"CREATE TABLE IF NOT EXISTS {UNFINISHED} (nothing UInt8) ENGINE = Memory COMMENT {quoted(place.name)}"
    )
    for table in _tables(engine):
        if table != UNFINISHED:
            engine.command(f"DROP TABLE IF EXISTS `{table}` SYNC")


def _tables(engine: Engine) -> Sequence[str]:
    found = engine.query("SELECT name FROM system.tables WHERE database = {name:String}", {"name": engine.database})
    return [str(name) for (name,) in found]


def _carry_out(engine: Engine, statement: str, place: Place, part: str) -> None:
    target, bound = place.target(part)
    settings = f"max_execution_time = 0, backup_restore_s3_retry_attempts = {_S3_ATTEMPTS}"
    engine.command(f"{statement} {target} SETTINGS {settings}", bound)


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


def _rows(place: Place) -> dict[str, int]:
    """Rows by table: every part of a backup names its own. Files that are alike are kept once, so ClickHouse's list of
    them is read, and not the directory."""
    counts: list[tuple[str, str]] = []  # (table, where its number of rows lies), one a part
    for part in (_TELEMETRY, _SERIES):
        with place.reading(f"{part}/.backup") as listed:
            for _, file in ElementTree.iterparse(listed):  # noqa: S314 - written a moment ago by us
                if file.tag != "file":
                    continue
                name = file.findtext("name", "")
                # <data>/<database>/<table>/<part>/count.txt; a projection has one, too, further down
                if name.startswith("data/") and name.endswith("/count.txt") and name.count("/") == 4:
                    counts.append((name.split("/")[2], f"{part}/{file.findtext('data_file') or name}"))
                file.clear()
    rows: dict[str, int] = {}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:  # a bucket takes as long for each as for many
        for (table, _), count in zip(counts, pool.map(place.read, (path for _, path in counts)), strict=True):
            rows[table] = rows.get(table, 0) + int(count)
    return dict(sorted(rows.items()))


def _signed() -> tuple[str, ...]:
    # ClickHouse's list holds the checksum of each of its files and is checked by RESTORE; we sign the list.
    return _CONTROL, f"{_TELEMETRY}/.backup", f"{_SERIES}/.backup"


def _checksum(place: Place, name: str) -> str:
    """SHA-256 of the file, nothing when there is none."""
    found = hashlib.sha256()
    try:
        with place.reading(name) as file:
            while block := file.read(1 << 20):
                found.update(block)
    except FileNotFoundError:
        return ""
    return found.hexdigest()


def _lines(place: Place) -> Iterator[dict[str, object]]:
    with place.reading(_CONTROL) as file, gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)

"""A backup is taken while the store is open, and comes back whole into an empty place, and nowhere else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprism.errors import BadInput, Conflict
from aiprism.store.backup import backup, read_manifest, restore
from aiprism.store.engine import Engine
from aiprism.store.records import Records, incident_events, incidents
from aiprism.store.schema import migrate
from tests.lab.servers import postgresql
from tests.query.promql.stocked import Stocked
from tests.store.making import labelled
from tests.store.test_records import INCIDENT


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(f"sqlite:///{tmp_path / 'control.db'}")
    with opened.begin() as connection:
        connection.execute(incidents.insert(), {**INCIDENT, "services": ["api"], "labels": {"team": "a"}})
        connection.execute(
            incident_events.insert(), {"incident_id": "INC_1", "at": 2.5, "event": "created", "data": {"n": 1}}
        )
    yield opened
    opened.close()


@pytest.fixture
def empty(chdb_url: str) -> Iterator[Engine]:
    """An engine on a database without tables."""
    opened = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
    yield opened
    opened.command(f"DROP DATABASE {opened.database}")
    opened.close()


def fill(engine: Engine) -> None:
    Stocked.on(engine).add(
        (labelled(n), [(1_790_000_000_000 + step, float(step)) for step in range(100)]) for n in range(5)
    )
    engine.command(
        "INSERT INTO series (metric, fp, labels) SELECT DISTINCT metric, fp, map('__name__', metric) FROM samples"
    )


def taken(engine: Engine, records: Records, directory: Path) -> Path:
    backup(engine, records, directory, now=5.0, version="1.2.3")
    return directory


def test_what_is_backed_up_comes_back(engine: Engine, records: Records, empty: Engine, tmp_path: Path) -> None:
    fill(engine)
    manifest = read_manifest(taken(engine, records, tmp_path / "backup"))
    assert (manifest.taken_at, manifest.aiprism, manifest.rows["samples"], manifest.rows["series"]) == (
        5.0,
        "1.2.3",
        500,
        5,
    )
    url = f"sqlite:///{tmp_path / 'restored.db'}"
    restore(empty, url, tmp_path / "backup")
    assert migrate(empty) == migrate(engine)
    for question in ("SELECT count(), sum(value), uniqExact(fp) FROM samples", "SELECT count() FROM series"):
        assert empty.query(question) == engine.query(question)
    # Views derive again from what comes in after the restore.
    assert empty.query(
        "SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY 1"
    ) == engine.query("SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY 1")
    restored = Records.open(url)
    assert [*restored.dump()] == [*records.dump()]
    restored.close()


def test_rows_are_counted_also_where_parts_hold_equally_many(engine: Engine, records: Records, tmp_path: Path) -> None:
    for _ in range(3):
        fill(engine)  # ClickHouse keeps files that are alike once in a backup
    assert read_manifest(taken(engine, records, tmp_path / "backup")).rows["samples"] == 1500


def test_control_state_of_sqlite_goes_into_postgresql(
    engine: Engine, records: Records, empty: Engine, tmp_path: Path
) -> None:
    taken(engine, records, tmp_path / "backup")
    with postgresql() as url:
        restore(empty, url, tmp_path / "backup")
        restored = Records.open(url)
        assert [*restored.dump()] == [*records.dump()]
        with restored.begin() as connection:  # a new row gets a new number
            connection.execute(incident_events.insert(), {"incident_id": "INC_1", "at": 3.5, "event": "x", "data": {}})
        restored.close()


def test_a_restore_needs_an_empty_place(engine: Engine, records: Records, empty: Engine, tmp_path: Path) -> None:
    taken(engine, records, tmp_path / "backup")
    with pytest.raises(Conflict, match="is not empty; restore into a new data directory"):
        restore(engine, f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "backup")
    with pytest.raises(Conflict, match=r"the control database .* is not empty"):
        restore(empty, f"sqlite:///{tmp_path / 'control.db'}", tmp_path / "backup")


def test_a_backup_needs_an_empty_directory(engine: Engine, records: Records, tmp_path: Path) -> None:
    taken(engine, records, tmp_path / "backup")
    with pytest.raises(Conflict, match="not empty; name a new directory"):
        taken(engine, records, tmp_path / "backup")
    with pytest.raises(BadInput, match="full path"):
        taken(engine, records, Path("backup"))


def test_a_damaged_or_half_backup_is_refused(engine: Engine, records: Records, tmp_path: Path) -> None:
    directory = taken(engine, records, tmp_path / "backup")
    (directory / "control.ndjson.gz").write_bytes(b"rubbish")
    with pytest.raises(BadInput, match=r"control\.ndjson\.gz is missing or damaged"):
        read_manifest(directory)
    (directory / "manifest.json").unlink()
    with pytest.raises(BadInput, match="no whole backup"):
        read_manifest(directory)


def test_a_backup_of_a_newer_form_is_refused(engine: Engine, records: Records, tmp_path: Path) -> None:
    directory = taken(engine, records, tmp_path / "backup")
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps({**manifest, "form": 99}))
    with pytest.raises(BadInput, match="restore it with that or a newer one"):
        read_manifest(directory)

"""A backup is taken while the store is open, and comes back whole into an empty place, and nowhere else."""

from __future__ import annotations

import itertools
import json
import pkgutil
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from aiprism.config import BackupConfig, Config, RetentionConfig
from aiprism.errors import BadInput, Conflict, StoreError, Unavailable
from aiprism.store.backup import Manifest, backup, read_manifest, restore
from aiprism.store.engine import Engine
from aiprism.store.place import Access, Place, backup_place
from aiprism.store.records import Records, incident_events, incidents
from aiprism.store.schema import migrate
from tests.lab.servers import postgresql
from tests.query.promql.stocked import Stocked
from tests.store.making import labelled
from tests.store.test_records import INCIDENT


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = with_incident(tmp_path / "control.db")
    yield opened
    opened.close()


def with_incident(file: Path) -> Records:
    opened = Records.open(f"sqlite:///{file}")
    with opened.begin() as connection:
        connection.execute(incidents.insert(), {**INCIDENT, "services": ["api"], "labels": {"team": "a"}})
        connection.execute(
            incident_events.insert(), {"incident_id": "INC_1", "at": 2.5, "event": "created", "data": {"n": 1}}
        )
    return opened


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


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "directory":
        return Place.of(str(tmp_path / "backup"), Access())
    name = request.getfixturevalue("bucket")()
    return Place.of(f"s3://{name}/of the 24th", request.getfixturevalue("s3"))


def taken(engine: Engine, records: Records, place: Place) -> Place:
    backup(engine, records, place, now=5.0, version="1.2.3")
    return place


def test_what_is_backed_up_comes_back(
    engine: Engine, records: Records, empty: Engine, place: Place, tmp_path: Path
) -> None:
    fill(engine)
    manifest = read_manifest(taken(engine, records, place))
    assert (manifest.taken_at, manifest.aiprism, manifest.rows["samples"], manifest.rows["series"]) == (
        5.0,
        "1.2.3",
        500,
        5,
    )
    url = f"sqlite:///{tmp_path / 'restored.db'}"
    restore(empty, url, place)
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


def test_rows_are_counted_also_where_parts_hold_equally_many(engine: Engine, records: Records, place: Place) -> None:
    for _ in range(3):
        fill(engine)  # ClickHouse keeps files that are alike once in a backup
    engine.command("INSERT INTO events (id) SELECT toString(number) FROM numbers(7)")  # kept in two orders
    rows = read_manifest(taken(engine, records, place)).rows
    assert (rows["samples"], rows["events"]) == (1500, 7)


def test_control_state_of_sqlite_goes_into_postgresql(
    engine: Engine, records: Records, empty: Engine, place: Place
) -> None:
    taken(engine, records, place)
    with postgresql() as url:
        Records.open(url).close()  # tables without rows, as of a server that did not get to work
        restore(empty, url, place)
        restored = Records.open(url)
        assert [*restored.dump()] == [*records.dump()]
        with restored.begin() as connection:  # a new row gets a new number
            connection.execute(incident_events.insert(), {"incident_id": "INC_1", "at": 3.5, "event": "x", "data": {}})
        restored.close()


def test_a_restore_needs_an_empty_place(
    engine: Engine, records: Records, empty: Engine, place: Place, tmp_path: Path
) -> None:
    taken(engine, records, place)
    with pytest.raises(Conflict, match="is not empty; restore into a new data directory"):
        restore(engine, f"sqlite:///{tmp_path / 'new.db'}", place)
    with pytest.raises(Conflict, match=r"the control database .* is not empty"):
        restore(empty, f"sqlite:///{tmp_path / 'control.db'}", place)


# Where a restore may end: at which call of what, or, with None, behind it.
STEPS = {
    "before the first table": ("_carry_out", 0),
    "between the parts": ("_carry_out", 1),
    "before the control state": ("_verify", 0),
    "within the control state": ("aiprism.store.records._insert", None),
    "before the mark is gone": ("Records.restore", None),
}


@contextmanager
def breaking_off(where: str, calls: int | None) -> Iterator[None]:
    """A restore ends at its call number `calls` of `where`, or, with None, behind the first."""
    name = where if where.startswith("aiprism.") else f"aiprism.store.backup.{where}"
    real, seen = pkgutil.resolve_name(name), itertools.count()

    def ended(*arguments: Any) -> Any:
        if next(seen) == calls:
            raise KeyboardInterrupt
        answer = real(*arguments)
        if calls is None:
            raise KeyboardInterrupt
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(name, ended)
        yield


@pytest.fixture(scope="module")
def kept(chdb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Sequence[Any]]]:
    """A backup of some samples and an incident, and what comes of it."""
    directory = tmp_path_factory.mktemp("kept")
    engine = Engine.open(chdb_url, database=f"test_{uuid.uuid4().hex}")
    migrate(engine)
    fill(engine)
    records = with_incident(directory / "control.db")
    place = taken(engine, records, Place.of(str(directory / "backup"), Access()))
    yield place, contents(engine, records)
    records.close()
    engine.command(f"DROP DATABASE {engine.database}")
    engine.close()


def contents(engine: Engine, records: Records) -> Sequence[Any]:
    tables = "SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY 1"
    return [*(engine.query(each) for each in ("SELECT count(), sum(value) FROM samples", tables)), [*records.dump()]]


@pytest.mark.parametrize(("where", "calls"), STEPS.values(), ids=STEPS)
def test_a_restore_that_broke_off_is_no_store_and_is_begun_anew(
    kept: tuple[Place, Sequence[Any]],
    empty: Engine,
    tmp_path: Path,
    where: str,
    calls: int | None,
) -> None:
    place, wanted = kept
    url = f"sqlite:///{tmp_path / 'restored.db'}"
    with breaking_off(where, calls), pytest.raises(KeyboardInterrupt):
        restore(empty, url, place)
    Records.open(url).close()  # as a server does before it looks at the telemetry
    with pytest.raises(
        StoreError, match=rf"the restore from {place.name} has not finished. Run that `aiprism restore`"
    ):
        migrate(empty)
    restore(empty, url, place)
    migrate(empty)
    with closing(Records.open(url)) as restored:
        assert contents(empty, restored) == wanted


def test_a_restore_whose_backup_fails_half_way_is_begun_anew_from_another(
    kept: tuple[Place, Sequence[Any]], empty: Engine, tmp_path: Path
) -> None:
    place, wanted = kept
    damaged = Place.of(str(tmp_path / "damaged"), Access())
    shutil.copytree(place.root, damaged.root)
    lost = max((path for path in damaged.files() if path.startswith("telemetry/data")), key=damaged.files().__getitem__)
    damaged.remove(lost)
    url = f"sqlite:///{tmp_path / 'restored.db'}"
    with pytest.raises((StoreError, Unavailable)):
        restore(empty, url, damaged)
    restore(empty, url, place)
    with closing(Records.open(url)) as restored:
        assert contents(empty, restored) == wanted


def test_a_restore_begun_anew_leaves_alone_a_control_database_of_others(
    kept: tuple[Place, Sequence[Any]], empty: Engine, records: Records, tmp_path: Path
) -> None:
    place, _ = kept
    with breaking_off("_verify", 0), pytest.raises(KeyboardInterrupt):
        restore(empty, f"sqlite:///{tmp_path / 'new.db'}", place)
    with records.begin() as connection:
        connection.execute(incidents.insert(), {**INCIDENT, "id": "INC_2"})
    with pytest.raises(Conflict, match=r"the control database .* is not empty"):
        restore(empty, f"sqlite:///{tmp_path / 'control.db'}", place)


def test_a_control_database_with_tables_of_others_is_not_empty(
    kept: tuple[Place, Sequence[Any]], empty: Engine, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "others.db")) as others:
        others.execute("CREATE TABLE wages (n)")
    with pytest.raises(Conflict, match=r"the control database .* is not empty"):
        restore(empty, f"sqlite:///{tmp_path / 'others.db'}", kept[0])
    assert empty.query("SELECT name FROM system.tables WHERE database = currentDatabase()") == []


def test_a_backup_needs_an_empty_place(engine: Engine, records: Records, place: Place) -> None:
    taken(engine, records, place)
    with pytest.raises(Conflict, match="is not empty; name a new one"):
        taken(engine, records, place)


def test_a_damaged_backup_is_refused(engine: Engine, records: Records, place: Place) -> None:
    taken(engine, records, place)
    place.write("control.ndjson.gz", b"rubbish")
    with pytest.raises(BadInput, match=r"control\.ndjson\.gz is missing or damaged"):
        read_manifest(place)
    place.remove("control.ndjson.gz")
    with pytest.raises(BadInput, match=r"control\.ndjson\.gz is missing or damaged"):
        read_manifest(place)


def test_a_backup_that_was_broken_off_is_none(
    engine: Engine, records: Records, empty: Engine, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aiprism.store.backup._rows", killed)
    with pytest.raises(KeyboardInterrupt):
        taken(engine, records, place)
    assert "telemetry/.backup" in place.files()
    with pytest.raises(BadInput, match=r"is no whole backup: it has no manifest\.json"):
        restore(empty, f"sqlite:///{tmp_path / 'new.db'}", place)


@pytest.mark.parametrize(
    ("field", "said"), [("form", "restore it with that or a newer one"), ("schema", "schema version 99")]
)
def test_a_backup_of_a_newer_aiprism_is_refused(
    engine: Engine, records: Records, empty: Engine, place: Place, tmp_path: Path, field: str, said: str
) -> None:
    taken(engine, records, place)
    manifest = json.loads(place.read("manifest.json"))
    place.write("manifest.json", json.dumps({**manifest, field: 99}).encode())
    with pytest.raises(BadInput, match=said):
        restore(empty, f"sqlite:///{tmp_path / 'new.db'}", place)


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"form": "1"}',
        b'{"form": 1, "more": 1}',
        json.dumps(asdict(Manifest(1, "0", 1.0, "a.b AS c", 1, "", {}, {}, 0))).encode(),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, said: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(said)
    with pytest.raises(BadInput, match=r"manifest\.json is damaged"):
        read_manifest(Place.of(str(tmp_path), Access()))


def test_a_newer_form_is_refused_also_where_it_says_other_things(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"form": 2, "aiprism": "9.9", "parts": []}')
    with pytest.raises(BadInput, match=r"made by aiprism 9\.9"):
        read_manifest(Place.of(str(tmp_path), Access()))


@pytest.mark.parametrize("prefix", ["a//b", "../other", "a/./b"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(BadInput, match="prefix"):
        backup_place(f"s3://bucket/{prefix}", Config(data=Path(), base=Path()))


@pytest.mark.parametrize("where", ["s3://", "backups/today", "gs://bucket"])
def test_what_is_no_place_is_refused_as_a_request_is(where: str) -> None:
    with pytest.raises(BadInput):
        backup_place(where, Config(data=Path(), base=Path()))


def test_a_bucket_that_is_not_there_is_said(engine: Engine, records: Records, s3: Access) -> None:
    with pytest.raises(Unavailable, match=r"s3://nobodys/backup cannot be reached: .*NO_SUCH_BUCKET"):
        taken(engine, records, Place.of("s3://nobodys/backup", s3))


def test_a_bucket_that_clickhouse_cannot_reach_is_given_up(
    engine: Engine, records: Records, s3: Access, bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiprism.store.backup._S3_ATTEMPTS", 2)
    place = replace(Place.of(f"s3://{bucket()}/today", s3), url="http://127.0.0.1:1/bucket/today")
    with pytest.raises(Unavailable):
        taken(engine, records, place)


def test_a_bucket_is_reached_as_the_section_backup_says_else_as_the_archive() -> None:
    archive = RetentionConfig(archive_endpoint="http://there", archive_key="a", archive_secret="b")
    config = Config(data=Path("/data"), base=Path("/"), retention=archive)
    assert backup_place("s3://bucket/x", config).url == "http://there/bucket/x"
    own = replace(config, backup=BackupConfig(key="c", secret="d"))
    assert (backup_place("s3://bucket", config).key, backup_place("s3://bucket", own).key) == ("a", "c")
    for where in ("backup", "ftp://there/backup"):
        with pytest.raises(BadInput, match="full path, or s3://bucket/prefix"):
            backup_place(where, config)

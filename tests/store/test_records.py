"""The control database, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from aiprism.errors import ConfigError, StoreError, Unavailable
from aiprism.respond import journal
from aiprism.respond.incident import Pin
from aiprism.store.records import (
    Records,
    alert_states,
    control_commands,
    incident_alerts,
    incident_events,
    incidents,
    metadata,
    notifications,
    upsert,
)

INCIDENT = {"id": "INC_1", "priority": "P0", "status": "open", "created_at": 1.5, "updated_at": 1.5}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty PostgreSQL database on a server of this test process's own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        why = "PostgreSQL is not installed: apt-get install -y postgresql"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    # Not below pytest's directory, which only its owner may enter.
    with (
        tempfile.TemporaryDirectory(prefix="aiprism-postgresql-") as directory,
        _PostgreSQL(programs[-1].parent, Path(directory)) as server,
    ):
        yield server.url


class _PostgreSQL:
    """A PostgreSQL server in a temporary directory; it refuses to run as root, so root lends it another user."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs, self._directory = programs, directory
        self._user = "nobody" if os.geteuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> _PostgreSQL:
        if self._user:
            shutil.chown(self._directory, self._user)
        self._run("initdb", "-D", "data", "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")
        return self

    def __exit__(self, *error: object) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # To a file, since a server that pg_ctl starts would hold a pipe open.
        with (self._directory / "output").open("ab") as output:
            command = [str(self._programs / program), *arguments]
            done = subprocess.run(
                command, cwd=self._directory, user=self._user, stdout=output, stderr=output, timeout=120
            )
        assert done.returncode == 0, (self._directory / "output").read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty control database, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new directory/control.db"
        return
    yield request.getfixturevalue("postgresql")
    engine = sa.create_engine(request.getfixturevalue("postgresql"))
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    engine.dispose()


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    opened = Records.open(url)
    yield opened
    opened.close()


def test_the_migrations_build_exactly_the_tables_that_are_declared(records: Records) -> None:
    with records.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_what_was_committed_is_there_after_reopening(url: str) -> None:
    first = Records.open(url)
    with first.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT, services=["api"], labels={"a": "ü"}))
    first.close()
    again = Records.open(url)
    with again.reading() as connection:
        [row] = connection.execute(sa.select(incidents)).mappings()
    again.close()
    assert (row["services"], row["labels"], row["created_at"], row["title"]) == (["api"], {"a": "ü"}, 1.5, "")


def test_an_exception_takes_back_the_whole_transaction(records: Records) -> None:
    def fail_half_way() -> None:
        with records.begin() as connection:
            connection.execute(sa.insert(incidents).values(**INCIDENT))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with records.reading() as connection:
        assert connection.execute(sa.select(incidents)).all() == []


def test_upsert_inserts_first_and_replaces_after(records: Records) -> None:
    row = {"rule_key": "r", "fingerprint": "f", "state": "pending", "active_at": 1.0, "value": 0.5}
    with records.begin() as connection:
        upsert(connection, alert_states, [row, row | {"fingerprint": "g"}])
        upsert(connection, alert_states, [row | {"state": "firing", "fired_at": 2.0}])
    with records.reading() as connection:
        rows = connection.execute(sa.select(alert_states).order_by(alert_states.c.fingerprint)).all()
    assert [(row.fingerprint, row.state, row.fired_at) for row in rows] == [
        ("f", "firing", 2.0),
        ("g", "pending", None),
    ]


def test_numbers_that_are_no_finite_numbers_come_back_as_they_were(records: Records) -> None:
    values = [math.nan, math.inf, -math.inf, 5e-324]
    with records.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT))
        alert = {"incident_id": "INC_1", "state": "firing"}
        rows = [alert | {"fingerprint": str(at), "value": value} for at, value in enumerate(values)]
        upsert(connection, incident_alerts, rows)
    with records.reading() as connection:
        back = connection.execute(sa.select(incident_alerts.c.value).order_by(incident_alerts.c.fingerprint)).scalars()
        assert [repr(value) for value in back] == [repr(value) for value in values]


def test_the_parts_of_an_incident_go_with_it_and_cannot_come_without_it(records: Records) -> None:
    event = {"incident_id": "INC_1", "at": 1.0, "event": "created"}
    with pytest.raises(sa.exc.IntegrityError), records.begin() as connection:
        connection.execute(sa.insert(incident_events).values(**event))
    with records.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT))
        connection.execute(sa.insert(incident_events).values(**event))
        connection.execute(sa.delete(incidents))
        assert connection.execute(sa.select(incident_events)).all() == []


def test_the_same_notification_cannot_be_planned_twice(records: Records) -> None:
    planned = {"incident_id": "INC_1", "receiver": "r", "channel": "slack", "integration": 0, "event": "opened"}
    with records.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT))
        connection.execute(sa.insert(notifications).values(id="n1", state="waiting", created_at=1.0, **planned))
    with pytest.raises(sa.exc.IntegrityError), records.begin() as connection:
        connection.execute(sa.insert(notifications).values(id="n2", state="waiting", created_at=1.0, **planned))


def test_event_numbers_are_never_used_again(records: Records) -> None:
    def add() -> int:
        with records.begin() as connection:
            statement = sa.insert(incident_events).values(incident_id="INC_1", at=1.0, event="x")
            [number] = connection.execute(statement.returning(incident_events.c.id)).scalars()
            return int(number)

    with records.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT))
    first = add()
    with records.begin() as connection:
        connection.execute(sa.delete(incident_events))
    assert add() > first


def test_writers_that_read_first_wait_for_one_another(records: Records) -> None:
    with records.begin() as connection:
        connection.execute(sa.insert(incidents).values(**INCIDENT | {"title": ""}))

    def append() -> None:
        for _ in range(10):
            with records.begin() as connection:
                row = connection.execute(sa.select(incidents.c.title).with_for_update()).scalar_one()
                connection.execute(sa.update(incidents).values(title=row + "x"))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with records.reading() as connection:
        assert connection.execute(sa.select(incidents.c.title)).scalar_one() == "x" * 40


def test_a_reader_waits_for_no_writer_and_sees_one_moment(records: Records) -> None:
    with records.reading() as reader, records.begin() as writer:
        assert reader.execute(sa.select(incidents)).all() == []
        writer.execute(sa.insert(incidents).values(**INCIDENT))
        assert reader.execute(sa.select(incidents)).all() == []


def test_two_servers_that_open_an_empty_database_at_once_both_succeed(url: str) -> None:
    opened: list[Records] = []
    threads = [threading.Thread(target=lambda: opened.append(Records.open(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for records in opened:
        records.close()
    assert len(opened) == 4


def test_a_database_from_a_newer_aiprism_is_refused_and_left_as_it_is(url: str) -> None:
    records = Records.open(url)
    with records.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    records.close()
    with pytest.raises(StoreError) as refused:
        Records.open(url)
    assert str(refused.value) == (
        "the control database is at revision '9999', this aiprism knows '0020': "
        "start the newer aiprism, or restore a backup made before the upgrade"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "nonsense",
            "'nonsense' is no database URL; write sqlite:///path/control.db or postgresql+psycopg://user@host/name",
        ),
        ("mysql://host/db", "the control database is SQLite or PostgreSQL, not 'mysql'"),
        ("sqlite://", "the control database needs a file, as in sqlite:///path/control.db: it must survive a restart"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_way_to_write_it(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Records.open(url)
    assert str(refused.value) == message


def test_a_server_that_is_away_is_unavailable_and_its_password_is_not_told() -> None:
    with pytest.raises(Unavailable) as refused:
        Records.open("postgresql://user:secret@127.0.0.1:1/none")
    assert "127.0.0.1:1/none" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"not a database, surely" * 100)
    with pytest.raises(StoreError, match=r"control\.db: file is not a database"):
        Records.open(f"sqlite:///{tmp_path}/control.db")


def test_sqlite_is_durable_and_lets_readers_read(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    with records.begin() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    records.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}


def test_a_command_without_an_instance_is_for_all_of_them(records: Records) -> None:
    with records.begin() as connection:
        connection.execute(
            sa.insert(control_commands).values(
                id="c", service="s", control="ai-model", kind="circuit_breaker", action="open", issued_at=1.0
            )
        )
        [row] = connection.execute(sa.select(control_commands)).all()
    assert (row.instance, row.params, row.revoked_at) == (None, {}, None)


def test_what_was_pinned_in_a_room_before_is_pinned_on_its_incident(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/control.db"
    log = {"evidence": "log", "ref": "", "url": "https://logs.example/1"}
    said = {"incident_id": "INC_1", "at": 2.0, "author": "ann"}
    incident = {**INCIDENT, "services": [], "labels": {}, "title": "", "description": "", "work": None}
    rows = [
        ("incidents", incident),
        ("war_room_lines", {**said, "id": 1, "kind": "pinned", "text": "oom", "data": log}),
        ("war_room_lines", {**said, "id": 2, "kind": "pinned", "text": "gone", "data": log}),
        ("war_room_lines", {**said, "id": 3, "kind": "unpinned", "text": "gone", "data": {"pin": 2}}),
    ]
    Records.restore(url, "0019", [{"table": table, "row": row} for table, row in rows])
    records = Records.open(url)
    with records.reading() as connection:
        work = journal.work_of(connection, "INC_1")
    records.close()
    assert work.pins == (Pin("E1", "oom", "", "ann", 2.0, "log", "", "https://logs.example/1"),)
    assert (work.last_pin, work.tasks) == (1, ())

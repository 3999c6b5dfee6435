"""Statements for postmortems: versions, evidence, and which incidents want one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from aiprism.store import incidents, postmortems
from aiprism.store.records import Records
from tests.store.test_incidents import incident


@pytest.fixture
def connection(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    with records.begin() as connection:
        yield connection
    records.close()


def row(version=1, at=100.0, author="machine", name="INC_1", **more):
    return {
        "incident_id": name, "version": version, "at": at, "author": author, "title": name, "text": f"text {version}",
        "evidence": 1, "errors": ["pool is full"], **more,
    }  # fmt: skip


def resolved(connection, name, at):
    incidents.put_incidents(connection, [incident(name, at - 10, "resolved", resolved_at=at)], [])


def test_the_last_version_is_the_one_and_every_other_can_be_asked_for(connection):
    postmortems.add(connection, row(), b"\x00packed")
    postmortems.add(connection, row(2, 200.0, "ann"))
    last, first = postmortems.version(connection, "INC_1"), postmortems.version(connection, "INC_1", 1)
    assert last is not None
    assert first is not None
    assert (last["text"], first["text"], postmortems.version(connection, "INC_2")) == ("text 2", "text 1", None)
    assert postmortems.versions(connection, "INC_1") == [(2, 200.0, "ann"), (1, 100.0, "machine")]
    assert postmortems.evidence(connection, "INC_1", 1) == b"\x00packed"
    assert postmortems.evidence(connection, "INC_1", 2) is None
    assert postmortems.errors(connection, ["INC_1", "INC_2"]) == {"INC_1": ["pool is full"]}


def test_a_version_cannot_be_written_twice(connection):
    postmortems.add(connection, row())
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        postmortems.add(connection, row())


def test_what_was_resolved_and_not_written_of_wants_one_first_resolved_first(connection):
    for name, at in (("B", 60.0), ("A", 70.0), ("old", 20.0), ("done", 80.0), ("again", 90.0), ("theirs", 95.0)):
        resolved(connection, name, at)
    part = incident("part", 50.0, "resolved", resolved_at=65.0)
    part["merged_into"] = "A"
    incidents.put_incidents(connection, [incident("open", 50.0), part], [])
    postmortems.add(connection, row(at=81.0, name="done"))
    postmortems.add(connection, row(at=40.0, name="again"))  # of a round before this one
    postmortems.add(connection, row(at=40.0, name="theirs"))
    postmortems.add(connection, row(2, at=41.0, name="theirs", author="ann"))  # people have worked on it
    assert postmortems.wanting(connection, 50.0, "machine") == ["B", "A", "again"]

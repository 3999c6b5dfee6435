"""The pool of connections, and how it is exhausted on purpose."""

from __future__ import annotations

import sqlalchemy as sa

import aiprism
from aiprism.sdk.control import Command
from aiprism_lab import database
from tests.lab.conftest import eventually


def _inject(command_id: str) -> None:
    command = Command(command_id, "database.pool", "fault_point", "inject", {"error_rate": 1.0})
    assert aiprism.controls.apply(command, 0.0).status == "applied"


def _answers(engine: sa.Engine) -> bool:
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(sa.text("SELECT 1")))
    except sa.exc.TimeoutError:
        return False


def test_connections_that_are_not_given_back_are_missed_until_the_pool_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "POOL_SECONDS", 0.05)
    engine = database.open_database(f"sqlite:///{tmp_path / 'lab.db'}")
    assert _answers(engine)
    _inject("hoard")
    try:
        eventually(lambda: not _answers(engine), "the pool exhausted")
    finally:
        aiprism.controls.revoke("hoard")
    assert not _answers(engine)  # what was taken stays taken when the fault is over

    eventually(lambda: _answers(_renewed(engine)), "the new pool")


def _renewed(engine: sa.Engine) -> sa.Engine:
    engine.dispose()
    return engine

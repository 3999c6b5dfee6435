from __future__ import annotations

import pytest

from aiprism.clock import FakeClock
from aiprism.store.records import Records
from tests.respond.making import T0


@pytest.fixture
def records(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    yield records
    records.close()


@pytest.fixture
def clock():
    return FakeClock(T0 + 5)

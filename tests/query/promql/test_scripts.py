"""Every script of this folder does what it says, on the real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiprism.store.engine import Engine
from tests.query.promql import script
from tests.query.promql.stocked import Stocked

SCRIPTS = sorted(Path(__file__).parent.glob("*.test"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_holds(path: Path, engine: Engine):
    assert script.run(path, Stocked.on(engine)) > 0

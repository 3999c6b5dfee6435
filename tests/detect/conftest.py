"""What the tests of the detect room share: Prometheus' own tools as the judge."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of Prometheus' promtool."""
    found = shutil.which("promtool")
    if found is None:
        why = "promtool is not installed: apt-get install -y prometheus"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found

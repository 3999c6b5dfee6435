"""Tests of the commands: in the same process, at a fixed time zone, against a server that answers from a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from aiprism import cli
from aiprism.cli import printing

NOW = 1_795_443_400.0  # 2026-11-23T14:16:40Z

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.delenv("AIPRISM_SERVER", raising=False)
        patch.setattr(printing, "present", lambda: NOW)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def aiprism(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; (exit status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = cli.run(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run

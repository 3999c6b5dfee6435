"""Compiled code is made ahead of the first body, and kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from aiprism.receive import kernels

PACKAGE = Path(kernels.__file__).parent.parent


def test_all_compiled_code_is_kept_for_the_next_process() -> None:
    kernels.compile_and_keep()
    assert kernels.are_kept()


def test_what_was_compiled_of_other_sources_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "aiprism"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    monkeypatch.setattr(kernels, "_PACKAGE", package)
    kept = package / "store" / "__pycache__" / "wire.field-52.py311.nbi"
    for room in ("store", "receive"):
        (package / room / "__pycache__").mkdir()
    kept.touch()
    kernels._mark().touch()
    kernels.forget_others()
    assert kept.exists()
    with (package / "store" / "wire.py").open("a") as source:
        source.write("# another\n")
    kernels.forget_others()
    assert not kept.exists()


def test_every_source_of_compiled_code_is_watched() -> None:
    marked = re.compile(r"^@kernel$", re.MULTILINE)
    found = {
        str(file.relative_to(PACKAGE))
        for room in ("store", "receive")
        for file in (PACKAGE / room).glob("*.py")
        if marked.search(file.read_text(encoding="utf-8"))
    }
    assert found <= set(kernels._SOURCES)

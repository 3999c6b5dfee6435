"""Compiled code is made ahead of the first body, and kept."""

from __future__ import annotations

import re
from pathlib import Path

from aiprism.receive import kernels

PACKAGE = Path(kernels.__file__).parent.parent


def test_all_compiled_code_is_kept_for_the_next_process() -> None:
    kernels.compile_and_keep()
    assert kernels.are_kept()


def test_every_source_of_compiled_code_is_watched() -> None:
    marked = re.compile(r"^@kernel$", re.MULTILINE)
    found = {
        str(file.relative_to(PACKAGE))
        for room in ("store", "receive")
        for file in (PACKAGE / room).glob("*.py")
        if marked.search(file.read_text(encoding="utf-8"))
    }
    assert found <= set(kernels._SOURCES)

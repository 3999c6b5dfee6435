"""Compiled code is made ahead of the first body, and kept."""

from __future__ import annotations

from aiprism.receive import kernels


def test_all_compiled_code_is_kept_for_the_next_process() -> None:
    kernels.compile_all()
    assert kernels.are_kept()

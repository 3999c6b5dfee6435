"""A search that somebody has given a name."""

from __future__ import annotations

from dataclasses import dataclass

from aiprism.model.signals import Signal


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """What is looked for under `name`, and how it is shown: its columns, and how many seconds back from now.

    `version` counts the changes, from 1 on; times are Unix seconds.
    """

    name: str
    signal: Signal
    query: str
    columns: tuple[str, ...] = ()
    seconds: float | None = None
    description: str = ""
    version: int = 1
    created_at: float = 0.0
    updated_at: float = 0.0

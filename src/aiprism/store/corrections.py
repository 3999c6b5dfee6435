"""Samples as they count once corrections are laid over them.

Samples that came late, again or otherwise are in the table `corrections` (see sql/0005_corrections.sql); of one series and
time its last row counts before the one in `samples`.
"""

from __future__ import annotations

_ROW_BITS = 22  # a version is when the row came, in milliseconds, then its number


def version_at(now: float) -> int:
    """The least version of rows that come at `now` (Unix seconds)."""
    return max(0, int(now * 1000)) << _ROW_BITS


def corrected(where: str) -> str:
    """SQL: what stands after FROM instead of ``samples`` to read the rows under `where`, a condition on metric, fp and ts."""
    return (
        f"(SELECT metric, fp, ts, value FROM samples WHERE {where} "
        f"AND (fp, ts) GLOBAL NOT IN (SELECT fp, ts FROM corrections WHERE {where}) "
        f"UNION ALL SELECT metric, fp, ts, value FROM corrections FINAL WHERE {where}) AS samples"
    )

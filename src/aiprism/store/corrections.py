"""Samples as they count once corrections are laid over them.

Samples that came late, again or otherwise are in the table `corrections` (see sql/0005_corrections.sql); of one series and
time its last row counts before the one in `samples`.
"""

from __future__ import annotations


def corrected(where: str) -> str:
    """SQL: what stands after FROM instead of ``samples`` to read the rows under `where`, a condition on metric, fp and ts."""
    return (
        f"(SELECT metric, fp, ts, value FROM samples WHERE {where} "
        f"AND (fp, ts) GLOBAL NOT IN (SELECT fp, ts FROM corrections WHERE {where}) "
        f"UNION ALL SELECT metric, fp, ts, value FROM corrections FINAL WHERE {where}) AS samples"
    )

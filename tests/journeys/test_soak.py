"""The short form of bench/ingest/soak.py: kill -9 under load loses nothing that was acknowledged."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from bench.ingest.soak import Stream, Verdict, counted

SOAK = Path(__file__).parents[2] / "bench" / "ingest" / "soak.py"


def test_nothing_acknowledged_is_lost_or_counted_twice_when_the_server_is_killed(tmp_path: Path) -> None:
    rates = ["--spans", "5000", "--records", "5000", "--samples", "5000", "--batch", "500"]
    command = [sys.executable, str(SOAK), "--seconds", "20", "--kill-every", "7", *rates, "--data", str(tmp_path / "d")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed" in done.stdout
    assert done.stdout.endswith("holds\n")


@pytest.mark.parametrize(
    ("acknowledged", "unsure", "rows", "found"),
    [
        ({1}, set(), [(1, 10, 10)], Verdict(stored=10)),
        ({1, 2}, set(), [(1, 10, 10)], Verdict(lost=10, stored=10)),
        ({1}, set(), [(1, 9, 9)], Verdict(lost=1, stored=9)),
        ({1}, set(), [(1, 20, 10)], Verdict(twice_without_reason=10, stored=20)),
        ({1}, {1}, [(1, 20, 10)], Verdict(twice=10, stored=20)),
        ({1}, {1}, [(1, 11, 11)], Verdict(duplicates_by_key=1, stored=11)),
        (set(), {1}, [], Verdict()),
        (set(), {1}, [(1, 10, 10)], Verdict(stored=10)),
    ],
)
def test_what_the_soak_counts(
    acknowledged: set[int], unsure: set[int], rows: list[tuple[int, int, int]], found: Verdict
) -> None:
    stream = Stream("spans", "/", {}, lambda number: b"", 10, 1.0, itertools.count(), acknowledged, unsure)
    assert counted(stream, rows) == found

"""The primary of the database is killed under load: noticed, its standby promoted, verified, resolved, explained."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.test_demo import assert_closed, play
from tests.pgcluster import programs


def test_the_loop_closes_on_a_database_whose_primary_is_gone(tmp_path: Path) -> None:
    programs()
    played = play("database-failover", tmp_path)
    steps = ["process", "postgresql", "control"]
    assert_closed(played, 0, "database-failover", "DatabasePrimaryDown", "database-failover", steps)

    main = played[1][0]["incidents"][0]
    [run] = [run for run in main["runs"] if run["runbook"] == "database-failover" and run["state"] == "succeeded"]
    promoted = run["steps"][1]["result"]["message"]
    assert "is primary and takes writes" in promoted
    assert "0 bytes behind the last known position of the primary, timeline 1 → 2" in promoted

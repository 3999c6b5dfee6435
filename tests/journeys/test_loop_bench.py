"""What bench/loop/loop.py concludes from the platform's records; the bench itself takes an hour."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bench.loop.faults import KINDS, Kind
from bench.loop.loop import Played, judged, lines, measured

AT = 1000.0
CRASH = next(kind for kind in KINDS if kind.name == "service-crash")


def incident(alert: str = "ServiceDown", **more: Any) -> dict[str, Any]:
    """One that was noticed after 8 s, told after 9, repaired after 12 and resolved after 30."""
    run = {"runbook": "restart-crashed-service", "state": "succeeded", "outcome": "verified: 0 before, 1 after"}
    return {
        "title": f"{alert} somewhere",
        "alerts": [{"name": alert, "fired_at": AT + 8}],
        "notifications": [{"event": "opened", "sent_at": AT + 9}, {"event": "resolved", "sent_at": AT + 31}],
        "runs": [{**run, "finished_at": AT + 12}],
        "resolved_at": AT + 30,
    } | more


def concluded(*incidents: dict[str, Any], kind: Kind = CRASH) -> Played:
    return replace(measured(kind, 0, AT, incidents), load=0.0)


def test_a_fault_that_was_answered_is_measured_from_its_beginning() -> None:
    assert concluded(incident()) == Played(
        "service-crash",
        0,
        AT,
        0.0,
        detected=8.0,
        notified=9.0,
        answered=True,
        healed=True,
        verified=12.0,
        resolved=30.0,
    )


def test_a_fault_that_nobody_noticed_has_no_times() -> None:
    assert concluded() == Played("service-crash", 0, AT, 0.0)


def test_what_is_not_about_the_fault_neither_detects_nor_heals_it_and_is_told() -> None:
    stray = incident(
        "HighErrorRate", runs=[{"runbook": "rollback-bad-deploy", "state": "failed", "outcome": "", "finished_at": 1}]
    )
    found = concluded(stray)
    assert (found.detected, found.notified, found.resolved) == (None, None, None)
    assert (found.answered, found.healed) == (False, False)
    assert (found.extra, found.others) == (("HighErrorRate somewhere",), ("rollback-bad-deploy",))
    both = concluded(incident(), stray)
    assert (both.detected, both.extra, both.others) == (8.0, ("HighErrorRate somewhere",), ("rollback-bad-deploy",))


def test_a_run_that_was_skipped_answers_nothing_and_one_that_failed_heals_nothing() -> None:
    [run] = incident()["runs"]
    skipped = concluded(incident(runs=[run | {"state": "skipped", "outcome": "the alert has cleared"}]))
    assert (skipped.answered, skipped.healed) == (False, False)
    failed = concluded(incident(runs=[run | {"state": "rolled_back", "outcome": "not verified"}]))
    assert (failed.answered, failed.healed) == (True, False)


def test_the_fault_is_over_when_the_last_incident_is() -> None:
    assert concluded(incident(), incident("HighErrorRate", resolved_at=AT + 50)).resolved == 50.0
    assert concluded(incident(), incident("HighErrorRate", resolved_at=None)).resolved is None


def test_one_fault_of_twenty_may_be_missed_and_two_may_not() -> None:
    good, missed = concluded(incident()), concluded()
    assert [met for _, met in judged([good] * 19 + [missed])] == [True, False, True, True]
    assert [met for _, met in judged([good] * 18 + [missed] * 2)] == [False, False, True, True]
    unhealed = replace(good, healed=False)
    assert [met for _, met in judged([good] * 17 + [unhealed] * 3)] == [True, True, True, False]
    assert [met for _, met in judged([good] * 15 + [replace(good, answered=False)] * 5)][2] is False


def test_the_table_has_a_line_for_each_kind_and_one_for_all() -> None:
    told = list(lines([concluded(incident()), replace(concluded(), kind="cpu-stress")]))
    assert [line.split()[0] for line in told] == ["fault", "service-crash", "cpu-stress", "all"]
    assert told[1].split()[1:4] == ["1", "8.0", "8.0"]
    assert float(told[2].split()[2]) == math.inf

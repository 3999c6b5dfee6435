"""`aiprism services`, and what has drifted."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import NOW, Run
from tests.cli.pretended import pretended


def test_services_are_a_table_with_units(aiprism: Run) -> None:
    said = {"owner": "ann", "team": "", "tier": 1}
    row = {"service": "api", "rate": 12.34, "error_share": 0.031, "p50_ms": 0.4, "p95_ms": 2345.0, "last_seen": NOW - 2}
    with pretended({"/aiprism/v1/services": {"services": [row | said]}}) as server:
        _, out, _ = aiprism("services", "--window", "5m", "--server", server.url)
    assert out.splitlines() == [
        "service   requests/s   errors      p50      p95   owner   tier   last seen",
        "──────────────────────────────────────────────────────────────────────────",
        "api             12.3    3.1 %   400 µs   2.35 s   ann        1     2 s ago",
    ]
    assert server.asked[0][2] == {"window": ["300"]}


def test_no_service_is_said_in_words(aiprism: Run) -> None:
    with pretended({"/aiprism/v1/services": {"services": []}}) as server:
        _, out, _ = aiprism("services", "--server", server.url)
    assert out == "no service has answered a request in the last 1m\n"


def drift(**more: Any) -> dict[str, Any]:
    lists = ("undeclared_services", "unseen_services", "undeclared_dependencies", "unseen_dependencies")
    numbers = {"window": 604_800, "quiet": 86_400, "min_calls": 10, "declared": 3, "ignored": 0}
    return {**{key: [] for key in lists}, **numbers, **more}


def shown(aiprism: Run, answer: dict[str, Any]) -> list[str]:
    with pretended({"/aiprism/v1/services/drift": answer}) as server:
        status, out, _ = aiprism("services", "--drift", "--server", server.url)
    assert status == 0
    return out.splitlines()


def test_drift_says_what_and_since_when(aiprism: Run) -> None:
    seen = {"first_seen": NOW - 7200, "last_seen": NOW - 60}
    answer = drift(
        undeclared_services=[{"name": "gateway", "kind": "service", **seen}],
        unseen_services=[{"name": "mail", "last_seen": None, "owner": "ann", "team": "", "tier": 2}],
        undeclared_dependencies=[
            {"caller": "orders", "callee": "cache", "connections": ["database"], "calls": 1234, **seen}
        ],
        unseen_dependencies=[{"caller": "orders", "callee": "mail", "last_seen": NOW - 90_000}],
        ignored=2,
    )
    assert shown(aiprism, answer) == [
        "seen in the last 1w, not declared",
        "service   kind              since       last seen",
        "─────────────────────────────────────────────────",
        "gateway   service   2 h 0 min ago   1 min 0 s ago",
        "",
        "declared, not seen for 1d",
        "service   owner   tier   last seen",
        "──────────────────────────────────",
        "mail      ann        2       never",
        "",
        "called, not declared as a dependency",
        "call             by         calls           since       last seen",
        "─────────────────────────────────────────────────────────────────",
        "orders → cache   database   1,234   2 h 0 min ago   1 min 0 s ago",
        "",
        "declared as a dependency, not called for 1d",
        "call              last seen",
        "───────────────────────────",
        "orders → mail   1 d 1 h ago",
        "",
        "left out: 2 seen fewer than 10 times",
    ]


def test_where_both_agree_that_is_said(aiprism: Run) -> None:
    assert shown(aiprism, drift()) == ["services.yml and what was seen in the last 1w agree"]
    assert shown(aiprism, drift(declared=0)) == ["no service is declared: name a services.yml in respond.services"]

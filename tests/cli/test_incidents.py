"""`aiprism alerts` and `aiprism incidents`."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from tests.cli.conftest import NOW, Run
from tests.cli.pretended import pretended

INCIDENT_ID = "INC_20261123_141500_ab12"
OPENED = 1_795_443_300.0  # 2026-11-23T14:15:00Z


def incident(**changes: Any) -> dict[str, Any]:
    return {
        "id": INCIDENT_ID,
        "title": "document-processor down since 14:14 UTC",
        "description": "ServiceDown: document-processor is down",
        "priority": "P0",
        "status": "resolved",
        "created_at": OPENED,
        "updated_at": OPENED + 30,
        "resolved_at": OPENED + 30,
        "services": ["document-processor"],
        "alerts": [
            {
                "fingerprint": "ab12",
                "name": "ServiceDown",
                "state": "resolved",
                "labels": {"alertname": "ServiceDown", "service": "document-processor", "severity": "critical"},
                "active_at": OPENED - 5,
                "fired_at": OPENED,
                "resolved_at": OPENED + 12.5,
            }
        ],
        "timeline": [
            {"id": 1, "at": OPENED, "event": "incident_created", "actor": "automated_system", "text": "ServiceDown fires"},
            {"id": 2, "at": OPENED + 30, "event": "resolved", "actor": "automated_system", "text": "quiet"},
        ],
        "notifications": [
            {
                "id": "N1",
                "receiver": "critical-alerts",
                "channel": "slack",
                "event": "opened",
                "state": "sent",
                "attempts": 1,
                "created_at": OPENED,
                "sent_at": OPENED + 0.4,
                "error": "",
            }
        ],
        "runs": [
            {
                "id": "RUN_1",
                "runbook": "restart-crashed-service",
                "state": "succeeded",
                "started_at": OPENED + 1,
                "finished_at": OPENED + 8,
                "outcome": "verified: 0 before, 1 after",
                "steps": [
                    {
                        "name": "start the process",
                        "kind": "process",
                        "state": "done",
                        "started_at": OPENED + 1,
                        "finished_at": OPENED + 3,
                        "result": {"ok": True, "message": "start document-processor: started"},
                    }
                ],
            }
        ],
        "durations": {"detect": 5.0, "notify": 0.4, "resolve": 30.0},
        **changes,
    }  # fmt: skip


def test_an_incident_is_told_from_head_to_runbook(aiprism: Run) -> None:
    with pretended({f"/aiprism/v1/incidents/{INCIDENT_ID}": incident()}) as server:
        status, out, _ = aiprism("incidents", "show", INCIDENT_ID, "--server", server.url)
    assert status == 0
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "P0 resolved document-processor down since 14:14 UTC",
        f"{INCIDENT_ID} opened 2026-11-23 14:15:00, lasted 30 s services: document-processor",
        "ServiceDown: document-processor is down",
        "detect 5 s notify 400 ms resolve 30 s",
        "",
        "alerts",
        "state alert service severity active fired cleared",
        "─" * len(out.splitlines()[7]),
        "resolved ServiceDown document-processor critical -5.0 s +0.0 s +12.5 s",
        "",
        "timeline",
        "14:15:00 +0.0 s incident_created ServiceDown fires",
        "14:15:30 +30.0 s resolved quiet",
        "",
        "notifications",
        "state channel receiver told sent tries error",
        "─" * len(out.splitlines()[16]),
        "sent slack critical-alerts opened +0.4 s 1",
        "",
        "runbooks",
        "restart-crashed-service succeeded began +1.0 s, took 7 s verified: 0 before, 1 after",
        "✓ 2 s process start the process start document-processor: started",
    ]


def test_a_runbook_that_waits_says_on_which_day_it_begins(aiprism: Run) -> None:
    waits = {"why": "outside its hours", "until": OPENED + 3 * 86_400}
    run = {
        **incident()["runs"][0],
        "state": "planned",
        "started_at": None,
        "finished_at": None,
        "outcome": "",
        "steps": [],
    }
    runs = [{**run, "waits": waits}, {**run, "waits": {"why": "it cannot be asked", "until": None}}]
    with pretended({f"/aiprism/v1/incidents/{INCIDENT_ID}": incident(runs=runs)}) as server:
        status, out, _ = aiprism("incidents", "show", INCIDENT_ID, "--server", server.url)
    assert status == 0
    assert [" ".join(line.split()) for line in out.splitlines()[-2:]] == [
        "restart-crashed-service planned waits until 2026-11-26 14:15:00: outside its hours",
        "restart-crashed-service planned waits: it cannot be asked",
    ]


def test_an_incident_says_by_when_what_is_to_be_done_and_what_is_late(aiprism: Run) -> None:
    deadlines = {"acknowledgement": NOW - 90, "response": None, "resolution": NOW + 7800}
    paging = [{"policy": "payments", "next_at": NOW + 120}]
    answer = incident(status="investigating", resolved_at=None, deadlines=deadlines, paging=paging)
    with pretended({f"/aiprism/v1/incidents/{INCIDENT_ID}": answer}) as server:
        _, out, _ = aiprism("incidents", "show", INCIDENT_ID, "--server", server.url)
    due = "due:  acknowledgement 1 min 30 s ago  resolution in 2 h 10 min  page of payments in 2 min 0 s"
    assert due in out.splitlines()


def test_nothing_but_text_goes_into_a_pipe(aiprism: Run) -> None:
    with pretended({f"/aiprism/v1/incidents/{INCIDENT_ID}": incident()}) as server:
        _, out, _ = aiprism("incidents", "show", INCIDENT_ID, "--server", server.url)
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_open_incidents_are_what_incidents_shows(aiprism: Run) -> None:
    still = {"status": "investigating", "resolved_at": None}
    listed = {"incidents": [incident(**still), incident(**still, acknowledged_by="ada"), incident(acknowledged_by="")]}
    with pretended({"/aiprism/v1/incidents": listed}) as server:
        for arguments in (("incidents", "list", "--server", server.url),):
            _, out, _ = aiprism(*arguments)
    assert [" ".join(line.split()) for line in out.splitlines()[2:]] == [
        f"P0 {status} {INCIDENT_ID} 2026-11-23 14:15:00 {lasts} 1 document-processor down since 14:14 UTC"
        for status, lasts in (
            ("investigating", "1 min 40 s nobody"), ("investigating", "1 min 40 s ada"), ("resolved", "30 s"),
        )
    ]  # fmt: skip
    assert server.asked[0][2] == {"status": ["open"], "limit": ["50"]}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (160, ["status", "incident", "opened", "lasts", "who", "alerts", "title"]),
        (100, ["status", "incident", "lasts", "who", "alerts", "title"]),
        (80, ["status", "incident", "who", "title"]),
        (72, ["incident", "who", "alerts", "title"]),
    ],
)
def test_in_a_narrow_terminal_whole_columns_give_way_and_no_id_is_cut(
    aiprism: Run, monkeypatch: Any, width: int, columns: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    answer = {"incidents": [incident(status="investigating", resolved_at=None, acknowledged_by="ada")]}
    with pretended({"/aiprism/v1/incidents": answer}) as server:
        _, out, _ = aiprism("incidents", "--server", server.url)
    head, _, first, *_ = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert head.split() == columns
    assert INCIDENT_ID in first


def test_incidents_alone_asks_the_server_of_the_environment(aiprism: Run, monkeypatch: Any) -> None:
    with pretended({"/aiprism/v1/incidents": {"incidents": []}}) as server:
        monkeypatch.setenv("AIPRISM_SERVER", server.url.removeprefix("http://"))
        assert aiprism("incidents") == (0, "no incident is open\n", "")


def test_an_incident_may_be_named_by_the_end_of_its_id_or_as_the_last(aiprism: Run) -> None:
    answers = {
        "/aiprism/v1/incidents": {"incidents": [{"id": INCIDENT_ID}, {"id": "INC_20261123_120000_cd34"}]},
        f"/aiprism/v1/incidents/{INCIDENT_ID}": incident(),
    }
    with pretended(answers) as server:
        for name in ("ab12", "last"):
            assert INCIDENT_ID in aiprism("incidents", "show", name, "--server", server.url)[1]
        assert aiprism("incidents", "show", "zz", "--server", server.url)[2] == (
            "aiprism: no incident ends in 'zz'; `aiprism incidents list --status all` shows them\n"
        )
    with pretended({"/aiprism/v1/incidents": {"incidents": [{"id": "INC_1_ab"}, {"id": "INC_2_ab"}]}}) as server:
        assert aiprism("incidents", "show", "ab", "--server", server.url)[2] == (
            "aiprism: 'ab' ends 2 incidents: INC_1_ab, INC_2_ab; write more of the id\n"
        )


def test_what_a_person_says_goes_to_the_server(aiprism: Run) -> None:
    answers = {f"/aiprism/v1/incidents/{INCIDENT_ID}/{verb}": incident() for verb in ("acknowledge", "resolve")}
    with pretended(answers) as server:
        acknowledged = aiprism(
            "incidents", "ack", INCIDENT_ID, "--actor", "ada", "--text", "on it", "--server", server.url
        )
        aiprism("incidents", "resolve", INCIDENT_ID, "--actor", "ada", "--server", server.url)
    assert acknowledged == (0, f"{INCIDENT_ID} acknowledged by ada\n", "")
    assert server.asked == [
        ("POST", f"/aiprism/v1/incidents/{INCIDENT_ID}/acknowledge", {}, {"actor": "ada", "text": "on it"}),
        ("POST", f"/aiprism/v1/incidents/{INCIDENT_ID}/resolve", {}, {"actor": "ada", "text": ""}),
    ]


def test_every_word_a_person_has_for_an_incident_goes_to_the_server_under_its_beginning(aiprism: Run) -> None:
    words = {
        "ack": "acknowledge", "unack": "unacknowledge", "respond": "respond", "comment": "comment",
        "resolve": "resolve", "reopen": "reopen",
    }  # fmt: skip
    answers: dict[str, Any] = {f"/aiprism/v1/incidents/{INCIDENT_ID}/{path}": incident() for path in words.values()}
    answers["/aiprism/v1/incidents"] = {"incidents": [{"id": INCIDENT_ID}, {"id": "INC_20261122_010203_cd34"}]}
    with pretended(answers) as server:
        for verb in words:
            arguments = (verb, "INC_20261123", "--as", "ada", "--comment", "hm", "--server", server.url)
            assert aiprism("incidents", *arguments)[0] == 0
    said = [(path, body) for method, path, _, body in server.asked if method == "POST"]
    assert said == [
        (f"/aiprism/v1/incidents/{INCIDENT_ID}/{path}", {"actor": "ada", "text": "hm"}) for path in words.values()
    ]


def test_a_beginning_of_several_incidents_or_of_none_and_an_empty_comment_are_refused(aiprism: Run) -> None:
    known = {"incidents": [{"id": INCIDENT_ID}, {"id": "INC_20261122_010203_cd34"}]}
    with pretended({"/aiprism/v1/incidents": known}) as server:
        assert aiprism("incidents", "ack", "INC_2026", "--server", server.url)[2] == (
            f"aiprism: 'INC_2026' begins 2 incidents: {INCIDENT_ID}, INC_20261122_010203_cd34; write more of the id\n"
        )
        assert aiprism("incidents", "ack", "INC_1999", "--server", server.url)[2] == (
            "aiprism: no incident begins with 'INC_1999'; `aiprism incidents list --status all` shows them\n"
        )
        assert aiprism("incidents", "comment", INCIDENT_ID, "--server", server.url)[2] == (
            "aiprism: a comment says something: give it with --text\n"
        )


def test_a_move_that_is_not_legal_is_refused_in_the_servers_words(aiprism: Run) -> None:
    def refuse(*_: object) -> tuple[int, Any]:
        return 409, {"error": {"code": "conflict", "message": "incident X is resolved", "details": {}}}

    with pretended({f"/aiprism/v1/incidents/{INCIDENT_ID}/acknowledge": refuse}) as server:
        assert aiprism("incidents", "ack", INCIDENT_ID, "--server", server.url) == (
            1,
            "",
            "aiprism: incident X is resolved\n",
        )


def alert(state: str, name: str, at: str) -> dict[str, Any]:
    labels = {"alertname": name, "service": "api", "severity": "critical"}
    return {
        "labels": labels,
        "annotations": {"summary": f"{name}!"},
        "state": state,
        "activeAt": at,
        "value": "2.5e-01",
    }


def test_firing_alerts_stand_before_pending_ones(aiprism: Run) -> None:
    found = [alert("pending", "B", "2026-11-23T14:16:30.5Z"), alert("firing", "A", "2026-11-23T14:15:00Z")]
    with pretended({"/api/v1/alerts": {"status": "success", "data": {"alerts": found}}}) as server:
        _, out, _ = aiprism("alerts", "--server", server.url)
        _, only, _ = aiprism("alerts", "--state", "pending", "--server", server.url)
    assert [" ".join(line.split()) for line in out.splitlines()[2:]] == [
        "firing A api critical 1 min 40 s 0.25 A!",
        "pending B api critical 10 s 0.25 B!",
    ]
    assert len(only.splitlines()) == 3


def test_quiet_is_said_in_words(aiprism: Run) -> None:
    with pretended({"/api/v1/alerts": {"status": "success", "data": {"alerts": []}}}) as server:
        assert aiprism("alerts", "--server", server.url)[1] == "no alert is pending or firing\n"
        assert aiprism("alerts", "--state", "firing", "--server", server.url)[1] == "no alert is firing\n"


GRAPH = {
    "alerts": [
        {"fingerprint": "ab12", "name": "HighLatency", "service": "model-server"},
        {"fingerprint": "cd34", "name": "HighErrorRate", "service": "api-gateway"},
    ],
    "edges": [
        {
            "from": "cd34", "to": "ab12", "at": OPENED + 40, "took_in": "INC_7", "score": 0.715,
            "parts": {"time": 0.95, "service": 0.7, "kind": 0.5},
            "way": {"text": "api-gateway → model-server", "known": "declared and seen"},
        }
    ],
    "changes": [{"kind": "deployment", "service": "model-server", "title": "model-server 2.2.0", "before": 180.0}],
}  # fmt: skip


def test_why_alerts_are_one_incident_is_told_an_edge_a_line(aiprism: Run) -> None:
    where = f"/aiprism/v1/incidents/{INCIDENT_ID}"
    with pretended({where: incident(), f"{where}/correlation": GRAPH}) as server:
        status, out, _ = aiprism("incidents", "show", INCIDENT_ID, "--server", server.url)
    assert status == 0
    told = " ".join(out.partition("why it is one incident")[2].split())
    for part in ("0.715", "HighErrorRate api-gateway – HighLatency model-server", "time 0.95 · service 0.7 · kind 0.5",
                 "api-gateway → model-server (declared and seen) took in INC_7",
                 "deployment of model-server 3 min 0 s before the first onset: model-server 2.2.0"):  # fmt: skip
        assert part in told

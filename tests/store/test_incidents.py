"""Statements on the control database for the response room: order, uniqueness, and what is left untouched."""

from __future__ import annotations

import pytest

from aiprism.store import incidents as store
from aiprism.store.records import Records


@pytest.fixture
def connection(tmp_path):
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    with records.begin() as connection:
        yield connection
    records.close()


def incident(name="INC_1", at=1.0, status="investigating", **more):
    row = dict.fromkeys(store.IncidentRow.__annotations__)
    row.update(
        id=name, title=name, description="", priority="P0", status=status, created_at=at, updated_at=at, services=[],
        labels={}, **more,
    )  # fmt: skip
    return row


def held(incident_id, fingerprint="ab", at=1.0, state="firing"):
    return {
        "incident_id": incident_id, "fingerprint": fingerprint, "name": "Down", "labels": {"a": "b"}, "annotations": {},
        "state": state, "value": 1.0, "active_at": at, "fired_at": at, "resolved_at": None,
    }  # fmt: skip


def letter(name, incident_id="INC_1", at=1.0, event="opened", next_at=None, receiver="a", channel="slack"):
    return {
        "id": name, "incident_id": incident_id, "receiver": receiver, "channel": channel, "integration": 0,
        "event": event, "state": "pending", "attempts": 0, "next_at": at if next_at is None else next_at,
        "created_at": at, "sent_at": None, "error": "", "payload": {}, "dedup_key": incident_id or "ALERT_1",
    }  # fmt: skip


def test_an_incident_is_laid_over_itself_and_its_alerts_too(connection):
    store.put_incidents(connection, [incident()], [held("INC_1")])
    store.put_incidents(connection, [incident(status="resolved")], [held("INC_1", state="resolved")])
    [row] = store.incident_rows(connection)
    [alert] = store.alert_rows(connection, ["INC_1"])
    assert (row["status"], alert["state"], alert["labels"]) == ("resolved", "resolved", {"a": "b"})


def test_incidents_are_listed_newest_first_by_status_and_limit(connection):
    for number, status in enumerate(("resolved", "monitoring", "investigating")):
        store.put_incidents(connection, [incident(f"INC_{number}", float(number), status)], [])
    assert [row["id"] for row in store.incident_rows(connection)] == ["INC_2", "INC_1", "INC_0"]
    assert [row["id"] for row in store.incident_rows(connection, without_status="resolved", limit=1)] == ["INC_2"]
    assert [row["id"] for row in store.incident_rows(connection, status="resolved")] == ["INC_0"]
    assert store.incident_rows(connection, ids=[]) == []


def test_the_youngest_incident_of_an_alert_is_found(connection):
    store.put_incidents(connection, [incident("INC_1", 1.0)], [held("INC_1")])
    store.put_incidents(connection, [incident("INC_2", 2.0)], [held("INC_2"), held("INC_2", "cd")])
    assert store.newest_incidents_of(connection, ["ab", "cd", "ef"]) == {"ab": "INC_2", "cd": "INC_2"}


def test_more_ids_than_one_statement_takes_are_looked_up_in_portions(connection):
    store.put_incidents(connection, [incident()], [held("INC_1", f"{number:016x}") for number in range(1200)])
    found = store.newest_incidents_of(connection, [f"{number:016x}" for number in range(1200)])
    assert set(found.values()) == {"INC_1"}
    assert len(found) == 1200


def test_a_timeline_keeps_the_order_it_was_written_in_even_at_one_moment(connection):
    store.put_incidents(connection, [incident()], [])
    rows = [
        {"incident_id": "INC_1", "at": 1.0, "event": event, "actor": "a", "text": "", "data": {}} for event in "cab"
    ]
    store.append_events(connection, rows)
    assert [row["event"] for row in store.event_rows(connection, ["INC_1"])] == ["c", "a", "b"]
    assert [row["event"] for row in store.event_rows(connection, ["INC_1"], event="a")] == ["a"]


def test_a_letter_that_is_in_the_outbox_stays_as_it_is(connection):
    store.put_incidents(connection, [incident()], [])
    assert [row["id"] for row in store.enqueue(connection, [letter("N1")])] == ["N1"]
    store.mark_notification(connection, "N1", state="sent", sent_at=2.0)
    assert store.enqueue(connection, [letter("N1")]) == []
    assert store.notification_rows(connection, ["INC_1"])[0]["state"] == "sent"


def test_letters_of_one_moment_are_sent_in_the_order_they_were_enqueued(connection):
    store.put_incidents(connection, [incident()], [])
    store.enqueue(connection, [letter("N9"), letter("N8", event="monitoring")])
    store.enqueue(connection, [letter("N7", event="resolved")])
    address, sent = store.Address("a", "slack", 0), []
    while rows := store.due_notifications(connection, address, 1.0, 10):
        [row] = rows  # of each subject, only the oldest
        sent.append(row["id"])
        store.mark_notification(connection, row["id"], state="sent")
    assert sent == ["N9", "N8", "N7"]


def test_what_is_due_is_told_by_integration_and_a_later_letter_never_passes_an_earlier_one(connection):
    store.put_incidents(connection, [incident()], [])
    store.enqueue(connection, [
        letter("N1", next_at=50.0), letter("N2", event="resolved"), letter("N3", channel="webhook"),
        letter("N4", None, event="firing@1"),
    ])  # fmt: skip
    assert sorted(store.due_addresses(connection, 10.0)) == [("a", "slack", 0), ("a", "webhook", 0)]
    due = store.due_notifications(connection, store.Address("a", "slack", 0), 10.0, 10)
    assert [row["id"] for row in due] == ["N4"]
    assert store.next_due(connection) == 1.0
    store.defer_notifications(connection, store.Address("a", "webhook", 0), 90.0)
    assert store.due_addresses(connection, 10.0) == [("a", "slack", 0)]


def test_a_run_is_planned_once_and_found_by_state_and_start(connection):
    store.put_incidents(connection, [incident()], [])
    run: store.RunRow = {
        "id": "RUN_1", "incident_id": "INC_1", "runbook": "restart", "state": "planned", "started_at": None,
        "finished_at": None, "outcome": "", "data": {"order": 1},
    }  # fmt: skip
    assert store.plan_run(connection, run)
    assert not store.plan_run(connection, {**run, "state": "running"})
    assert [row["id"] for row in store.runs_in(connection, ["planned"])] == ["RUN_1"]
    assert store.runs_started_since(connection, 0.0) == []
    store.mark_run(connection, "RUN_1", state="running", started_at=5.0)
    assert [row["state"] for row in store.runs_started_since(connection, 5.0)] == ["running"]
    assert store.run_row(connection, "RUN_none") is None


def test_a_step_is_laid_over_the_one_at_its_position(connection):
    store.put_incidents(connection, [incident()], [])
    store.plan_run(
        connection,
        {
            "id": "RUN_1", "incident_id": "INC_1", "runbook": "r", "state": "running", "started_at": 1.0,
            "finished_at": None, "outcome": "", "data": {},
        },
    )  # fmt: skip
    step: store.StepRow = {
        "run_id": "RUN_1", "position": 0, "name": "one", "kind": "wait", "state": "started", "started_at": 1.0,
        "finished_at": None, "idempotency_key": "RUN_1_0", "result": {},
    }  # fmt: skip
    store.put_step(connection, step)
    store.put_step(connection, {**step, "state": "done", "result": {"ok": True}})
    [row] = store.step_rows(connection, ["RUN_1"])
    assert (row["state"], row["result"]) == ("done", {"ok": True})


def test_commands_are_kept_until_they_expire_and_acknowledged_per_instance(connection):
    command: store.CommandRow = {
        "id": "CMD_1", "service": "ai", "instance": None, "control": "m", "kind": "pool", "action": "reset",
        "params": {"x": 1}, "issued_at": 1.0, "expires_at": 10.0, "revoked_at": None, "reason": "", "actor": "",
    }  # fmt: skip
    assert store.put_command(connection, command)
    assert not store.put_command(connection, {**command, "action": "other"})
    assert [row["action"] for row in store.commands_for(connection, "ai", 9.0)] == ["reset"]
    assert store.commands_for(connection, "ai", 10.0) == []
    assert store.commands_for(connection, "other", 1.0) == []
    ack: store.AckRow = {"command_id": "CMD_1", "instance": "i", "status": "pending", "message": "", "at": 1.0}
    store.put_acks(connection, [ack])
    store.put_acks(connection, [{**ack, "status": "applied", "at": 2.0}])
    assert [row["status"] for row in store.ack_rows(connection, ["CMD_1"])] == ["applied"]
    store.revoke_command(connection, "CMD_1", 3.0)
    store.revoke_command(connection, "CMD_1", 4.0)
    row = store.command_row(connection, "CMD_1")
    assert row is not None
    assert row["revoked_at"] == 3.0

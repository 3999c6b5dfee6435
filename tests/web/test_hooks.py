"""What people do in Slack, PagerDuty and Opsgenie: signed, once, told everywhere but where it came from."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from aiprism.clock import FakeClock
from aiprism.httpconfig import Secret
from aiprism.respond import dossier, journal, message, roomchannel, roomkeeping, warroom
from aiprism.respond.deliver import Delivery
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, ReopenedByHand, ResolvedByHand, Unacknowledged
from aiprism.respond.oncall.rota import Person, Rota
from aiprism.respond.responder import Responder
from aiprism.respond.roomchannel import Channel, Stage
from aiprism.respond.rooms import Rooms
from aiprism.store import roomchannels
from aiprism.store.records import Records, hook_events, notifications
from aiprism.telemetry import Telemetry
from aiprism.web import hooks, routes
from tests.respond.making import T0, again, alert, cleared, receiver, routing, serving, until

DOWN = alert("ServiceDown", "document-processor", at=T0 - 5)
ROUTING = """
route: {receiver: team}
receivers:
  - name: team
    slack_configs: [{api_url: "URL/slack"}]
    pagerduty_configs: [{routing_key: k, url: "URL/pd"}]
    webhook_configs: [{url: "URL/hook"}]
  - name: two
    slack_configs: [{api_url: "URL/first"}, {api_url: "URL/second", channel: "#second"}]
  - name: bot
    slack_configs: [{bot_token: t, channel: c, app_url: "URL/chat.postMessage"}]
"""
BASE = "/aiprism/v1/hooks"


async def nothing():
    return None


@pytest.fixture(scope="module")
def there():
    with receiver() as there:
        yield there


@pytest.fixture
def clock():
    return FakeClock(T0)


@pytest.fixture
def responder(tmp_path, clock, there):
    there.got.clear()
    records = Records.open(f"sqlite:///{tmp_path}/control.db")
    policy = Policy(
        routing=routing(ROUTING.replace("URL", there.url)), incident_receivers=("team", "bot"), buttons=True
    )
    responder = Responder(records, policy=policy, actuators={}, ask=lambda query, at: [], clock=clock)
    responder.accept([DOWN])
    yield responder
    records.close()


@pytest.fixture
def secrets(tmp_path):
    file = tmp_path / "pagerduty.secret"
    file.write_text("old-secret\nnew-secret\n")
    return {"slack": Secret("slack-secret"), "pagerduty": Secret(file=str(file)), "opsgenie": Secret("genie-secret")}


@pytest.fixture
def client(responder, clock, secrets):
    app = routes.build([hooks.router(responder, lambda: hooks.Secrets(**secrets), clock)], Telemetry(), {}, nothing)
    with serving(app) as client:
        yield client


def only(responder):
    with responder.records.reading() as connection:
        [found] = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, found.id)


def told(responder, event):
    with responder.records.reading() as connection:
        rows = connection.execute(sa.select(notifications)).mappings().all()
    return sorted((row["receiver"], row["channel"]) for row in rows if row["event"] == event)


def digest(secret, text):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


# -- Slack -------------------------------------------------------------------------------------------------------------


def press(client, there, value, *, secret="slack-secret", at=T0, user="ann", action="acknowledge"):
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "username": user},
        "actions": [{"action_id": action, "value": value, "type": "button"}],
        "response_url": f"{there.url}/response",
    }
    body = urlencode({"payload": json.dumps(payload)})
    signed = f"v0={digest(secret, f'v0:{at:.0f}:{body}')}"
    headers = {
        "X-Slack-Request-Timestamp": f"{at:.0f}", "X-Slack-Signature": signed,
        "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    return client.post(f"{BASE}/slack", content=body, headers=headers)


def button(responder, name, channel="slack"):
    """The button in the message that a receiver was sent, as the real letter has it."""
    with responder.records.reading() as connection:
        rows = connection.execute(sa.select(notifications)).mappings().all()
    [row] = [row for row in rows if (row["receiver"], row["channel"], row["event"]) == (name, channel, "opened")]
    entry = responder.policy.routing.integrations(name)[row["integration"]]
    body = entry.letter(written(row), "k").body
    return [pressed for found in _buttons(body) for pressed in found]


def written(row):
    """What a letter says, as `deliver` has it."""
    return replace(message.from_payload(row["payload"]), integration=row["integration"])


def _buttons(body):
    blocks = [block for attachment in body["attachments"] for block in attachment.get("blocks", ())]
    return [block["elements"] for block in blocks if block["type"] == "actions"]


def _rows(responder):
    with responder.records.reading() as connection:
        return connection.execute(sa.select(notifications)).mappings().all()


def test_a_press_of_the_button_in_slack_acknowledges_and_changes_the_message(client, responder, there):
    [pressed] = button(responder, "team")
    assert (pressed["type"], pressed["action_id"]) == ("button", "acknowledge")
    answer = press(client, there, pressed["value"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert (only(responder)["acknowledged_by"], only(responder)["timeline"][-1]["actor"]) == ("ann (Slack)",) * 2
    asyncio.run(until(lambda: there.at("response"), "the message to be changed"))
    [changed] = there.at("response")
    assert changed.body["replace_original"] is True
    assert "actions" not in json.dumps(changed.body["attachments"])
    assert "ann (Slack)" in json.dumps(changed.body)
    # Told everywhere but where it came from; a bot's message is changed by being told.
    assert told(responder, "acknowledged") == [("bot", "slack"), ("team", "pagerduty"), ("team", "webhook")]


def test_a_press_below_a_bots_message_leaves_the_change_to_the_bot(client, responder, there):
    [pressed] = button(responder, "bot")
    press(client, there, pressed["value"])
    assert only(responder)["acknowledged_by"] == "ann (Slack)"
    assert told(responder, "acknowledged") == [
        ("bot", "slack"), ("team", "pagerduty"), ("team", "slack"), ("team", "webhook")
    ]  # fmt: skip
    assert there.at("response") == []


def test_of_two_channels_of_a_receiver_the_one_that_was_not_pressed_is_told(client, responder, there, clock):
    responder.reload(replace(responder.policy, incident_receivers=("two",)))
    responder.accept([alert("DiskFull", "another", at=T0)])
    asyncio.run(Delivery(responder.pipeline, clock).deliver_due())
    [second] = there.at("second")
    [[pressed]] = _buttons(second.body)
    press(client, there, pressed["value"])
    asyncio.run(until(lambda: there.at("response"), "the message to be changed"))
    assert there.at("response")[0].body["channel"] == "#second"  # worded as the one that was pressed
    rows = [row for row in _rows(responder) if (row["receiver"], row["event"]) == ("two", "acknowledged")]
    assert [row["integration"] for row in rows] == [0]


def test_a_button_of_an_older_message_that_lacks_the_number_acknowledges_too(client, responder, there):
    press(client, there, f"{only(responder)['id']}|team")
    assert only(responder)["acknowledged_by"] == "ann (Slack)"


def test_a_group_that_has_an_incident_has_the_button_too(client, responder, there, clock):
    responder.reload(replace(responder.policy, incident_receivers=()))
    other = alert("ServiceDown", "another", at=T0)
    responder.accept([other])
    clock._now += 60
    responder.pipeline.flush()
    [row] = [row for row in _rows(responder) if row["channel"] == "slack" and "another" in str(row["payload"]["services"])
             and row["group_id"]]  # fmt: skip
    entry = next(each for each in responder.policy.routing.integrations("team") if each.channel == "slack")
    [[pressed]] = _buttons(entry.letter(written(row), "k").body)
    press(client, there, pressed["value"], at=T0 + 60)
    with responder.records.reading() as connection:
        home = journal.last_incidents_of(connection, [other.fingerprint])[other.fingerprint]
    assert home.acknowledged_by == "ann (Slack)"
    asyncio.run(until(lambda: there.at("response"), "the message to be changed"))


def test_who_presses_too_late_is_told_so_alone(client, responder, there):
    [pressed] = button(responder, "team")
    responder.happen(only(responder)["id"], Acknowledged("bob"))
    press(client, there, pressed["value"])
    asyncio.run(until(lambda: there.at("response"), "the word"))
    [word] = there.at("response")
    assert word.body == {
        "response_type": "ephemeral", "replace_original": False, "text": "bob has acknowledged it already"
    }  # fmt: skip
    assert only(responder)["acknowledged_by"] == "bob"


def test_messages_have_a_button_while_there_is_something_to_acknowledge(responder):
    with responder.records.reading() as connection:
        [incident] = journal.open_incidents(connection)
    responder.happen(incident.id, Acknowledged("ann"))
    rows = _payloads(responder, "acknowledged")
    assert rows
    assert not any(row["acknowledgeable"] for row in rows)
    assert all(row["acknowledgeable"] for row in _payloads(responder, "opened"))


def _payloads(responder, event):
    with responder.records.reading() as connection:
        rows = connection.execute(sa.select(notifications)).mappings().all()
    return [row["payload"] for row in rows if row["event"] == event]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"secret": "another"}, "X-Slack-Signature is not what hooks.slack_secret signs"),
        ({"secret": ""}, "X-Slack-Signature"),
        ({"at": T0 - 301}, "more than five minutes"),
        ({"at": T0 + 301}, "more than five minutes"),
    ],
)
def test_what_slack_did_not_sign_just_now_is_refused(client, responder, there, how, said):
    [pressed] = button(responder, "team")
    answer = press(client, there, pressed["value"], **how)
    assert answer.status_code == 403
    assert said in answer.json()["error"]["message"]
    assert only(responder)["acknowledged_at"] is None


def test_a_press_that_is_told_again_changes_nothing(client, responder, there):
    [pressed] = button(responder, "team")
    press(client, there, pressed["value"])
    responder.happen(only(responder)["id"], Unacknowledged("ann"))
    press(client, there, pressed["value"])  # a replay within Slack's five minutes
    assert only(responder)["acknowledged_at"] is None


def test_other_buttons_are_none_of_ours(client, responder, there):
    assert press(client, there, "x", action="something").status_code == 200
    assert only(responder)["acknowledged_at"] is None


def write(client, event, *, secret="slack-secret", at=T0, kind="event_callback", **more):
    body = json.dumps({"type": kind, "event_id": "Ev1", "event": event, **more})
    signed = f"v0={digest(secret, f'v0:{at:.0f}:{body}')}"
    headers = {"X-Slack-Request-Timestamp": f"{at:.0f}", "X-Slack-Signature": signed}
    return client.post(f"{BASE}/slack/events", content=body, headers={**headers, "Content-Type": "application/json"})


@pytest.fixture
def room(responder):
    """The room of the incident, with the channel C1 in Slack."""
    incident = only(responder)["id"]
    row = roomchannel.stored(Channel(incident, Stage.OPEN, "C1", people={"ann@example.com": "UANN"}, head="0.5"))
    with responder.pipeline.desk() as desk:
        roomkeeping.open_room(desk, incident, "ann", "opened")
        roomchannels.begin(desk.connection, {**row, "kind": "slack"})
    rooms = Rooms(responder.pipeline, responder.remediation)
    return lambda: [(line["kind"], line["author"], line["text"]) for line in rooms.messages(incident)]


MESSAGE = {
    "type": "message",
    "channel": "C1",
    "user": "UCID",
    "text": "look at <https://a.example|this> &amp; that",
    "ts": "1.0",
}


def test_what_people_write_in_the_channel_of_a_room_is_said_there_once(responder, client, room):
    people = {"ann": Person("ann", "Ann Ark", email="ann@example.com")}
    policy = responder.policy
    responder.pipeline.policy = replace(policy, periods=replace(policy.periods, rota=Rota(people)))
    assert write(client, MESSAGE).json() == {"outcome": "done"}
    assert write(client, MESSAGE).json() == {"outcome": "repeated"}
    assert write(client, {**MESSAGE, "user": "UANN", "text": "/ack"}, event_id="Ev2").json() == {"outcome": "done"}
    assert room() == [
        ("joined", "UCID (Slack)", "UCID (Slack) joined"),
        ("said", "UCID (Slack)", "look at this (https://a.example) & that"),
        ("joined", "ann", "ann joined"),
        ("said", "ann", "/ack"),
    ]
    assert only(responder)["acknowledged_by"] is None


@pytest.mark.parametrize(
    "event",
    [
        {**MESSAGE, "channel": "C2"}, {**MESSAGE, "bot_id": "B1"}, {**MESSAGE, "subtype": "message_changed"},
        {**MESSAGE, "text": " "}, {**MESSAGE, "user": None}, {**MESSAGE, "type": "reaction_added"}, [], None,
        {**MESSAGE, "subtype": "message_changed", "message": {**MESSAGE, "attachments": [1]}, "previous_message": MESSAGE},
        {**MESSAGE, "subtype": "message_changed", "message": {**MESSAGE, "bot_id": "B1"}, "previous_message": []},
        {**MESSAGE, "subtype": "message_deleted", "deleted_ts": "9.0"},
    ],
)  # fmt: skip
def test_what_no_person_wrote_in_a_channel_of_ours_is_not_said(client, room, event):
    assert write(client, event).status_code == 200
    assert room() == []


def test_what_is_changed_or_deleted_in_slack_is_a_line_of_its_own_and_what_was_said_stays(responder, client, room):
    changed = {**MESSAGE, "text": "&lt;look", "edited": {"user": "UCID", "ts": "2.0"}}
    told = [
        MESSAGE,
        {"type": "message", "subtype": "message_changed", "channel": "C1", "message": changed, "previous_message": MESSAGE},
        {"type": "message", "subtype": "message_deleted", "channel": "C1", "deleted_ts": "1.0", "previous_message": changed},
    ]  # fmt: skip
    for number, each in enumerate([told[0], told[1], told[1], told[2], told[2], told[1]]):
        answer = write(client, each, event_id=f"Ev{number}").json()
        assert answer == {"outcome": "done" if number in (0, 1, 3) else "unchanged"}
    assert room()[1:] == [
        ("said", "UCID (Slack)", "look at this (https://a.example) & that"),
        ("edited", "UCID (Slack)", "<look"),
        ("deleted", "UCID (Slack)", "<look"),
    ]
    lines = Rooms(responder.pipeline, responder.remediation).messages(only(responder)["id"])
    assert [line["data"].get("line") for line in lines[2:]] == [lines[1]["id"]] * 2
    assert lines[2]["data"]["was"] == lines[1]["text"]


def test_a_message_with_answers_that_is_deleted_and_one_that_was_changed_before_anybody_heard_it(client, room):
    tomb = {
        "type": "message",
        "subtype": "tombstone",
        "user": "USLACKBOT",
        "ts": "1.0",
        "text": "This message was deleted.",
    }
    late = {**MESSAGE, "ts": "2.0", "text": "late", "edited": {"user": "UCID", "ts": "3.0"}}
    changed = {"type": "message", "subtype": "message_changed", "channel": "C1"}
    write(client, MESSAGE)
    write(client, {**changed, "message": tomb, "previous_message": MESSAGE}, event_id="Ev2")
    write(client, {**changed, "message": late, "previous_message": {**late, "text": "too late"}}, event_id="Ev3")
    assert [line[0] for line in room()] == ["joined", "said", "deleted", "said"]


def test_an_answer_in_a_thread_says_what_it_answers(responder, client, room):
    write(client, MESSAGE)
    write(client, {**MESSAGE, "ts": "2.0", "thread_ts": "1.0", "text": "I do"}, event_id="Ev2")
    write(client, {**MESSAGE, "ts": "3.0", "thread_ts": "0.1", "text": "below what was not heard"}, event_id="Ev3")
    of_whom = {"author": "UCID (Slack)", "text": "look at this (https://a.example) & that"}
    _, first, *answers = Rooms(responder.pipeline, responder.remediation).messages(only(responder)["id"])
    assert [(each["data"]["thread"], each["data"].get("reply_to")) for each in answers] == [
        ("1.0", {"line": first["id"], **of_whom}), ("0.1", None)
    ]  # fmt: skip
    assert "thread" not in first["data"]


def react(client, sign, ts, name, user="UCID", at=T0):
    event = {
        "type": "reaction_added",
        "user": user,
        "reaction": sign,
        "event_ts": f"{at:.6f}",
        "item": {"type": "message", "channel": "C1", "ts": ts},
    }
    return write(client, event, event_id=name).json()["outcome"]


def test_eyes_on_the_first_message_acknowledge_and_nowhere_else(responder, client, room):
    write(client, MESSAGE)
    assert [react(client, "eyes", "1.0", "Ev2"), react(client, "tada", "0.5", "Ev3")] == ["unchanged", "unchanged"]
    assert only(responder)["acknowledged_by"] is None
    assert react(client, "eyes", "0.5", "Ev4") == "done"
    assert only(responder)["acknowledged_by"] == "UCID (Slack)"
    responder.pipeline.happen(only(responder)["id"], ResolvedByHand("ann"))
    assert react(client, "eyes", "0.5", "Ev5", "UDAN") == "refused"


def test_eyes_that_are_told_late_do_not_acknowledge_another_round(responder, client, room, clock):
    for event in (ResolvedByHand("ann"), ReopenedByHand("ann")):
        clock.jump(60)
        responder.pipeline.happen(only(responder)["id"], event)
    assert react(client, "eyes", "0.5", "Ev1", at=T0 + 100) == "outdated"
    assert only(responder)["acknowledged_by"] is None
    assert react(client, "eyes", "0.5", "Ev2", at=T0 + 121) == "done"


def test_a_pushpin_pins_what_was_written_once(responder, client, room):
    write(client, MESSAGE)
    assert [react(client, "pushpin", ts, name) for ts, name in (("1.0", "Ev2"), ("1.0", "Ev3"), ("7.0", "Ev4"))] == [
        "done", "done", "unchanged"
    ]  # fmt: skip
    [pin] = only(responder)["pins"]
    assert (pin["what"], pin["evidence"]) == ("UCID (Slack): look at this (https://a.example) & that", "message")


def test_a_room_that_is_full_says_so_once_and_slack_is_answered_as_ever(client, room, monkeypatch):
    write(client, MESSAGE)
    monkeypatch.setattr(warroom, "MOST_LINES", 2)
    answers = [write(client, {**MESSAGE, "ts": f"{number}.0"}, event_id=f"Ev{number}") for number in (2, 3, 4)]
    assert [(each.status_code, each.json()["outcome"]) for each in answers] == [(200, "full")] * 3
    assert [line[0] for line in room()] == ["joined", "said", "full"]
    assert "holds 2 lines" in room()[-1][2]


def test_of_channels_that_are_none_of_ours_nobody_is_asked_for(responder, client, room, monkeypatch):
    asked = []

    async def name_of(user):
        asked.append(user)
        return user

    monkeypatch.setattr(responder.mirror, "name_of", name_of)
    assert write(client, {**MESSAGE, "channel": "C2"}).json() == {"outcome": "unknown"}
    assert write(client, MESSAGE, event_id="Ev2").json() == {"outcome": "done"}
    assert asked == ["UCID"]


@pytest.mark.parametrize("wrong", [{"secret": "guess"}, {"at": T0 - 301}, {"at": T0 + 301}])
def test_nobody_writes_as_slack_who_does_not_sign_as_slack_just_now(client, room, wrong):
    assert write(client, MESSAGE, **wrong).status_code == 403
    assert room() == []


def test_slack_sees_that_the_door_is_ours(client):
    assert write(client, None, kind="url_verification", challenge="3eZb").json() == {"challenge": "3eZb"}


# -- PagerDuty ---------------------------------------------------------------------------------------------------------


def event(responder, kind="acknowledged", *, name="E1", at=T0 + 1, key=None, data=None, agent="Ann Lee"):
    return {"event": {
        "id": name, "event_type": f"incident.{kind}", "resource_type": "incident",
        "occurred_at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "agent": {"id": "P1", "summary": agent, "type": "user_reference"} if agent else None,
        "data": data or {"id": "PINC1", "type": "incident", "incident_key": key or only(responder)["id"]},
    }}  # fmt: skip


def send(client, body, *, secret="new-secret", query=""):
    text = json.dumps(body)
    signed = f"v1={digest('rotated-away', text)}, v1={digest(secret, text)}"
    return client.post(f"{BASE}/pagerduty{query}", content=text, headers={"X-PagerDuty-Signature": signed})


@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
def test_an_acknowledgement_in_pagerduty_is_one_here_and_is_not_told_back(client, responder, secret):
    answer = send(client, event(responder), secret=secret, query="?receiver=team")
    assert answer.json() == {"outcome": "done", "incident": only(responder)["id"], "why": ""}
    assert only(responder)["acknowledged_by"] == "Ann Lee (PagerDuty)"
    assert told(responder, "acknowledged") == [("bot", "slack"), ("team", "slack"), ("team", "webhook")]


def test_what_pagerduty_says_of_what_we_told_it_changes_nothing(client, responder):
    responder.happen(only(responder)["id"], Acknowledged("ann"))
    assert send(client, event(responder, agent="")).json()["outcome"] == "unchanged"
    responder.happen(only(responder)["id"], ResolvedByHand("ann"))
    assert send(client, event(responder, "resolved", name="E2", agent="")).json()["outcome"] == "unchanged"
    assert send(client, event(responder, "resolved", name="E3")).json()["outcome"] == "refused"
    assert [entry["actor"] for entry in only(responder)["timeline"] if entry["event"] in ("acknowledged", "resolved")] == [
        "ann", "ann"
    ]  # fmt: skip


def test_the_whole_life_of_an_incident_in_pagerduty_is_followed(client, responder, clock):
    for number, (kind, status) in enumerate([
        ("triggered", "investigating"), ("acknowledged", "investigating"), ("unacknowledged", "investigating"),
        ("resolved", "resolved"), ("reopened", "investigating"),
    ]):  # fmt: skip
        clock._now += 10
        assert send(client, event(responder, kind, name=f"E{number}", at=clock.now())).status_code == 200
        assert only(responder)["status"] == status
    events = [entry["event"] for entry in only(responder)["timeline"]]
    assert events == ["incident_created", "acknowledged", "unacknowledged", "resolved", "reopened"]
    assert ("team", "pagerduty") not in [*told(responder, "resolved"), *told(responder, "reopened")]


@pytest.mark.parametrize("agent", [None, {"id": "S1", "summary": "A rule", "type": "service_reference"}])
def test_what_no_person_closed_in_pagerduty_goes_on_here(client, responder, agent):
    body = event(responder, "resolved")
    body["event"]["agent"] = agent
    assert send(client, body).json()["outcome"] == "done"
    found = only(responder)
    assert (found["status"], found["timeline"][-1]["event"]) == ("investigating", "comment")
    assert found["timeline"][-1]["text"].endswith("but by no person: it goes on here")
    assert told(responder, "resolved") == []


def test_a_note_and_a_new_assignment_are_comments_also_where_only_pagerdutys_id_is_given(client, responder):
    send(client, event(responder, "triggered"))
    note = {"id": "N1", "type": "incident_note", "incident": {"id": "PINC1"}, "content": "it is the disk"}
    assert send(client, event(responder, "annotated", name="E2", data=note)).json()["outcome"] == "done"
    assigned = {"id": "PINC1", "incident_key": only(responder)["id"], "assignees": [{"summary": "Bob"}]}
    send(client, event(responder, "reassigned", name="E3", data=assigned))
    assert [entry["text"] for entry in only(responder)["timeline"] if entry["event"] == "comment"] == [
        "it is the disk", "assigned to Bob by Ann Lee (PagerDuty)"
    ]  # fmt: skip


def test_an_event_is_taken_once_and_one_of_a_former_round_not_at_all(client, responder, clock):
    first = event(responder)
    send(client, first)
    responder.happen(only(responder)["id"], Unacknowledged("ann"))
    assert send(client, first).json()["outcome"] == "repeated"
    responder.accept([cleared(DOWN, T0 + 10)])
    clock._now += 600
    responder.accept([again(DOWN, T0 + 590)])
    answer = send(client, event(responder, name="E9", at=T0 + 20)).json()
    assert (answer["outcome"], answer["why"]) == ("outdated", "it was done before the incident was opened again")
    assert only(responder)["acknowledged_at"] is None
    clock._now += 8 * 86_400
    assert send(client, event(responder, name="E10", at=T0 + 700)).json()["outcome"] == "outdated"


@pytest.mark.parametrize(("first", "then"), [("unacknowledged", ()), ("reopened", ("resolved",))])
def test_what_is_told_late_is_compared_with_when_the_round_began_there_not_with_when_we_heard(
    client, responder, clock, first, then
):
    clock._now += 60
    for number, kind in enumerate(("acknowledged", *then)):
        send(client, event(responder, kind, name=f"E{number}", at=T0 + 50 + number))
    clock._now += 140
    send(client, event(responder, first, name="E8", at=T0 + 120))  # tried again there for 80 s
    assert send(client, event(responder, name="E9", at=T0 + 180)).json()["outcome"] == "done"
    assert only(responder)["acknowledged_at"] == clock.now()


def test_a_clock_that_is_a_little_slow_does_not_make_an_acknowledgement_one_of_a_former_round(
    client, responder, there, clock
):
    responder.accept([cleared(DOWN, T0 + 10)])
    clock._now += 600.9
    responder.accept([again(DOWN, clock.now())])
    [pressed] = button(responder, "team")
    press(client, there, pressed["value"], at=T0 + 600)  # whole seconds
    assert only(responder)["acknowledged_by"] == "ann (Slack)"


def test_a_clock_that_is_far_off_brings_no_deadline_forward(client, responder, clock):
    clock._now += 3600
    send(client, event(responder, at=T0 - 86_000))
    send(client, event(responder, "unacknowledged", name="E2", at=T0 - 85_000))
    with responder.records.reading() as connection:
        [incident] = journal.open_incidents(connection)
    assert incident.progress.since == incident.created_at


def test_known_events_are_forgotten_when_they_would_not_be_taken_any_more(client, responder, clock):
    send(client, event(responder))
    clock._now += 8 * 86_400
    send(client, event(responder, name="E2", at=clock.now()))
    with responder.records.reading() as connection:
        assert list(connection.scalars(sa.select(hook_events.c.id))) == ["pagerduty:E2"]


def test_what_a_group_is_called_leads_to_its_incident_and_its_end_is_none_of_an_incident(client, responder, clock):
    with (
        responder.records.begin() as connection
    ):  # as if nobody had taken the incident's letters: its group is told then
        connection.execute(sa.update(notifications).values(state="failed", next_at=None))
    clock._now += 60
    responder.pipeline.flush()
    with responder.records.reading() as connection:
        row = (
            connection.execute(sa.select(notifications).where(notifications.c.group_id.is_not(None))).mappings().first()
        )
    assert send(client, event(responder, "resolved", key=row["dedup_key"])).json()["outcome"] == "unchanged"
    assert send(client, event(responder, name="E2", at=T0 + 60, key=row["dedup_key"])).json()["outcome"] == "done"
    assert only(responder)["acknowledged_by"] == "Ann Lee (PagerDuty)"


def test_what_is_none_of_ours_is_answered_and_left(client, responder):
    assert send(client, event(responder, key="somebody-elses")).json()["outcome"] == "unknown"
    ping = {"event": {"id": "E", "event_type": "pagey.ping", "occurred_at": "2026-11-23T14:15:00Z", "data": {}}}
    assert send(client, ping).json()["outcome"] == "unchanged"


@pytest.mark.parametrize(
    ("header", "body", "status"),
    [
        ("", "{}", 403),
        ("v1=" + "0" * 64, "{}", 403),
        ("v1=", "{}", 403),
        (None, "no json", 400),
        (None, '{"event": 1}', 400),
        (None, '{"event": {"event_type": "incident.resolved", "data": {}, "occurred_at": "yesterday"}}', 400),
    ],
)
def test_a_bad_webhook_is_refused_in_words(client, responder, header, body, status):
    shown = f"v1={digest('new-secret', body)}" if header is None else header
    answer = client.post(f"{BASE}/pagerduty", content=body, headers={"X-PagerDuty-Signature": shown})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert only(responder)["status"] == "investigating"


# -- Opsgenie, and doors that are closed -------------------------------------------------------------------------------


def test_an_acknowledgement_in_opsgenie_is_one_here(client, responder):
    body = {"action": "Acknowledge", "alert": {
        "alertId": "a1", "alias": only(responder)["id"], "username": "ann@example.com", "updatedAt": int((T0 + 5) * 1000),
    }}  # fmt: skip
    refused = client.post(f"{BASE}/opsgenie", json=body, headers={"Authorization": "Bearer wrong"})
    assert refused.status_code == 403
    answer = client.post(f"{BASE}/opsgenie", json=body, headers={"Authorization": "Bearer genie-secret"})
    assert answer.json()["outcome"] == "done"
    assert only(responder)["acknowledged_by"] == "ann@example.com (Opsgenie)"


@pytest.mark.parametrize("name", ["slack", "pagerduty", "opsgenie"])
def test_a_door_without_a_secret_is_not_there(client, secrets, name, tmp_path):
    secrets[name] = Secret()
    answer = client.post(f"{BASE}/{name}", content="{}", headers={"Authorization": "Bearer"})
    assert answer.status_code == 404
    assert f"hooks.{name}_secret is not set" in answer.json()["error"]["message"]
    (tmp_path / "empty").touch()
    secrets[name] = Secret(file=str(tmp_path / "empty"))
    assert client.post(f"{BASE}/{name}", content="{}", headers={"Authorization": "Bearer"}).status_code == 503
    secrets[name] = Secret(file=str(tmp_path / "lost"))
    assert client.post(f"{BASE}/{name}", content="{}", headers={"Authorization": "Bearer"}).status_code == 503

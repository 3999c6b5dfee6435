"""Deadlines of tiers: what is due when, told once and to whom, whatever happens meanwhile and however often we crash."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.errors import Conflict
from aiprism.respond import dossier, journal, tiers
from aiprism.respond.channels.post import Answer, Verdict
from aiprism.respond.deliver import Delivery
from aiprism.respond.desk import Policy
from aiprism.respond.incident import (
    Acknowledged,
    Identified,
    Noted,
    Origin,
    Periods,
    ReopenedByHand,
    ResolvedByHand,
    Responded,
    Unacknowledged,
)
from aiprism.respond.pipeline import Respond
from aiprism.respond.responder import Responder
from aiprism.store.records import Records, notifications
from tests.respond.making import T0, again, alert, cleared, pass_by, receiver, routing, threads, until

ROUTING = """
route: {receiver: nobody}
receivers:
  - name: nobody
  - {name: team, webhook_configs: [{url: "URL/team"}]}
  - {name: lead, webhook_configs: [{url: "URL/lead"}]}
  - {name: boss, webhook_configs: [{url: "URL/boss"}], pagerduty_configs: [{routing_key: k, url: "URL/pd"}]}
  - {name: bot, slack_configs: [{bot_token: t, channel: c, app_url: "URL/chat.postMessage"}]}
"""
TIERS = """
tiers:
  P0:
    receivers: [team]
    acknowledge_within: 5m
    respond_within: 15m
    resolve_within: 1h
    repeat: 2m
    escalate:
      - {receivers: [lead]}
      - {after: 10m, receivers: [boss]}
      - {missed: response, after: 1m, receivers: [boss]}
"""


def policy(url="http://receiver.invalid", text=TIERS):
    found = routing(ROUTING.replace("URL", url))
    told = tiers.read(yamlfile.parse(text, file="tiers.yml"), tiers.Named(found.receivers))
    return Policy(routing=found, periods=Periods(1800.0, told))


def room(records, clock, text=TIERS):
    return Respond(records, clock, policy(text=text))


def only(records):
    with records.reading() as connection:
        [found] = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, found.id)


def told(records, name=""):
    """(receiver, event) of all letters in the order they were written."""
    with records.reading() as connection:
        rows = connection.execute(sa.select(notifications).order_by(notifications.c.created_at)).mappings().all()
    return [(row["receiver"], row["event"]) for row in rows if name in (row["receiver"], "")]


def pass_until(respond, clock, end):
    """Let time pass to `end`, looking whenever something is due."""
    while True:
        due = respond.check_due()
        if due is None or due > end:
            break
        clock._now = max(due, clock._now)
    clock._now = end
    respond.check_due()


def late(records):
    words = ("overdue", "target_missed", "escalation_step")
    return [
        (entry["at"] - T0 - 5, entry["data"]["step"])
        for entry in only(records)["timeline"]
        if any(word in entry["event"] for word in words)
    ]


def test_what_nobody_answers_goes_from_step_to_step_and_each_is_told_once(records, clock):  # R6
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 2 * 3600)
    assert late(records) == [
        (300, "acknowledgement"), (900, "response"), (900, "acknowledgement+600"), (960, "response+60"),
        (3600, "resolution"),
    ]  # fmt: skip
    assert [event for who, event in told(records, "lead") if not event.startswith("reminded")] == [
        "overdue#1.acknowledgement", "overdue#1.response", "overdue#1.acknowledgement+600", "overdue#1.response+60",
        "overdue#1.resolution",
    ]  # fmt: skip
    assert told(records, "boss")[0] == ("boss", "overdue#1.acknowledgement+600")  # the step that brings it in
    assert len([event for who, event in told(records, "team") if event.startswith("reminded")]) == 60


def test_an_acknowledgement_ends_reminders_and_its_steps_and_leaves_the_other_deadlines(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 250)
    respond.happen(only(records)["id"], Acknowledged("ann"))
    pass_until(respond, clock, T0 + 5 + 7200)
    assert [step for _, step in late(records)] == ["response", "response+60", "resolution"]
    assert [event for _, event in told(records, "team") if event.startswith("reminded")] == [
        "reminded#1.1", "reminded#1.2"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "acknowledges"),
    [(Responded("ann"), True), (Identified("ann"), False), (Noted("runbook_started", "runbook:x", "starts"), False)],
)
def test_a_response_is_a_person_or_a_runbook_at_work(records, clock, event, acknowledges):
    respond = room(records, clock)
    respond.accept([alert()])
    clock._now += 60
    respond.happen(only(records)["id"], event)
    pass_until(respond, clock, T0 + 5 + 1800)
    found = only(records)
    assert (found["responded_at"], found["durations"]["respond"]) == (T0 + 65, 60.0)
    assert [step for _, step in late(records) if step.startswith("response")] == []
    assert (found["acknowledged_at"] is not None) == acknowledges
    respond.happen(found["id"], Responded("bob"))  # the first one counts
    assert only(records)["responded_at"] == T0 + 65


def test_a_comment_is_no_response(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    respond.happen(only(records)["id"], Noted("comment", "ann", "who has this?"))
    assert only(records)["responded_at"] is None


def test_a_reopening_begins_a_new_round_of_everything(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 400)
    respond.happen(only(records)["id"], Responded("ann"))
    respond.accept([cleared(alert(), clock.now())])
    pass_until(respond, clock, T0 + 5 + 1000)
    respond.accept([again(alert(), T0 + 1005)])
    pass_until(respond, clock, T0 + 5 + 1000 + 920)
    assert late(records) == [
        (300, "acknowledgement"), (1300, "acknowledgement"), (1900, "response"), (1900, "acknowledgement+600"),
    ]  # fmt: skip
    assert ("lead", "overdue#2.acknowledgement") in told(records)


def test_who_takes_an_acknowledgement_back_has_it_waited_for_anew(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 310)
    respond.happen(only(records)["id"], Responded("ann"))
    pass_until(respond, clock, T0 + 5 + 400)
    respond.happen(only(records)["id"], Unacknowledged("ann", "off for lunch"))
    assert only(records)["acknowledged_by"] is None
    pass_until(respond, clock, T0 + 5 + 800)
    assert late(records) == [(300, "acknowledgement"), (700, "acknowledgement")]
    respond.happen(only(records)["id"], Acknowledged("bob"))
    assert [event for _, event in told(records, "team") if event.startswith("ack")] == [
        "acknowledged",
        "acknowledged#2",
    ]


def test_a_higher_tier_brings_its_receivers_and_deadlines_and_leaves_nobody_behind(records, clock):
    respond = room(
        records, clock, TIERS + "  P1: {receivers: [lead], acknowledge_within: 30m, respond_within: never}\n"
    )
    respond.accept([alert("HighLatency", severity="high")])
    pass_until(respond, clock, T0 + 5 + 600)
    assert told(records) == [("lead", "opened")]
    respond.accept([alert("HighLatency", at=T0 + 300)])
    assert late(records) == [(600, "acknowledgement")]  # of P0, counted from the opening
    assert ("team", "escalated") in told(records)
    assert ("lead", "escalated") in told(records)


def test_what_was_due_while_nobody_was_there_is_told_when_somebody_is_and_reminders_only_once(records, clock):
    room(records, clock).accept([alert()])
    clock._now += 1000
    room(records, clock).check()
    assert [step for _, step in late(records)] == [
        "acknowledgement", "response", "acknowledgement+600", "response+60"
    ]  # fmt: skip
    assert [event for _, event in told(records, "team") if "reminded" in event] == ["reminded#1.8"]


def test_who_was_away_gets_no_pile_of_reminders(records, clock):
    respond = room(records, clock, "tiers: {P0: {receivers: [team], repeat: 1m}}")
    away, got = [True], []

    async def send(letter, now):
        if away[0]:
            return Answer(Verdict.AGAIN, "away")
        got.append(letter.body["incident"]["event"])
        return Answer(Verdict.DELIVERED)

    async def pass_minutes(count):
        for _ in range(count):
            clock._now += 60
            respond.check_due()
            await Delivery(respond, clock, send=send, chance=lambda: 1.0).deliver_due()

    respond.accept([alert()])
    asyncio.run(pass_minutes(60))
    away[0] = False
    respond.accept([cleared(alert(), clock.now())])
    asyncio.run(pass_minutes(2))
    assert (got.count("opened"), got.count("reminded") <= 1, got[-1]) == (1, True, "monitoring")
    told_off = [entry["text"] for entry in only(records)["timeline"] if entry["event"] == "notification_failed"]
    assert len(told_off) == 60 - got.count("reminded")
    assert "the next reminder is due" in told_off[0]


def test_changed_tiers_hold_for_open_incidents(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    assert respond.check_due() == T0 + 5 + 120
    respond.policy = policy(text="tiers: {P0: {acknowledge_within: 1m, receivers: [team]}}")
    respond.check()
    assert respond.check_due() == T0 + 5 + 60


@pytest.mark.parametrize(("within", "at"), [("8h", 8 * 3600), ("30m", 1800), ("never", None)])
def test_a_changed_target_holds_for_open_incidents(records, clock, within, at):
    respond = room(records, clock)
    respond.accept([alert()])
    respond.policy = policy(text=f"tiers: {{P0: {{resolve_within: {within}, receivers: [team]}}}}")
    respond.check()
    pass_until(respond, clock, T0 + 5 + 9 * 3600)
    assert [when for when, step in late(records) if step == "resolution"] == ([] if at is None else [at])


def test_a_higher_tier_after_a_reopening_has_its_time_from_then_on(records, clock):
    respond = room(records, clock, TIERS + "  P1: {receivers: [lead], resolve_within: 4h}\n")
    first = alert("HighLatency", severity="high")
    respond.accept([first])
    respond.accept([cleared(first, clock.now())])
    clock._now += 3 * 3600
    respond.accept([again(first, clock.now())])
    reopened_at = clock.now()
    pass_until(respond, clock, reopened_at + 10)
    respond.accept([alert("HighLatency", at=clock.now())])
    assert (only(records)["priority"], only(records)["target_at"]) == ("P0", reopened_at + 3600)
    assert "resolution" not in [step for _, step in late(records)]


@pytest.mark.parametrize(("of_p1", "at"), [("30m", 1800), ("4h", 3600), ("never", 3600)])
def test_a_higher_tier_gives_no_more_time_than_was_promised(records, clock, of_p1, at):
    respond = room(records, clock, TIERS + f"  P1: {{receivers: [lead], resolve_within: {of_p1}}}\n")
    respond.accept([alert("HighLatency", severity="high")])
    clock._now += 60
    respond.accept([alert("HighLatency", at=clock.now())])
    respond.happen(only(records)["id"], Acknowledged("ann"))
    respond.happen(only(records)["id"], Unacknowledged("ann"))  # which begins only the acknowledgement anew
    pass_until(respond, clock, T0 + 5 + 2 * 3600)
    assert [when for when, step in late(records) if step == "resolution"] == [at]


@pytest.mark.parametrize(
    ("origin", "untold"),
    [
        (Origin("webhook", "team", 0), {("team", "webhook")}),
        (Origin("webhook", "team", 1), set()),  # another one of its webhooks
        (Origin("pagerduty", "boss"), {("boss", "pagerduty")}),
        (Origin("pagerduty"), {("boss", "pagerduty")}),
        (Origin("pagerduty", "another"), set()),
        (Origin("webhook", "team"), {("team", "webhook")}),
        (Origin("slack", "bot"), set()),  # a bot's message is changed by what it is told
    ],
)
def test_an_acknowledgement_is_told_everywhere_but_where_it_came_from(records, clock, origin, untold):
    respond = room(records, clock, "tiers: {P0: {receivers: [team, boss, bot]}}")
    respond.accept([alert()])
    respond.happen(only(records)["id"], Acknowledged("ann", origin=origin))
    with records.reading() as connection:
        rows = connection.execute(sa.select(notifications)).mappings().all()
    heard = {(row["receiver"], row["channel"]) for row in rows if row["event"] == "acknowledged"}
    everyone = {("team", "webhook"), ("boss", "webhook"), ("boss", "pagerduty"), ("bot", "slack")}
    assert heard == everyone - untold


def test_an_alert_is_of_the_tier_the_file_places_it_in(records, clock):
    respond = room(records, clock, "tiers: {P0: {match: ['service=\"payments\"'], receivers: [lead]}}")
    respond.accept([alert(service="payments", severity="info"), alert("Tidy", "other", severity="warning")])
    assert (only(records)["priority"], told(records)) == ("P0", [("lead", "opened")])


def test_a_deadline_that_nobody_can_be_told_of_is_said_to_be_so(records, clock):
    routed = routing(ROUTING.replace("{receiver: nobody}", "{receiver: team}"))  # who hears of alerts only
    respond = room(records, clock)
    respond.policy = replace(policy(text="tiers: {P0: {receivers: []}}"), routing=routed)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 300)
    assert [entry["text"] for entry in only(records)["timeline"] if entry["event"] == "nobody_told"] == [
        "nobody is told that it is overdue: no receiver is told of incidents of its tier (tiers.yml, "
        "respond.incident_receivers)"
    ]


def test_a_tier_may_open_incidents_that_usually_only_join(records, clock):
    respond = room(
        records, clock, "tiers: {P2: {opens_incident: true, receivers: [lead]}, P0: {opens_incident: false}}"
    )
    respond.accept([alert("Odd", "other", severity="warning"), alert()])
    assert (only(records)["priority"], only(records)["services"]) == ("P2", ["other"])


def test_a_missed_deadline_is_told_to_the_moment_also_after_a_restart(records):
    clock = FakeClock(T0 + 5)

    async def until_late(there, name, seconds):
        """A life that begins before the step is due and ends once it was told, without a moment more."""
        responder = Responder(records, policy=policy(there.url), actuators={}, ask=lambda query, at: [], clock=clock)
        with threads() as at_work:
            await responder.start()
            responder.accept([alert()])
            await pass_by(clock, seconds - 1, at_work)
            await asyncio.sleep(0.2)  # whoever would be too early has had the time for it
            assert not there.at(name)
            await pass_by(clock, 1, at_work)
            await until(lambda: there.at(name), f"{name} to be told at the deadline, while the clock stands still")
            await responder.stop()

    with receiver() as there:
        asyncio.run(until_late(there, "lead", 300))
        asyncio.run(until_late(there, "boss", 600))
    assert late(records)[:3] == [(300, "acknowledgement"), (900, "response"), (900, "acknowledgement+600")]


# -- crashes at any point ------------------------------------------------------------------------------------------------


class Crash(Exception):
    """The process is gone before its transaction was committed."""


class Shaky:
    """A control database whose next transactions may die just before their end."""

    def __init__(self, records):
        self.records, self.dying = records, itertools.chain[bool]()

    def reading(self):
        return self.records.reading()

    @contextmanager
    def begin(self, *, alone=""):
        with self.records.begin(alone=alone) as connection:
            yield connection
            if next(self.dying, False):
                raise Crash


@pytest.fixture(scope="module")
def shaky(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('shaky')}/control.db")
    records._engine.dispose()  # no power is cut here: commits need not wait for the disk
    sa.event.listen(records._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield Shaky(records)
    records.close()


PEOPLE = {
    "acknowledge": Acknowledged("ann"), "withdraw": Unacknowledged("ann"), "respond": Responded("ann"),
    "identify": Identified("ann"), "resolve": ResolvedByHand("ann"), "reopen": ReopenedByHand("ann"),
    "comment": Noted("comment", "ann", "hm"),
}  # fmt: skip
NUMBER = itertools.count()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(
            st.sampled_from([1, 30, 119, 120, 300, 301, 600, 899, 2000]),
            st.sampled_from([*PEOPLE, "clear", "fire", "away", "away"]),
            st.lists(st.booleans(), max_size=3),
        ),
        max_size=8,
    )
)
def test_no_deadline_is_missed_in_silence_and_none_is_told_twice(shaky, plan):
    records, clock = shaky.records, FakeClock(T0 + 5 + 20_000 * next(NUMBER))
    firing = alert(service=f"service-{clock.now():.0f}", at=clock.now())
    room(shaky, clock).accept([firing])
    with records.reading() as connection:
        incident_id = journal.last_incidents_of(connection, [firing.fingerprint])[firing.fingerprint].id

    def persistently(act):
        """As senders and loops do: again, by a new process, until it was done."""
        while True:
            try:
                return act(room(shaky, clock))
            except Crash:
                continue

    def said(respond, word):
        if word == "clear":
            respond.accept([cleared(firing, clock.now())])
        elif word == "fire":
            respond.accept([again(firing, clock.now())])
        elif word != "away":
            respond.happen(incident_id, PEOPLE[word])

    def pass_time(end):
        while (due := persistently(Respond.check_due)) is not None and due <= end:
            clock._now = max(due, clock._now)
        clock._now = end

    for seconds, word, dying in [*plan, (4000, "away", []), (1, "comment", [])]:
        shaky.dying = itertools.chain(dying)
        if word == "away":
            clock._now += seconds  # nobody looks meanwhile
        else:
            pass_time(clock.now() + seconds)
        with suppress(Conflict):
            persistently(lambda respond, word=word: said(respond, word))
        persistently(Respond.check_due)
    with records.reading() as connection:
        found = dossier.dossier(connection, incident_id)
        still_open = journal.open_incidents(connection)
    assert taken(found) == expected(found)
    letters = [(row["receiver"], row["channel"], row["event"]) for row in found["notifications"]]
    assert len(set(letters)) == len(letters)
    overdue = [
        row for row in found["notifications"] if row["event"].startswith("overdue") and row["receiver"] == "team"
    ]
    assert len(overdue) == len(taken(found))
    shaky.dying = itertools.chain()
    for each in still_open:
        room(shaky, clock).happen(each.id, ResolvedByHand("ann"))


def taken(found):
    """(round, step) of every step on the timeline, in no order."""
    round_, steps = [0, 0], []
    for entry in found["timeline"]:
        if entry["event"] in ("reopened", "unacknowledged"):
            round_ = [round_[0] + (entry["event"] == "reopened"), round_[1] + 1]
        elif "step" in entry["data"]:
            step = entry["data"]["step"]
            steps.append((round_[1] if step.startswith("ack") else round_[0], step))
    return sorted(steps)


def expected(found):
    """The same, counted from what happened to the incident alone: a step is taken in a round if it was due before its
    deadline was met or the round ended."""
    asked, rounds, quiet = 0, 0, False
    state = {"ack": found["created_at"], "res": found["created_at"], "tar": found["created_at"]}
    due = {"ack": {"acknowledgement": 300, "acknowledgement+600": 900}, "res": {"response": 900, "response+60": 960},
           "tar": {"resolution": 3600}}  # fmt: skip
    steps = set()

    def ended(kind, at):
        begun = state.pop(kind, None)
        for step, seconds in due[kind].items() if begun is not None else ():
            if begun + seconds <= at:
                steps.add((asked if kind == "ack" else rounds, step))

    for entry in found["timeline"]:
        at, event = entry["at"], entry["event"]
        if event == "acknowledged":
            ended("ack", at)
        elif event in ("responded", "identified"):
            ended("res", at)
        elif event in ("monitoring", "resolved"):
            quiet = True
            for kind in ("ack", "res", "tar"):
                ended(kind, at)
        elif event == "unacknowledged":
            asked += 1
            state |= {} if quiet else {"ack": at}
        elif event == "reopened":
            for kind in ("ack", "res", "tar"):
                ended(kind, at)
            asked, rounds, quiet = asked + 1, rounds + 1, False
            state |= {"ack": at, "res": at, "tar": at}
    for kind in ("ack", "res", "tar"):
        ended(kind, found["updated_at"])
    return sorted(steps)

"""Pages: who is on call is paged, what nobody answers goes to the next level, once, whatever happens and crashes meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.errors import Conflict
from aiprism.model.alerts import Priority
from aiprism.respond import dossier, journal, tiers
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged, Periods, ResolvedByHand, Responded, Unacknowledged
from aiprism.respond.oncall import reading
from aiprism.respond.oncall.escalation import Ended, HandedOn, Nobody, Paged, begun, climbed
from aiprism.respond.oncall.schedule import Override
from aiprism.respond.pipeline import Respond
from aiprism.respond.responder import Responder
from aiprism.store.records import Records, notifications
from tests.respond.making import T0, again, alert, cleared, pass_by, receiver, routing, threads, until
from tests.respond.test_deadlines import PEOPLE as DEEDS
from tests.respond.test_deadlines import Crash, Shaky, pass_until

ROUTING = """
route: {receiver: nobody}
receivers:
  - name: nobody
  - {name: team, webhook_configs: [{url: "URL/team"}]}
  - {name: ann, webhook_configs: [{url: "URL/ann"}]}
  - {name: ann-phone, webhook_configs: [{url: "URL/ann-phone"}]}
  - {name: bob, webhook_configs: [{url: "URL/bob"}], pagerduty_configs: [{routing_key: k, url: "URL/pd"}]}
  - {name: boss, webhook_configs: [{url: "URL/boss"}]}
  - {name: mute}
"""
# T0 is a Monday, 14:15 UTC: ann hands on to bob at 14:30, and in `nights` nobody is before 20:00.
ROTA = """
people:
  ann: {name: Ann Lee, receivers: [ann, {receiver: ann-phone, after: 2m}]}
  bob: {receivers: bob}
  boss: {receivers: boss}
schedules:
  primary: {layers: [{start: 2026-11-22, handoff: "14:30", every: 1d, people: [ann, bob]}]}
  nights: {layers: [{start: 2026-11-20, people: bob, hours: [{from: "20:00", to: "06:00"}]}], may_be_empty: true}
policies:
"""
PLAIN = """
  default:
    tiers: P0
    levels:
      - {oncall: primary, acknowledge_within: 5m}
      - {oncall: nights, acknowledge_within: 5m}
      - {people: boss, receivers: team, acknowledge_within: 10m}
    repeat: 1
"""
TIERS = "tiers: {P0: {receivers: [], acknowledge_within: never, respond_within: never, resolve_within: never}}"


def policy(policies=PLAIN, tier=TIERS, url="http://receiver.invalid"):
    found = routing(ROUTING.replace("URL", url))
    rota = reading.read(yamlfile.parse(ROTA + policies, file="oncall.yml"), found.receivers)
    named = tiers.Named(found.receivers, rota.schedules, rota.escalations)
    return Policy(
        routing=found, periods=Periods(1800.0, tiers.read(yamlfile.parse(tier, file="tiers.yml"), named), rota)
    )


def room(records, clock, **said):
    return Respond(records, clock, policy(**said))


def only(records):
    with records.reading() as connection:
        [found] = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, found.id)


def paged(records):
    """(seconds after the opening, level, receivers) of every page, and the events of what was instead of one."""
    words = ("nobody_on_call", "escalation_handed_on", "escalation_ended")
    return [
        (entry["at"] - T0 - 5, entry["data"]["level"], "+".join(entry["data"]["receivers"]))
        if entry["event"] == "paged"
        else (entry["at"] - T0 - 5, entry["event"], entry["data"].get("to", ""))
        for entry in only(records)["timeline"]
        if entry["event"] == "paged" or entry["event"] in words
    ]


def letters(records, name):
    with records.reading() as connection:
        rows = connection.execute(sa.select(notifications).order_by(notifications.c.created_at)).mappings().all()
    return [row["event"] for row in rows if row["receiver"] == name]


def test_who_is_on_call_is_paged_and_what_nobody_answers_goes_to_the_next_level(records, clock):  # R6
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 3600)
    assert paged(records) == [
        (0, 1, "ann"), (120, 1, "ann-phone"), (300, "nobody_on_call", ""), (300, 3, "boss"), (300, 3, "team"),
        (900, 1, "bob"),  # who has taken over meanwhile
        (1200, "nobody_on_call", ""), (1200, 3, "boss"), (1200, 3, "team"), (1800, "escalation_ended", ""),
    ]  # fmt: skip
    lines = [entry["text"] for entry in only(records)["timeline"] if entry["event"] in ("paged", "nobody_on_call")]
    assert lines[:4] == [
        "Ann Lee is paged on call in primary (level 1 of policy default): by ann",
        "Ann Lee is paged again, as nobody has acknowledged (level 1 of policy default): by ann-phone",
        "nobody is on call in nights: level 2 of policy default is passed over",
        "boss is paged (level 3 of policy default): by boss",
    ]
    # Who was paged hears how it goes on, and that there is nobody more to page.
    assert letters(records, "ann") == ["paged#1.1.1", "overdue#1.1.end"]
    assert letters(records, "boss") == ["paged#1.1.3", "paged#1.1.6", "overdue#1.1.end"]
    with records.reading() as connection:
        row = connection.execute(sa.select(notifications).order_by(notifications.c.created_at)).mappings().first()
    assert (
        row["payload"]["text"]
        == "Ann Lee, you are paged on call in primary (level 1 of policy default); acknowledge within 5m"
    )


def test_an_acknowledgement_ends_paging_and_the_incident_stays_with_whoever_gave_it(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 100)
    respond.happen(only(records)["id"], Acknowledged("ann"))
    pass_until(respond, clock, T0 + 5 + 7200)  # bob is on call by now
    assert paged(records) == [(0, 1, "ann")]
    assert only(records)["acknowledged_by"] == "ann"


def test_an_acknowledgement_that_is_taken_back_has_whoever_is_on_call_then_paged(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    respond.happen(only(records)["id"], Acknowledged("ann"))
    pass_until(respond, clock, T0 + 5 + 1000)
    respond.happen(only(records)["id"], Unacknowledged("ann"))
    assert paged(records) == [(0, 1, "ann"), (1000, 1, "bob")]
    assert letters(records, "bob")[:1] == ["paged#2.2.1"]


def test_an_override_decides_who_is_paged_from_the_moment_it_was_asked_for(records, clock):
    respond = room(records, clock)
    respond.put_override(Override("primary", ("boss",), T0, T0 + 60, "o1", created_at=T0))
    respond.accept([alert()])
    respond.put_override(Override("nights", ("ann",), T0, T0 + 400, "o2", created_at=T0 + 5))
    pass_until(respond, clock, T0 + 5 + 300)
    assert paged(records) == [(0, 1, "boss"), (300, 2, "ann")]


def test_a_reopened_incident_is_paged_for_anew_and_a_quiet_one_not_at_all(records, clock):
    respond = room(records, clock)
    respond.accept([alert()])
    clock._now += 100
    respond.accept([cleared(alert(), clock.now())])
    pass_until(respond, clock, T0 + 5 + 600)
    respond.accept([again(alert(), clock.now())])
    assert paged(records) == [(0, 1, "ann"), (600, 1, "ann")]


def test_a_policy_hands_on_to_another_and_one_where_nobody_is_on_call_tries_again_later(records, clock):
    respond = room(
        records, clock,
        policies="""
  default: {tiers: P0, levels: [{oncall: nights, acknowledge_within: 10m}], repeat: 1, then: last}
  last: {levels: [{people: boss}]}
""",
    )  # fmt: skip
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 7200)
    assert paged(records) == [
        (0, "nobody_on_call", ""), (600, "nobody_on_call", ""), (600, "escalation_handed_on", "last"),
        (600, 1, "boss"), (900, "escalation_ended", ""),
    ]  # fmt: skip


def test_nobody_is_waited_for_where_nobody_was_paged_and_there_is_no_other_time(records, clock):
    respond = room(
        records, clock,
        policies="""
  default: {tiers: P0, levels: [{oncall: nights, acknowledge_within: 30m}], then: last}
  last: {levels: [{people: boss, acknowledge_within: 1m}, {people: ann, acknowledge_within: 1m}, {receivers: team}]}
""",
    )  # fmt: skip
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 200)
    assert paged(records) == [
        (0, "nobody_on_call", ""), (0, "escalation_handed_on", "last"), (0, 1, "boss"), (60, 2, "ann"), (120, 3, "team"),
        (180, 2, "ann-phone"),  # for the level that she was paged for
    ]  # fmt: skip


def test_the_policy_is_that_of_the_tier_and_of_what_the_first_alert_is_about():
    rota = policy("""
  payments: {tiers: [P0, P1], match: ['service=~"pay.*"', 'service_team="money"'], levels: [{people: ann}]}
  urgent: {tiers: P0, levels: [{people: bob}]}
  never: {levels: [{people: boss}]}
""").periods.rota
    assert [rota.policy_of(priority, labels) for priority, labels in (
        (Priority.P0, {"service": "payments"}), (Priority.P1, {"service_team": "money"}), (Priority.P0, {"service": "x"}),
        (Priority.P1, {"service": "x"}),
    )] == ["payments", "payments", "urgent", ""]  # fmt: skip


def test_a_higher_tier_brings_its_policy_at_once(records, clock):
    respond = room(
        records,
        clock,
        policies="\n  high: {tiers: P1, levels: [{people: ann}]}\n  top: {tiers: P0, levels: [{people: bob}]}\n",
    )
    respond.accept([alert("HighLatency", severity="high")])
    clock._now += 60
    respond.accept([alert("HighLatency", at=T0 + 60)])
    pass_until(respond, clock, T0 + 5 + 200)
    assert paged(records) == [(0, 1, "ann"), (60, 1, "bob")]


def test_the_first_alert_decides_also_when_one_that_began_before_it_joins_or_it_fires_anew(records, clock):
    by_alert = """
  slow: {tiers: P0, match: 'alertname="HighLatency"', levels: [{people: ann}]}
  failing: {tiers: P0, match: 'alertname="HighErrorRate"', levels: [{people: bob}]}
"""
    respond, first = room(records, clock, policies=by_alert), alert("HighLatency", at=T0 + 4)
    respond.accept([first])
    clock._now += 10
    respond.accept([alert("HighErrorRate", at=T0)])
    respond.accept([cleared(first, clock.now())])
    clock._now += 10
    respond.accept([again(first, clock.now())])
    pass_until(respond, clock, T0 + 5 + 200)
    assert len(only(records)["alerts"]) == 2
    assert paged(records) == [(0, 1, "ann"), (120, 1, "ann-phone")]


STEPS = """
tiers:
  P0:
    receivers: [team]
    acknowledge_within: 5m
    respond_within: 10m
    resolve_within: never
    escalate:
      - {oncall: primary}
      - {missed: response, policy: last}
      - {missed: response, after: 30m, oncall: nights}
"""
LAST = "\n  last: {levels: [{people: bob, acknowledge_within: 1m}, {people: boss}]}\n"


def test_a_step_of_a_tier_pages_a_schedule_or_begins_a_policy(records, clock):
    respond = room(records, clock, policies=LAST, tier=STEPS)
    respond.accept([alert()])
    pass_until(respond, clock, T0 + 5 + 2400)
    assert paged(records) == [
        (300, 1, "ann"), (420, 1, "ann-phone"), (600, 1, "bob"), (660, 2, "boss"), (960, "escalation_ended", ""),
        (2400, "nobody_on_call", ""),
    ]  # fmt: skip


def test_a_missed_response_pages_the_first_level_also_where_somebody_has_acknowledged(records, clock):
    respond = room(records, clock, policies=LAST, tier=STEPS)
    respond.accept([alert()])
    respond.happen(only(records)["id"], Acknowledged("ann"))
    pass_until(respond, clock, T0 + 5 + 7200)
    assert paged(records) == [(600, 1, "bob"), (2400, "nobody_on_call", "")]
    respond.happen(only(records)["id"], Responded("ann"))


def test_the_policy_of_a_step_begins_anew_when_an_acknowledgement_is_taken_back(records, clock):
    two = "\n  last: {levels: [{people: ann, acknowledge_within: 1m}, {people: boss}]}\n"
    respond = room(records, clock, policies=two, tier=STEPS)
    respond.accept([alert()])
    respond.happen(only(records)["id"], Acknowledged("cy"))
    pass_until(respond, clock, T0 + 5 + 7200)
    respond.happen(only(records)["id"], Unacknowledged("cy"))
    pass_until(respond, clock, T0 + 5 + 7320)
    assert paged(records) == [
        (600, 1, "ann"), (2400, "nobody_on_call", ""), (7200, 1, "ann"), (7260, 2, "boss"), (7320, 1, "ann-phone"),
    ]  # fmt: skip


def test_changed_policies_hold_for_open_incidents_and_one_that_is_gone_is_said_to_be(records, clock):
    respond = room(records, clock, policies=" {}")
    respond.accept([alert()])
    assert paged(records) == []
    respond.policy = policy()
    respond.check()
    assert paged(records) == [(0, 1, "ann")]
    respond.policy = policy(policies=" {}")
    respond.check()
    pass_until(respond, clock, T0 + 5 + 300)
    assert paged(records)[1:] == [(120, 1, "ann-phone"), (300, "escalation_ended", "")]
    assert only(records)["timeline"][-1]["event"] != "paged"


def test_a_page_that_reaches_nobody_is_said_to_be_lost(records, clock):
    respond = room(records, clock, policies="\n  default: {tiers: P0, levels: [{receivers: mute}]}\n")
    respond.policy = replace(respond.policy, routing=routing(ROUTING.replace("{receiver: nobody}", "{receiver: team}")))
    respond.accept([alert()])
    assert [entry["text"] for entry in only(records)["timeline"] if entry["event"] == "nobody_told"] == [
        "nobody is told that it is paged: mute has no channel (alertmanager.yml)"
    ]


def test_a_page_is_made_at_its_moment_also_after_a_restart(records):
    clock = FakeClock(T0 + 5)

    async def until_paged(there, name, seconds):
        """A life that begins before the page is due and ends once it arrived, without a moment more."""
        responder = Responder(
            records, policy=policy(url=there.url), actuators={}, ask=lambda query, at: [], clock=clock
        )
        with threads() as at_work:
            await responder.start()
            responder.accept([alert()])
            for each in (seconds - 1, 1) if seconds else ():
                assert not there.at(name)
                await pass_by(clock, each, at_work)
            await until(lambda: there.at(name), f"{name} to be paged while the clock stands still")
            await responder.stop()

    with receiver() as there:
        asyncio.run(until_paged(there, "/ann", 0))
        asyncio.run(until_paged(there, "/ann-phone", 120))
        asyncio.run(until_paged(there, "/boss", 180))
        assert len(there.at("/boss")) == 1


# -- crashes at any point ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shaky(tmp_path_factory):
    records = Records.open(f"sqlite:///{tmp_path_factory.mktemp('shaky')}/control.db")
    records._engine.dispose()  # no power is cut here: commits need not wait for the disk
    sa.event.listen(records._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    yield Shaky(records)
    records.close()


NUMBER = itertools.count()
NIGHTS = """
  default:
    tiers: P0
    levels:
      - {oncall: primary, acknowledge_within: 5m}
      - {oncall: nights, acknowledge_within: 7m}
    repeat: 1
    then: last
  last: {levels: [{receivers: [boss, team], acknowledge_within: 3m}]}
"""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(
            st.sampled_from([1, 60, 119, 120, 299, 300, 420, 900, 20_000]),
            st.sampled_from([*DEEDS, "clear", "fire", "override", "away", "away"]),
            st.lists(st.booleans(), max_size=3),
        ),
        max_size=8,
    )
)
def test_no_page_is_missed_in_silence_and_none_is_made_twice_whatever_crashes(shaky, plan):
    records, number = shaky.records, next(NUMBER)
    clock = FakeClock(T0 + 5 + 200_000 * number)
    firing = alert(service=f"service-{number}", at=clock.now())
    configured, overrides, looks = policy(NIGHTS), [], []

    def persistently(act):
        """As senders and loops do: again, by a new process, until it was done."""
        while True:
            with suppress(Crash):
                try:
                    return act(Respond(shaky, clock, configured))
                finally:
                    looks.append(clock.now())

    persistently(lambda respond: respond.accept([firing]))
    with records.reading() as connection:
        incident_id = journal.last_incidents_of(connection, [firing.fingerprint])[firing.fingerprint].id

    def said(respond, word, made):
        if word == "clear":
            respond.accept([cleared(firing, clock.now())])
        elif word == "fire":
            respond.accept([again(firing, clock.now())])
        elif word == "override":
            respond.put_override(made)
        elif word != "away":
            respond.happen(incident_id, DEEDS[word])

    def pass_time(end):
        while (due := persistently(Respond.check_due)) is not None and due <= end:
            clock._now = max(due, clock._now)
        clock._now = end

    for at, (seconds, word, dying) in enumerate([*plan, (4000, "unasked", []), (1, "comment", [])]):
        shaky.dying = itertools.chain(dying)
        if word == "away":
            clock._now += seconds  # nobody looks meanwhile
        else:
            pass_time(clock.now() + seconds)
        made = Override(
            "nights", ("ann",), clock.now() + 1, clock.now() + 900, f"o{number}-{at}", created_at=clock.now()
        )
        overrides += [made] if word == "override" else []
        if word != "unasked":
            with suppress(Conflict):
                persistently(lambda respond, word=word, made=made: said(respond, word, made))
        persistently(Respond.check_due)
    shaky.dying = itertools.chain()
    with records.reading() as connection:
        found = dossier.dossier(connection, incident_id)
    assert pages(found) == expected(found, configured.periods.rota.with_overrides(overrides), looks)
    told = [(row["receiver"], row["channel"], row["event"]) for row in found["notifications"]]
    assert len(set(told)) == len(told)
    receivers = [
        name for entry in found["timeline"] if entry["event"] == "paged" for name in entry["data"]["receivers"]
    ]
    sent = [
        row["receiver"]
        for row in found["notifications"]
        if row["event"].startswith("paged") and row["channel"] == "webhook"
    ]
    assert sorted(sent) == sorted(receivers)
    with suppress(Conflict):
        Respond(shaky, clock, configured).happen(incident_id, ResolvedByHand("ann"))


LOOKS = ("paged", "nobody_on_call", "escalation_handed_on", "escalation_ended")


def pages(found):
    """(when, what, whom) of everything that paging wrote."""
    return [
        (entry["at"], entry["event"], tuple(entry["data"].get("receivers", ())))
        for entry in found["timeline"]
        if entry["event"] in LOOKS
    ]


def expected(found, rota, looks):
    """The same, from what people did and from the times somebody looked: the pages of each round, by the words of the
    documentation. A round begins with the opening, a reopening, or an acknowledgement taken back."""
    begun, ended = [found["created_at"]], list[float]()
    for entry in found["timeline"]:
        at, event = entry["at"], entry["event"]
        if event in ("acknowledged", "monitoring", "resolved") and len(ended) < len(begun):
            ended.append(at)
        elif event == "reopened" or (event == "unacknowledged" and _works(found, entry)):
            begun.append(at)
    ended += looks[-1:] * (len(begun) - len(ended))
    return [page for start, end in zip(begun, ended, strict=True) for page in _round(rota, start, end, looks)]


def _works(found, unacknowledged):
    """Whether something fired when an acknowledgement was taken back."""
    quiet = False
    for entry in found["timeline"]:
        if entry["event"] in ("monitoring", "resolved", "reopened"):
            quiet = entry["event"] != "reopened"
        if entry is unacknowledged:
            return not quiet
    raise AssertionError


def _round(rota, start, end, looks):
    """What happens from `start` on, each thing at the first look at or after the moment it is due, until `end`."""

    def seen(due):
        return next((at for at in looks if at >= due), None)

    people = {name: person.contacts for name, person in rota.people.items()}
    levels = [("primary", 300), ("nights", 420)] * 2
    happened, calls, due = [], list[tuple[float, str]](), start
    empty = 0

    def page(at, names, within):
        nonlocal due
        for name in names:
            first = tuple(each.receiver for each in people[name] if not each.after)
            happened.append((at, "paged", first))
            calls.extend((at + each.after, each.receiver) for each in people[name] if each.after)
        due = at + within

    def wait():
        """Calls that come before the next level; False when the round is over before it."""
        nonlocal calls
        at = seen(due)
        for when, name in sorted(calls):
            called = seen(when)
            if called is not None and called <= end and (at is None or called <= at):
                happened.append((called, "paged", (name,)))
                calls = [each for each in calls if each != (when, name)]
        return at is not None and at <= end

    for schedule, within in levels:
        if not wait():
            return happened
        at = seen(due)
        names = rota.on_call(schedule, at)
        if names:
            empty = 0
            page(at, names, within)
        else:
            happened.append((at, "nobody_on_call", ()))
            empty += 1
            due = at
    if wait():
        at = seen(due)
        happened += [(at, "escalation_handed_on", ()), (at, "paged", ("boss", "team"))]
        due = at + 180
        if wait():
            happened.append((seen(due), "escalation_ended", ()))
    return happened


# -- the climb itself ------------------------------------------------------------------------------------------------------


def test_a_climb_says_what_happened_and_when_it_goes_on():
    rota = policy(NIGHTS).periods.rota
    climb, first = climbed(begun(1, "incident", "default", T0), rota, T0)
    assert ([type(each) for each in first], climb.next_due) == ([Paged], T0 + 120)
    climb, second = climbed(climb, rota, T0 + 300)
    assert [type(each) for each in second] == [Paged, Nobody, Paged]  # the phone, an empty level, the first one again
    climb, third = climbed(climb, rota, T0 + 100_000)
    assert [type(each) for each in third] == [Paged, Nobody, HandedOn, Paged][-len(third) :]
    assert climb.due_at == T0 + 100_180
    assert [type(each) for each in climbed(climb, rota, T0 + 100_180)[1]] == [Ended]

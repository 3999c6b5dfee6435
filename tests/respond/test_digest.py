"""The daily digest of a tier: what it tells, when, and that a day has one however often we are restarted."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import datetime, time
from typing import cast
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import structlog

from aiprism import yamlfile
from aiprism.clock import FakeClock
from aiprism.respond import message, tiers
from aiprism.respond.desk import Policy
from aiprism.respond.digest import Day, last_at, next_at, tell_due, told
from aiprism.respond.incident import Periods
from aiprism.respond.pipeline import Respond
from aiprism.respond.responder import Responder
from aiprism.respond.tiers import DigestPlan
from aiprism.store.episodes import EpisodeRow
from aiprism.store.records import Records, alert_episodes, notifications
from tests.respond.making import again, alert, cleared, receiver, routing, settled, threads, until
from tests.respond.test_deadlines import Crash, Shaky
from tests.respond.test_email import Desk, Server

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = DigestPlan(("team",), time(9), BERLIN)
ROUTING = """
global: {smtp_smarthost: "127.0.0.1:PORT", smtp_from: "aiprism@example.com", smtp_require_tls: false}
route: {receiver: routed}
receivers:
  - {name: routed, webhook_configs: [{url: "URL/routed"}]}
  - name: team
    email_configs: [{to: team@example.com, headers: {Subject: "of alerts {{ (index .Alerts 0).Status }}"}}]
    slack_configs: [{api_url: "URL/slack", title: "{{ (index .Alerts 0).Status }}"}]
    webhook_configs: [{url: "URL/hook"}]
    discord_configs: [{webhook_url: "URL/discord"}]
    pagerduty_configs: [{routing_key: k, url: "URL/pd"}]
    incidentio_configs: [{url: "URL/incidentio", alert_source_token: t}]
    twilio_configs: [{account_sid: a, auth_token: t, from: "+1", to: "+2", api_url: "URL/twilio"}]
"""
TIERS = "tiers: {P3: {digest: {receivers: [team], at: '09:00', zone: Europe/Berlin}}}"


def at(text):
    """Unix seconds of a time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def policy(url="http://receiver.invalid", port=9, text=TIERS):
    found = routing(ROUTING.replace("URL", url).replace("PORT", str(port)))
    periods = Periods(1800.0, tiers.read(yamlfile.parse(text, file="tiers.yml"), tiers.Named(found.receivers)))
    return Policy(routing=found, periods=periods, incident_receivers=("routed",))


@pytest.fixture
def clock():
    return FakeClock(at("2026-11-23 08:00"))


@pytest.fixture
def respond(records, clock):
    respond = Respond(records, clock, policy())
    tell_due(respond, clock.now())  # what is told begins here
    return respond


def room(records, clock):
    return Respond(records, clock, policy())


def go(clock, text):
    clock._now = at(text)


def tidy(name="DiskFilling", service="storage", *, onset, **more):
    return alert(name, service, at=onset, severity="info", **more)


def digests(records):
    """The facts of every digest that was written, one per digest."""
    with records.reading() as connection:
        query = sa.select(notifications).where(notifications.c.event == "digest").order_by(notifications.c.created_at)
        rows = connection.execute(query).mappings().all()
    found = []
    for facts in (row["payload"]["digest"] for row in rows):
        found += [] if facts in found else [facts]
    return found


# -- when --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock_time", "after", "due"),
    [
        ("09:00", "2026-11-23 08:59", "2026-11-23T09:00:00+01:00"),
        ("09:00", "2026-11-23 09:00", "2026-11-24T09:00:00+01:00"),
        ("09:00", "2026-03-28 09:00", "2026-03-29T09:00:00+02:00"),  # a day of 23 hours
        ("09:00", "2026-10-24 09:00", "2026-10-25T09:00:00+01:00"),  # and one of 25
        ("02:30", "2026-03-28 12:00", "2026-03-29T03:30:00+02:00"),  # which that day does not have
        ("02:30", "2026-03-29 12:00", "2026-03-30T02:30:00+02:00"),
        ("02:30", "2026-10-24 12:00", "2026-10-25T02:30:00+02:00"),  # which that day has twice
        ("02:30", "2026-10-25 02:30", "2026-10-26T02:30:00+01:00"),
        ("00:00", "2026-12-31 23:59", "2027-01-01T00:00:00+01:00"),
    ],
)
def test_a_digest_is_due_at_a_time_on_the_wall(clock_time, after, due):
    plan = DigestPlan(("team",), time.fromisoformat(clock_time), BERLIN)
    found = next_at(plan, at(after))
    assert datetime.fromtimestamp(found, BERLIN).isoformat() == due
    assert last_at(plan, found) == found
    assert last_at(plan, found - 1) <= at(after)


def test_a_digest_of_another_hour_waits_for_the_next_day():
    assert next_at(DigestPlan((), time(10), BERLIN), at("2026-11-23 09:00"), "2026-11-23") == at("2026-11-24 10:00")


def test_nothing_is_told_of_before_the_first_day_began(records, clock):
    respond = Respond(records, clock, policy())
    assert tell_due(respond, clock.now()) == at("2026-11-23 09:00")
    go(clock, "2026-11-23 09:00")
    assert tell_due(respond, clock.now()) == at("2026-11-24 09:00")
    assert [(facts["from"], facts["to"]) for facts in digests(records)] == [
        (at("2026-11-23 08:00"), at("2026-11-23 09:00"))
    ]


def test_a_day_has_one_digest_however_often_we_are_restarted_and_days_away_have_one_together(records):  # R6
    chance = random.Random(6)
    clock = FakeClock(at("2026-10-22 20:00"))
    while clock.now() < at("2026-10-29 12:00"):
        fresh = Respond(records, clock, policy())  # a new process at each look
        tell_due(fresh, clock.now())
        tell_due(fresh, clock.now())
        clock._now += chance.uniform(60, 4 * 3600)
        if at("2026-10-26 14:00") <= clock.now() < at("2026-10-29 09:00"):
            clock._now = at("2026-10-29 09:30")  # nobody is there for three days
    found = digests(records)
    assert [facts["day"] for facts in found] == [
        "2026-10-23", "2026-10-24", "2026-10-25", "2026-10-26", "2026-10-29"
    ]  # fmt: skip
    assert [one["to"] for one in found[:-1]] == [other["from"] for other in found[1:]]
    assert found[2]["to"] - found[2]["from"] == 25 * 3600


def test_a_digest_that_was_not_committed_is_written_by_the_next_process(records, clock, respond):
    go(clock, "2026-11-23 09:00")

    shaky = Shaky(records)
    shaky.dying = itertools.chain([True])
    with pytest.raises(Crash):
        tell_due(room(shaky, clock), clock.now())
    assert digests(records) == []
    tell_due(respond, clock.now())
    assert len(digests(records)) == 1


# -- what --------------------------------------------------------------------------------------------------------------


def test_what_alerts_did_is_told_with_its_trend(records, clock, respond):
    flapping = tidy(onset=clock.now())
    for day, times in (("23", 1), ("24", 3)):
        for number in range(times):
            go(clock, f"2026-11-{day} 1{number}:00")
            respond.accept([again(flapping, clock.now())])
            go(clock, f"2026-11-{day} 1{number}:20")
            respond.accept([cleared(again(flapping, clock.now() - 1200), clock.now())])
        if day == "24":
            lasting = tidy("CertificateExpires", "gateway", onset=clock.now(), annotations={"summary": "in 9 days"})
            respond.accept([lasting, alert(at=clock.now())])  # and one that is none of this tier
        go(clock, f"2026-11-{int(day) + 1} 09:00")
        tell_due(respond, clock.now())
    facts = digests(records)[-1]
    assert (facts["fired"], facts["resolved"], facts["firing"]) == (4, 3, 1)
    assert facts["trend"] == [{"against": "the day before", "fired": 1, "change": "+300 %"}]
    assert facts["alerts"] == [
        {"name": "DiskFilling", "service": "storage", "fired": 3, "resolved": 3, "firing": 0, "longest": "20m",
         "usual": "20m"},
        {"name": "CertificateExpires", "service": "gateway", "fired": 1, "resolved": 0, "firing": 1,
         "longest": "20h40m", "usual": "20h40m"},
    ]  # fmt: skip
    assert facts["recurring"] == [{"name": "DiskFilling", "service": "storage", "times": 3}]
    assert facts["still"] == [
        {"name": "CertificateExpires", "service": "gateway", "summary": "in 9 days", "lasted": "20h40m", "firing": True}
    ]  # fmt: skip
    assert facts["longest"][0]["name"] == "CertificateExpires"
    assert facts["short"] == (
        "4 P3 alerts fired since 2026-11-24 09:00 CET (1 the day before), 3 ended, 1 fire still. Most often "
        "DiskFilling on storage: 3, CertificateExpires on gateway: 1"
    )


def test_what_goes_on_from_the_day_before_is_no_new_firing_and_its_end_is_told(records, clock, respond):
    go(clock, "2026-11-23 10:00")
    respond.accept([tidy(onset=clock.now())])
    go(clock, "2026-11-24 09:00")
    tell_due(respond, clock.now())
    go(clock, "2026-11-24 12:00")
    respond.accept([cleared(tidy(onset=at("2026-11-23 10:00")), clock.now())])
    go(clock, "2026-11-25 09:00")
    tell_due(respond, clock.now())
    go(clock, "2026-11-26 09:00")
    tell_due(respond, clock.now())
    counts = [(facts["fired"], facts["resolved"], facts["firing"]) for facts in digests(records)]
    assert counts == [(1, 0, 1), (0, 1, 0), (0, 0, 0)]
    assert digests(records)[1]["alerts"][0]["longest"] == "1d2h"


def test_what_is_heard_of_after_a_digest_is_told_by_the_next_one_although_it_was_before(records, clock, respond):
    go(clock, "2026-11-23 09:00")
    tell_due(respond, clock.now())
    clock._now += 30
    late = tidy(onset=clock.now() - 60)
    respond.accept([late])
    go(clock, "2026-11-24 09:00")
    tell_due(respond, clock.now())
    clock._now += 30
    respond.accept([cleared(late, clock.now() - 60)])
    go(clock, "2026-11-25 09:00")
    tell_due(respond, clock.now())
    assert [(facts["fired"], facts["resolved"]) for facts in digests(records)] == [(0, 0), (1, 0), (0, 1)]


def test_an_alert_that_ends_because_nobody_says_it_again_has_ended(records, clock, respond):
    external = alert("Slow", "shop", at=clock.now(), severity="info")
    respond.accept([external.__class__(**{**_plain(external), "ends_at": clock.now() + 300})])
    go(clock, "2026-11-23 08:10")
    respond.flush()
    with records.reading() as connection:
        [ends_at] = connection.scalars(sa.select(alert_episodes.c.ends_at))
    assert ends_at == at("2026-11-23 08:05")


def _plain(made):
    return {name: getattr(made, name) for name in made.__dataclass_fields__ if name != "fingerprint"}


def test_an_end_nobody_noticed_is_no_later_than_the_next_beginning(records, clock, respond):
    def external(onset):
        made = alert("Slow", "shop", at=onset, severity="info")
        return made.__class__(**{**_plain(made), "ends_at": onset + 300})

    respond.accept([external(clock.now()), cleared(tidy("NeverSeen", onset=clock.now() - 60), clock.now())])
    go(clock, "2026-11-23 08:30")
    respond.accept([external(clock.now())])
    with records.reading() as connection:
        query = sa.select(alert_episodes.c.starts_at, alert_episodes.c.ends_at).order_by(alert_episodes.c.starts_at)
        kept = [tuple(row) for row in connection.execute(query)]
    assert kept == [(at("2026-11-23 08:00"), at("2026-11-23 08:30")), (at("2026-11-23 08:30"), None)]


def test_days_without_alerts_are_said_or_not_as_configured(records, clock):
    quiet = policy(text=TIERS.replace("zone:", "when_quiet: false, zone:"))
    for chosen, expected in ((policy(), 1), (quiet, 1)):
        respond = Respond(records, clock, chosen)
        tell_due(respond, clock.now())
        clock._now += 86_400
        tell_due(respond, clock.now())
        assert len(digests(records)) == expected
    assert digests(records)[0]["short"] == "no P3 alert since 2026-11-23 08:00 CET"


def test_a_digest_that_only_pagers_would_get_is_not_dropped_in_silence(records, clock):
    calls = routing("route: {receiver: team}\nreceivers: [{name: team, pagerduty_configs: [{routing_key: k}]}]")
    respond = Respond(records, clock, Policy(routing=calls, periods=policy().periods))
    tell_due(respond, clock.now())
    clock._now += 86_400
    with structlog.testing.capture_logs() as logs:
        tell_due(respond, clock.now())
    assert [(each["event"], each["tier"], each["receivers"]) for each in logs] == [("digest.unheard", "P3", ["team"])]
    assert digests(records) == []


def test_a_tier_without_a_digest_keeps_nothing(records, clock):
    respond = Respond(records, clock, policy())
    tell_due(respond, clock.now())
    respond.accept([tidy(onset=clock.now())])
    respond.policy = policy(text="tiers: {P3: {severities: [info]}}")
    assert tell_due(respond, clock.now()) is None
    respond.accept([tidy("Another", onset=clock.now())])
    with records.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(alert_episodes)) == 0


def test_alerts_of_a_digest_are_told_by_their_routes_and_not_one_by_one_as_incidents(records, clock):
    opening = TIERS.replace("P3: {", "P3: {opens_incident: true, ")
    respond = Respond(records, clock, policy(text=opening))
    respond.accept([tidy(onset=clock.now())])
    clock._now += 60
    respond.flush()
    with records.reading() as connection:
        rows = connection.execute(sa.select(notifications.c.receiver, notifications.c.event)).all()
    assert [(row.receiver, row.event.partition("#")[0]) for row in rows] == [("routed", "firing")]


def test_many_alerts_are_cut_to_a_mail_that_can_be_read():
    episodes = [
        {"fingerprint": f"{number:016x}", "starts_at": 10.0 + number, "ends_at": 20.0 + number,
         "heard_at": 10.0 + number, "closed_at": 20.0 + number, "tier": "P3",
         "name": f"A{number:03}", "service": "", "summary": ""} for number in range(120)
    ]  # fmt: skip
    facts = told("P3", MORNING, Day(0.0, 1000.0, 0, 120), cast("list[EpisodeRow]", episodes))
    assert (len(facts["alerts"]), facts["hidden"], facts["fired"]) == (50, 70, 120)
    assert [each["change"] for each in facts["trend"]] == ["none then", "as before"]


# -- how it looks ------------------------------------------------------------------------------------------------------


@pytest.fixture
def post_office():
    server = Server(Desk(), "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def test_a_digest_is_a_mail_with_everything_and_short_elsewhere_and_no_call(records, clock, post_office):
    port = post_office.server.sockets[0].getsockname()[1]

    async def live(there):
        with (
            threads() as at_work
        ):  # nobody reads the clock, is overtaken by an hour, and sleeps for what was left before
            await lives(there, at_work)

    async def lives(there, at_work):
        responder = Responder(
            records, policy=policy(there.url, port), actuators={}, ask=lambda query, at: [], clock=clock
        )
        await responder.start()
        await until(lambda: tell_due(responder.pipeline, clock.now()), "the first look")
        await settled(at_work)
        await clock.advance(60)
        responder.accept([tidy("Disk<Filling>", onset=clock.now(), annotations={"summary": "<b>92 %</b> full"})])
        await settled(at_work)
        await clock.advance(at("2026-11-23 09:00") - clock.now() - 1)
        await asyncio.sleep(0.2)  # whoever would be too early has had the time for it
        assert post_office.handler.got == []
        await settled(at_work)
        await clock.advance(1)
        await until(lambda: post_office.handler.got, "the mail, at nine, while the clock stands still")
        await until(lambda: len([got for got in there.got if "routed" not in got.path]) == 3, "the other channels")
        await responder.stop()

    with receiver() as there:
        asyncio.run(live(there))
        [(_, envelope, mail)] = post_office.handler.got
        [webhook], [slack], [discord] = there.at("hook"), there.at("slack"), there.at("discord")
        assert there.at("pd") + there.at("twilio") + there.at("incidentio") == []
    assert (envelope.rcpt_tos, mail["Subject"]) == (
        ["team@example.com"],
        "P3 digest of 2026-11-23: 1 fired, 1 fire still",
    )
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Disk<Filling> on storage, for 59m: <b>92 %</b> full" in text
    assert "&lt;b&gt;92 %&lt;/b&gt; full" in html
    assert "<b>92" not in html
    assert "1 P3 alert fired since 2026-11-23 08:00 CET" in text
    assert "1 P3 alert fired since 2026-11-23 08:00 CET" in html
    assert webhook.body["digest"]["fired"] == 1
    assert webhook.body["incident"]["event"] == "digest"
    assert "Disk&lt;Filling&gt;" in str(slack.body)
    assert "1 P3 alert fired" in slack.body["text"]
    assert discord.body["embeds"][0]["title"] == "P3 digest of 2026-11-23"
    assert "1 P3 alert fired" in discord.body["embeds"][0]["description"]


def test_a_digest_survives_the_outbox(records, clock, respond):
    go(clock, "2026-11-23 09:00")
    tell_due(respond, clock.now())
    with records.reading() as connection:
        payload = connection.scalars(sa.select(notifications.c.payload)).first()
    assert message.to_payload(message.from_payload(payload)) == payload


def test_days_of_tiers_are_told_apart(tmp_path, clock):
    records = Records.open(f"sqlite:///{tmp_path}/two.db")
    both = "tiers: {P2: {digest: {receivers: [team], at: '10:00'}}, P3: {digest: {receivers: [team]}}}"
    respond = Respond(records, clock, policy(text=both))
    tell_due(respond, clock.now())
    clock._now += 1
    respond.accept([tidy(onset=clock.now()), alert("Odd", "x", at=clock.now(), severity="warning")])
    clock._now += 86_400
    tell_due(respond, clock.now())
    assert [(facts["tier"], facts["alerts"][0]["name"]) for facts in digests(records)] == [
        ("P2", "Odd"), ("P3", "DiskFilling")
    ]  # fmt: skip
    records.close()

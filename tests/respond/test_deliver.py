"""The outbox against real HTTP receivers: refusing, overloaded, away and back, and a process killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import itertools
import json
import re
import threading

import httpx
import pytest
import sqlalchemy as sa
import structlog

from aiprism.clock import FakeClock, SystemClock
from aiprism.httpconfig import Basic, HttpOptions, Secret
from aiprism.respond import dossier, journal
from aiprism.respond.channels.post import Answer, Letter, Verdict, post
from aiprism.respond.channels.webhook import Webhook
from aiprism.respond.deliver import Delivery, Patience
from aiprism.respond.desk import Policy
from aiprism.respond.incident import Acknowledged
from aiprism.respond.pipeline import Respond
from aiprism.store import incidents as letters
from aiprism.store.records import Records, notifications
from tests.respond.making import T0, again, alert, cleared, everyone, receiver, routing, telling, until

NO_CHANCE = lambda: 1.0  # noqa: E731


def story(records):
    with records.reading() as connection:
        [incident] = journal.listed(connection, "all", 10)
        return dossier.dossier(connection, incident.id)


def states(records):
    return {row["channel"]: row["state"] for row in story(records)["notifications"]}


def told(records, event):
    return [entry["text"] for entry in story(records)["timeline"] if entry["event"] == event]


async def send_all(delivery, clock, rounds=12, seconds=60):
    for _ in range(rounds):
        await delivery.deliver_due()
        await clock.advance(seconds)


def test_a_timeline_names_what_was_told_and_not_its_number(records, clock):
    with receiver() as there:
        respond = Respond(records, clock, telling(everyone(there.url)))
        delivery = Delivery(respond, clock)

        async def live():
            fires, anew = alert(), again(alert(), T0 + 120)
            for event in (fires, cleared(fires, T0 + 60), anew, cleared(anew, T0 + 180)):
                respond.accept([event])
                await send_all(delivery, clock, rounds=2)

        asyncio.run(live())
    lines = {text.rpartition(": ")[2] for text in told(records, "notification_sent")}
    assert (lines, "monitoring#2" in {row["event"] for row in story(records)["notifications"]}) == (
        {"opened", "monitoring", "reopened"}, True,
    )  # fmt: skip


def test_every_channel_gets_every_event_once_and_in_order(records, clock):
    with receiver() as there:
        respond = Respond(records, clock, telling(everyone(there.url)))
        delivery = Delivery(respond, clock)

        async def live():
            respond.accept([alert()])
            respond.happen(story(records)["id"], Acknowledged("ann"))
            respond.accept([cleared(alert(), T0 + 60)])
            await send_all(delivery, clock, rounds=3)
            await clock.advance(1800)
            respond.check()
            await send_all(delivery, clock, rounds=3)

        asyncio.run(live())
        assert there.events() == ["opened", "acknowledged", "monitoring", "resolved"]
        assert [got.body["event_action"] for got in there.at("pagerduty")] == ["trigger", "acknowledge", "resolve"]
        assert {got.body["dedup_key"] for got in there.at("pagerduty")} == {story(records)["id"]}
        assert {got.body["routing_key"] for got in there.at("pagerduty")} == {"pdsecretkey"}
        assert len(there.at("slack")) == 4
        keys = [got.headers["idempotency-key"] for got in there.got]
        assert len(set(keys)) == len(keys) == 11
    assert set(states(records).values()) == {"sent"}
    assert len(told(records, "notification_sent")) == 11
    assert story(records)["durations"]["notify"] == 0.0


def test_a_receiver_that_fails_is_tried_again_with_growing_pauses_until_it_takes_the_letter(records, clock):
    with receiver() as there:
        there.answer = lambda got: (500 if len(there.at("webhook")) < 4 else 200, {})
        respond = Respond(records, clock, telling(everyone(there.url)))
        delivery = Delivery(respond, clock, chance=NO_CHANCE)
        times = []

        async def live():
            respond.accept([alert()])
            for _ in range(20):
                before = len(there.at("webhook"))
                await delivery.deliver_due()
                if len(there.at("webhook")) > before:
                    times.append(clock.now())
                await clock.advance(1)

        asyncio.run(live())
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [1.0, 2.0, 4.0]
    assert len({got.headers["idempotency-key"] for got in there.at("webhook")}) == 1
    assert told(records, "notification_delayed")[0].endswith("HTTP 500: ok")
    assert states(records)["webhook"] == "sent"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_and_holds_back_other_letters_to_that_receiver(records, clock, status):
    with receiver() as there:
        busy = {"until": clock.now() + 100}
        there.answer = lambda got: (status, {"Retry-After": "100"}) if clock.now() < busy["until"] else (200, {})
        respond = Respond(records, clock, telling(everyone(there.url)))
        delivery = Delivery(respond, clock, chance=NO_CHANCE)

        async def live():
            respond.accept([alert()])
            await delivery.deliver_due()
            respond.accept([alert("HighLatency", "user-service", at=T0 + 900)])
            await send_all(delivery, clock, rounds=9, seconds=11)
            assert len(there.got) == 6  # the two incidents' first tries and none more before its time
            await send_all(delivery, clock, rounds=3, seconds=11)

        asyncio.run(live())
        assert len(there.got) == 12
    with records.reading() as connection:
        for incident in journal.listed(connection, "all", 10):
            assert {row["state"] for row in dossier.dossier(connection, incident.id)["notifications"]} == {"sent"}


def test_a_retry_after_that_is_a_date_is_understood():
    with receiver() as there:
        there.answer = lambda got: (503, {"Retry-After": email.utils.formatdate(T0 + 90, usegmt=True)})
        answer = asyncio.run(post(Letter(Secret(there.url), {}, "k", HttpOptions()), T0))
    assert answer == Answer(Verdict.AGAIN, "HTTP 503: ok", 90.0)


def test_a_letter_waits_no_longer_than_its_timeout():
    with receiver() as there:
        leave = threading.Event()
        there.answer = lambda got: (leave.wait(30) and 200, {})
        letter = Letter(Secret(there.url), {}, "k", HttpOptions(), timeout=0.05)
        assert asyncio.run(post(letter, T0)) == Answer(Verdict.AGAIN, "no whole answer within 0.05 s")
        leave.set()


def test_a_letter_that_is_refused_is_given_up_at_once_and_the_timeline_says_so(records, clock):
    with receiver() as there:
        there.answer = lambda got: (403 if "slack" in got.path else 200, {})
        respond = Respond(records, clock, telling(everyone(there.url)))
        respond.accept([alert()])
        asyncio.run(send_all(Delivery(respond, clock), clock))
        assert len(there.at("slack")) == 1
    assert states(records) == {"webhook": "sent", "slack": "failed", "pagerduty": "sent"}
    assert told(records, "notification_failed") == ["gave up telling everyone by slack: HTTP 403: ok"]


def test_a_template_that_fails_at_sending_is_told_in_words_and_not_tried_again(records, clock):
    with receiver() as there:
        config = routing(
            "route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs:\n"
            f"  - {{api_url: '{there.url}', title: '{{{{ (index .Alerts 7).Status }}}}'}}\n"
        )
        respond = Respond(records, clock, telling(config))
        respond.accept([alert()])
        asyncio.run(send_all(Delivery(respond, clock), clock, rounds=3))
        assert there.got == []
    assert states(records) == {"slack": "failed"}
    [why] = told(records, "notification_failed")
    assert why == "gave up telling a by slack: a template of alertmanager.yml failed: index: index 7 is out of range"


def bot(there):
    """A Slack bot whose Web API is `there`; what it posts is message 1.0, 2.0 … of channel C1."""
    posted = itertools.count(1)

    def answer(got):
        ts = got.body.get("ts") or f"{next(posted)}.0"
        there.body = json.dumps({"ok": True, "channel": "C1", "ts": ts}).encode()
        return 200, {}

    there.answer = answer
    entry = f"{{api_url: '{there.url}/api/chat.postMessage', bot_token: xoxb, channel: '#alerts'}}"
    return routing(f"route: {{receiver: a}}\nreceivers: [{{name: a, slack_configs: [{entry}]}}]")


def test_a_slack_bot_changes_its_first_message_and_answers_it_even_after_a_restart(records, clock):
    with receiver() as there:
        respond = Respond(records, clock, telling(bot(there)))

        async def live():
            respond.accept([alert()])
            await send_all(Delivery(respond, clock), clock, rounds=1)
            respond.happen(story(records)["id"], Acknowledged("ann"))
            await send_all(Delivery(respond, clock), clock, rounds=1)  # of another process: nothing is in memory
            respond.accept([cleared(alert(), T0 + 60)])
            await send_all(Delivery(respond, clock), clock, rounds=1)

        asyncio.run(live())
        first, *later = there.got
        assert (first.path, first.body["channel"]) == ("/api/chat.postMessage", "#alerts")
        assert [got.path.rpartition(".")[2] for got in later] == ["update", "postMessage"] * 2
        for edit, reply in zip(later[::2], later[1::2], strict=True):
            assert (edit.body["channel"], edit.body["ts"]) == ("C1", "1.0")
            assert (reply.body["channel"], reply.body["thread_ts"]) == ("C1", "1.0")
            assert reply.body["reply_broadcast"] is False
        assert later[1].body["text"].startswith("👀 Acknowledged: ")
        assert later[2].body["attachments"][0]["color"] == "#2eb886"


def test_a_slack_message_that_is_gone_is_written_anew_and_gone_on_from(records, clock):
    with receiver() as there:
        respond = Respond(records, clock, telling(bot(there)))
        usual = there.answer

        def gone(got):
            status = usual(got)
            if got.path.endswith("update") and got.body["ts"] == "1.0":
                there.body = b'{"ok": false, "error": "message_not_found"}'
            return status

        there.answer = gone

        async def live():
            respond.accept([alert()])
            await send_all(Delivery(respond, clock), clock, rounds=1)
            for who in (Acknowledged("ann"), None):
                if who:
                    respond.happen(story(records)["id"], who)
                else:
                    respond.accept([cleared(alert(), T0 + 60)])
                await send_all(Delivery(respond, clock), clock, rounds=1)

        asyncio.run(live())
        assert [(got.path.rpartition(".")[2], got.body.get("ts"), got.body.get("thread_ts")) for got in there.got] == [
            ("postMessage", None, None),
            ("update", "1.0", None),
            ("postMessage", None, None),
            ("update", "2.0", None),
            ("postMessage", None, "2.0"),
        ]


def test_a_receiver_that_stays_away_is_given_up_when_patience_ends(records, clock):
    respond = Respond(records, clock, telling(everyone("http://127.0.0.1:9")))
    respond.accept([alert()])
    delivery = Delivery(respond, clock, patience=Patience(limit=300.0))
    asyncio.run(send_all(delivery, clock, rounds=12))
    assert set(states(records).values()) == {"failed"}
    assert told(records, "notification_failed")[0].endswith("cannot be reached: connect error")


def test_a_process_killed_between_row_and_send_sends_after_its_restart(records, clock, tmp_path):
    with receiver() as there:
        Respond(records, clock, telling(everyone(there.url))).accept([alert()])
        records.close()  # nothing of the first process is left but its file
        again = Records.open(f"sqlite:///{tmp_path}/control.db")
        respond = Respond(again, clock, telling(everyone(there.url)))
        asyncio.run(send_all(Delivery(respond, clock), clock))
        assert sorted(got.path.split("/")[1] for got in there.got) == ["pagerduty", "slack", "webhook"]
        assert set(states(again).values()) == {"sent"}
        again.close()


def test_a_process_killed_between_send_and_mark_sends_once_more_with_the_same_key(records, clock):
    class Killed(BaseException):
        pass

    with receiver() as there:

        async def send_and_die(letter, now):
            await post(letter, now)
            async with asyncio.timeout(60):  # the others are on their way, and are not to be cut off before they arrive
                while len(there.got) < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            raise Killed

        respond = Respond(records, clock, telling(everyone(there.url)))
        respond.accept([alert()])

        async def first_life():
            with pytest.raises(Killed):
                await Delivery(respond, clock, send=send_and_die).deliver_due()

        asyncio.run(first_life())
        asyncio.run(send_all(Delivery(respond, clock), clock))
        for part in ("webhook", "pagerduty", "slack"):
            assert len(there.at(part)) == 2
            assert len({got.headers["idempotency-key"] for got in there.at(part)}) == 1
        assert len({got.body["dedup_key"] for got in there.at("pagerduty")}) == 1


def test_a_receiver_that_was_away_gets_each_letter_once_when_it_is_back(records):
    with receiver() as first:
        port = int(first.url.rpartition(":")[2])
    respond = Respond(records, SystemClock(), telling(everyone(f"http://127.0.0.1:{port}")))

    async def live():
        delivery = Delivery(respond, SystemClock(), patience=Patience(first=0.02, longest=0.1))
        loop = asyncio.create_task(delivery.run())
        respond.accept([alert()])
        await until(lambda: len(told(records, "notification_delayed")) == 3, "the first failed tries")
        with receiver(port) as there:
            respond.accept([cleared(alert(), T0 + 60)])
            await until(lambda: set(states(records).values()) == {"sent"}, "everything to be sent")
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            return there

    there = asyncio.run(live())
    assert there.events() == ["opened", "monitoring"]
    assert (len(there.at("slack")), len(there.at("pagerduty"))) == (2, 1)


def test_a_receiver_that_hangs_keeps_nobody_else_waiting(records, clock):
    config = routing(
        "route: {receiver: a}\nreceivers:\n"
        "- {name: a, webhook_configs: [{url: 'http://slow'}], pagerduty_configs: [{routing_key: k, url: 'http://quick'}]}"
    )
    respond = Respond(records, clock, telling(config))

    async def live():
        hanging = asyncio.Event()

        async def send(letter, now):
            if "slow" in letter.url.reveal():
                await hanging.wait()
            return Answer(Verdict.DELIVERED)

        loop = asyncio.create_task(Delivery(respond, clock, send=send).run())
        respond.accept([alert()])
        await until(lambda: states(records)["pagerduty"] == "sent", "the quick one")
        assert states(records)["webhook"] == "pending"
        respond.accept([alert("ServiceDown", "user-service", at=T0 + 900)])
        await until(lambda: len(sent_to(records, "pagerduty")) == 2, "the quick one again")
        hanging.set()
        await until(lambda: len(sent_to(records, "webhook")) == 2, "the slow one")
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    asyncio.run(live())


def test_a_stop_waits_for_letters_on_their_way_so_that_none_is_sent_twice(records, clock):
    config = routing("route: {receiver: a}\nreceivers: [{name: a, slack_configs: [{api_url: 'http://x'}]}]")
    respond = Respond(records, clock, telling(config))

    async def live():
        under_way, arrived = asyncio.Event(), asyncio.Event()

        async def send(letter, now):
            under_way.set()
            await arrived.wait()
            return Answer(Verdict.DELIVERED)

        loop = asyncio.create_task(Delivery(respond, clock, send=send).run())
        respond.accept([alert()])
        await asyncio.wait_for(under_way.wait(), 20)
        loop.cancel()
        await asyncio.sleep(0)
        arrived.set()
        await asyncio.gather(loop, return_exceptions=True)

    asyncio.run(live())
    assert states(records) == {"slack": "sent"}


def sent_to(records, channel):
    with records.reading() as connection:
        rows = [
            row
            for incident in journal.listed(connection, "all", 10)
            for row in dossier.dossier(connection, incident.id)["notifications"]
        ]
    return [row for row in rows if row["channel"] == channel and row["state"] == "sent"]


def test_an_integration_that_left_the_file_is_given_up_and_named(records, clock):
    Respond(records, clock, telling(everyone("http://x.invalid"))).accept([alert()])
    asyncio.run(send_all(Delivery(Respond(records, clock), clock), clock, rounds=1))
    assert set(states(records).values()) == {"failed"}
    assert "no longer has this" in told(records, "notification_failed")[0]


def test_no_secret_shows_up_in_logs_timeline_rows_or_answers_that_quote_it(records, clock, caplog, capsys):
    caplog.set_level("DEBUG")
    with receiver() as there:
        url = there.url.replace("http://", "http://user:pwsecret@")
        respond = Respond(records, clock, telling(everyone(url)))

        async def live():
            respond.accept([alert()])
            with structlog.testing.capture_logs() as logs:
                await send_all(Delivery(respond, clock), clock, rounds=2)
            return logs

        logs = asyncio.run(live())
    everything = json.dumps(story(records)) + repr(logs) + caplog.text + "".join(capsys.readouterr())
    assert len(there.got) == 3
    for secret in ("xyzsecret", "pdsecretkey", "pwsecret"):
        assert secret not in everything


def test_an_answer_that_repeats_our_address_or_key_is_quoted_without_it():
    def echo(request):
        async def said():
            yield f"bad key {json.loads(request.content)['routing_key']} for {request.url}".encode()

        return httpx.Response(400, content=said())

    transport = httpx.MockTransport(echo)
    real = httpx.AsyncClient
    letter = Letter(Secret("http://h/T0/secretpath"), {"routing_key": "rkey1"}, "k", HttpOptions(), (Secret("rkey1"),))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(httpx, "AsyncClient", lambda **options: real(transport=transport))
        answer = asyncio.run(post(letter, T0))
    assert answer == Answer(Verdict.REFUSED, "HTTP 400: bad key <secret> for <secret>")


@pytest.mark.parametrize("url", ["YOUR_SLACK_WEBHOOK_URL", "ftp://x/y", "http://"])
def test_a_placeholder_address_is_refused_without_being_shown(url):
    answer = asyncio.run(post(Letter(Secret(url), {}, "k", HttpOptions()), T0))
    assert answer == Answer(Verdict.REFUSED, "its address is no http(s) URL")


def test_authorization_of_http_config_is_sent(records, clock):
    with receiver() as there:
        config = routing(
            "route: {receiver: a}\n"
            f"receivers: [{{name: a, webhook_configs: [{{url: '{there.url}', http_config: {{bearer_token: tok}}}},\n"
            f"  {{url: '{there.url}', http_config: {{basic_auth: {{username: u, password: p}}}}}}]}}]"
        )
        respond = Respond(records, clock, telling(config))
        respond.accept([alert()])
        asyncio.run(send_all(Delivery(respond, clock), clock, rounds=1))
        assert sorted(got.headers["authorization"] for got in there.got) == ["Basic dTpw", "Bearer tok"]


def test_a_secret_whose_file_is_not_there_yet_is_tried_again(records, tmp_path):
    clock = FakeClock(T0)
    with receiver() as there:
        config = routing(
            f"route: {{receiver: a}}\nreceivers: [{{name: a, pagerduty_configs: "
            f"[{{routing_key_file: {tmp_path}/key, url: '{there.url}'}}]}}]"
        )
        respond = Respond(records, clock, telling(config))
        delivery = Delivery(respond, clock)

        async def live():
            respond.accept([alert()])
            await delivery.deliver_due()
            assert "secret cannot be read" in told(records, "notification_delayed")[0]
            (tmp_path / "key").write_text("fromfile\n", encoding="utf-8")
            await clock.advance(60)
            await delivery.deliver_due()

        asyncio.run(live())
        assert [got.body["routing_key"] for got in there.got] == ["fromfile"]


def test_jitter_is_at_least_half_of_the_full_delay():
    patience = Patience(first=2.0, longest=60.0)
    assert [patience.delay(attempts, 1.0) for attempts in (1, 2, 3, 10, 1000)] == [2, 4, 8, 60, 60]
    assert patience.delay(3, 0.0) == 4.0


def test_a_redirect_that_would_become_a_get_is_refused_and_one_that_stays_a_post_is_followed():
    with receiver() as there:
        letter = Letter(Secret(f"{there.url}/first"), {"n": 1}, "k", HttpOptions(Basic(Secret("u"), Secret("p"))))
        there.answer = lambda got: (302, {"Location": "/second"})
        assert asyncio.run(post(letter, T0)) == Answer(Verdict.REFUSED, "HTTP 302: ok")
        there.answer = lambda got: (307, {"Location": "/second"}) if got.path == "/first" else (200, {})
        assert asyncio.run(post(letter, T0)) == Answer(Verdict.DELIVERED)
    assert [(got.path, got.body) for got in there.got] == [
        ("/first", {"n": 1}),
        ("/first", {"n": 1}),
        ("/second", {"n": 1}),
    ]
    assert there.got[2].headers["authorization"] == there.got[1].headers["authorization"]


def endless(request):
    async def drops():
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    return httpx.Response(400, content=drops())


async def never(request):
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("other_side", "answer"),
    [
        (endless, Answer(Verdict.REFUSED, "HTTP 400: " + "x" * 200)),
        (never, Answer(Verdict.AGAIN, "no whole answer within 0.2 s")),
    ],
)
def test_a_receiver_that_answers_without_end_or_never_holds_nobody(monkeypatch, other_side, answer):
    real, transport = httpx.AsyncClient, httpx.MockTransport(other_side)
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: real(transport=transport))
    if other_side is never:
        monkeypatch.setattr("aiprism.respond.channels.post._TOTAL", 0.2)
    letter = Letter(Secret("http://h/x"), {}, "k", HttpOptions())
    assert asyncio.run(asyncio.wait_for(post(letter, T0), 20)) == answer


def test_a_letter_that_makes_us_stumble_is_put_off_and_given_up_and_its_lane_goes_on(records, clock, monkeypatch):
    with receiver() as there:
        respond = Respond(records, clock, telling(routing(
            f"route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{{url: '{there.url}'}}]}}]"
        )))  # fmt: skip
        respond.accept([alert("Poison", "one"), alert("Good", "two")])
        real = Webhook.letter

        def stumbling(self, message, key):
            if message.alerts[0].name == "Poison":
                raise ZeroDivisionError
            return real(self, message, key)

        monkeypatch.setattr(Webhook, "letter", stumbling)

        async def live():
            delivery = Delivery(respond, clock, patience=Patience(first=60, longest=60, limit=100), chance=NO_CHANCE)
            await delivery.deliver_due()
            first = rows(records)
            for _ in range(3):
                await clock.advance(61)
                await delivery.deliver_due()
            return first

        first = asyncio.run(live())
    assert first == {("Good", "sent", 1, ""), ("Poison", "pending", 1, "it could not be written: ZeroDivisionError")}
    assert ("Poison", "failed") in {row[:2] for row in rows(records)}


def rows(records):
    with records.reading() as connection:
        found = connection.execute(sa.select(notifications)).mappings().all()
    return {
        (row["payload"]["alerts"][0]["labels"]["alertname"], row["state"], row["attempts"], row["error"])
        for row in found
    }


def storm(count):
    return [alert("Storm", at=T0, severity="warning", group=str(at)) for at in range(count)]


def stormy(url):
    return routing(
        "route: {receiver: a, group_by: [group], group_wait: 0s}\n"
        f"receivers: [{{name: a, webhook_configs: [{{url: '{url}'}}]}}]"
    )


def outbox(records):
    with records.reading() as connection:
        return [row.state for row in connection.execute(sa.select(notifications.c.state))]


def test_letters_of_a_storm_share_a_few_connections(records, clock):
    met = []

    async def meet(reader, writer):
        met.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                [length] = re.findall(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def live():
        async with await asyncio.start_server(meet, "127.0.0.1", 0) as there:
            port = there.sockets[0].getsockname()[1]
            respond = Respond(records, clock, Policy(routing=stormy(f"http://127.0.0.1:{port}/")))
            respond.accept(storm(100))
            respond.flush()
            await Delivery(respond, clock).deliver_due()

    asyncio.run(live())
    assert outbox(records) == ["sent"] * 100
    assert 1 <= len(met) <= 16


def test_a_receiver_that_has_too_much_to_do_is_not_sent_the_rest_of_a_storm(records, clock):
    sent = []

    async def send(letter, now):
        sent.append(letter.key)
        return Answer(Verdict.AGAIN, "HTTP 429", retry_after=600.0)

    respond = Respond(records, clock, Policy(routing=stormy("http://x")))
    respond.accept(storm(100))
    respond.flush()
    asyncio.run(Delivery(respond, clock, send=send, chance=NO_CHANCE).deliver_due())
    assert 1 <= len(sent) <= 16
    with records.reading() as connection:
        assert letters.next_due(connection) == clock.now() + 600
